"""Is a diagnosis without labels right? Its predictions against gains with labels.

    equinb run symmetries --preset quick    # see equinb.apps.symmetries.experiment

A subject is a pretrained model with a task. Some tasks lack a symmetry that is tried:
a half turn makes a 6 of a 9, a mirror makes a b of a d.
"""

from equinb.apps.symmetries.experiment import measure, pairs_of, rank_correlation
from equinb.apps.symmetries.signs import MOVES, SIGNS, draw, handwritten, printed, train
from equinb.apps.symmetries.subjects import Subject, load_subject

__all__ = [
    "MOVES",
    "SIGNS",
    "Subject",
    "draw",
    "handwritten",
    "load_subject",
    "measure",
    "pairs_of",
    "printed",
    "rank_correlation",
    "train",
]
