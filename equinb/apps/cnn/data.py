"""The images that a CNN is tried on: handwritten digits, CIFAR10.

Digits come with scikit-learn; CIFAR10 is read from the folder that the environment
variable `EQUINB_DATA` names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import Dataset
from torchvision.datasets import CIFAR10, ImageFolder

from equinb.lab import data_file, data_folder

#: From images `(N, 3, H, W)`, bytes, to what a network reads.
Preprocess = Callable[[Tensor], Tensor]

TASKS = ("digits", "cifar10", "cifar10-lossless")
SPLITS = ("train", "validation", "test")
SIDE = 32
DIGITS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
)
CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
#: Of the 1,797 digits, in a random order.
DIGITS_TRAIN, DIGITS_TEST = 1000, 600
#: Of every class of CIFAR10's 5,000 training images; the others are for validation.
CIFAR10_TRAIN = 4500
#: Of the lossless training images.
LOSSLESS_TRAIN = 7000


class Images(Dataset[tuple[Tensor, int]]):
    """Images in memory, preprocessed as they are read.

    Args:
        pixels: `(N, 3, H, W)`, bytes.
        labels: `(N,)`.
        preprocess: a backbone's.
    """

    def __init__(
        self, pixels: Tensor, labels: Tensor, preprocess: Preprocess = Tensor.float
    ) -> None:
        self.pixels, self.labels, self.preprocess = pixels, labels, preprocess

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.preprocess(self.pixels[i][None])[0], int(self.labels[i])


@dataclass(frozen=True)
class Task:
    """What is to be told apart.

    Attributes:
        name: what it is called.
        classes: their names.
        read: from one of `SPLITS` to images and labels.
    """

    name: str
    classes: tuple[str, ...]
    read: Callable[[str], tuple[Tensor, Tensor]]

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Images `(N, 3, 32, 32)`, bytes, and labels `(N,)`, in no order.

        Args:
            name: "train", "validation" or "test".

        Raises:
            ValueError: for another name.
        """
        if name not in SPLITS:
            raise ValueError(
                f"There is no split {name!r}; there are {', '.join(SPLITS)}."
            )
        return self.read(name)

    def images(self, split: str, preprocess: Preprocess) -> Images:
        """The images of a split, as a backbone reads them."""
        return Images(*self.split(split), preprocess)


def load_task(name: str) -> Task:
    """A task by name.

    Args:
        name: one of `TASKS`.

    Raises:
        ValueError: for another name.
        FileNotFoundError: if it does not lie where `EQUINB_DATA` says.

    Example:
        >>> digits = load_task("digits")
        >>> digits.classes[0], len(digits.split("test")[0])
        ('zero', 600)
    """
    if name == "digits":
        return Task(name, DIGITS, digits)
    if name == "cifar10":
        return Task(name, CIFAR10_CLASSES, cifar10)
    if name == "cifar10-lossless":
        return Task(name, CIFAR10_CLASSES, cifar10_lossless)
    raise ValueError(f"There is no task {name!r}; there are {', '.join(TASKS)}.")


@cache
def digits(split: str) -> tuple[Tensor, Tensor]:
    """Handwritten digits of scikit-learn, 8 by 8 pixels, enlarged to 32 by 32.

    Returns:
        Images `(N, 3, 32, 32)`, bytes, ink dark on a light page, and labels `(N,)`.
    """
    # scikit-learn ships no types.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    ink = torch.from_numpy(bunch.images).float()[:, None] / 16
    large = interpolate(ink, SIDE, mode="bicubic", align_corners=False).clamp(0, 1)
    pixels = (255 * (1 - large)).round().to(torch.uint8).expand(-1, 3, -1, -1)
    order = torch.randperm(len(ink), generator=torch.Generator().manual_seed(0))
    validation = DIGITS_TRAIN, len(order) - DIGITS_TEST
    rows = {
        "train": order[:DIGITS_TRAIN],
        "validation": order[slice(*validation)],
        "test": order[-DIGITS_TEST:],
    }[split]
    return pixels[rows].contiguous(), torch.from_numpy(bunch.target)[rows]


@cache
def cifar10(split: str) -> tuple[Tensor, Tensor]:
    """CIFAR10, as torchvision downloads it or as folders of images.

    Returns:
        Images `(N, 3, 32, 32)`, bytes, and labels `(N,)`, in a fixed random order: to a
        network in training mode, a batch of one class is another question.

    Raises:
        FileNotFoundError: if it is there in neither form.
    """
    pixels, labels = _cifar10_files(train=split != "test")
    rows = labels.argsort(stable=True)
    if split != "test":
        ordered = labels[rows]
        each = torch.arange(len(rows)) - torch.searchsorted(ordered, ordered)
        rows = rows[(each < CIFAR10_TRAIN) == (split == "train")]
    random = torch.Generator().manual_seed(0)
    rows = rows[torch.randperm(len(rows), generator=random)]
    return pixels[rows], labels[rows]


def _cifar10_files(train: bool) -> tuple[Tensor, Tensor]:
    how = (
        "get CIFAR10 (163 MB, www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz), or put "
        "its images in folders train/<class>/ and test/<class>/"
    )
    try:
        folder = data_folder("cifar-10-batches-py", how)
    except FileNotFoundError:
        folder = data_folder("cifar10", how)
        files = ImageFolder(str(folder / ("train" if train else "test")))
        pixels = np.stack([np.asarray(image.convert("RGB")) for image, _ in files])
        labels = files.targets
    else:
        try:
            whole = CIFAR10(str(folder.parent), train)
        except RuntimeError as error:  # a checksum is wrong
            raise ValueError(
                f"The files in {folder} are damaged: {how} again."
            ) from error
        pixels, labels = whole.data, whole.targets
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor(labels)


@cache
def cifar10_lossless(split: str) -> tuple[Tensor, Tensor]:
    """Some of CIFAR10 with the pixels that its public networks were trained on.

    The file has `x_train`, `y_train`, `x_test` and `y_test`, images `(N, 32, 32, 3)` of
    bytes.

    Raises:
        FileNotFoundError: if the file is not there.
    """
    file = data_file("cifar10-lossless.npz", "make it from CIFAR10")
    with np.load(file) as arrays:
        half = "test" if split == "test" else "train"
        pixels = torch.from_numpy(arrays[f"x_{half}"]).permute(0, 3, 1, 2)
        labels = torch.from_numpy(arrays[f"y_{half}"]).long()
    rows = {
        "train": slice(LOSSLESS_TRAIN),
        "validation": slice(LOSSLESS_TRAIN, None),
        "test": slice(None),
    }[split]
    return pixels[rows].contiguous(), labels[rows]
