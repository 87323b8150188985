"""The experiment `fewer`: accuracy against the passes that are paid for.

    equinb run fewer --preset quick --seeds 0-2   # networks of signs, quarter turns
    equinb run fewer --preset small --seeds 0-2   # mirrors, and photographs, too

A router reads small views of an image and chooses those that pass through the model.
One view is canonicalisation, all are lambda-equitune with the router's weights. Costs
are in passes of the model over one image, the router's work on all views included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from equinb.apps.clip.model import weights_name as clip_weights
from equinb.apps.cnn.backbones import weights_name as cnn_weights
from equinb.apps.fewer.cost import operations
from equinb.apps.fewer.routers import Look, Recipe, learn_router
from equinb.apps.fewer.subjects import Subject, load_subject
from equinb.apps.fewer.trials import Trial, mean, scores_of
from equinb.apps.views.answers import PRETRAINED, UPRIGHT, answer, weigh
from equinb.apps.views.importance import LAMBDA, by_upright, learn_importance
from equinb.apps.views.orbits import action
from equinb.equitune import Uniform
from equinb.lab import Experiment, Job, Made, Report
from equinb.lambda_equitune import Learned
from equinb.symmetrized import Weighting

#: Who has taught the router: full lambda-equitune; it and labels, by what each view has
#: to do with the right answer; or images known to be upright.
DISTILLED, LABELLED = "routed, distilled", "routed, by labels"
ORIENTATION = "routed, upright"
#: Lambda that has learned from upright images, on the features of all views.
UPRIGHT_LAMBDA = "orientation classifier"
SIGNS = ("cnn/glyph-resnet", "cnn/glyph-alexnet", "clip/glyph-resnet", "clip/glyph-vit")
PHOTOGRAPHS = ("cnn/tiny-resnet", "cnn/tiny-alexnet")


@dataclass(frozen=True)
class FewerOptions:
    """What a run can be told.

    Attributes:
        subjects: names that `load_subject` knows.
        groups: names of symmetries, of `GENERATORS`.
        eps: the shares that the adaptive rule may leave out.
        router: for networks of signs.
        photographs: the router for networks of photographs.
        images: about how many training images are learned from, at most.
        every: one of so many test images is tried.
    """

    subjects: tuple[str, ...]
    groups: tuple[str, ...] = ("rot90", "D4")
    eps: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01)
    router: Recipe = field(default_factory=lambda: Recipe(spread=0.3))
    photographs: Recipe = field(
        default_factory=lambda: Recipe(
            32, False, (16, 32, 64), (64,), steps=1500, spread=0.3
        )
    )
    images: int = 16_000
    every: int = 1


def jobs(options: FewerOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a subject and seed."""
    return [
        Job(seed, {"model": name}, 3 * len(options.groups))
        for name in options.subjects
        for seed in seeds
    ]


def work(options: FewerOptions, job: Job, device: str, report: Report) -> Made:
    """Train routers for one model, and try every number of views."""
    name = str(job.settings["model"])
    subject = load_subject(name, options.images, options.every, device)
    recipe = options.photographs if name in PHOTOGRAPHS else options.router
    look = Look(recipe)
    small = look(subject.train)
    rows: list[dict[str, Any]] = []
    done = 0
    for group in options.groups:
        full, head = subject.full(group, job.seed)
        rows += references(subject, group, full, head, job.seed)
        for method, told in lessons(subject, group, full, head).items():
            net = learn_router(small, action(group), recipe, job.seed, told)
            weights = scores_of(net, action(group), small).softmax(0)
            own = subject.head(group, weights, job.seed)
            found = Trial(subject, group, own, net, look).rows(options.eps)
            rows += [{"group": group, "method": method, **row} for row in found]
            done += 1
            report(done)
    return Made(rows)


def lessons(
    subject: Subject, group: str, full: Learned, head: nn.Module
) -> dict[str, Tensor | None]:
    r"""What routers are told of the training images' views, by who tells it.

    By labels it is how much of the right answer is due to each view: in a mixture of
    the views' answers with weights $w_g$, $w_g p(y | gx) / \sum_h w_h p(y | hx)$.
    """
    train = subject.train_orbits.of(group)
    weights = weigh(full, train, head).weights
    said = head(train.features).log_softmax(-1)
    labels = train.labels.to(said.device).expand(said.shape[:2])
    right = said.gather(-1, labels[..., None])[..., 0]
    due = (weights.log() + right).softmax(0)
    return {DISTILLED: weights, LABELLED: due, ORIENTATION: None}


def references(
    subject: Subject, group: str, full: Learned, head: nn.Module, seed: int
) -> list[dict[str, Any]]:
    """What is paid for in full: the model by itself, and averages over all views."""
    test, train = subject.test_orbits.of(group), subject.train_orbits.of(group)
    views, upright = test.group.order, test.group.identity
    plain = operations(subject.encoder.encode, subject.test[:1])
    rows: list[dict[str, Any]] = []

    def add(method: str, passes: int, hits: Tensor, more: float = 0.0) -> None:
        row = {"group": group, "method": method, "rule": "k", "at": float(passes)}
        spent = {"passes": float(passes), "cost": passes + more}
        rows.append({**row, **spent, "top1": mean(hits)})

    alone = torch.zeros(views, len(train), device=train.features.device)
    alone[upright] = 1
    own = subject.head(group, alone, seed)
    hits = own(test.features).argmax(-1).cpu() == test.labels
    add(PRETRAINED, 1, hits)
    add(UPRIGHT, 1, hits[upright])
    oriented = learn_importance(train, by_upright(train, head), seed)
    rules: dict[str, Weighting] = {UPRIGHT_LAMBDA: oriented, "equitune": Uniform()}
    heads = {
        rule: subject.head(group, weigh(weighting, train, head).weights, seed)
        for rule, weighting in rules.items()
    }
    for rule, weighting in {LAMBDA: full, **rules}.items():
        made = answer(weighting, test, heads.get(rule, head), "logits")
        more = 0.0
        if isinstance(weighting, Learned):
            more = operations(weighting.net, test.features[:, 0]) / plain
        add(rule, views, made.argmax(-1).cpu() == test.labels, more)
    return rows


def reads(options: FewerOptions, seeds: Sequence[int]) -> Iterable[str]:
    """The shipped networks that a run reads."""
    files = {"cnn": cnn_weights, "clip": clip_weights}
    named = [name.split("/", 1) for name in options.subjects]
    return sorted(f"assets/{files[chapter](model)}" for chapter, model in named)


EXPERIMENT = Experiment(
    name="fewer",
    title="Fewer passes than views: accuracy against cost",
    presets={
        "quick": FewerOptions(SIGNS, ("rot90",), images=4000),
        "small": FewerOptions((*SIGNS, *PHOTOGRAPHS)),
    },
    jobs=jobs,
    work=work,
    keys=("model", "group", "method", "rule", "at"),
    value="top1",
    packages=("torch", "torchvision", "open_clip_torch", "accelerate", "numpy"),
    reads=reads,
)
