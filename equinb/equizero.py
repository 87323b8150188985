"""Equizero, eq. (2) of the paper: the view of least proxy loss, ties averaged."""

from __future__ import annotations

import torch
from torch import Tensor

from equinb.actions import Action
from equinb.symmetrized import Orbit, Symmetrized, TensorMap, Weighting

#: Two proxy losses tie when they differ by no more than this times the largest
#: absolute loss over the orbit. That is rounding with room to spare where an action
#: moves numbers; matrices round as well, and in half precision they may exceed it.
TIE_TOLERANCE = {
    torch.float64: 1e-10,
    torch.float32: 1e-4,
    torch.bfloat16: 2e-2,
    torch.float16: 2e-3,
}

#: What the gradient of equizero is taken of (section 3.3, "Beyond zero-shot learning").
ESTIMATORS = ("mean", "identity", "chosen")


class ArgMin(Weighting):
    r"""The weights of equizero: even over all views of least proxy loss, else zero.

    The paper's eq. (2) takes one minimiser and assumes that it is unique. Where views
    tie, as they do for every input that some $g \neq e$ leaves as it is, one minimiser
    can break equivariance; the average over all of them keeps it.

    Args:
        loss: the proxy loss $l$, from `(N, ...)` to `(N,)`; see `equinb.losses`.
        of: what it reads: "outputs" $M(gx)$, "features" or "inputs".
        estimator: where the gradient goes: "mean" is the better straight-through form
            of the paper, $M_G + sg(M_G^0 - M_G)$, "identity" its first,
            $M + sg(M_G^0 - M)$; "chosen" uses no trick: the chosen views alone.
        tolerance: how close two losses tie, relative to the largest of the orbit; None
            for `TIE_TOLERANCE` of their dtype.
    """

    def __init__(
        self,
        loss: TensorMap,
        of: str = "outputs",
        estimator: str = "mean",
        tolerance: float | None = None,
    ) -> None:
        super().__init__()
        if estimator not in ESTIMATORS:
            raise ValueError(
                f"The estimator must be one of {', '.join(ESTIMATORS)}; got "
                f"{estimator!r}."
            )
        if tolerance is not None and not 0 <= tolerance < 1:
            raise ValueError(
                f"The tie tolerance must be at least 0 and below 1; got {tolerance}."
            )
        require_readable(of)
        self.loss, self.of = loss, of
        self.estimator, self.tolerance = estimator, tolerance

    def forward(self, orbit: Orbit) -> tuple[Tensor, Tensor]:
        """The proxy losses, and even weights over the views that have the least."""
        scores = orbit.score(self.loss, self.of, "The proxy loss").detach()
        tolerance = self.tolerance
        if tolerance is None:
            tolerance = TIE_TOLERANCE.get(scores.dtype, 0.0)
        least = scores.amin(0)
        tied = (scores <= least + tolerance * scores.abs().amax(0)).to(scores.dtype)
        return scores, tied / tied.sum(0)

    def combine(self, orbit: Orbit) -> Tensor:
        """The mean of the chosen views, with the estimator's gradient."""
        chosen = super().combine(orbit)
        if self.estimator == "chosen" or not chosen.requires_grad:
            return chosen
        if self.estimator == "mean":
            surrogate = orbit.aligned.mean(0)
        else:
            surrogate = orbit.aligned[orbit.group.identity]
        # s + sg(v - s) of the paper, in an order that rounds nothing: exactly v. An
        # infinite entry, such as a masked logit, has no gradient to pass on.
        zero = torch.where(surrogate.isfinite(), surrogate - surrogate.detach(), 0.0)
        return chosen.detach() + zero


class Equizero(Symmetrized):
    """$M_G^0(x) = g_*^{-1} M(g_* x)$ with $g_* = argmin_g l(M(gx))$, eq. (2).

    Args:
        model: the pretrained model, or its part before the average.
        act_in: how the group acts on its input.
        act_out: how the group acts on its output.
        loss: the proxy loss $l$, from `(N, ...)` to `(N,)`; see `equinb.losses`.
        of: what the loss reads: "outputs" $M(gx)$, "features" or "inputs".
        estimator: "mean", "identity" or "chosen"; see `ArgMin`.
        tolerance: how close two losses tie; see `ArgMin`.
        head: the part after the average, if any.
        chunk: the most views at once; see `Symmetrized`.

    Example:
        >>> import equinb as eq
        >>> G = eq.cyclic(2)
        >>> swap = eq.Permutation(G, [[0, 1], [1, 0]])
        >>> model = lambda x: x * torch.tensor([1.0, 3.0])
        >>> f = eq.Equizero(model, swap, swap, loss=eq.losses.neg_max_q)
        >>> f(torch.tensor([[5.0, 2.0]]))
        tensor([[15.,  2.]])
    """

    def __init__(
        self,
        model: TensorMap,
        act_in: Action,
        act_out: Action,
        *,
        loss: TensorMap,
        of: str = "outputs",
        estimator: str = "mean",
        tolerance: float | None = None,
        head: TensorMap | None = None,
        chunk: int | None = None,
    ) -> None:
        weighting = ArgMin(loss, of, estimator, tolerance)
        super().__init__(model, act_in, act_out, weighting, head, chunk)


def require_readable(of: str) -> None:
    """Refuse to weigh views by anything that does not depend on $gx$ alone."""
    if of not in ("inputs", "features", "outputs"):
        raise ValueError(
            f'Weights may read "inputs", "features" or "outputs" of the views; got '
            f"{of!r}. Anything else would not depend on gx alone and break theorem 2."
        )
