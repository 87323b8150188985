r"""Fewer than $|G|$ passes, and equivariant still: a cheap router chooses the views.

A router reads every view and gives $\log \lambda(gx)$. Only the heaviest views S go
through the encoder, and their weights are scaled to sum to one:

    M_S(x) = sum over g in S of  w_g(x) · g^-1 M(gx)  /  (1 - d),     d = 1 - w(S)

The weights and S depend on the views alone, so theorem 2 of the paper holds for $M_S$
as it does for the whole average $M_G$ (eq. (4)).

**The certificate.** With r the average of the views left out, renormalised as well,
$M_G = (1 - d) M_S + d r$, hence

    M_G - M_S = d (r - M_S).

Where the views' answers are probabilities, so are r and $M_S$, and the total variation
$\frac{1}{2} ||M_G - M_S||_1$ is at most d; it is d if no class has a share in both. In
any norm, d times the greatest distance between two aligned views bounds the error. (The
sum over S that is not renormalised is off by d in the 1-norm, always.)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from equinb.actions import Action
from equinb.cosets import cosets_of, require_batch
from equinb.distinct import distinct_rows
from equinb.equizero import TIE_TOLERANCE
from equinb.groups import FiniteGroup
from equinb.lambda_equitune import Learned
from equinb.symmetrized import Orbit, Symmetrized, TensorMap


@dataclass
class Route(Orbit):
    """The record of a routed pass: an `Orbit` in which some views were not encoded.

    `features` and `aligned` are zero, and `weights` are, where no pass was made;
    `inputs` are the views as the router has read them.

    Attributes:
        shares: `(|G|, B)`, the router's weights of all views, before any is left out.
        chosen: `(|G|, B)`, whether a view is among those that the average is over. With
            `respects`, the least view of a coset stands for it.
        left_out: `(B,)`, d: the share of what is left out, the certificate.
        passes: `(B,)`, distinct views of each input that went through the encoder.
        encoded: how many went for the whole batch: fewer, where inputs share views.
    """

    shares: Tensor = field(default_factory=lambda: torch.empty(0))
    chosen: Tensor = field(default_factory=lambda: torch.empty(0))
    left_out: Tensor = field(default_factory=lambda: torch.empty(0))
    passes: Tensor = field(default_factory=lambda: torch.empty(0))
    encoded: int = 0


class Routed(Symmetrized):
    r"""Lambda-equitune over the views that a cheap router finds heaviest.

    A view that ties with the last one chosen is chosen too: to drop one of two would
    break equivariance. Views tie if their $\log \lambda$ differ by no more than the
    tolerance, times the largest $|\log \lambda|$ of the orbit where that exceeds one.

    Args:
        encoder: from `(N, ...)` to a floating-point tensor `(N, ...)`, in eval mode.
        act_in: how the group acts on its input.
        act_out: how the group acts on its output; its inverse is always applied.
        router: from what it reads of N views to one number a view, `(N,)` or `(N, 1)`.
        k: how many of the heaviest views are averaged: 1 is canonicalisation, $|G|$ is
            lambda-equitune with this router. With `respects` it counts cosets.
        eps: in the place of k: the fewest views that leave out a share of at most eps.
        look: from inputs `(B, ...)` to a smaller form, of which the router reads all
            views; it must commute with the action. None for the inputs themselves.
        positive: what makes lambda of the router's number; see `Learned`.
        respects: a subgroup that the encoder respects already: one view a right coset
            is encoded, with the coset's whole share; see `equinb.cosets`.
        tolerance: of ties; None for `TIE_TOLERANCE` of the dtype.
        head: what follows the average, if anything.
        chunk: the most views that the encoder sees at once; see `Symmetrized`.

    Raises:
        ValueError, TypeError: for both or none of k and eps, one out of range, another
            group's subgroup, a router that gives NaN or no number a view; and as
            `Symmetrized`.

    Example:
        >>> import equinb as eq
        >>> G = eq.cyclic(4)
        >>> corner = lambda views: views[:, 0, 0]
        >>> f = Routed(torch.nn.Flatten(), eq.Rot90(G), eq.Trivial(G), corner, k=1)
        >>> y, route = f(torch.tensor([[[0.0, 4.0], [8.0, 0.0]]]), return_orbit=True)
        >>> y, route.passes
        (tensor([[8., 0., 0., 4.]]), tensor([1]))
    """

    def __init__(
        self,
        encoder: TensorMap,
        act_in: Action,
        act_out: Action,
        router: TensorMap,
        *,
        k: int | None = None,
        eps: float | None = None,
        look: TensorMap | None = None,
        positive: str = "exp",
        respects: FiniteGroup | None = None,
        tolerance: float | None = None,
        head: TensorMap | None = None,
        chunk: int | None = None,
    ) -> None:
        weighting = Learned(router, "inputs", positive)
        super().__init__(encoder, act_in, act_out, weighting, head, chunk)
        group = act_in.group
        trivial = group.subgroup(group.identity)
        self.respects = trivial if respects is None else respects
        self.cosets = torch.from_numpy(cosets_of(group, self.respects))
        _require_one(k, eps, len(self.cosets))
        if tolerance is not None and not 0 <= tolerance < 1:
            raise ValueError(
                f"The tie tolerance must be at least 0 and below 1; got {tolerance}."
            )
        self.k, self.eps, self.look, self.tolerance = k, eps, look, tolerance

    def orbit(self, x: Tensor) -> Route:
        """The record of a batch `(B, ...)`: weighed, and in part encoded."""
        require_batch(x)
        seen = self._seen(x)
        route = Route(self.act_in.group, seen, seen, seen, self.head)
        route.scores, route.shares = self.weighting(route)
        cosets = self.cosets.to(x.device)
        shares = route.shares[cosets].sum(1)
        kept = choose(
            route.scores[cosets].logsumexp(1), self.k, self.eps, self.tolerance
        )
        # A share that is zero in its dtype adds nothing, whatever the view's answer is.
        kept &= shares > 0
        weights = torch.where(kept, shares, 0)
        first = cosets[:, 0]
        route.left_out = torch.where(kept, 0, shares).sum(0)
        route.weights = torch.zeros_like(route.shares).index_copy(
            0, first, weights / weights.sum(0)
        )
        route.chosen = torch.zeros_like(route.shares, dtype=torch.bool)
        route.chosen[first] = kept
        self._encode_chosen(x, route)
        return route

    def forward(
        self, x: Tensor, return_orbit: bool = False
    ) -> Tensor | tuple[Tensor, Orbit]:
        """The output `(B, ...)`; with `return_orbit`, its `Route` as well."""
        route = self.orbit(x)
        y = self.weighting.combine(route)
        y = y if self.head is None else self.head(y)
        return (y, route) if return_orbit else y

    def _seen(self, x: Tensor) -> Tensor:
        """`(|G|, B, ...)`: the views as the router reads them."""
        small = x if self.look is None else self.look(x)
        if not isinstance(small, Tensor) or len(small) != len(x):
            raise ValueError("look must give a tensor that keeps the batch as axis 0.")
        return self.act_in.orbit(small)

    def _encode_chosen(self, x: Tensor, route: Route) -> None:
        """Pass the chosen views of all inputs, each distinct one once, in one batch."""
        self.act_in.check(x)
        views = torch.cat(
            [self.act_in.act(g, x[one]) for g, one in enumerate(route.chosen)]
        )
        first, place = distinct_rows(views)
        made = self._encode(views[first])
        features = made.new_zeros(*route.chosen.shape, *made.shape[1:])
        # Element by element, inputs in order: as the views were put together.
        route.features = features.index_put(
            route.chosen.nonzero(as_tuple=True), made[place]
        )
        route.aligned = self.act_out.undo(route.features)
        owner = route.chosen.nonzero()[:, 1]
        pairs = torch.stack([owner, place], 1).unique(dim=0)
        route.passes = pairs[:, 0].bincount(minlength=len(x))
        route.encoded = len(first)


def choose(
    scores: Tensor,
    k: int | None = None,
    eps: float | None = None,
    tolerance: float | None = None,
) -> Tensor:
    r"""`(n, B)`: which views are among the heaviest, all ties with the last one in.

    Args:
        scores: `(n, B)`, $\log \lambda$.
        k: how many at least.
        eps: in the place of k: the most that the others may weigh. A rest that exceeds
            eps by rounding, or falls short of it by as much, is too heavy.
        tolerance: of ties; None for `TIE_TOLERANCE` of the dtype.

    Raises:
        ValueError: for both or none of k and eps, or one out of range.

    Example:
        >>> log_lambda = torch.tensor([[0.5], [0.3], [0.1], [0.1]]).log()
        >>> choose(log_lambda, k=1).sum(0), choose(log_lambda, k=3).sum(0)
        (tensor([1]), tensor([4]))
    """
    _require_one(k, eps, len(scores))
    scores = scores.detach()
    if tolerance is None:
        tolerance = TIE_TOLERANCE.get(scores.dtype, 0.0)
    slack = tolerance * scores.abs().amax(0).clamp_min(1.0)
    ordered = scores.sort(0, descending=True).values
    if k is not None:
        last = ordered[int(k) - 1]
    else:
        assert eps is not None
        # Entry j is what weighs less than the j heaviest, summed from the lightest on.
        rest = ordered.softmax(0).flip(0).cumsum(0).flip(0)
        needed = (rest > eps * (1 - slack).clamp_min(0)).sum(0).clamp_min(1)
        last = ordered.gather(0, needed[None] - 1)[0]
    return scores >= last - slack


def _require_one(k: int | None, eps: float | None, views: int) -> None:
    if (k is None) == (eps is None):
        raise ValueError(
            "Say how many views: either k, a number, or eps, the most that is left "
            f"out; got k={k} and eps={eps}."
        )
    if k is not None and (int(k) != k or not 1 <= k <= views):
        raise ValueError(f"k must be a whole number from 1 to {views}; got {k}.")
    if eps is not None and not 0 <= eps < 1:
        raise ValueError(f"eps must be at least 0 and below 1; got {eps}.")
