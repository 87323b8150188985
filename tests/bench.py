"""What symmetry costs, as ratios of times: `make bench`, no part of `make test`.

    symmetrized / plain    one forward of the same |G| B views, already made
    lambda / equitune      the price of learned weights
    equizero / equitune    the price of the proxy loss
    decision / predict     one action of equizero, through the wrapper for
                           stable-baselines3, over the library's own, at batch 1
    decoding / plain       sentences of SCAN from one symmetrized distribution, over
                           the same views decoded by themselves
    step / |G| plain       two steps of finetuning on SCAN through the average, one
                           told the right words and one not, over |G| such pairs of
                           steps of the plain model on the same sentences
    copies / |G| plain     the answers of equitune to all |G| turned copies of a set of
                           images, from one pass of a CLIP over the views, over the
                           plain answers to the same copies

    all / |G| plain        one pass over all views of a batch, large enough that a pass
                           over it fills the machine, over |G| plain passes of the batch
    equitune / ttach       the answers of the library for test-time augmentation, on
                           batches of several sizes, ours with the chunk that
                           `fastest_chunk` finds; then in one pass over all views,
                           which has no bound: on a CPU it may be slower

    EquiLM / plain         texts that respect a swap of words, over as many rows of
                           plain decoding; EquizeroLM likewise, without its classifier
    EquiLM / no cache      the same over reading each text anew for every token

Each repetition times both sides of a pair, one after the other, and the order changes
with every repetition; the ratio is taken within the pair. A bound is met when the
median is at most 0.02 above it and the lower end of its 95 % interval within it.

Then what is counted exactly: the most memory that tensors of a CLIP take at once, with
learned weights over without, and how many views of an image it is shown for all copies.

Last the rates of SCAN, as they are used: two processes of one thread each, side by
side, and the sum of what both do in a second. The median of a few rounds is to reach
the bound.

    training               an LSTM by the batched recipe: losses, gradients, steps
    decoding               what the model says to each of two views of a command

And what takes minutes, measured once: texts of a model of GPT-2's size (random
weights), and probes of all methods on features of CIFAR10's size (random ones), one
epoch of ten, the methods dealt to two processes.

    python tests/bench.py --only costs memory    # of its parts, these
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from joblib import Parallel, delayed
from torch import nn

import equinb as eq
from equinb.apps.costs.clock import in_turn, median_interval, seconds
from equinb.apps.costs.memory import peak

ALLOWANCE = 0.02
LEAST_SECONDS = 0.020
FEATURES = 128
#: States in which an action is chosen, one after the other, for one measurement.
DECISIONS = 1000
#: Sentences in a step of finetuning.
SENTENCES = 64
#: Images that a CLIP reads at once.
IMAGES = 96
#: How many at once, where a library is compared, the last being all that are read.
BATCHES = (1, 4, 16, 32)
#: The same for the paper's large models, a second a pass.
LARGE = (1, 4)
#: Texts that are written at once, in two branches each; how long they begin and end.
TEXTS, BEGUN, TOKENS = 32, 8, 30
#: Images to learn probes from, and how many features an AlexNet of 32 pixels has.
TRAIN, WIDE = 45_000, 2048
#: Processes side by side, and how often their rates are measured.
CORES, ROUNDS = 2, 5
#: What each does in a round: pairs to train on; one of so many test commands to answer.
PAIRS, EVERY = 6400, 2


def conv_net() -> nn.Module:
    """A small image encoder, from (N, 3, 32, 32) to (N, 128)."""
    layers: list[nn.Module] = []
    for before, after, stride in ((3, 32, 1), (32, 64, 2), (64, FEATURES, 2)):
        layers += [nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after)]
        layers += [nn.ReLU(), nn.Conv2d(after, after, 3, 1, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def paired(
    ours: Callable[[], object], baseline: Callable[[], object], repetitions: int
) -> tuple[list[float], float]:
    """The ratio of each pair, and the median time of the baseline."""
    for _ in range(3):
        ours(), baseline()
    times: dict[str, list[float]] = {"baseline": [], "ours": []}
    calls = {"baseline": baseline, "ours": ours}
    for _, name, took in in_turn(calls, repetitions):
        times[name].append(took)
    bottom, top = times.values()
    ratios = [t / b for t, b in zip(top, bottom, strict=True)]
    return ratios, statistics.median(bottom)


def pairs(batch: int) -> list[tuple[str, float | None, Callable, Callable]]:
    """Name, bound, ours and baseline of everything that is measured."""
    torch.manual_seed(0)
    encoder = conv_net()
    found = []
    for G in (eq.cyclic(4), eq.dihedral(4)):
        turn, same = eq.Rot90(G), eq.Trivial(G)
        x = torch.rand(batch, 3, 32, 32)
        views = turn.orbit(x).flatten(0, 1)
        net = nn.Sequential(nn.Linear(FEATURES, 100), nn.ReLU(), nn.Linear(100, 1))
        methods = {
            "equitune": eq.Equitune(encoder, turn, same),
            "equizero": eq.Equizero(encoder, turn, same, loss=eq.losses.neg_max_prob),
            "lambda-equitune": eq.LambdaEquitune(encoder, turn, same, net),
        }
        quiet = torch.inference_mode()
        calls = {name: quiet(lambda f=f, x=x: f(x)) for name, f in methods.items()}
        plain = quiet(lambda views=views: encoder(views))
        for name, call in calls.items():
            found.append((f"{G.name} {name} / plain", 1.03, call, plain))
        for name, bound in (("lambda-equitune", 1.02), ("equizero", None)):
            row = (f"{G.name} {name} / equitune", bound, calls[name], calls["equitune"])
            found.append(row)
    return found


def decisions() -> list[tuple[str, float | None, Callable, Callable]]:
    """One action at a time, in states that an agent meets."""
    from stable_baselines3 import DQN

    from equinb.apps import rl
    from equinb.apps.rl.wrapper import symmetrize_dqn

    found = []
    for task in rl.TASKS.values():
        net = {"net_arch": [task.ours.width] * 2}
        options = {"policy_kwargs": net, "buffer_size": 1, "device": "cpu"}
        model = DQN("MlpPolicy", task.environment, **options)
        q = rl.load_q_network(task.environment)
        parameters = zip(model.q_net.parameters(), q.parameters(), strict=True)
        for old, new in parameters:
            old.data.copy_(new)
        agent = symmetrize_dqn(model, task.state, task.action)
        played = rl.rollout(q, task.environment, episodes=200)
        states = list(rl.some(played, most=DECISIONS).numpy())[:DECISIONS]

        def act(player: object, states: list = states) -> None:
            for state in states:
                player.predict(state, deterministic=True)

        name = f"{task.short} decision / predict"
        ours, library = (lambda p=p, act=act: act(p) for p in (agent, model))
        found.append((name, 1.30, ours, library))
    return found


def decoding() -> list[tuple[str, float | None, Callable, Callable]]:
    """Commands that both decode; a joint sentence may be longer than a view's own."""
    from equinb.apps import scan

    model, by = scan.load_model("add_jump"), scan.symmetry("Verb")
    commands = scan.load_sets("add_jump", 0).test.commands[::30]
    views = by.commands.orbit(commands).flatten(0, 1)

    def ours() -> None:
        scan.say(model, commands, by)

    def plain() -> None:
        scan.say(model, views)

    return [("SCAN equitune decoding / plain", None, ours, plain)]


def finetuning() -> list[tuple[str, float | None, Callable, Callable]]:
    """Steps on the same sentences: gradients, a norm for each half, one update."""
    from equinb.apps import scan
    from equinb.apps.scan.training import CLIP
    from equinb.lambda_equitune import Learned

    model, by = scan.load_model("add_jump"), scan.symmetry("Verb")
    data = scan.load_sets("add_jump", 0).train
    commands, actions = (part[:SENTENCES] for part in data)
    learned = Learned(scan.Importance(model).requires_grad_(False), of="inputs")

    def stepper(method: str, times: int) -> Callable[[], None]:
        tuned = scan.METHODS[method].start(model, by, learned).train()
        weights = [p for p in tuned.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(weights, 1e-5, fused=True)

        def steps() -> None:
            for forced in (True, False) * times:
                losses = scan.sentence_losses(tuned, commands, actions, forced)
                optimizer.zero_grad()
                losses.mean().backward()
                for part in tuned.encoder_and_decoder:
                    nn.utils.clip_grad_norm_(part, CLIP)
                optimizer.step()

        return steps

    # `augmented` starts as the plain model; nothing is augmented here.
    plain = stepper("augmented", by.group.order)
    return [
        (f"SCAN {short} step / |G| plain", 1.15, stepper(method, 1), plain)
        for short, method in (
            ("equitune", "equitune"),
            ("equizero", "equizero"),
            ("lambda", scan.LAMBDA),
        )
    ]


def glyph_clip(name: str = "glyph-vit") -> tuple:
    """A CLIP that ships, its head, and images that it can read."""
    from equinb.apps import clip

    model = clip.load_clip(name)
    text = model.classifier(clip.GLYPH_NAMES, clip.GLYPH_TEMPLATES)
    pictures = clip.Pictures(*clip.sample(IMAGES, 0), model.preprocess)
    images = [pictures[i] for i in range(IMAGES)]
    return model, clip.Similarity(text, model.scale), images


def weighted_clip(name: str) -> tuple[Callable, Callable, Callable]:
    """A CLIP with learned weights, without, and by itself, a pass a view."""
    from equinb.apps import clip

    model, head, images = glyph_clip(name)
    act, x = clip.action("rot90"), torch.stack([image for image, _ in images])
    parts = (model.encode, act, eq.Trivial(act.group))
    net = clip.Importance(head.text.shape[1]).requires_grad_(False)
    learned = eq.LambdaEquitune(*parts, net, head=head)
    even = eq.Equitune(*parts, head=head)

    def plain() -> None:
        for _ in act.group.elements:
            head(model.encode(x))

    return lambda: learned(x), lambda: even(x), plain


def of_costs() -> list[tuple[str, float | None, Callable, Callable]]:
    """One pass over all views, over |G| passes, and over a library's."""
    from equinb.apps import clip
    from equinb.apps.costs.methods import Logits

    found = []
    for name in clip.pretrained.SIGNS:
        calls = map(torch.inference_mode(), weighted_clip(name))
        learned, even, plain = calls
        short = name.removeprefix("glyph-")
        found += [
            (f"{short} equitune / |G| plain", 1.03, even, plain),
            (f"{short} lambda / |G| plain", 1.03, learned, plain),
            (f"{short} lambda / equitune", 1.02, learned, even),
        ]
        model, head, images = glyph_clip(name)
        x = torch.stack([image for image, _ in images[: BATCHES[-1]]])
        logits = Logits(model, head).eval()
        found += beside_ttach(short, logits, x, BATCHES)
    for name in ("RN50", "ViT-B-32"):  # of the paper's size; weights are random
        model = clip.load_clip(name, pretrained=None)
        x = torch.randn(LARGE[-1], 3, 224, 224)
        with torch.no_grad():
            text = torch.randn(100, model.encode(x[:1]).shape[1])
        logits = Logits(model, clip.Similarity(text, model.scale)).eval()
        found += beside_ttach(name, logits, x, LARGE)
    return found


def beside_ttach(
    short: str, logits: nn.Module, x: torch.Tensor, batches: tuple[int, ...]
) -> list[tuple[str, float | None, Callable, Callable]]:
    """The same images in batches of several sizes, by the library and by ours."""
    import ttach

    from equinb.apps import clip

    turns = ttach.Compose([ttach.Rotate90([0, 90, 180, 270])])
    library = ttach.ClassificationTTAWrapper(logits, turns, merge_mode="mean")
    act, found = clip.action("rot90"), []
    for batch in batches:
        f, whole = (eq.Equitune(logits, act, eq.Trivial(act.group)) for _ in range(2))
        f.chunk = eq.fastest_chunk(f.eval(), x[:batch])
        print(f"({short}, batches of {batch}: {f.chunk or 'all views'} at once)")
        theirs = of_batches(library, x, batch)
        for how, bound, ours in (("fastest", 1.00, f), ("one pass", None, whole)):
            line = f"{short} {how} / ttach, {batch}"
            found.append((line, bound, of_batches(ours, x, batch), theirs))
    return found


def of_batches(f: Callable, x: torch.Tensor, batch: int) -> Callable[[], object]:
    """All images, so many at once: a pass over a few would be too short to time."""

    @torch.inference_mode()
    def call() -> None:
        for part in x.split(batch):
            f(part)

    return call


def turned_copies() -> tuple[Callable, Callable, list[int]]:
    """All turned copies of images, from one pass or each for itself; and the views."""
    from equinb.apps import clip
    from equinb.equitune import Uniform

    (model, head, images), G = glyph_clip(), clip.SQUARE.group
    reading = clip.Reading(batch=IMAGES // G.order)
    copies = clip.SQUARE.orbit(torch.stack([image for image, _ in images]))
    views: list[int] = []
    model.model.visual.register_forward_hook(lambda _, x, __: views.append(len(x[0])))

    def ours() -> None:
        orbits = clip.encode_orbits(model, images, reading=reading)
        for h in range(G.order):
            turned = orbits.of("D4", torch.full((IMAGES,), h))
            clip.answer(Uniform(), turned, head)

    def plain() -> None:
        for copy in copies:
            head(model.encode(copy))

    return ours, plain, views


def of_clip() -> list[tuple[str, float | None, Callable, Callable]]:
    """The price of every copy of a set."""
    ours, apart, _ = turned_copies()
    quiet = torch.inference_mode()
    return [("CLIP D4 copies / |G| plain", 1.10, ours, quiet(apart))]


def writers(model: object) -> dict[str, Callable[[], object]]:
    """Texts by EquiLM and EquizeroLM, by the plain model, and without a cache."""
    from equinb.apps.text import decoding, words

    size = model.config.vocab_size
    swap, nothing = words.swap_of([[(1, 2), (3, 4)]], size), words.swap_of([], size)
    random = torch.Generator().manual_seed(0)
    x = torch.randint(5, size, (TEXTS, BEGUN), generator=random)
    x[:, 1] = 1
    rows = swap.on_ids.orbit(x).flatten(0, 1)
    cut = decoding.Sampling(top_k=40)
    noise = decoding.gumbel(0, TEXTS, size)
    wide = decoding.gumbel(0, len(rows), size)

    def best() -> object:
        def free(ids: torch.Tensor) -> torch.Tensor:
            return ids[:, -1].double()

        return decoding.write_best(model, x, swap, TOKENS, cut, noise, free)

    def anew() -> torch.Tensor:
        processor = decoding.EquiProcessor(swap, BEGUN, cut, noise)
        texts = rows
        for _ in range(TOKENS):
            scores = model(texts, use_cache=False).logits[:, -1]
            token = processor(texts, scores).argmax(-1, keepdim=True)
            texts = torch.cat([texts, token], 1)
        return texts

    return {
        "EquiLM": lambda: decoding.write(model, x, swap, TOKENS, cut, noise),
        "EquizeroLM": best,
        "plain": lambda: decoding.write(model, rows, nothing, TOKENS, cut, wide),
        "no cache": anew,
    }


def of_text() -> list[tuple[str, float | None, Callable, Callable]]:
    """The price of a swap of words, on the model of film reviews that ships."""
    from equinb.apps.text.pretrained import SHIPPED, load_language_model

    calls = writers(load_language_model(SHIPPED[-1]).model)
    calls = {name: torch.inference_mode()(call) for name, call in calls.items()}
    return [
        ("text EquiLM / plain", 1.25, calls["EquiLM"], calls["plain"]),
        ("text EquizeroLM / plain", 1.25, calls["EquizeroLM"], calls["plain"]),
        ("text EquiLM / no cache", 0.20, calls["EquiLM"], calls["no cache"]),
    ]


def epoch(methods: list[str]) -> float:
    """Seconds of one epoch of probes on frozen features, through every average."""
    from equinb.apps.cnn import probing
    from equinb.apps.views.orbits import Orbits, action

    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(0)
    features = torch.rand(4, TRAIN, WIDE, generator=random)
    labels = torch.randint(10, (TRAIN,), generator=random)
    orbits = Orbits(action("rot90").group, features, labels)
    ways = probing.learners(WIDE, 0)
    once = replace(probing.PROBING, epochs=1)

    def probes() -> None:
        for method in methods:
            probing.probe(orbits, 10, ways[method], once, 0, method)

    return seconds(probes)


def minutes() -> list[dict[str, object]]:
    """What is measured once."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from equinb.apps.cnn import probing

    print(f"\n{'once':<30}  found  bound  met")
    torch.manual_seed(0)
    calls = writers(GPT2LMHeadModel(GPT2Config()).eval().requires_grad_(False))
    calls["EquiLM"](), calls["plain"]()
    took = {name: seconds(calls[name]) for name in ("EquiLM", "plain", "no cache")}
    methods = list(probing.learners(1, 0))
    shares = [methods[place::CORES] for place in range(CORES)]
    whole = max(Parallel(CORES)(map(delayed(epoch), shares)))
    return [
        judged("GPT-2 EquiLM / plain", took["EquiLM"] / took["plain"], 1.25),
        judged("GPT-2 EquiLM / no cache", took["EquiLM"] / took["no cache"], 0.20),
        judged("CIFAR10 probes, ten epochs, s", 10 * whole, 300),
    ]


def judged(
    name: str, found: float, bound: float, least: bool = False
) -> dict[str, object]:
    """A row of what has no interval, printed: at most the bound, or at least."""
    met = found >= bound if least else found <= bound
    print(f"{name:<30}  {found:5.4g}  {bound:5.4g}  {'yes' if met else 'NO'}")
    return {"name": name, "found": found, "bound": bound, "met": met}


def counts() -> list[dict[str, object]]:
    """What does not depend on the clock."""
    from equinb.apps.clip.pretrained import SIGNS

    print(f"\n{'counted':<30}  found  bound  met")
    rows = []
    for name in SIGNS:
        calls = map(torch.inference_mode(), weighted_clip(name))
        lam, even, _ = (peak(call) for call in calls)
        short = name.removeprefix("glyph-")
        rows.append(judged(f"{short} lambda, peak memory", lam / even, 1.02))
    ours, _, views = turned_copies()
    ours()
    rows.append(judged("CLIP D4 copies, views an image", sum(views) / IMAGES, 8))
    return rows


def training_rate(pairs: int) -> float:
    """Pairs a second, without looks at the validation set."""
    from equinb.apps import scan

    torch.set_num_threads(1)
    torch.manual_seed(0)
    data, model = scan.load_sets("add_jump", 0).train, scan.Seq2Seq("LSTM")
    recipe = replace(scan.BATCHED, pairs=pairs, looks=1)

    def losses(*batch: object) -> torch.Tensor:
        return scan.sentence_losses(model, *batch)

    def train() -> None:
        scan.fit(model, losses, lambda: 0.0, data, 0, recipe)

    return pairs / seconds(train)


def decoding_rate(every: int) -> float:
    """Branches a second, two a command of the test set."""
    from equinb.apps import scan

    torch.set_num_threads(1)
    model, by = scan.load_model("add_jump"), scan.symmetry("Verb")
    x = scan.load_sets("add_jump", 0).test.commands[::every]
    return by.group.order * len(x) / seconds(lambda: scan.speak(model, x, by))


def rates() -> list[dict[str, object]]:
    """Measure and print what all cores do in a second."""
    print(f"\n{f'a second, {CORES} processes':<30}   rate  bound  met")
    rows = []
    for name, bound, rate, size in (
        ("SCAN training, pairs", 2500, training_rate, PAIRS),
        ("SCAN decoding, branches", 3000, decoding_rate, EVERY),
    ):
        # The first round is not counted: in it the processes start and import.
        calls = [delayed(rate)(size)] * CORES
        rounds = [sum(Parallel(CORES)(calls)) for _ in range(1 + ROUNDS)][1:]
        rows.append(judged(name, statistics.median(rounds), bound, least=True))
    return rows


#: What is timed in pairs, and what is not, by the name of the part.
PAIRED = {
    "agents": (decisions,),
    "scan": (decoding, finetuning),
    "clip": (of_clip,),
    "costs": (of_costs,),
    "text": (of_text,),
}
OTHERS = {"memory": counts, "rates": rates, "minutes": minutes}


def main() -> int:
    """Measure, print the table, and say whether every bound is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    every = ["operator", *PAIRED, *OTHERS]
    parser.add_argument("--only", nargs="+", choices=every, default=every)
    arguments = parser.parse_args()
    if arguments.repetitions < 20:
        parser.error("at least 20 repetitions are needed.")
    torch.set_num_threads(arguments.threads)
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, "
        f"{arguments.threads} thread(s) on {platform.machine()}, "
        f"batch {arguments.batch}, {arguments.repetitions} repetitions"
    )
    print(f"{'':<30}  ratio  95 % interval   bound  pass      met")
    rows = []
    paired_parts = {"operator": (partial(pairs, arguments.batch),), **PAIRED}
    for part in filter(arguments.only.__contains__, paired_parts):
        for name, bound, ours, baseline in chain(*(f() for f in paired_parts[part])):
            ratios, base = paired(ours, baseline, arguments.repetitions)
            median, low, high = median_interval(ratios)
            met = bound is None or (low <= bound and median <= bound + ALLOWANCE)
            rows.append(
                {
                    **{"name": name, "ratio": median, "low": low, "high": high},
                    **{"bound": bound, "pass_seconds": base, "met": met},
                }
            )
            shown = "  -  " if bound is None else f"{bound:.3f}"
            verdict = "-" if bound is None else "yes" if met else "NO"
            print(
                f"{name:<30}  {median:.3f}  {low:.3f} - {high:.3f}   {shown}  "
                f"{base * 1000:5.0f} ms  {verdict}",
                flush=True,
            )
    others = []
    for part in filter(arguments.only.__contains__, OTHERS):
        others += OTHERS[part]()
    if arguments.json:
        arguments.json.write_text(json.dumps(rows + others, indent=2) + "\n")
    short = [row["name"] for row in rows if row["pass_seconds"] < LEAST_SECONDS]
    if short:
        print(f"under 20 ms a pass, too short to judge: {', '.join(short)}")
        print("(--batch makes those of the operator longer)")
    missed = [row["name"] for row in rows + others if not row["met"]]
    print(f"missed: {', '.join(missed)}" if missed else "every bound is met")
    return 1 if missed or short else 0


if __name__ == "__main__":
    sys.exit(main())
