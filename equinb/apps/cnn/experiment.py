"""The experiment `cnn`: pretrained CNNs on turned images, probed and read.

    equinb run cnn --preset quick --seeds 0-2   # CNNs of signs, handwritten digits
    equinb run cnn --preset small --seeds 0-2   # CNNs of photographs, CIFAR10
    equinb run cnn --preset paper --seeds 0-2 --device cuda

Two settings. In one, as in the paper, a probe of the task is learned through the
average. In the other the head is there, trained on upright images, and at most lambda
is learned. Each network is used as it should be, and in training mode, as published.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from equinb.apps.cnn.backbones import (
    CIFAR100_CNNS,
    IMAGENET,
    PUBLIC,
    SHIPPED,
    SIGNS,
    load_backbone,
    weights_name,
)
from equinb.apps.cnn.data import load_task
from equinb.apps.cnn.diagnostics import calibration_error, judge_proxy
from equinb.apps.cnn.probing import (
    PROBING,
    PROXIES,
    Probing,
    Sharpened,
    choices,
    new_lambda,
    probe,
)
from equinb.apps.views.answers import CUTS, PRETRAINED, UPRIGHT, answer, weigh
from equinb.apps.views.importance import (
    LAMBDA,
    Shuffled,
    by_labels,
    by_teacher,
    by_upright,
    learn_importance,
)
from equinb.apps.views.orbits import (
    READING,
    Orbits,
    Reading,
    action,
    encode_orbits,
)
from equinb.lab import Experiment, Job, Made, Report
from equinb.symmetrized import TensorMap, Weighting

GROUP = "rot90"
#: Probes that are learned without an average: of upright images, of turned ones.
PLAIN, AUGMENTATION = "plain", "augmentation"
ORACLE = "any view"
#: How the network makes features: as it should, or in training mode, with the
#: statistics of the batch and with dropout, as published.
MODES = ("eval", "train")
#: The temperatures that lambda is tried at.
TEMPERATURES = (1.0, 0.5, 0.25)


@dataclass(frozen=True)
class CnnOptions:
    """What a run can be told.

    Attributes:
        models: names that `load_backbone` knows.
        tasks: names that `load_task` knows.
        probing: how probes are trained.
        images: how many images lambda learns from, where the head is there already.
        modes: names of `MODES`.
        every: one of so many training images is used.
        reading: how images are passed through a network.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    probing: Probing = PROBING
    images: tuple[int, ...] = (100, 1000, 10_000)
    modes: tuple[str, ...] = MODES
    every: int = 1
    reading: Reading = READING


def jobs(options: CnnOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model, task and seed.

    Raises:
        ValueError: for a mode that is none.
    """
    unknown = [mode for mode in options.modes if mode not in MODES]
    if unknown:
        raise ValueError(
            f"There is no mode {unknown[0]!r}; there are {', '.join(MODES)}."
        )
    steps = len(options.modes) * (3 + len(choices()))
    return [
        Job(seed, {"model": model, "task": task}, steps)
        for model in options.models
        for task in options.tasks
        for seed in seeds
    ]


def work(options: CnnOptions, job: Job, device: str, report: Report) -> Made:
    """Probe a network in every way, and read a head that is there in every way."""
    model, task = str(job.settings["model"]), str(job.settings["task"])
    rows: list[dict[str, Any]] = []
    done = 0
    for mode in options.modes:
        sets = {
            split: features(model, task, split, mode, device, options.reading)
            for split in ("train", "test")
        }
        some = torch.arange(0, len(sets["train"]), options.every)
        sets["train"] = sets["train"].rows(some)
        heads: dict[str, nn.Module] = {}
        for method in (PLAIN, AUGMENTATION, *choices(), LAMBDA):
            found, heads[method] = _probed(
                method, sets, task, options.probing, job.seed
            )
            rows += [{"mode": mode, "setting": "probe", **row} for row in found]
            done += 1
            report(done)
        if mode == "eval":
            head = load_backbone(model).head if model in PUBLIC else heads[PLAIN]
            found = read(
                head.to(device), sets["train"], sets["test"], options, job.seed
            )
            rows += [{"mode": mode, "setting": "head", **row} for row in found]
    return Made(rows)


@cache
def features(
    model: str, task: str, split: str, mode: str, device: str, reading: Reading
) -> Orbits:
    """The features of all views of a split, computed once in a process."""
    backbone = load_backbone(model).to(device)
    backbone.model.train(mode == "train")
    images = load_task(task).images(split, backbone.preprocess)
    with torch.random.fork_rng():  # of dropout, in training mode
        torch.manual_seed(0)
        return encode_orbits(backbone, images, action(GROUP), None, reading)


def _probed(
    method: str, sets: dict[str, Orbits], task: str, probing: Probing, seed: int
) -> tuple[list[dict[str, Any]], nn.Module]:
    """The course of a probe, each read as it is used, and the probe."""
    train, test = sets["train"], sets["test"]
    classes = len(load_task(task).classes)
    weighting: Weighting | None = choices().get(method)
    if method == LAMBDA:
        weighting = new_lambda(train.features.shape[-1], seed)
    shown: Tensor | None = None
    if method == AUGMENTATION:
        random = torch.Generator().manual_seed(seed)
        shown = torch.randint(train.group.order, (len(train),), generator=random)
    rows: list[dict[str, Any]] = []

    def look(epoch: int, head: TensorMap, split: str) -> None:
        top1 = accuracy(weighting, sets[split], head)
        rows.append({"method": method, "rule": method, "epoch": epoch, "set": split})
        rows[-1]["top1"] = top1

    def visit(epoch: int, head: nn.Module) -> None:
        look(epoch, head, "test")

    head = probe(train, classes, weighting, probing, seed, shown, visit)
    look(probing.epochs, head, "train")
    if method == LAMBDA and weighting is not None:
        rows[-2] |= _weights(weighting, test, head)
    return rows, head


def accuracy(
    weighting: Weighting | None, orbits: Orbits, head: TensorMap, cut: str = "logits"
) -> float:
    """On turned images: through an average, or as the mean over all turns without."""
    made = (
        head(orbits.features)
        if weighting is None
        else answer(weighting, orbits, head, cut)
    )
    hits = made.argmax(-1).cpu() == orbits.labels
    return float(hits.double().mean())


def read(
    head: TensorMap, train: Orbits, test: Orbits, options: CnnOptions, seed: int
) -> list[dict[str, Any]]:
    """A head that is there, read by every rule, and what can be known beforehand."""
    rows: list[dict[str, Any]] = []

    def add(rule: str, top1: float, cut: str = "logits", **more: Any) -> None:
        rows.append({"method": PLAIN, "rule": rule, "set": "test", "top1": top1})
        rows[-1] |= {"cut": cut, **more}

    logits = head(test.features)
    hits = logits.argmax(-1).cpu() == test.labels
    upright = test.group.identity
    others = [g for g in range(test.group.order) if g != upright]
    turned = logits[others].flatten(0, 1), test.labels.repeat(len(others))
    add(PRETRAINED, float(hits.double().mean()), ece=calibration_error(*turned))
    ece = calibration_error(logits[upright], test.labels)
    add(UPRIGHT, float(hits[upright].double().mean()), ece=ece)
    add(ORACLE, float(hits.any(0).double().mean()))
    for rule, weighting in choices().items():
        for cut in CUTS[1:]:
            add(rule, accuracy(weighting, test, head, cut), cut)
        if rule in PROXIES:
            rows[-2] |= judge_proxy(test, head, PROXIES[rule])
    random = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(train), generator=random)
    for n in options.images:
        few = train.rows(drawn[:n])
        lessons = {
            LAMBDA: by_labels(few, head),
            f"{LAMBDA}, distilled from equizero": by_teacher(
                few, head, choices()["equizero"]
            ),
            "orientation classifier": by_upright(few, head),
        }
        for rule, lesson in lessons.items():
            learned = learn_importance(few, lesson, seed)
            add(rule, accuracy(learned, test, head), images=len(few))
            rows[-1] |= _weights(learned, test, head)
            if rule == LAMBDA and n == max(options.images):
                other = Shuffled(learned, seed)
                add(f"{LAMBDA}, shuffled", accuracy(other, test, head), images=len(few))
                for tau in TEMPERATURES:
                    sharp = Sharpened(learned, tau)
                    top1 = accuracy(sharp, test, head)
                    add(f"{LAMBDA}, temperature {tau}", top1, images=len(few))
                    rows[-1] |= _weights(sharp, test, head)
    return rows


def _weights(weighting: Weighting, test: Orbits, head: TensorMap) -> dict[str, float]:
    """How weights look: the effective number of views, and where they are."""
    weights = weigh(weighting, test, head).weights.double()
    shares = {f"weight {g}": float(w) for g, w in enumerate(weights.mean(1))}
    views = torch.special.entr(weights).sum(0).exp()
    return {"views": float(views.mean()), **shares}


def reads(options: CnnOptions, seeds: Sequence[int]) -> Iterable[str]:
    """The shipped networks that a run reads."""
    return sorted(
        f"assets/{weights_name(name)}" for name in options.models if name in SHIPPED
    )


EXPERIMENT = Experiment(
    name="cnn",
    title="Pretrained CNNs on turned images (Fig. 5b, 11b)",
    presets={
        "quick": CnnOptions(SIGNS, ("digits",), Probing(rate=1e-2), images=(100, 1000)),
        "small": CnnOptions(SHIPPED[2:], ("cifar10",)),
        "paper": CnnOptions((*CIFAR100_CNNS, *IMAGENET), ("cifar10",)),
    },
    jobs=jobs,
    work=work,
    keys=(
        *("model", "task", "mode", "setting", "method", "rule"),
        *("cut", "images", "epoch", "set"),
    ),
    value="top1",
    packages=("torch", "torchvision", "accelerate", "numpy"),
    reads=reads,
)
