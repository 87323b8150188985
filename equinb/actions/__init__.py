"""How a group acts on a tensor, and the orbit of a batch in one tensor.

Every action takes batches `(B, ...)` and makes orbits `(|G|, B, ...)`. It is a left
action, $g(hx) = (gh)x$ (section 2 of the paper): one that is not is refused when built.
"""

from equinb.actions.base import (
    Action,
    Product,
    Restriction,
    Trivial,
    require_same_group,
)
from equinb.actions.entries import Matrix, Permutation, Relabel, SignedPermutation
from equinb.actions.images import Flip, Rot90

__all__ = [
    "Action",
    "Flip",
    "Matrix",
    "Permutation",
    "Product",
    "Relabel",
    "Restriction",
    "Rot90",
    "SignedPermutation",
    "Trivial",
    "require_same_group",
]
