"""Tiny-ImageNet at 32 by 32 pixels: 200 classes of photographs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import open_clip
import torch
from torch import Tensor
from torchvision.datasets import ImageFolder

from equinb.lab import data_folder

SPLITS = ("pretraining", "train", "validation", "test")
#: Of the 500 training images of each class, in the order of their names.
PRETRAINING, TRAIN = 400, 480
#: The 80 templates of CLIP's authors.
TEMPLATES = tuple(template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES)


def tiny_folder() -> Path:
    """Where the images lie: `{train,val}/<class_name>/*`.

    Raises:
        FileNotFoundError: if they do not lie there.
    """
    return data_folder(
        "tiny-imagenet-32",
        "get Tiny-ImageNet (237 MB, cs231n.stanford.edu/tiny-imagenet-200.zip), scale "
        "its images to 32 by 32 in folders train/<class_name>/ and val/<class_name>/",
    )


def tiny_classes() -> tuple[str, ...]:
    """The names of the classes, in the order of the labels."""
    inside = (tiny_folder() / "val").iterdir()
    names = sorted(path.name for path in inside if path.is_dir())
    return tuple(name.replace("_", " ") for name in names)


@cache
def tiny_images(split: str) -> tuple[Tensor, Tensor]:
    """Images `(N, 3, 32, 32)`, bytes, and labels `(N,)`, class after class.

    The validation images of Tiny-ImageNet are the test set. Its training images are
    split within each class: the first 400 for pretraining, then 80 to train on, the
    last 20 to validate.

    Args:
        split: one of `SPLITS`; each is read once.

    Raises:
        ValueError: for another split.
        FileNotFoundError: if the images are not there.
    """
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}; there are {', '.join(SPLITS)}.")
    files = ImageFolder(str(tiny_folder() / ("val" if split == "test" else "train")))
    labels = np.array(files.targets)
    place = np.arange(len(labels)) - np.searchsorted(labels, labels)
    low, high = {
        "pretraining": (0, PRETRAINING),
        "train": (PRETRAINING, TRAIN),
        "validation": (TRAIN, len(labels)),
        "test": (0, len(labels)),
    }[split]
    rows = np.flatnonzero((low <= place) & (place < high))
    images = np.stack([np.asarray(files[i][0].convert("RGB")) for i in rows.tolist()])
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return pixels, torch.from_numpy(labels[rows])
