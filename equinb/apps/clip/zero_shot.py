"""The methods that choose or average views of images without learning anything."""

from __future__ import annotations

from equinb.apps.clip.model import Similarity
from equinb.equitune import Uniform
from equinb.equizero import ArgMin
from equinb.losses import neg_similarity
from equinb.symmetrized import Weighting


def zero_shot(head: Similarity) -> dict[str, Weighting]:
    """The methods that learn nothing, by name."""
    text = neg_similarity(head.text)
    return {"equitune": Uniform(), "equizero": ArgMin(text, of="features")}
