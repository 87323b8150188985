"""From the features of an orbit to an answer: where the average is taken, and how.

As defined (eq. (1), (2) and (4) of the paper) and as in its published code.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from equinb.apps.clip.model import Similarity
from equinb.apps.clip.orbits import Orbits
from equinb.equitune import Uniform
from equinb.equizero import ArgMin
from equinb.losses import neg_similarity
from equinb.symmetrized import Orbit, Weighting

#: Where the average may be taken.
CUTS = ("features", "logits", "probabilities")
#: What rows call the model by itself, on turned images and on upright ones.
PRETRAINED, UPRIGHT = "pretrained", "pretrained, upright"


def answer(
    weighting: Weighting, orbits: Orbits, head: Similarity, cut: str = "features"
) -> Tensor:
    """`(N, classes)`: logits of the weighted average over each orbit.

    Args:
        weighting: how the views are weighed; it may read features and outputs.
        orbits: features of the views.
        head: the similarity to the texts.
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


def weigh(weighting: Weighting, orbits: Orbits, head: Similarity) -> Orbit:
    """The record of the orbits with their scores and weights, `(|G|, N)` each."""
    views = orbits.features
    orbit = Orbit(orbits.group, views, views, views, head)
    orbit.scores, orbit.weights = weighting(orbit)
    return orbit


def zero_shot(head: Similarity) -> dict[str, Weighting]:
    """The methods that learn nothing, by name."""
    text = neg_similarity(head.text)
    return {"equitune": Uniform(), "equizero": ArgMin(text, of="features")}
