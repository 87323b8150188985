"""Signs that become other signs when they are turned, and small nets that read them.

Printed ones are drawn in a font that ships with matplotlib, centred by their ink: a
turned b lies where a q does, to a pixel. Handwritten digits come with scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from equinb.apps import letters
from equinb.apps.cnn.data import load_task
from equinb.groups import FiniteGroup

#: Ten signs, most of which are another one of them after a half turn or a mirror.
SIGNS = "bdpqnuMW69"
#: By element of D4, the pairs of signs that it exchanges.
MOVES: Mapping[str, tuple[str, ...]] = {
    "r^2": ("bq", "dp", "nu", "MW", "69"),
    "s": ("bd", "pq"),
    "r^2 s": ("bp", "dq", "nu", "MW"),
}
#: Of the font, and of the pages.
FONT, POINTS, SIDE = "DejaVuSans", 15, letters.SIZE
#: How far signs lie from the middle, in pixels, and the noise, in units of ink.
SHIFT, NOISE = 2, 0.3
#: How the nets are trained: steps of Adam, images a step.
STEPS, BATCH, RATE = 300, 128, 3e-3


@cache
def draw(sign: str) -> Tensor:
    """One sign, upright and centred: `(20, 20)`, from 0 (the page) to 1 (ink).

    Example:
        >>> draw("6").shape
        torch.Size([20, 20])
    """
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{FONT}.ttf")
    font = ImageFont.truetype(str(file), POINTS)
    left, top, right, bottom = font.getbbox(sign, anchor="mm")
    page = Image.new("L", (SIDE, SIDE))
    middle = (SIDE / 2 - (left + right) / 2, SIDE / 2 - (top + bottom) / 2)
    ImageDraw.Draw(page).text(middle, sign, fill=255, font=font, anchor="mm")
    return torch.from_numpy(np.array(page, dtype=np.float32) / 255)


def printed(signs: str, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Upright printed signs, each shifted a little, with noise.

    Args:
        signs: which there are.
        n: how many images.
        seed: of the signs, shifts and noise.

    Returns:
        Images `(n, 20, 20)` and labels `(n,)`, places in `signs`.
    """
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(len(signs), (n,), generator=random)
    clean = torch.stack([draw(sign) for sign in signs])[labels]
    down, right = torch.randint(-SHIFT, SHIFT + 1, (2, n, 1), generator=random)
    line = torch.arange(SIDE)
    rows, columns = (line - down) % SIDE, (line - right) % SIDE
    moved = clean[torch.arange(n)[:, None, None], rows[..., None], columns[:, None]]
    noise = torch.randn(moved.shape, generator=random)
    return (moved + NOISE * noise).clamp(0, 1), labels


def handwritten(split: str, digits: str = "0123456789") -> tuple[Tensor, Tensor]:
    """Upright handwritten digits, as the nets here read them.

    Args:
        split: "train", "validation" or "test".
        digits: which of them.

    Returns:
        Images `(n, 20, 20)`, ink on an empty page, and labels, places in `digits`.

    Example:
        >>> images, labels = handwritten("test", "69")
        >>> images.shape[1:], labels.unique()
        (torch.Size([20, 20]), tensor([0, 1]))
    """
    pixels, labels = load_task("digits").split(split)
    ink = 1 - pixels[:, :1].float() / 255
    small = interpolate(ink, SIDE, mode="bilinear", antialias=True)[:, 0]
    kept = torch.tensor([str(label) in digits for label in labels.tolist()])
    place = [digits.index(str(label)) for label in labels[kept].tolist()]
    return small[kept], torch.tensor(place)


def train(images: Tensor, labels: Tensor, seed: int = 0) -> nn.Sequential:
    """A small net, trained on these images for a few seconds; frozen, in eval mode.

    Args:
        images: `(N, 20, 20)`.
        labels: `(N,)`, of at most ten classes.
        seed: of its first weights and of the order of the images.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = letters.network()
    random = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    for _ in range(STEPS):
        rows = torch.randint(len(images), (BATCH,), generator=random)
        optimizer.zero_grad()
        cross_entropy(net(images[rows]), labels[rows]).backward()
        optimizer.step()
    return net.eval().requires_grad_(False)


def carried(signs: str, G: FiniteGroup, classes: int | None = None) -> Tensor:
    """`(|G|, classes)`: the class of a turned sign; its own where it is no other sign.

    Args:
        signs: the classes.
        G: a subgroup of D4, with its names of elements.
        classes: how many there are, if more than signs.

    Example:
        >>> from equinb.groups import cyclic
        >>> carried("069", cyclic(4))[2]
        tensor([0, 2, 1])
    """
    table = torch.arange(classes or len(signs)).repeat(G.order, 1)
    for g, element in enumerate(G.elements):
        for pair in MOVES.get(element, ()):
            if all(sign in signs for sign in pair):
                there = torch.tensor([signs.index(sign) for sign in pair])
                table[g, there] = there.flip(0)
    return table
