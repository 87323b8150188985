"""The experiment `cnn-glyphs`: CNNs of printed signs, small enough to play with.

equinb run cnn-glyphs --preset quick   # both kinds, shortened
equinb run cnn-glyphs --preset small   # the two networks that ship
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from equinb.apps.clip.glyphs import GLYPHS, draw, sample
from equinb.apps.cnn.pretraining import Course, Recipe, pretraining

#: How the networks that ship are trained.
RECIPES = {
    "glyph-resnet": Recipe(
        {"kind": "resnet", "widths": (12, 24, 48, 96), "blocks": 1, "stride": 2},
        3000,
        3e-3,
    ),
    "glyph-alexnet": Recipe(
        {
            "kind": "alexnet",
            "widths": (16, 32, 48, 48, 32),
            "hidden": 128,
            "dropout": 0.2,
        },
        4000,
        2e-3,
    ),
}
#: How many signs a network is looked at with, and the seed of the first set.
LOOKED_AT, SEED = 2000, 2_000_000


def course() -> Course:
    """What a CNN of glyphs is taught."""
    told = "100 glyphs in fonts that ship with matplotlib, drawn by equinb"
    return Course(told, len(GLYPHS), batches, split)


def batches(batch: int, random: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """New images of signs at random, without end."""
    while True:
        labels = torch.randint(len(GLYPHS), (batch,), generator=random)
        yield draw(labels, random), labels


def split(name: str) -> tuple[Tensor, Tensor]:
    """Images and labels to look at; "test" has fonts and colours of its own."""
    test = name == "test"
    return sample(LOOKED_AT, SEED + test, test)


EXPERIMENT = pretraining(
    "cnn-glyphs",
    "Small CNNs of printed signs, trained from nothing",
    course,
    RECIPES,
    {"quick": 50, "small": 1},
)
