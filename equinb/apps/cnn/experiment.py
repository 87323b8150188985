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
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from equinb.apps.cnn.backbones import (
    IMAGENET,
    MADE,
    PHOTOGRAPHS,
    PUBLIC,
    SHIPPED,
    SIGNS,
    load_backbone,
    weights_name,
)
from equinb.apps.cnn.data import SPLITS, load_task
from equinb.apps.cnn.diagnostics import calibration_error, judge, judge_proxy
from equinb.apps.cnn.probing import (
    LAMBDA_HIDDEN,
    PLAIN,
    PROBING,
    PROXIES,
    Probing,
    Sharpened,
    choices,
    learners,
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
from equinb.lambda_equitune import Learned
from equinb.symmetrized import TensorMap, Weighting

GROUP = "rot90"
ORACLE = "any view"
DISTILLED = f"{LAMBDA}, distilled from equizero"
ORIENTATION = "orientation classifier"
#: How the network makes features: as it should, or in training mode, with the
#: statistics of small batches, as published.
MODES = ("eval", "train")
#: Images in a batch, each with all its views, in training mode.
PUBLISHED_BATCH = 4
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
        modes: names of `MODES`; training mode changes no network without batch norm,
            and is left out there.
        reading: how images are passed through a network in eval mode.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    probing: Probing = PROBING
    images: tuple[int, ...] = (100, 1000, 10_000)
    modes: tuple[str, ...] = MODES
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
    steps = len(options.modes) * (1 + len(learners(1, 0)))
    return [
        Job(seed, {"model": model, "task": task}, steps)
        for model in options.models
        for task in options.tasks
        for seed in seeds
    ]


def work(options: CnnOptions, job: Job, device: str, report: Report) -> Made:
    """Probe a network in every way, and read a head that is there in every way."""
    model, task = str(job.settings["model"]), str(job.settings["task"])
    backbone = load_backbone(model)
    normed = any(isinstance(part, nn.BatchNorm2d) for part in backbone.model.modules())
    rows: list[dict[str, Any]] = []
    done = 0
    for mode in options.modes:
        if mode == "train" and not normed:
            continue
        reading = options.reading
        if mode == "train":
            reading = replace(reading, batch=PUBLISHED_BATCH)
        sets = {
            split: features(model, task, split, mode, device, reading)
            for split in SPLITS
        }
        heads: dict[str, nn.Module] = {}
        ways = learners(sets["train"].features.shape[-1], job.seed)
        # Knowing which way is up, learned first and kept: a baseline for lambda.
        ways[ORIENTATION] = learn_importance(
            sets["train"], by_upright(sets["train"], nn.Identity()), job.seed
        )
        for method, weighting in ways.items():
            found, heads[method] = _probed(
                method, weighting, sets, task, options.probing, job.seed
            )
            rows += [{"mode": mode, "setting": "probe", **row} for row in found]
            done += 1
            report(done)
        if mode == "eval":
            head = backbone.head if model in PUBLIC else heads[PLAIN]
            found = read(head.to(device), sets, options.images, job.seed)
            rows += [{"mode": mode, "setting": "head", **row} for row in found]
    return Made(rows)


@lru_cache(maxsize=2 * len(SPLITS))
def features(
    model: str, task: str, split: str, mode: str, device: str, reading: Reading
) -> Orbits:
    """The features of all views of a split, computed once in a process."""
    backbone = load_backbone(model).to(device)
    backbone.model.train(mode == "train")
    images = load_task(task).images(split, backbone.preprocess)
    return encode_orbits(backbone, images, action(GROUP), None, reading)


def _probed(
    method: str,
    weighting: Weighting | None,
    sets: dict[str, Orbits],
    task: str,
    probing: Probing,
    seed: int,
) -> tuple[list[dict[str, Any]], nn.Module]:
    """The course of a probe, read as it is used, and the probe."""
    classes = len(load_task(task).classes)
    rows: list[dict[str, Any]] = []

    def look(epoch: int, head: TensorMap, split: str) -> None:
        top1 = accuracy(weighting, sets[split], head)
        rows.append({"method": method, "rule": method, "epoch": epoch, "set": split})
        rows[-1]["top1"] = top1

    def visit(epoch: int, head: nn.Module) -> None:
        look(epoch, head, "test")

    head = probe(sets["train"], classes, weighting, probing, seed, method, visit)
    if isinstance(weighting, Learned):
        rows[-1] |= _weights(weighting, sets["test"], head)
    for split in "train", "validation":
        look(probing.epochs, head, split)
    for rule, other in _other_rules().items():
        if rule != method:
            top1 = accuracy(other, sets["test"], head)
            rows.append({"method": method, "rule": rule, "epoch": probing.epochs})
            rows[-1] |= {"set": "test", "top1": top1}
    return rows, head


def _other_rules() -> dict[str, Weighting | None]:
    """How every probe is read in the end, whatever it was learned through."""
    known = choices()
    return {PLAIN: None, **{rule: known[rule] for rule in ("equitune", "equizero")}}


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
    head: TensorMap, sets: dict[str, Orbits], images: Sequence[int], seed: int
) -> list[dict[str, Any]]:
    """A head that is there, read by every rule, and judged on the validation images.

    Args:
        head: from features to logits.
        sets: orbits of the training, validation and test images.
        images: how many training images lambda learns from.
        seed: of lambda, and of which images these are.
    """
    train, known, test = (sets[split] for split in SPLITS)
    rows: list[dict[str, Any]] = []

    def add(rule: str, top1: float, cut: str = "logits", **more: Any) -> None:
        rows.append({"method": PLAIN, "rule": rule, "set": "test", "top1": top1})
        rows[-1] |= {"cut": cut, **more}

    def learned(rule: str, weighting: Weighting, n: int) -> None:
        add(rule, accuracy(weighting, test, head), images=n)
        rows[-1] |= _weights(weighting, test, head)

    hits = head(test.features).argmax(-1).cpu() == test.labels
    upright = test.group.identity
    said = head(known.features)
    others = [g for g in range(known.group.order) if g != upright]
    turned = said[others].flatten(0, 1), known.labels.repeat(len(others))
    add(PRETRAINED, float(hits.double().mean()), ece=calibration_error(*turned))
    ece = calibration_error(said[upright], known.labels)
    add(UPRIGHT, float(hits[upright].double().mean()), ece=ece)
    add(ORACLE, float(hits.any(0).double().mean()))
    for rule, weighting in choices().items():
        judged = judge(known, head, weighting)
        if rule in PROXIES:
            judged |= judge_proxy(known, head, PROXIES[rule])
        for cut in CUTS[1:]:
            add(rule, accuracy(weighting, test, head, cut), cut, **judged)
            judged = {}
    random = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(train), generator=random)
    for n in images:
        few = train.rows(drawn[:n])
        teacher = choices()["equizero"]
        lessons = {
            LAMBDA: by_labels(few, head),
            DISTILLED: by_teacher(few, head, teacher),
            ORIENTATION: by_upright(few, head),
        }
        for rule, lesson in lessons.items():
            weighting = learn_importance(few, lesson, seed, LAMBDA_HIDDEN)
            learned(rule, weighting, len(few))
            if rule == LAMBDA and n == max(images):
                learned(f"{LAMBDA}, shuffled", Shuffled(weighting, seed), len(few))
                for tau in TEMPERATURES:
                    sharp = Sharpened(weighting, tau)
                    learned(f"{LAMBDA}, temperature {tau}", sharp, len(few))
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
        "small": CnnOptions(PHOTOGRAPHS, ("cifar10",)),
        "paper": CnnOptions((*MADE, *IMAGENET), ("cifar10",)),
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
