"""The experiment `clip-finetuning`: accuracy on turned images after few steps and many.

    equinb run clip-finetuning --preset quick             # a CLIP of signs, 50 steps
    equinb run clip-finetuning --preset small --seeds 0-2 # all four, 4,000 steps
    equinb run clip-finetuning --preset paper --device cuda
    accelerate launch -m equinb run clip-finetuning --preset paper --device cuda

The last shares each batch among several devices. The seed is that of lambda, of the
order of the images and of their turns; each model was pretrained once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from equinb.actions import Trivial
from equinb.apps.clip.data import load_data, part
from equinb.apps.clip.experiment import PAPER_READING, data_of, reads
from equinb.apps.clip.finetuning import Tuning, finetune
from equinb.apps.clip.model import Clip, Similarity
from equinb.apps.clip.pretrained import PAPER, SHIPPED, SIGNS, load_clip
from equinb.apps.clip.zero_shot import zero_shot
from equinb.apps.views.answers import PRETRAINED, UPRIGHT, answer
from equinb.apps.views.importance import LAMBDA, by_labels, learn_importance
from equinb.apps.views.orbits import (
    READING,
    Orbits,
    Reading,
    accelerator_for,
    action,
    encode_orbits,
)
from equinb.check import check_equivariance
from equinb.lab import Experiment, Job, Made, Report
from equinb.symmetrized import Weighting

#: Learning from randomly turned images, and answering without an average.
AUGMENTATION = "augmentation"
METHODS = ("equitune", "equizero", LAMBDA, AUGMENTATION)
GROUP = "rot90"
#: Images on which equivariance is checked, and steps between two reports of progress.
CHECKED, REPORTED = 16, 20


@dataclass(frozen=True)
class FinetuningOptions:
    """What a run can be told.

    Attributes:
        models: names that `load_clip` knows.
        tuning: how they are finetuned.
        data: data sets, for the models that do not ship.
        methods: names of `METHODS`.
        looks: how often the accuracy is measured on the way.
        images: how many training images lambda learns from.
        every: one of so many images of the test and validation sets is looked at.
        reading: how these images are read.
    """

    models: tuple[str, ...]
    tuning: Tuning
    data: tuple[str, ...] = ("cifar100",)
    methods: tuple[str, ...] = METHODS
    looks: int = 4
    images: int = 16_000
    every: int = 1
    reading: Reading = READING


def jobs(options: FinetuningOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model, data set, method and seed.

    Raises:
        ValueError: for a method that is none.
    """
    unknown = [name for name in options.methods if name not in METHODS]
    if unknown:
        raise ValueError(
            f"There is no method {unknown[0]!r}; there are: {', '.join(METHODS)}."
        )
    return [
        Job(
            seed,
            {"model": model, "data": data, "method": method},
            options.tuning.steps,
        )
        for model in options.models
        for data in data_of(model, options.data)
        for method in options.methods
        for seed in seeds
    ]


def work(options: FinetuningOptions, job: Job, device: str, report: Report) -> Made:
    """Finetune a CLIP, and read it on the way."""
    model, data = str(job.settings["model"]), str(job.settings["data"])
    method, act = str(job.settings["method"]), action(GROUP)
    device = str(accelerator_for(device).device)
    clip, task = load_clip(model).to(device), load_data(data)
    head = Similarity(clip.classifier(task.classes, task.templates), clip.scale)
    images = task.split("train", clip.preprocess)

    def encode(split: str) -> Orbits:
        looked_at = task.split(split, clip.preprocess)
        rows = part(looked_at, options.every)
        return encode_orbits(clip, looked_at, act, rows, options.reading)

    random = torch.Generator().manual_seed(job.seed)
    drawn = torch.randperm(len(images), generator=random)  # type: ignore[arg-type]
    known = drawn[: options.images].tolist()
    train = encode_orbits(clip, images, act, known, options.reading)
    learned = learn_importance(train, by_labels(train, head), job.seed)
    rules: dict[str, Weighting] = {**zero_shot(head), LAMBDA: learned}
    rows: list[dict[str, Any]] = []

    def look(step: int, split: str) -> None:
        rows.extend(
            {"steps": step, "set": split, "rule": rule, "top1": top1}
            for rule, top1 in read(encode(split), head, rules).items()
        )

    def visit(step: int) -> None:
        if step % REPORTED == 0:
            report(step)
        if step % max(1, options.tuning.steps // options.looks) == 0:
            look(step, "test")

    look(0, "test")
    weighting = rules.get(method)
    finetune(clip, images, head, act, weighting, options.tuning, job.seed, visit)
    look(options.tuning.steps, "validation")
    if weighting is not None:
        error = equivariance(clip, weighting, head, images)
        rows.append({"steps": options.tuning.steps, "set": "check", "rule": method})
        rows[-1]["error"] = error
    return Made(rows)


def read(
    orbits: Orbits, head: Similarity, rules: dict[str, Weighting]
) -> dict[str, float]:
    """The accuracy on all turns of images: of a model by itself, and under rules."""
    hits = head(orbits.features).argmax(-1).cpu() == orbits.labels
    found = {
        PRETRAINED: float(hits.double().mean()),
        UPRIGHT: float(hits[orbits.group.identity].double().mean()),
    }
    for rule, weighting in rules.items():
        made = answer(weighting, orbits, head, "logits").argmax(-1).cpu()
        found[rule] = float((made == orbits.labels).double().mean())
    return found


def equivariance(
    clip: Clip, weighting: Weighting, head: Similarity, images: Any
) -> float:
    """The greatest relative error of a symmetrized CLIP over the four turns.

    Raises:
        ArithmeticError: if it is not within the tolerance of `check_equivariance`.
    """
    act = action(GROUP)
    device = head.text.device
    pixels = torch.stack([images[i][0] for i in range(CHECKED)]).to(device)

    def function(x: Tensor) -> Tensor:
        views = act.orbit(x)
        features = clip.encode(views.flatten(0, 1)).unflatten(0, views.shape[:2])
        orbits = Orbits(act.group, features, torch.zeros(len(x)))
        return answer(weighting, orbits, head, "logits")

    found = check_equivariance(function, act, Trivial(act.group), pixels)
    if not found.passed:
        raise ArithmeticError(f"The finetuned model is not equivariant.\n{found}")
    return max(found.errors.values())


SMALL = Tuning(4000, precision="mixed")
EXPERIMENT = Experiment(
    name="clip-finetuning",
    title="CLIP finetuned on turned images (Fig. 5a, 11a)",
    presets={
        "quick": FinetuningOptions(
            SIGNS[:1], Tuning(50), looks=1, images=1000, every=8
        ),
        "small": FinetuningOptions(SHIPPED, SMALL),
        "paper": FinetuningOptions(
            tuple(PAPER),
            replace(SMALL, rate=1e-6, workers=4),
            images=45_000,
            reading=PAPER_READING,
        ),
    },
    jobs=jobs,
    work=work,
    keys=("model", "data", "method", "steps", "set", "rule"),
    value="top1",
    packages=("torch", "open_clip_torch", "accelerate", "numpy"),
    reads=reads,
)
