"""The images that a CLIP is tried on: glyphs, Tiny-ImageNet, CIFAR100, ImageNet-V2.

Each has classes, templates for captions, and splits. A split is a torch `Dataset` of
pairs: a PIL image through a CLIP's preprocessing, and its label. Glyphs are drawn, the
others are read from the folder that the environment variable `EQUINB_DATA` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import open_clip
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset
from torchvision.datasets import CIFAR100, ImageFolder

from equinb.apps.clip.glyphs import GLYPH_NAMES, GLYPH_TEMPLATES, sample
from equinb.apps.clip.tiny_imagenet import TEMPLATES, tiny_classes, tiny_images
from equinb.apps.views.orbits import Labelled
from equinb.lab import data_folder

Transform = Callable[[Image.Image], Tensor]

DATA = ("glyphs", "tiny-imagenet", "cifar100", "imagenet-v2")
#: How many glyphs are in each set, and its seed.
GLYPH_SETS = {"train": (16_000, 1), "validation": (2000, 2), "test": (4000, 3)}
#: Of the 50,000 training images of CIFAR100; the others are for validation.
CIFAR100_TRAIN = 45_000


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images in memory.

    Args:
        images: `(N, 3, H, W)`, bytes.
        labels: `(N,)`.
        transform: a CLIP's preprocessing.

    Example:
        >>> from equinb.apps.clip.model import preprocessing
        >>> pictures = Pictures(*sample(3, seed=0), preprocessing(32))
        >>> len(pictures), pictures[0][0].shape
        (3, torch.Size([3, 32, 32]))
    """

    def __init__(self, images: Tensor, labels: Tensor, transform: Transform) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def picture(self, i: int) -> Image.Image:
        """One of them, as a PIL image."""
        return Image.fromarray(self.images[i].permute(1, 2, 0).numpy())

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.transform(self.picture(i)), int(self.labels[i])


@dataclass(frozen=True)
class DataSet:
    """What is to be told apart, and images of it.

    Attributes:
        name: what it is called.
        classes: the names of the classes.
        templates: of captions, with a pair of braces where a name goes.
        split: from "train", "validation" or "test", and a preprocessing, to a
            `Dataset`; a `ValueError` for a split that it does not have.
    """

    name: str
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    split: Callable[[str, Transform], Labelled]


def load_data(name: str) -> DataSet:
    """A data set by name.

    Args:
        name: one of `DATA`.

    Raises:
        ValueError: for another name.
        FileNotFoundError: if it does not lie where `EQUINB_DATA` says; for ImageNet-V2,
            whose classes open_clip knows, when a split is read.

    Example:
        >>> glyphs = load_data("glyphs")
        >>> len(glyphs.classes), glyphs.classes[0]
        (100, 'digit one')
    """
    if name == "glyphs":
        return DataSet(name, GLYPH_NAMES, GLYPH_TEMPLATES, _glyphs)
    if name == "tiny-imagenet":
        return DataSet(name, tiny_classes(), TEMPLATES, _tiny_imagenet)
    if name == "cifar100":
        told = _cifar_files(train=False).classes
        classes = tuple(word.replace("_", " ") for word in told)
        return DataSet(name, classes, TEMPLATES, _cifar100)
    if name == "imagenet-v2":
        classes = tuple(open_clip.IMAGENET_CLASSNAMES)
        return DataSet(name, classes, TEMPLATES, _imagenet_v2)
    raise ValueError(f"There is no data set {name!r}; there are {', '.join(DATA)}.")


def part(data: Labelled, every: int) -> list[int]:
    """Places in a data set: one of so many, at random, always the same.

    Args:
        data: the whole.
        every: one of so many.
    """
    n = len(data)  # type: ignore[arg-type]
    drawn = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    chosen: list[int] = drawn[: n // every].sort().values.tolist()
    return chosen


def _glyphs(split: str, transform: Transform) -> Labelled:
    n, seed = GLYPH_SETS[_one_of(split, GLYPH_SETS)]
    return Pictures(*sample(n, seed, test=split == "test"), transform)


def _tiny_imagenet(split: str, transform: Transform) -> Labelled:
    return Pictures(*tiny_images(split), transform)


def _cifar100(split: str, transform: Transform) -> Labelled:
    _one_of(split, ("train", "validation", "test"))
    whole = _cifar_files(train=split != "test", transform=transform)
    if split == "test":
        test: Labelled = whole
        return test
    train, rest = range(CIFAR100_TRAIN), range(CIFAR100_TRAIN, len(whole))
    return Subset(whole, train if split == "train" else rest)


def _cifar_files(train: bool, transform: Transform | None = None) -> CIFAR100:
    how = "get CIFAR100 (169 MB, www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz)"
    folder = data_folder("cifar-100-python", how)
    try:
        return CIFAR100(str(folder.parent), train, transform)
    except RuntimeError as error:  # a checksum is wrong
        raise ValueError(f"The files in {folder} are damaged: {how} again.") from error


def _imagenet_v2(split: str, transform: Transform) -> Labelled:
    _one_of(split, ("test",))
    folder = data_folder(
        "imagenetv2-matched-frequency-format-val",
        "get ImageNet-V2 (1.3 GB, huggingface.co/datasets/vaishaal/ImageNetV2)",
    )
    files: Any = ImageFolder(str(folder), transform=transform)
    # The folders are named 0 to 999, which ImageFolder sorts as words.
    files.target_transform = [int(name) for name in files.classes].__getitem__
    images: Labelled = files
    return images


def _one_of(split: str, splits: Iterable[str]) -> str:
    if split not in splits:
        raise ValueError(f"There is no split {split!r}; there is {', '.join(splits)}.")
    return split
