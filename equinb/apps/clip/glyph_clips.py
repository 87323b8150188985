"""The experiment `clip-glyphs`: CLIPs of printed signs, small enough to play with.

equinb run clip-glyphs --preset quick   # both kinds, shortened
equinb run clip-glyphs --preset small   # the two models that ship
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from equinb.apps.clip.glyphs import GLYPH_NAMES, GLYPH_TEMPLATES, draw, sample
from equinb.apps.clip.pretraining import Course, Recipe, pretraining

#: How the models that ship are trained.
RECIPES = {
    "glyph-resnet": Recipe(
        {"layers": [1, 1, 1, 1], "width": 12, "head_width": 16}, 3000, 2e-3
    ),
    "glyph-vit": Recipe(
        {"layers": 3, "width": 128, "head_width": 32, "patch_size": 8}, 5000, 1e-3
    ),
}
#: How many signs a model is looked at with, and the seed of the first set.
LOOKED_AT, SEED = 2000, 1_000_000


def course() -> Course:
    """What a CLIP of glyphs is taught."""
    return Course(
        "100 glyphs in fonts that ship with matplotlib, drawn by equinb",
        GLYPH_NAMES,
        GLYPH_TEMPLATES,
        batches,
        split,
    )


def batches(random: torch.Generator) -> Iterator[Tensor]:
    """New images of every sign, without end."""
    while True:
        yield draw(torch.arange(len(GLYPH_NAMES)), random)


def split(name: str) -> tuple[Tensor, Tensor]:
    """Images and labels to look at; "test" has fonts and colours of its own."""
    test = name == "test"
    return sample(LOOKED_AT, SEED + test, test)


EXPERIMENT = pretraining(
    "clip-glyphs",
    "Small CLIPs of printed signs, trained from nothing",
    course,
    RECIPES,
    20,
)
