"""The experiment `clip-tiny`: CLIPs of photographs, trained on Tiny-ImageNet.

    equinb run clip-tiny --preset small   # the two models that ship

Its images are read from the folder that `EQUINB_DATA` names.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from equinb.apps.clip.pretraining import Course, Recipe, pretraining
from equinb.apps.clip.tiny_imagenet import TEMPLATES, tiny_classes, tiny_images

#: How the models that ship are trained.
RECIPES = {
    "tiny-resnet": Recipe(
        {"layers": [3, 3, 2, 1], "width": 20, "head_width": 16}, 12_000, 2e-3, 0.2
    ),
    "tiny-vit": Recipe(
        {"layers": 6, "width": 96, "head_width": 32, "patch_size": 8}, 7000, 1e-3, 0.2
    ),
}
#: The side of the smallest square that is cropped of an image. None is turned.
SMALLEST = 0.45


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
    """One image of each class, cropped, until each was seen; then again."""
    images = tiny_images("pretraining")[0].unflatten(0, (len(tiny_classes()), -1))
    classes, each = images.shape[:2]
    while True:
        order = torch.rand((classes, each), generator=random).argsort(1)
        for chosen in order.T:
            yield cropped(images[torch.arange(classes), chosen], random)


def cropped(images: Tensor, random: torch.Generator) -> Tensor:
    """A square of each of `(N, 3, H, W)`, bytes, scaled up to the whole."""
    n = len(images)
    side = 1 - (1 - SMALLEST) * torch.rand((n, 1), generator=random)
    middle = (1 - side) * (2 * torch.rand((n, 2), generator=random) - 1)
    zero = torch.zeros_like(side)
    rows = [side, zero, middle[:, :1]], [zero, side, middle[:, 1:]]
    theta = torch.stack([torch.cat(row, 1) for row in rows], 1)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    made = grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return made.round().to(torch.uint8)


EXPERIMENT = pretraining(
    "clip-tiny",
    "Small CLIPs of Tiny-ImageNet, trained from nothing",
    course,
    RECIPES,
    100,
)
