"""The lab: weights and results that are stored, verified and know where they come from.

It knows no chapter's mathematics. Nothing is ever unpickled.
"""

from equinb.lab.provenance import Provenance
from equinb.lab.results import (
    Interval,
    StoredResult,
    load_result,
    mean_interval,
    save_result,
)
from equinb.lab.weights import load_weights, save_weights

__all__ = [
    "Interval",
    "Provenance",
    "StoredResult",
    "load_result",
    "load_weights",
    "mean_interval",
    "save_result",
    "save_weights",
]
