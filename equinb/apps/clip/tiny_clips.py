"""The experiment `clip-tiny`: CLIPs of photographs, trained on Tiny-ImageNet.

    equinb run clip-tiny --preset small   # the two models that ship

Its images are read from the folder that `EQUINB_DATA` names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from equinb.apps.clip.pretraining import (
    PACKAGES,
    Course,
    PretrainingOptions,
    Recipe,
    jobs_of,
    make,
)
from equinb.apps.clip.tiny_imagenet import TEMPLATES, tiny_classes, tiny_images
from equinb.lab import Experiment, Job, Made, Report

#: How the models that ship are trained.
RECIPES = {
    "tiny-resnet": Recipe(
        {"layers": [3, 3, 2, 1], "width": 20, "head_width": 16}, 10_000, 2e-3
    ),
    "tiny-vit": Recipe(
        {"layers": 6, "width": 96, "head_width": 32, "patch_size": 8}, 7000, 1e-3
    ),
}
#: How far an image is moved at most, in pixels. None is mirrored or turned.
SHIFT = 2


def jobs(options: PretrainingOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model and seed."""
    return jobs_of(RECIPES, options, seeds)


def work(options: PretrainingOptions, job: Job, device: str, report: Report) -> Made:
    """Train a model, and judge it as it ships."""
    return make(course(), RECIPES[str(job.settings["model"])], job, device, report)


def course() -> Course:
    """What a CLIP of Tiny-ImageNet is taught."""
    return Course(
        "Tiny-ImageNet at 32x32 pixels, 400 training images of each of 200 classes",
        tiny_classes(),
        TEMPLATES,
        batches,
        tiny_images,
    )


def batches(random: torch.Generator) -> Iterator[Tensor]:
    """One image of each class, moved a little, until each was seen; then again."""
    images = tiny_images("pretraining")[0].unflatten(0, (len(tiny_classes()), -1))
    classes, each = images.shape[:2]
    while True:
        order = torch.rand((classes, each), generator=random).argsort(1)
        for chosen in order.T:
            yield moved(images[torch.arange(classes), chosen], random)


def moved(images: Tensor, random: torch.Generator) -> Tensor:
    """Each of `(N, 3, H, W)` by up to two pixels each way, its edge reflected."""
    wide = pad(images.float(), (SHIFT,) * 4, mode="reflect").to(images.dtype)
    n, side = len(images), images.shape[-1]
    shifts = torch.randint(0, 2 * SHIFT + 1, (2, n, 1), generator=random)
    rows, columns = shifts + torch.arange(side)
    every = torch.arange(n)[:, None, None]
    # Indices with a slice between them put the channels last.
    return wide[every, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


EXPERIMENT = Experiment(
    name="clip-tiny",
    title="Small CLIPs of Tiny-ImageNet, trained from nothing",
    presets={
        "quick": PretrainingOptions(tuple(RECIPES), shorter=100),
        "small": PretrainingOptions(tuple(RECIPES)),
    },
    jobs=jobs,
    work=work,
    keys=("model", "set", "steps"),
    value="upright",
    packages=PACKAGES,
)
