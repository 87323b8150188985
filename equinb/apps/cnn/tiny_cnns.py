"""The experiment `cnn-tiny`: CNNs of photographs, trained on Tiny-ImageNet.

    equinb run cnn-tiny --preset small   # a ResNet and an AlexNet

Its images are read from the folder that `EQUINB_DATA` names.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from equinb.apps.clip.tiny_clips import cropped
from equinb.apps.clip.tiny_imagenet import tiny_images
from equinb.apps.cnn.pretraining import Course, Recipe, mirrored, pretraining, shuffled

#: How the networks are trained.
RECIPES = {
    "tiny-resnet": Recipe(
        {"kind": "resnet", "widths": (32, 64, 128, 256), "blocks": 2, "stride": 2},
        32_000,
        2e-3,
        0.2,
    ),
    "tiny-alexnet": Recipe(
        {
            "kind": "alexnet",
            "widths": (48, 128, 192, 128, 128),
            "hidden": 256,
            "dropout": 0.3,
        },
        32_000,
        1e-3,
    ),
}


def course() -> Course:
    """What a CNN of Tiny-ImageNet is taught."""
    told = "Tiny-ImageNet at 32x32 pixels, 400 training images of each of 200 classes"
    return Course(told, 200, batches, tiny_images)


def batches(batch: int, random: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Photographs, cropped, and half of them mirrored from left to right."""
    images, labels = tiny_images("pretraining")
    for rows in shuffled(len(images), batch, random):
        yield mirrored(cropped(images[rows], random), random), labels[rows]


EXPERIMENT = pretraining(
    "cnn-tiny",
    "Small CNNs of Tiny-ImageNet, trained from nothing",
    course,
    RECIPES,
    {"quick": 500, "small": 1},
)
