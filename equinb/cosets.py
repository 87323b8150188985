r"""Fewer passes for a model that respects a part of the group already.

Let $M(hx) = h M(x)$ for all h of a subgroup H. Then $M(hgx) = h M(gx)$, and

    (hg)^-1 M(hgx) = g^-1 h^-1 h M(gx) = g^-1 M(gx):

the views g and hg agree once they are carried back. These are the elements of the right
coset $Hg$, so one view a right coset is enough: $|G| / |H|$ passes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from equinb.actions import Action
from equinb.groups import FiniteGroup, IntArray
from equinb.symmetrized import Orbit, Symmetrized, TensorMap, Weighting


def right_cosets(subgroup: FiniteGroup) -> IntArray:
    """The right cosets $Hg$ of a subgroup, one a row.

    Args:
        subgroup: H, made by `group.subgroup(...)`.

    Returns:
        `(|G| / |H|, |H|)` indices into the group. Each row begins with the least index
        g of a coset; column j holds $h_j g$, for $h_j$ the j-th element of H.

    Raises:
        ValueError: for a group that was not made as a subgroup.

    Example:
        >>> import equinb as eq
        >>> D4 = eq.dihedral(4)
        >>> D4.elements[5], right_cosets(D4.subgroup("s")).tolist()
        ('r s', [[0, 4], [1, 7], [2, 6], [3, 5]])
    """
    group = subgroup.parent
    if group is None:
        raise ValueError(
            f"{subgroup.name} is no subgroup: make it with group.subgroup(...)."
        )
    members = np.array(subgroup.members)
    rows: list[IntArray] = []
    found: set[int] = set()
    for g in range(group.order):
        if g not in found:
            rows.append(group.table[members, g])
            found.update(rows[-1].tolist())
    return np.array(rows)


class OverCosets(Symmetrized):
    r"""`Symmetrized` with one encoder pass a right coset of what the model respects.

    The other views' features follow from $M(hgx) = h M(gx)$, so every weighting reads a
    whole orbit, and the answer is that of `Symmetrized` up to rounding. Whether the
    encoder respects the subgroup is not checked here:
    `check_equivariance(encoder, act_in.restrict(H), act_out.restrict(H), x)` does that.

    Args:
        encoder: from `(N, ...)` to `(N, ...)`; it respects the subgroup.
        act_in: how the group acts on its input.
        act_out: how the group acts on its output.
        weighting: how the views are weighed, such as `Uniform()`.
        respects: the subgroup H, made by `group.subgroup(...)`.
        head: what follows the average, if anything.
        chunk: the most views at once; see `Symmetrized`.

    Raises:
        ValueError: for a subgroup of another group; as `Symmetrized` otherwise.

    Example:
        >>> import equinb as eq
        >>> G = eq.cyclic(4)
        >>> half_turn = G.subgroup("r^2")
        >>> model = lambda x: (x + x.flip((-2, -1)))[:, 0]
        >>> f = OverCosets(
        ...     model, eq.Rot90(G), eq.Trivial(G), eq.Uniform(), respects=half_turn
        ... )
        >>> f(torch.tensor([[[0.0, 4.0], [8.0, 0.0]]]))
        tensor([[6., 6.]])
    """

    def __init__(
        self,
        encoder: TensorMap,
        act_in: Action,
        act_out: Action,
        weighting: Weighting,
        respects: FiniteGroup,
        head: TensorMap | None = None,
        chunk: int | None = None,
    ) -> None:
        super().__init__(encoder, act_in, act_out, weighting, head, chunk)
        self.cosets = cosets_of(act_in.group, respects)
        self.respects = respects

    def orbit(self, x: Tensor) -> Orbit:
        """The orbit of a batch `(B, ...)`, with $|G| B / |H|$ passes."""
        require_batch(x)
        views = self.act_in.orbit(x)
        first = torch.from_numpy(self.cosets[:, 0])
        flat = self._encode(views[first.to(views.device)].flatten(0, 1))
        made = flat.reshape(len(first), len(x), *flat.shape[1:])
        features = made.new_empty(len(views), *made.shape[1:])
        for j, h in enumerate(self.respects.members):
            there = torch.from_numpy(self.cosets[:, j]).to(made.device)
            carried = self.act_out(h, made.flatten(0, 1)).reshape(made.shape)
            features = features.index_copy(0, there, carried)
        aligned = self.act_out.undo(features)
        return Orbit(self.act_in.group, views, features, aligned, self.head)


def cosets_of(group: FiniteGroup, subgroup: FiniteGroup) -> IntArray:
    """The right cosets of a subgroup of this group, as `right_cosets` gives them.

    Raises:
        ValueError: for a subgroup of another group.
    """
    if subgroup.parent is None or subgroup.parent != group:
        raise ValueError(
            f"{subgroup.name} is no subgroup made from {group.name}: use "
            f"{group.name}'s subgroup(...)."
        )
    return right_cosets(subgroup)


def require_batch(x: Tensor) -> None:
    """Refuse what is no batch of at least one input, in one sentence."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"A symmetrized model takes a torch tensor; got {type(x).__name__}."
        )
    if x.ndim < 1 or not len(x):
        raise ValueError("A symmetrized model needs at least one input; got none.")
