"""Equitune, eq. (1) of the paper: every view weighs the same."""

from __future__ import annotations

from torch import Tensor

from equinb.actions import Action
from equinb.symmetrized import Orbit, Symmetrized, TensorMap, Weighting


class Uniform(Weighting):
    """The weights of equitune: $w_g(x) = 1/|G|$."""

    def forward(self, orbit: Orbit) -> tuple[Tensor, Tensor]:
        """Scores of zero, the logarithm of lambda = 1, and equal weights."""
        zeros = orbit.features.new_zeros(orbit.features.shape[:2])
        return zeros, zeros + 1 / orbit.group.order


class Equitune(Symmetrized):
    r"""$M_G(x) = 1/|G| \sum_g g^{-1} M(gx)$, eq. (1) of the paper.

    Args:
        model: the pretrained model, or its part before the average.
        act_in: how the group acts on its input.
        act_out: how the group acts on its output.
        head: the part after the average, if any.
        chunk: the most views at once; see `Symmetrized`.

    Example:
        >>> import torch, equinb as eq
        >>> G = eq.cyclic(2)
        >>> swap = eq.Permutation(G, [[0, 1], [1, 0]])
        >>> eq.Equitune(torch.exp, swap, eq.Trivial(G))(torch.tensor([[0.0, 1.0]]))
        tensor([[1.8591, 1.8591]])
    """

    def __init__(
        self,
        model: TensorMap,
        act_in: Action,
        act_out: Action,
        *,
        head: TensorMap | None = None,
        chunk: int | None = None,
    ) -> None:
        super().__init__(model, act_in, act_out, Uniform(), head, chunk)
