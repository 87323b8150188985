"""The experiment `cnn-cifar100`: CNNs of CIFAR100, as the paper has them.

    equinb run cnn-cifar100 --preset quick   # 40 steps each
    equinb run cnn-cifar100 --preset paper --device cuda

Its images are read from the folder that `EQUINB_DATA` names.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.datasets import CIFAR100

from equinb.apps.clip.data import CIFAR100_TRAIN
from equinb.apps.cnn.pretraining import Course, Recipe, mirrored, pretraining, shuffled
from equinb.lab import data_folder

#: How the networks are trained.
RECIPES = {
    "cifar100-resnet": Recipe(
        {"kind": "resnet", "widths": (64, 128, 256, 512), "blocks": 2},
        40_000,
        2e-3,
        0.3,
    ),
    "cifar100-alexnet": Recipe(
        {"kind": "alexnet", "widths": (64, 192, 384, 256, 256), "hidden": 1024},
        40_000,
        1e-3,
    ),
}
#: Pixels by which an image is moved at most.
MOVED = 4


def course() -> Course:
    """What a CNN of CIFAR100 is taught."""
    return Course("CIFAR100, 45,000 training images", 100, batches, cifar100)


def batches(batch: int, random: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Photographs, each moved, and half of them mirrored from left to right."""
    images, labels = cifar100("train")
    line = torch.arange(images.shape[-1])
    for rows in shuffled(len(images), batch, random):
        wide = pad(images[rows], (MOVED,) * 4)
        down, right = torch.randint(2 * MOVED + 1, (2, len(rows)), generator=random)
        y, x = (line + by[:, None] for by in (down, right))
        each = torch.arange(len(rows))[:, None, None]
        moved = wide[each, :, y[:, :, None], x[:, None, :]]
        yield mirrored(moved.permute(0, 3, 1, 2), random), labels[rows]


@cache
def cifar100(split: str) -> tuple[Tensor, Tensor]:
    """CIFAR100 as torchvision downloads it; the last training images are to validate.

    Raises:
        FileNotFoundError: if it does not lie where `EQUINB_DATA` says.
    """
    how = "get CIFAR100 (169 MB, www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz)"
    folder = data_folder("cifar-100-python", how)
    whole = CIFAR100(str(folder.parent), split != "test")
    pixels = torch.from_numpy(whole.data).permute(0, 3, 1, 2).contiguous()
    rows = {
        "train": slice(CIFAR100_TRAIN),
        "validation": slice(CIFAR100_TRAIN, None),
        "test": slice(None),
    }[split]
    return pixels[rows], torch.tensor(whole.targets)[rows]


EXPERIMENT = pretraining(
    "cnn-cifar100",
    "CNNs of CIFAR100, trained from nothing",
    course,
    RECIPES,
    {"quick": 1000, "paper": 1},
)
