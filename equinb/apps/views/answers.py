"""From the features of an orbit to an answer: where the average is taken, and how.

As defined (eq. (1), (2) and (4) of the paper) and as in its published code.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from equinb.apps.views.orbits import Orbits
from equinb.symmetrized import Orbit, TensorMap, Weighting

#: Where the average may be taken.
CUTS = ("features", "logits", "probabilities")
#: What rows call a model by itself, on turned images and on upright ones.
PRETRAINED, UPRIGHT = "pretrained", "pretrained, upright"


def answer(
    weighting: Weighting, orbits: Orbits, head: TensorMap, cut: str = "features"
) -> Tensor:
    """`(N, classes)`: logits of the weighted average over each orbit.

    Args:
        weighting: how the views are weighed; it may read features and outputs.
        orbits: features of the views.
        head: from features `(..., d)` to logits `(..., classes)`.
        cut: what is averaged, one of `CUTS`.

    Returns:
        Of averaged features their similarities; averaged logits; or the logarithms of
        averaged probabilities.

    Raises:
        ValueError: for another cut.
    """
    if cut not in CUTS:
        raise ValueError(f"The average is over {', '.join(CUTS)}; got {cut!r}.")
    orbit = weigh(weighting, orbits, head)
    if cut == "features":
        averaged: Tensor = head(weighting.combine(orbit))
        return averaged
    made = head(orbits.features)
    if cut == "logits":
        return weighting.combine(replace(orbit, aligned=made))
    return weighting.combine(replace(orbit, aligned=made.softmax(-1))).log()


def weigh(weighting: Weighting, orbits: Orbits, head: TensorMap) -> Orbit:
    """The record of the orbits with their scores and weights, `(|G|, N)` each."""
    views = orbits.features
    orbit = Orbit(orbits.group, views, views, views, head)
    orbit.scores, orbit.weights = weighting(orbit)
    return orbit
