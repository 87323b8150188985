"""Views of images under a group, whatever the model: features once, then any average.

What the chapters on CLIP and on pretrained CNNs share. Images are tensors as a model's
preprocessing leaves them, `(N, 3, side, side)`; features are `(|G|, N, d)`.
"""

from equinb.apps.views.answers import CUTS, PRETRAINED, UPRIGHT, answer, weigh
from equinb.apps.views.importance import (
    LAMBDA,
    Importance,
    Shuffled,
    by_labels,
    by_teacher,
    by_upright,
    judge,
    learn_importance,
)
from equinb.apps.views.orbits import (
    GENERATORS,
    SQUARE,
    Encoder,
    Labelled,
    Orbits,
    Reading,
    action,
    encode_orbits,
    subgroup,
)

__all__ = [
    "CUTS",
    "GENERATORS",
    "LAMBDA",
    "PRETRAINED",
    "SQUARE",
    "UPRIGHT",
    "Encoder",
    "Importance",
    "Labelled",
    "Orbits",
    "Reading",
    "Shuffled",
    "action",
    "answer",
    "by_labels",
    "by_teacher",
    "by_upright",
    "encode_orbits",
    "judge",
    "learn_importance",
    "subgroup",
    "weigh",
]
