"""Models that are trained through their average, lambda for sentences, finetuning."""

import copy
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
import torch
from scan_cases import EOS, everything, left_alone, some, trained, untrained
from torch.nn.functional import one_hot

import equinb as eq
from equinb.apps import scan
from equinb.apps.scan import finetuning, importance
from equinb.apps.scan.methods import GeometricMean
from equinb.equitune import Uniform
from equinb.equizero import ArgMin
from equinb.lambda_equitune import Learned
from equinb.symmetrized import Orbit

GROUPS = ("Verb", "Direction", "Verbs")
EACH_CELL = pytest.mark.parametrize("kind", scan.CELLS)
EACH_GROUP = pytest.mark.parametrize("name", GROUPS)
EACH_TASK = pytest.mark.parametrize("task", scan.TASKS)
EACH_METHOD = pytest.mark.parametrize("method", scan.METHODS)


def lam(kind, seed=0):
    """A lambda that has learnt nothing, and is far from even."""
    torch.manual_seed(seed)
    net = scan.Importance(trained(kind))
    with torch.no_grad():
        net.net[-1].weight *= 20
    return Learned(net.requires_grad_(False), of="inputs")


def surest(estimator="mean"):
    return ArgMin(scan.certainty, "features", estimator, scan.TIE)


#: What weighs the views, from the kind of a cell, and whether they follow one sentence.
WEIGHED = {
    "even": (lambda kind: Uniform(), True),
    "even, apart": (lambda kind: Uniform(), False),
    "lambda": (lam, True),
    "lambda, apart": (lam, False),
    "surest": (lambda kind: surest(), False),
}
EACH_WEIGHTING = pytest.mark.parametrize("weighed", WEIGHED)


def symmetrized(kind, by, weighed="even", cut="logits"):
    build, together = WEIGHED[weighed]
    model = scan.SymmetrizedSeq2Seq(trained(kind), by, build(kind), cut, together)
    return model.double().eval()


def moved(by, each=3, most=8):
    """Commands that no element leaves alone, so that no views tie, and 10 actions."""
    commands, actions = some(each, most)
    kept = ~left_alone(commands, by)
    return commands[kept], actions[kept, :10]


def until_end(words):
    """The places up to the first EOS, which is one of them."""
    ended = (words == EOS).long()
    return ended.cumsum(-1) - ended == 0


def weights_of(model):
    return torch.cat([t.flatten() for t in model.state_dict().values()])


# The average is equivariant.


def errors(model, by, commands, actions):
    """How far f(gx) is from g f(x), told the words and not."""
    views, told = by.commands.orbit(commands), by.actions.orbit(actions)
    views, told = views.flatten(0, 1), told.flatten(0, 1)
    for said, of_views in (
        (model(commands, actions), model(views, told)),
        (model.run(commands, 12), model.run(views, 12)),
    ):
        yield (of_views - by.logits.orbit(said).flatten(0, 1)).abs().max().item()


@EACH_WEIGHTING
@EACH_GROUP
@EACH_CELL
def test_the_average_is_equivariant(kind, name, weighed):
    by = scan.symmetry(name)
    for cut in scan.CUTS:
        model = symmetrized(kind, by, weighed, cut)
        assert max(errors(model, by, *moved(by))) < 1e-9
    plain = trained(kind, torch.float64)
    assert min(errors(plain, by, *moved(by))) > 1e-3


@pytest.mark.parametrize("parts", [("actions",), ("logits",), ("actions", "logits")])
@EACH_WEIGHTING
def test_the_wrong_direction_is_no_symmetry(weighed, parts):
    """Verbs has order 4: g and its inverse differ."""
    by = scan.symmetry("Verbs")
    perms = by.actions.orbit(torch.arange(len(scan.ACTIONS))[None])[:, 0]
    back = perms[by.group.inverses]
    wrong = {
        "actions": eq.Relabel(by.group, back),
        "logits": eq.Permutation(by.group, back),
    }
    planted = replace(by, **{part: wrong[part] for part in parts})
    told, own = errors(symmetrized("LSTM", planted, weighed), by, *moved(by))
    assert told > 1e-3
    # Views that speak for themselves are told nothing in their own terms.
    assert (own > 1e-3) == (WEIGHED[weighed][1] or "logits" in parts)


# The average, against plain loops.


def slow_weights(weighed, kind, by, commands, log_p, words):
    """Even, of lambda, or all on the view that is surest of a word on average."""
    G = by.group
    if weighed.startswith("even"):
        return torch.full((G.order, len(commands)), 1 / G.order)
    if weighed.startswith("lambda"):
        net = lam(kind).net.double()
        views = [by.commands.act(g, commands) for g in range(G.order)]
        return torch.stack([net(view) for view in views]).softmax(0)
    used = [until_end(view) for view in words]
    most = [view.exp().amax(-1) for view in log_p]
    pairs = zip(most, used, strict=True)
    certain = torch.stack([(m * u).sum(1) / u.sum(1) for m, u in pairs])
    return one_hot(certain.argmax(0), G.order).T.double()


def slowly(weighed, kind, by, cut, commands, log_p, words):
    """The average of what each view says, `log_p`, carried back one by one."""
    weights, mean = slow_weights(weighed, kind, by, commands, log_p, words), 0
    for g, w in enumerate(weights):
        part = log_p[g].exp() if cut == "p" else log_p[g]
        back = by.logits.act(int(by.group.inverses[g]), part)
        mean = mean + w[:, None, None] * back
    return {"p": mean.log(), "logits": mean.log_softmax(-1), "log p": mean}[cut]


@pytest.mark.parametrize("cut", scan.CUTS)
@EACH_WEIGHTING
@pytest.mark.parametrize(("kind", "name"), [("LSTM", "Verb"), ("GRU", "Verbs")])
def test_the_average_is_that_of_all_views(kind, name, weighed, cut):
    by, plain = scan.symmetry(name), trained(kind, torch.float64)
    model = symmetrized(kind, by, weighed, cut)
    commands, actions = moved(by)
    views = [by.commands.act(g, commands) for g in range(by.group.order)]
    told = [by.actions.act(g, actions) for g in range(by.group.order)]
    log_p = [plain(*view) for view in zip(views, told, strict=True)]
    slow = slowly(weighed, kind, by, cut, commands, log_p, told)
    torch.testing.assert_close(model(commands, actions), slow)
    found = model.run(commands, 12)
    if WEIGHED[weighed][1]:
        own = found.argmax(-1)
        assert len(own.unique()) > 3
        torch.testing.assert_close(model(commands, own), found)
    else:
        log_p = [plain.run(view, 12) for view in views]
        said = [view.argmax(-1) for view in log_p]
        slow = slowly(weighed, kind, by, cut, commands, log_p, said)
        torch.testing.assert_close(found, slow)


@EACH_WEIGHTING
@EACH_CELL
def test_without_a_group_the_average_is_the_model(kind, weighed):
    by, plain = scan.symmetry("None"), trained(kind, torch.float64)
    commands, actions = some(3)
    for cut in scan.CUTS:
        model = symmetrized(kind, by, weighed, cut)
        # Logarithms that are taken back round.
        rounding = {"rtol": 0, "atol": 0 if cut == "log p" else 1e-12}
        for found, alone in (
            (model(commands, actions), plain(commands, actions)),
            (model.run(commands, 50), plain.run(commands, 50)),
        ):
            torch.testing.assert_close(found, alone, **rounding)


@EACH_WEIGHTING
@pytest.mark.parametrize("cut", scan.CUTS)
def test_probabilities_sum_to_one_but_for_the_mean_of_log_p(cut, weighed):
    by = scan.symmetry("Verb")
    model, (commands, actions) = symmetrized("GRU", by, weighed, cut), moved(by)
    for log_p in (model(commands, actions), model.run(commands, 12)):
        sums = log_p.exp().sum(-1)
        if cut != "log p" or weighed == "surest":
            torch.testing.assert_close(sums, torch.ones_like(sums))
        else:
            assert sums.max() < 1 + 1e-12
            assert sums.min() < 0.99


# What it says is what the decoding of the last chapter says.


def said_by_lambda(model, x, by, kind):
    weights = scan.weigh(lam(kind).double(), x, by)
    return scan.say(model, x, by, weights).words


SAID = {
    "even, p": ("even", "p", lambda model, x, by, kind: scan.say(model, x, by).words),
    "even, logits": (
        "even",
        "logits",
        lambda model, x, by, kind: scan.say(model, x, by, GeometricMean()).words,
    ),
    "lambda, p": ("lambda", "p", said_by_lambda),
    "surest, p": (
        "surest",
        "p",
        lambda model, x, by, kind: scan.equizero(model, scan.speak(model, x, by))[0],
    ),
    "surest, log p": (
        "surest",
        "log p",
        lambda model, x, by, kind: scan.equizero(model, scan.speak(model, x, by))[0],
    ),
}


@pytest.mark.parametrize("case", SAID)
@EACH_GROUP
@EACH_CELL
def test_its_likeliest_words_are_those_of_decoding(kind, name, case):
    weighed, cut, say = SAID[case]
    by, plain = scan.symmetry(name), trained(kind, torch.float64)
    commands, _ = moved(by, each=6, most=48)
    words = symmetrized(kind, by, weighed, cut).run(commands, scan.LONGEST).argmax(-1)
    words = words * until_end(words)
    assert torch.equal(words, say(plain, commands, by, kind))
    assert not torch.equal(words, scan.say(plain, commands).words)


# A copy, with the weights of the model.


@EACH_CELL
def test_it_has_the_weights_of_the_model_and_decodes_like_it(kind):
    model, by = trained(kind), scan.symmetry("Verb")
    ours = scan.SymmetrizedSeq2Seq(model, by, Uniform()).eval()
    assert list(ours.state_dict()) == list(model.state_dict())
    assert torch.equal(weights_of(ours), weights_of(model))
    said, alone = (scan.say(m, some(5).commands) for m in (ours, model))
    assert torch.equal(said.words, alone.words)
    assert torch.equal(said.p, alone.p)


@EACH_METHOD
def test_a_method_leaves_the_given_model_alone(method):
    model, by = copy.deepcopy(trained("GRU")), scan.symmetry("Verb")
    before = weights_of(model)
    ours = scan.METHODS[method].start(model, by, lam("GRU"))
    scan.finetune(ours, few(), 0, TUNING)
    assert torch.equal(weights_of(model), before)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


@EACH_CELL
def test_lambda_is_in_neither_half(kind):
    """Even if it asks for gradients."""
    net = scan.Importance(trained(kind)).requires_grad_(True)
    weighting = scan.Floored(Learned(net, of="inputs"))
    model = scan.SymmetrizedSeq2Seq(trained(kind), scan.symmetry("Verb"), weighting)
    ids = [id(p) for half in model.encoder_and_decoder for p in half]
    theirs = {id(p) for p in weighting.parameters()}
    assert theirs
    assert sorted([*ids, *theirs]) == sorted(id(p) for p in model.parameters())
    plain = trained(kind).encoder_and_decoder
    assert list(map(len, model.encoder_and_decoder)) == list(map(len, plain))


@pytest.mark.parametrize(
    ("weighting", "options", "says"),
    [
        (Uniform(), {"cut": "log"}, "The cut is one of p, logits, log p; got 'log'"),
        (surest(), {}, "chooses by whole sentences: build it with together=False"),
    ],
)
def test_what_it_refuses(weighting, options, says):
    by = scan.symmetry("Verb")
    with pytest.raises(ValueError, match=says):
        scan.SymmetrizedSeq2Seq(untrained("RNN"), by, weighting, **options)


# What equizero learns, if the mean is taken of log p.


def gradient(method, kind, forced):
    """Of the log-probability of right sentences, whole, whatever the model ends."""
    by = scan.symmetry("Verb")
    model = scan.METHODS[method].start(trained(kind), by, lam(kind)).double().eval()
    commands, actions = some(8, most=9)
    actions = actions[:, :10]
    log_p = model(commands, actions) if forced else model.run(commands, 10)
    chosen = log_p.gather(-1, actions[..., None])[..., 0]
    (chosen * until_end(actions)).sum().backward()
    halves = model.encoder_and_decoder
    return torch.cat([p.grad.flatten() for half in halves for p in half])


@pytest.mark.parametrize("forced", [True, False])
@pytest.mark.parametrize(
    ("method", "same"),
    [("equizero", "equitune, log p"), ("equizero, identity", "augmented")],
)
@EACH_CELL
def test_of_log_p_the_choice_changes_no_gradient(kind, method, same, forced):
    """That of equizero is equitune's, or the plain model's."""
    found, other = (gradient(m, kind, forced) for m in (method, same))
    assert (found - other).norm() < 1e-9 * other.norm()


@pytest.mark.parametrize(
    ("method", "other"),
    [
        ("equizero, logits", "equitune"),
        ("equizero, p", "equitune, p"),
        ("equizero, chosen", "equitune, log p"),
        ("equizero", "augmented"),
    ],
)
@EACH_CELL
def test_otherwise_the_choice_changes_the_gradient(kind, method, other):
    found, usual = (gradient(m, kind, forced=True) for m in (method, other))
    assert (found - usual).norm() > 0.01 * usual.norm()


# Finetuning.

TUNING = scan.Tuning(1e-3, steps=6, batch=4)
ONE_BY_ONE = scan.Tuning(1e-3, steps=200)


def few(n=60, most=8):
    """Pairs of all lengths, short enough to train on."""
    return scan.Data(*(part[:n] for part in some(20, most)))


def tuned(method="equitune", seed=0, tuning=TUNING, visit=lambda step: None):
    """The weights after a finetuning in double precision."""
    by, method = scan.symmetry("Verb"), scan.METHODS[method]
    model = method.start(trained("GRU"), by, lam("GRU")).double().eval()
    augment = by if method.augment else None
    torch.seed()  # what was drawn before must not matter
    scan.finetune(model, few(), seed, method.tune(tuning), visit, augment)
    return weights_of(model)


def toy(slope=0.0):
    """All that `finetune` asks of a model: here a weight, and a loss that is linear."""
    model = torch.nn.Module()
    model.weight, model.slope = torch.nn.Parameter(torch.tensor(1.0)), slope
    model.encoder_and_decoder = [], [model.weight]
    return model


def watch(monkeypatch, times=None):
    """What is shown: commands, actions, whether they are told; and the losses."""
    seen, real = [], scan.sentence_losses

    def losses(model, *shown):
        found = real(model, *shown) if isinstance(model, scan.Seq2Seq) else None
        seen.append((*shown, found))
        if found is None:
            return (model.slope * model.weight).expand(len(shown[0]))
        return found if times is None else times * found

    monkeypatch.setattr(finetuning, "sentence_losses", losses)
    return seen


def watch_adam(monkeypatch):
    """The optimisers, and the norm of the gradient at every step of one."""
    made, norms = [], []

    class Watched(torch.optim.Adam):
        def __init__(self, *given, **options):
            super().__init__(*given, **options)
            made.append(self)

        def step(self, closure=None):
            (group,) = self.param_groups
            norms.append(torch.cat([p.grad.flatten() for p in group["params"]]).norm())
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "Adam", Watched)
    return made, norms


def shown(monkeypatch, seed=0, tuning=ONE_BY_ONE, augment=None):
    seen = watch(monkeypatch)
    scan.finetune(toy(), few(), seed, tuning, augment=augment)
    return seen


@EACH_METHOD
def test_every_method_learns(monkeypatch, method):
    """From sentences that it is told, and from its own."""
    seen = watch(monkeypatch)
    states = []
    by, way = scan.symmetry("Verb"), scan.METHODS[method]
    model = way.start(trained("GRU"), by, lam("GRU"))
    assert way.reads in {*scan.RULES, scan.LAMBDA, scan.FLOOR}
    augment = by if way.augment else None

    def visit(step):
        states.append(weights_of(model))

    scan.finetune(model, few(), 0, way.tune(TUNING), visit, augment)
    assert {forced for *_, forced, _ in seen} == {True, False}
    assert all(losses.isfinite().all() and losses.min() > 0 for *_, losses in seen)
    assert len(states) == 1 + TUNING.steps
    for before, after in pairwise(states):
        assert after.isfinite().all()
        assert not torch.equal(before, after)


@pytest.mark.parametrize("method", ["equitune", "equizero", "augmented"])
def test_the_same_seed_finetunes_the_same_model(method):
    first = tuned(method, 3)
    assert torch.equal(tuned(method, 3), first)
    assert not torch.equal(tuned(method, 4), first)


def test_looking_on_does_not_disturb_finetuning():
    by, model = scan.symmetry("Verb"), trained("GRU")
    ours = scan.METHODS["equizero"].start(model, by, lam("GRU")).double().eval()
    visits = []

    def visit(step):
        visits.append(step)
        scan.accuracy(ours, few(10))

    scan.finetune(ours, few(), 0, TUNING, visit)
    assert visits == list(range(TUNING.steps + 1))
    assert ours.training
    assert torch.equal(weights_of(ours), tuned("equizero"))


def test_the_first_visit_is_before_the_first_step():
    model = scan.METHODS["equitune"].start(trained("GRU"), scan.symmetry("Verb"), None)
    states = []
    tuning = replace(TUNING, steps=1)
    scan.finetune(
        model, few(), 0, tuning, lambda step: states.append(weights_of(model))
    )
    assert torch.equal(states[0], weights_of(trained("GRU")))
    assert torch.equal(states[1], weights_of(model))


@pytest.mark.parametrize("method", [scan.LAMBDA, scan.FLOOR])
def test_lambda_stays_what_it_was(method):
    weighting, by = lam("GRU"), scan.symmetry("Verb")
    before = weights_of(weighting)
    model = scan.METHODS[method].start(trained("GRU"), by, weighting)
    weights = scan.weigh(weighting, few().commands, by)
    scan.finetune(model, few(), 0, TUNING)
    assert torch.equal(weights_of(weighting), before)
    assert torch.equal(scan.weigh(weighting, few().commands, by), weights)


def test_augmented_batches_are_views_of_the_same_batches(monkeypatch):
    """Commands and actions by the same element, all elements about as often."""
    by, tuning = scan.symmetry("Verbs"), scan.Tuning(1e-3, steps=120, batch=3)
    plain = shown(monkeypatch, tuning=tuning)
    views = shown(monkeypatch, tuning=tuning, augment=by)
    used = []
    for (x, y, forced, _), (gx, gy, too, _) in zip(plain, views, strict=True):
        assert forced == too
        by_element = [
            torch.equal(by.commands.act(g, x), gx)
            and torch.equal(by.actions.act(g, y), gy)
            for g in range(by.group.order)
        ]
        assert any(by_element)
        if sum(by_element) == 1:
            used.append(by_element.index(True))
    shares = [used.count(g) / len(used) for g in range(by.group.order)]
    assert shares == pytest.approx([0.25] * 4, abs=0.12)


@pytest.mark.parametrize(("batch", "steps"), [(1, 200), (5, 7), (64, 1), (64, 33)])
def test_a_step_is_one_batch(monkeypatch, batch, steps):
    seen = shown(monkeypatch, tuning=scan.Tuning(1e-3, steps, batch))
    assert [(len(x), len(y)) for x, y, *_ in seen] == [(batch, batch)] * steps
    pairs = {tuple(pair) for pair in torch.cat(few(), 1).tolist()}
    drawn = [torch.cat([x, y], 1).tolist() for x, y, *_ in seen]
    assert {tuple(pair) for part in drawn for pair in part} <= pairs


def test_half_of_the_steps_are_told_the_words(monkeypatch):
    tossed = [forced for *_, forced, _ in shown(monkeypatch)]
    assert 80 <= sum(tossed) <= 120
    again, other = (shown(monkeypatch, seed) for seed in (0, 1))
    assert [forced for *_, forced, _ in again] == tossed
    assert [forced for *_, forced, _ in other] != tossed


def test_two_updates_are_one_at_twice_the_rate():
    """Both optimisers follow the same gradients, and have the same past."""
    twice = tuned(tuning=replace(TUNING, updates=2))
    doubled = tuned(tuning=replace(TUNING, learning_rate=2e-3))
    torch.testing.assert_close(twice, doubled, rtol=0, atol=1e-8)
    assert (twice - tuned()).abs().max() > 1e-3


def test_optimisers_are_as_the_recipe_says(monkeypatch):
    made, _ = watch_adam(monkeypatch)
    tuned(tuning=scan.Tuning(3e-4, steps=1))
    tuned("equizero, published", tuning=scan.Tuning(1e-4, steps=1))
    groups = [optimizer.param_groups[0] for optimizer in made]
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [
        (3e-4, 0.0),
        (1e-4, 1e-4),
        (1e-4, 1e-4),
    ]


@pytest.mark.parametrize(("decay", "left"), [(0.0, 1.0), (0.1, 0.99)])
def test_weight_decay_shrinks_what_has_no_gradient(monkeypatch, decay, left):
    watch(monkeypatch)
    model = toy()
    scan.finetune(model, few(), 0, scan.Tuning(0.01, steps=1, weight_decay=decay))
    assert model.weight.item() == pytest.approx(left)


def test_a_step_follows_its_own_gradient_alone(monkeypatch):
    _, norms = watch_adam(monkeypatch)
    watch(monkeypatch)
    scan.finetune(toy(slope=0.5), few(), 0, TUNING)
    assert norms == pytest.approx([0.5] * TUNING.steps)


@pytest.mark.parametrize("method", ["equitune", "equizero", "augmented"])
def test_gradients_are_clipped_in_halves(monkeypatch, method):
    """To 5 each, so that both together have a norm of 5 times the root of 2."""
    tuned(method)  # what it begins with is trained once, and is not to be counted
    _, norms = watch_adam(monkeypatch)
    watch(monkeypatch, times=1e5)
    tuned(method)
    assert norms == pytest.approx([50**0.5] * TUNING.steps, rel=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 0.0},
        {"learning_rate": -1e-3},
        {"learning_rate": float("nan")},
        {"steps": 0},
        {"batch": 0},
        {"batch": -1},
        {"updates": 0},
        {"weight_decay": -1e-4},
    ],
)
def test_tunings_refuse_nonsense(change):
    with pytest.raises(ValueError, match="Finetuning needs steps, a batch, updates"):
        replace(TUNING, **change)


@pytest.mark.parametrize(
    ("steps", "looks"),
    [
        (1, (0, 1)),
        (100, (0, 100)),
        (101, (0, 100, 101)),
        (3200, (0, 100, 200, 400, 800, 1600, 3200)),
        (10_000, scan.LOOKS),
        (20_000, (*scan.LOOKS, 20_000)),
    ],
)
def test_looks(steps, looks):
    assert scan.looks_of(steps) == looks


# Weights of commands.


def orbit_of(by, commands):
    views = by.commands.orbit(commands)
    return Orbit(by.group, views, views, views)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_floor_is_an_even_share(share):
    weighting, orbit = lam("GRU"), orbit_of(scan.symmetry("Verbs"), few().commands)
    scores, weights = weighting(orbit)
    floored_scores, floored = scan.Floored(weighting, share)(orbit)
    assert torch.equal(floored_scores, scores)
    torch.testing.assert_close(floored.sum(0), torch.ones(60))
    torch.testing.assert_close(floored, (1 - share) * weights + share * 0.25)
    assert weights.min() < 0.1
    assert floored.min() >= share / 4


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), float("inf")])
def test_shares_lie_between_none_and_all(share):
    with pytest.raises(ValueError, match=f"between 0 and 1; got {share}"):
        scan.Floored(Uniform(), share)


@pytest.mark.parametrize("floored", [False, True])
@EACH_GROUP
def test_weights_depend_on_gx_alone(name, floored):
    """What hx gives to g, x gives to gh."""
    by, weighting = scan.symmetry(name), lam("LSTM").double()
    weighting = scan.Floored(weighting) if floored else weighting
    commands = some(5).commands
    weights = scan.weigh(weighting, commands, by)
    assert (weights - 1 / by.group.order).abs().max() > 0.1
    for h in range(by.group.order):
        of_hx = scan.weigh(weighting, by.commands.act(h, commands), by)
        torch.testing.assert_close(of_hx, weights[by.group.table[:, h].tolist()])


def test_importance_reads_the_last_states_of_the_encoder():
    """Alone or with longer neighbours, and not the model that is finetuned."""
    model = copy.deepcopy(trained("LSTM"))
    net, commands = scan.Importance(model), some(4).commands
    read = net.read(commands)
    assert torch.equal(read, model.encode(commands)[1].hidden)
    alone = torch.cat([net.read(command[None]) for command in commands])
    torch.testing.assert_close(read, alone, rtol=1e-4, atol=1e-5)
    assert [p.requires_grad for p in net.parameters()].count(True) == 4
    with torch.no_grad():
        model.command_embedding.weight.mul_(2)
    assert torch.equal(net.read(commands), read)
    assert not torch.equal(model.encode(commands)[1].hidden, read)


# What each view gives the right words.


@pytest.mark.parametrize("name", ["Direction", "Verbs"])
@EACH_CELL
def test_likelihoods_are_those_of_each_view(monkeypatch, kind, name):
    model, by, data = trained(kind), scan.symmetry(name), some(3, most=12)
    found = scan.likelihoods(model, data, by)
    assert found.shape == (by.group.order, *data.actions.shape)
    for g in range(by.group.order):
        for n, (x, y) in enumerate(zip(*data, strict=True)):
            words = by.actions.act(g, y[None])
            log_p = model(by.commands.act(g, x[None]), words)[0]
            end = int(until_end(words).sum())
            right = log_p[torch.arange(end), words[0, :end]]
            torch.testing.assert_close(found[g, n, :end], right, rtol=1e-4, atol=1e-5)
            assert not found[g, n, end:].any()
    monkeypatch.setattr(importance, "CHUNK", 7)
    parts = scan.likelihoods(model, data, by)
    torch.testing.assert_close(parts, found, rtol=1e-4, atol=1e-5)


# Learning lambda.


def learnt(seed=0, steps=20, kind="GRU"):
    by = scan.symmetry("Verb")
    return scan.learn_importance(trained(kind), few(), by, seed, steps)


def test_the_same_seed_learns_the_same_lambda():
    first = weights_of(learnt(3))
    torch.randn(7)
    assert torch.equal(weights_of(learnt(3)), first)
    assert not torch.equal(weights_of(learnt(4)), first)


def test_learning_lambda_leaves_everything_else_alone():
    model, state = trained("GRU"), torch.get_rng_state()
    before = weights_of(model)
    found = learnt()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights_of(model), before)
    assert torch.equal(weights_of(found.net.model), before)
    assert not any(p.requires_grad for p in found.parameters())


@EACH_CELL
def test_lambda_makes_right_words_likelier(kind):
    """A lambda that has learnt is better than one that has not, and than no lambda."""
    by, model = scan.symmetry("Verb"), trained(kind)
    told = scan.likelihoods(model, few(), by)

    def loss(weights):
        return -(weights.log()[..., None] + told).logsumexp(0).sum(1).mean()

    untaught, taught = (
        loss(scan.weigh(learnt(steps=steps, kind=kind), few().commands, by))
        for steps in (0, 100)
    )
    even = loss(torch.full(told.shape[:2], 0.5))
    assert taught < min(untaught, even) - 0.02


@cache
def shipped(task, kind):
    """A model that ships, its symmetry, and lambda from one of 16 sentences."""
    model, by = scan.load_model(task, kind), scan.symmetry(scan.SYMMETRY[task])
    data = scan.every(scan.load_sets(task, 0).train, 16)
    return model, by, scan.learn_importance(model, data, by)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@EACH_TASK
def test_lambda_finds_the_view_that_knows(task, kind):
    """As equizero does: it never saw a command of the test set."""
    model, by, learned = shipped(task, kind)
    data = scan.every(scan.load_sets(task, 0).test, 40)
    weights = scan.weigh(learned, data.commands, by)
    words = scan.say(model, data.commands, by, weights).words
    right = scan.exact_match(words, data.actions).double().mean()
    others = scan.judge(model, data, by, ["equitune", "equizero"]).mean()
    assert right > others["equizero"] - 0.03
    assert right > others["equitune"] + 0.2


@EACH_TASK
def test_nothing_to_swap_is_weighed_evenly(task):
    _, by, learned = shipped(task, "LSTM")
    commands = everything().commands
    same = left_alone(commands, by)
    weights = scan.weigh(learned, commands[same][:200], by)
    torch.testing.assert_close(
        weights, torch.full_like(weights, 0.5), rtol=0, atol=1e-6
    )
    others = scan.weigh(learned, commands[~same][:200], by)
    assert (others - 0.5).abs().mean() > 0.2
