"""Printed letters, and a small net that reads them upright: the theory pages' model.

A net is trained here in seconds on upright letters only, and then meets turned ones:
the situation of the paper, small enough to see every part of it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

#: No letter of these, turned by a quarter or a half, is another.
LETTERS = "FGJKPQR247"
SIZE = 20


@cache
def draw(letter: str) -> Tensor:
    """One letter, upright and centred: `(20, 20)`, from 0 (the page) to 1 (ink).

    Example:
        >>> draw("F").shape
        torch.Size([20, 20])
    """
    page = Image.new("L", (SIZE, SIZE))
    font = ImageFont.load_default(size=15)
    middle = (SIZE / 2, SIZE / 2)
    ImageDraw.Draw(page).text(middle, letter, fill=255, font=font, anchor="mm")
    return torch.from_numpy(np.array(page, dtype=np.float32) / 255)


def sample(n: int, seed: int, noise: float = 0.3) -> tuple[Tensor, Tensor]:
    """Upright letters, each shifted by up to two pixels, with noise.

    Args:
        n: how many.
        seed: of the letters, shifts and noise.
        noise: standard deviation of the Gaussian noise, in units of ink.

    Returns:
        Images `(n, 20, 20)` and labels `(n,)`, the places in `LETTERS`.

    Example:
        >>> images, labels = sample(4, seed=0)
        >>> images.shape, labels.shape
        (torch.Size([4, 20, 20]), torch.Size([4]))
    """
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(len(LETTERS), (n,), generator=random)
    clean = torch.stack([draw(letter) for letter in LETTERS])[labels]
    shifts = torch.randint(-2, 3, (n, 2), generator=random).tolist()
    moved = [image.roll((dy, dx), (0, 1)) for image, (dy, dx) in zip(clean, shifts)]  # noqa: B905
    images = torch.stack(moved)
    images = images + noise * torch.randn(images.shape, generator=random)
    return images.clamp(0, 1), labels


def network() -> nn.Sequential:
    """An untrained net: images `(N, 20, 20)` to features `(N, 64)` to logits `(N, 10)`.

    Its last layer is the head; what comes before it is the encoder.
    """
    return nn.Sequential(
        nn.Unflatten(1, (1, SIZE)),
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 9, 64),
        nn.ReLU(),
        nn.Linear(64, len(LETTERS)),
    )


def fit(
    model: nn.Module, parameters: nn.Module, steps: int, seed: int = 0, lr: float = 3e-3
) -> None:
    """Train by cross-entropy on fresh upright letters, 128 a step, with Adam.

    Args:
        model: images `(N, 20, 20)` to logits `(N, 10)`.
        parameters: the part of the model that is trained.
        steps: how many updates.
        seed: of the letters.
        lr: Adam's learning rate.
    """
    optimiser = torch.optim.Adam(parameters.parameters(), lr)
    images, labels = sample(128 * steps, seed)
    for x, y in zip(images.split(128), labels.split(128), strict=True):
        optimiser.zero_grad()
        cross_entropy(model(x), y).backward()
        optimiser.step()


def pretrained(steps: int = 300, seed: int = 0) -> nn.Sequential:
    """The net, trained on upright letters (a few seconds), frozen, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = network()
    fit(net, net, steps, seed)
    return net.eval().requires_grad_(False)
