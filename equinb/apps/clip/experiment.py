"""The experiment `clip`: zero-shot accuracy on turned images, by method.

    equinb run clip --preset quick --seeds 0-2   # the CLIPs of signs
    equinb run clip --preset small --seeds 0-2   # of photographs too, every test image
    equinb run clip --preset paper --device cuda # OpenAI's, on CIFAR100 and ImageNet-V2

The seed is that of the random turns. Data sets are read from the folder that
`EQUINB_DATA` names; the models of the paper are downloaded by open_clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equinb.apps.clip.data import load_data, part
from equinb.apps.clip.model import Clip, Similarity, weights_name
from equinb.apps.clip.pretrained import PAPER, SHIPPED, SIGNS, load_clip
from equinb.apps.clip.published import published_equitune, published_equizero
from equinb.apps.clip.zero_shot import zero_shot
from equinb.apps.views.answers import CUTS, PRETRAINED, UPRIGHT, answer
from equinb.apps.views.orbits import (
    GENERATORS,
    READING,
    Orbits,
    Reading,
    accelerator_for,
    encode_orbits,
    subgroup,
)
from equinb.lab import Experiment, Job, Made, Report

#: What the rows call CLIP's own temperature, and the one that is published.
SCALES = {"CLIP's": None, "1": 1.0}
#: Right if any view is: the most that a choice of views can reach.
ORACLE = "any view"
#: Where the models that ship are tried; the others, on the data sets of the paper.
DATA_OF = {"glyph": ("glyphs",), "tiny": ("tiny-imagenet",)}
PAPER_DATA = ("cifar100", "imagenet-v2")
PAPER_READING = Reading(batch=32, workers=4, precision="mixed")


@dataclass(frozen=True)
class ZeroShotOptions:
    """What a run can be told.

    Attributes:
        models: names that `load_clip` knows.
        data: data sets, for the models that do not ship.
        every: one of so many test images is looked at.
        reading: how images are read and passed through the model.
    """

    models: tuple[str, ...]
    data: tuple[str, ...] = PAPER_DATA
    every: int = 1
    reading: Reading = READING


def data_of(model: str, others: Sequence[str] = PAPER_DATA) -> tuple[str, ...]:
    """The data sets that a model is tried on."""
    return DATA_OF.get(model.split("-")[0], tuple(others))


def jobs(options: ZeroShotOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model, data set and seed."""
    return jobs_of(options.models, options.data, seeds, 1 + len(GENERATORS))


def jobs_of(
    models: Sequence[str], others: Sequence[str], seeds: Sequence[int], steps: int
) -> list[Job]:
    """One job a model, data set and seed, of so many steps."""
    return [
        Job(seed, {"model": model, "data": data}, steps)
        for model in models
        for data in data_of(model, others)
        for seed in seeds
    ]


def work(options: ZeroShotOptions, job: Job, device: str, report: Report) -> Made:
    """Encode the views of every test image once, and try every method on them."""
    model, data = str(job.settings["model"]), str(job.settings["data"])
    device = str(accelerator_for(device).device)
    clip, task = load_clip(model).to(device), load_data(data)
    text = clip.classifier(task.classes, task.templates)
    images = task.split("test", clip.preprocess)
    rows = part(images, options.every)
    orbits = encode_orbits(clip, images, rows=rows, reading=options.reading)
    report(1)
    found: list[dict[str, Any]] = []
    for done, group in enumerate(GENERATORS, 2):
        shown = turns(len(orbits), subgroup(group).order, job.seed)
        found += try_all(clip, text, orbits, group, shown)
        report(done)
    return Made(found)


def turns(n: int, order: int, seed: int) -> Tensor:
    """`(n,)`: an element of a group for each image, at random."""
    random = torch.Generator().manual_seed(seed)
    return torch.randint(order, (n,), generator=random)


def try_all(
    clip: Clip, text: Tensor, orbits: Orbits, group: str, shown: Tensor
) -> list[dict[str, Any]]:
    """Every method on turned images, each in every space and at both temperatures.

    Args:
        clip: for its temperature.
        text: `(classes, d)` of length one.
        orbits: of the upright images, under D4.
        group: one of `GENERATORS`.
        shown: `(N,)`, the element of the group that turns each image.

    Returns:
        Rows with the accuracy, and the shares of images that a method has `corrected`
        and `corrupted`: those that the pretrained model gets wrong and right as shown.
    """
    turned, upright = orbits.of(group, shown), orbits.of(group)
    head = Similarity(text, clip.scale)
    right = head(turned.features).argmax(-1).cpu() == turned.labels
    identity = turned.group.identity
    plain = right[identity]
    rows: list[dict[str, Any]] = []

    def add(method: str, hits: Tensor, cut: str = "", scale: str = "CLIP's") -> None:
        rows.append(
            {
                "group": group,
                "method": method,
                "cut": cut,
                "scale": scale,
                "top1": float(hits.double().mean()),
                "corrected": float((hits & ~plain).double().mean()),
                "corrupted": float((plain & ~hits).double().mean()),
            }
        )

    first = head(upright.features[identity]).argmax(-1).cpu() == upright.labels
    add(UPRIGHT, first)
    add(PRETRAINED, plain)
    add(ORACLE, right.any(0))
    for name, scale in SCALES.items():
        other = Similarity(text, clip.scale if scale is None else scale)
        for method, weighting in zero_shot(other).items():
            for cut in CUTS:
                made = answer(weighting, turned, other, cut)
                add(method, made.argmax(-1).cpu() == turned.labels, cut, name)
    for method, function in PUBLISHED.items():
        made = function(turned, text)
        hits = made.argmax(-1).cpu() == turned.labels
        add(method, hits, "probabilities", "1")
    return rows


PUBLISHED = {
    "equitune, published": published_equitune,
    "equizero, published": published_equizero,
}


def reads(options: Any, seeds: Sequence[int]) -> Iterable[str]:
    """The shipped models that a run reads."""
    return sorted(
        f"assets/{weights_name(name)}" for name in options.models if name in SHIPPED
    )


EXPERIMENT = Experiment(
    name="clip",
    title="Zero-shot CLIP on turned and mirrored images (Fig. 4, 7, 8)",
    presets={
        "quick": ZeroShotOptions(SIGNS, every=4),
        "small": ZeroShotOptions(SHIPPED),
        "paper": ZeroShotOptions(tuple(PAPER), reading=PAPER_READING),
    },
    jobs=jobs,
    work=work,
    keys=("model", "data", "group", "method", "cut", "scale"),
    value="top1",
    packages=("torch", "open_clip_torch", "numpy"),
    reads=reads,
)
