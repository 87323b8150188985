"""Glyphs: a hundred printed signs, told apart under every turn and mirror.

Images are drawn in fonts that ship with matplotlib, in two colours, with noise; some
fonts and pairs of colours are kept for the test set.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

#: The signs. Chosen greedily, each unlike all before it under every turn and mirror.
GLYPHS = (
    "1234678ABCDJKLMQRYÆÞŊabkmrßæþƕɞɣɮʉʊʎʣʤʧΣΨΩαβζμνςϖϚϠϡЁЂЃЉЊЋЌЎЏДЖЙЩЫЮѢклчщъёђѓїѣ"  # noqa: RUF001
    "$&(/;?@!¢£©«±¶¼½ɶ†‰€№™"
)
#: What they are called in captions.
GLYPH_NAMES = tuple(unicodedata.name(glyph).lower() for glyph in GLYPHS)
GLYPH_TEMPLATES = (
    "{}.",
    "a {}.",
    "the glyph {}.",
    "a picture of a {}.",
    "a printed {}.",
    "one {} in two colours.",
)

FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "DejaVuSansMono",
    "STIXGeneral",
    "STIXGeneralItalic",
)
#: Fonts that only the test set is drawn in.
TEST_FONTS = (
    "DejaVuSans-BoldOblique",
    "DejaVuSerif-Bold",
    "DejaVuSansMono-Oblique",
    "STIXGeneralBol",
)

COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "red": (215, 38, 46),
    "green": (38, 140, 60),
    "blue": (40, 70, 200),
    "yellow": (245, 220, 60),
    "orange": (245, 140, 30),
    "purple": (110, 40, 140),
    "brown": (110, 65, 35),
    "pink": (250, 175, 200),
}
#: Ink and page differ by at least so much in lightness, on a scale to 255.
CONTRAST = 60
#: Every so manyth pair of colours is for the test set alone.
KEPT = 4

SIDE = 32
#: Of the font, in pixels; a sign that would leave the image is drawn smaller.
SIZES = (22, 25)
WIDEST = 28
#: How far a sign may lie from the middle, in pixels.
SHIFT = 1
#: The greatest standard deviation of the noise, in levels of 255.
NOISE = 12.0


def colour_pairs(test: bool) -> list[tuple[str, str]]:
    """Ink and page, for the test set or for the rest.

    Example:
        >>> len(colour_pairs(test=False)), len(colour_pairs(test=True))
        (43, 15)
    """
    light = {name: float(np.dot(c, (0.3, 0.59, 0.11))) for name, c in COLOURS.items()}
    pairs = [
        (ink, page)
        for ink in COLOURS
        for page in COLOURS
        if abs(light[ink] - light[page]) >= CONTRAST
    ]
    return [pair for i, pair in enumerate(pairs) if (i % KEPT == 0) == test]


@cache
def ink(font: str) -> Tensor:
    """`(sizes, 100, 32, 32)`: every sign in a font, from 0 (the page) to 1 (ink)."""
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf")
    opened = [ImageFont.truetype(str(file), size) for size in SIZES]
    drawn = [[_draw(glyph, font) for glyph in GLYPHS] for font in opened]
    return torch.from_numpy(np.array(drawn, dtype=np.float32) / 255)


def draw(labels: Tensor, random: torch.Generator, test: bool = False) -> Tensor:
    """New upright images of signs.

    Args:
        labels: `(N,)`, places in `GLYPHS`.
        random: where fonts, sizes, colours, places and noise come from.
        test: in the fonts and colours of the test set.

    Returns:
        `(N, 3, 32, 32)`, bytes.

    Example:
        >>> draw(torch.tensor([0, 1]), torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3, 32, 32])
    """
    n = len(labels)
    fonts = torch.stack([ink(font) for font in (TEST_FONTS if test else FONTS)])
    pairs = torch.tensor(
        [[COLOURS[name] for name in pair] for pair in colour_pairs(test)],
        dtype=torch.float32,
    )

    def pick(low: int, high: int) -> Tensor:
        return torch.randint(low, high, (n,), generator=random)

    masks = fonts[pick(0, len(fonts)), pick(0, len(SIZES)), labels]
    masks = _shift(masks, pick(-SHIFT, SHIFT + 1), pick(-SHIFT, SHIFT + 1))
    front, page = pairs[pick(0, len(pairs))].unbind(1)
    masks = masks[:, None]
    clean = masks * front[..., None, None] + (1 - masks) * page[..., None, None]
    level = NOISE * torch.rand((n, 1, 1, 1), generator=random)
    noise = torch.randn(clean.shape, generator=random)
    return (clean + level * noise).round().clamp(0, 255).to(torch.uint8)


def sample(n: int, seed: int, test: bool = False) -> tuple[Tensor, Tensor]:
    """A set of images, with every sign as often as any other.

    Args:
        n: how many, a multiple of 100 for exactly as often.
        seed: of everything random in it.
        test: in the fonts and colours of the test set.

    Returns:
        Images `(n, 3, 32, 32)`, bytes, and labels `(n,)`.

    Example:
        >>> images, labels = sample(200, seed=0)
        >>> labels.bincount().unique()
        tensor([2])
    """
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % len(GLYPHS)
    return draw(labels, random, test), labels


def _draw(glyph: str, font: ImageFont.FreeTypeFont) -> np.ndarray:
    """One sign, dark on light, in the middle of the page: `(32, 32)` bytes."""
    left, top, right, bottom = font.getbbox(glyph, anchor="mm")
    extent = max(right - left, bottom - top)
    if extent > WIDEST:
        font = font.font_variant(size=font.size * WIDEST / extent)
        left, top, right, bottom = font.getbbox(glyph, anchor="mm")
    page = Image.new("L", (SIDE, SIDE))
    middle = (SIDE / 2 - (left + right) / 2, SIDE / 2 - (top + bottom) / 2)
    ImageDraw.Draw(page).text(middle, glyph, fill=255, font=font, anchor="mm")
    return np.asarray(page)


def _shift(masks: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each of the `(N, 32, 32)` moved by whole pixels, the page beyond its edge."""
    padded = torch.nn.functional.pad(masks, (SHIFT,) * 4)
    line = torch.arange(SIDE) + SHIFT
    rows = (line - down[:, None])[:, :, None]
    columns = (line - right[:, None])[:, None, :]
    return padded[torch.arange(len(masks))[:, None, None], rows, columns]
