r"""Canonical-lambda-equitune, definition 1 of the paper: groups that are not finite.

The group is given by matrices. A *frame* turns an input into a matrix $h(x)$ of the
group with $h(gx) = g h(x)$, so $h(x)^{-1} x$ is the same for every $gx$: the input in a
pose of its own. The model sees that pose and a few others, $\theta h(x)^{-1} x$ for the
offsets $\theta \in \Theta$, and lambda weighs what it makes of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor, nn

from equinb.check import TOLERANCE, Report
from equinb.frames import Frame, proper
from equinb.symmetrized import TensorMap

#: How matrices `(N, n, n)` act on a batch `(N, ...)`.
MatrixAction = Callable[[Tensor, Tensor], Tensor]


def rotate(matrices: Tensor, x: Tensor) -> Tensor:
    r"""Vectors along the last axis, each multiplied: $x \mapsto gx$.

    Args:
        matrices: `(N, n, n)`.
        x: `(N, ..., n)`, such as N clouds of points.

    Example:
        >>> quarter = torch.tensor([[[0.0, -1.0], [1.0, 0.0]]])
        >>> rotate(quarter, torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]))
        tensor([[[ 0.,  1.],
                 [-2.,  0.]]])
    """
    if x.ndim < 2 or x.shape[-1] != matrices.shape[-1]:
        n = matrices.shape[-1]
        raise ValueError(
            f"Matrices of {n} rows act on vectors of {n} numbers along the last axis, "
            f"(N, ..., {n}); got shape {tuple(x.shape)}."
        )
    flat = x[:, None] if x.ndim == 2 else x.flatten(1, -2)
    return (flat @ matrices.to(x).transpose(-1, -2)).reshape(x.shape)


def keep(matrices: Tensor, x: Tensor) -> Tensor:
    """The trivial action, on an invariant output: x itself."""
    return x


@dataclass
class Poses:
    r"""Everything that one pass over the poses of a batch has made.

    Axes are `(V, B, ...)`, over V = k A views: k offsets times A frames.

    Attributes:
        elements: `(V, B, n, n)`, float64: $\theta h(x)^{-1}$.
        inputs: `(V, B, ...)`, $\theta h(x)^{-1} x$.
        features: `(V, B, ...)`, what the model makes of each.
        aligned: `(V, B, ...)`, carried back.
        scores: `(V, B)`, $\log \lambda$.
        weights: `(V, B)`, summing to one over the views.
    """

    elements: Tensor
    inputs: Tensor
    features: Tensor
    aligned: Tensor
    scores: Tensor = field(default_factory=lambda: torch.empty(0))
    weights: Tensor = field(default_factory=lambda: torch.empty(0))


class CanonicalLambda(nn.Module):
    r"""Canonical-lambda-equitune, eq. (5) and (6) of the paper.

    $M_G^\lambda(x) = \sum_\theta w_\theta(x) \, h(x) \theta^{-1} M(\theta h(x)^{-1} x)$
    with weights proportional to $\lambda(\theta h(x)^{-1} x)$ that sum to one.

    With `act_out=keep` this is eq. (6), an invariant. As the paper prints eq. (5),
    $\theta^{-1}$ is missing (`undo_offset=False`): that is equivariant too, but
    averages vectors in k different poses, and changes a model that is equivariant
    already.

    Where an input has several frames, as eigenvectors have several signs, the sum is
    over them as well.

    Args:
        model: from `(N, ...)` to a floating-point tensor `(N, ...)`.
        frame: from `(B, ...)` to `(A, B, n, n)`; see `pca_frame` and `LearnedFrame`.
        act_in: how matrices act on the model's input.
        act_out: how they act on its output.
        net: gives $\log \lambda$, one number a view; None weighs all views alike.
        offsets: `(k, n, n)`, or a module that returns them; None for the identity,
            which is canonicalisation alone.
        undo_offset: carry the output back to the pose of x, and not only by h.
        of: what the net reads: the "inputs" of the model, or its "features".

    Example:
        >>> from equinb.frames import pca_frame
        >>> corner = lambda x: x.amax(1)  # of a box around points: no symmetry
        >>> f = CanonicalLambda(corner, pca_frame, rotate, rotate)
        >>> x = torch.tensor([[[0.0, 3.0], [1.0, 0.0], [-1.0, -3.0]]])
        >>> g = torch.tensor([[[0.6, -0.8], [0.8, 0.6]]])
        >>> torch.allclose(f(rotate(g, x)), rotate(g, f(x)), atol=1e-6)
        True
    """

    def __init__(
        self,
        model: TensorMap,
        frame: Frame,
        act_in: MatrixAction,
        act_out: MatrixAction,
        net: TensorMap | None = None,
        offsets: Tensor | nn.Module | None = None,
        undo_offset: bool = True,
        of: str = "inputs",
    ) -> None:
        super().__init__()
        if of not in ("inputs", "features"):
            raise ValueError(f'The net reads "inputs" or "features"; got {of!r}.')
        self.model, self.frame, self.of = model, frame, of
        self.act_in, self.act_out = act_in, act_out
        self.net, self.undo_offset = net, undo_offset
        if offsets is not None and not isinstance(offsets, nn.Module):
            offsets = Fixed(offsets)
        self.offsets = offsets

    def poses(self, x: Tensor) -> Poses:
        """The views of a batch `(B, ...)` through the model, not yet weighed."""
        if not isinstance(x, Tensor) or not x.dtype.is_floating_point:
            what = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"A floating-point tensor is asked for; got {what}.")
        h = self.frame(x).double()  # (A, B, n, n)
        n = h.shape[-1]
        theta = torch.eye(n, dtype=torch.float64, device=x.device)[None]
        if self.offsets is not None:
            theta = self.offsets().to(h)
        theta = theta[:, None, None]  # (k, 1, 1, n, n)
        views = theta @ torch.linalg.inv(h)
        back = torch.linalg.inv(views) if self.undo_offset else h.expand_as(views)
        views, back = views.flatten(0, 1), back.flatten(0, 1)  # (V, B, n, n)
        shown = x.expand(len(views), *x.shape)
        inputs = self.act_in(views.flatten(0, 1), shown.flatten(0, 1))
        features = self.model(inputs)
        aligned = self.act_out(back.flatten(0, 1), features)
        return Poses(
            views,
            *(t.unflatten(0, views.shape[:2]) for t in (inputs, features, aligned)),
        )

    def forward(
        self, x: Tensor, return_poses: bool = False
    ) -> Tensor | tuple[Tensor, Poses]:
        """The weighted average over the poses, `(B, ...)`; its `Poses` if asked."""
        made = self.poses(x)
        made.scores = made.features.new_zeros(made.features.shape[:2])
        if self.net is not None:
            scores = self.net(getattr(made, self.of).flatten(0, 1))
            made.scores = scores.reshape(made.scores.shape)
        made.weights = made.scores.softmax(0)
        shape = made.weights.shape + (1,) * (made.aligned.ndim - 2)
        y = (made.weights.view(shape) * made.aligned).sum(0)
        return (y, made) if return_poses else y


class Fixed(nn.Module):
    """Offsets that stay as they are.

    Args:
        matrices: `(k, n, n)`, of the group.
    """

    matrices: Tensor

    def __init__(self, matrices: Tensor) -> None:
        super().__init__()
        if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2]:
            raise ValueError(
                "Offsets are k square matrices, (k, n, n); got shape "
                f"{tuple(matrices.shape)}."
            )
        self.register_buffer("matrices", matrices.double())

    def forward(self) -> Tensor:
        """`(k, n, n)`."""
        return self.matrices


class LearnedOffsets(nn.Module):
    r"""Rotations that are learned: $\theta_j = \exp(A_j - A_j^T) \theta_j^0$.

    Args:
        start: `(k, n, n)`, where they begin.

    Example:
        >>> offsets = LearnedOffsets(torch.eye(3)[None])
        >>> sum(p.numel() for p in offsets.parameters())
        9
    """

    start: Tensor

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.register_buffer("start", start.double())
        self.free = nn.Parameter(torch.zeros_like(start, dtype=torch.float32))

    def forward(self) -> Tensor:
        """`(k, n, n)`, float64."""
        free = self.free.double()
        moved: Tensor = torch.linalg.matrix_exp(free - free.mT) @ self.start.double()
        return moved


def random_rotations(
    k: int, n: int = 3, random: torch.Generator | None = None, mirrors: bool = False
) -> Tensor:
    """`(k, n, n)`, float64: rotations drawn evenly, by Haar's measure.

    Args:
        k: how many.
        n: of how many dimensions.
        random: where they come from.
        mirrors: draw from O(n) instead of SO(n).

    Example:
        >>> random_rotations(5).det().allclose(torch.ones(5).double())
        True
    """
    normal = torch.randn((k, n, n), dtype=torch.float64, generator=random)
    q, r = torch.linalg.qr(normal)
    q = q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None]
    return q if mirrors else proper(q)


def cube_rotations() -> Tensor:
    """`(24, 3, 3)`, float64: the rotations of a cube, the identity first."""
    signed = [
        torch.eye(3, dtype=torch.float64)[list(order)] * torch.tensor(signs)[:, None]
        for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0), (1, 0, 2))
        for signs in product((1.0, -1.0), repeat=3)
    ]
    return torch.stack([m for m in signed if m.det() > 0])


def check_continuous(
    function: TensorMap,
    act_in: MatrixAction,
    act_out: MatrixAction,
    x: Tensor,
    matrices: Tensor,
    at_once: int = 20,
) -> Report:
    """Measure how far $f(gx)$ is from $g f(x)$ for elements of a continuous group.

    Args:
        function: from `(B, ...)` to `(B, ...)`.
        act_in: how matrices act on its input.
        act_out: how they act on its output.
        x: `(B, ...)`, a batch, in the dtype to be checked.
        matrices: `(m, n, n)`, the elements to try, such as `random_rotations(1000)`.
        at_once: how many elements go through the function in one batch.

    Returns:
        The greatest error over all elements, relative to the greatest $|f(x)|$.

    Example:
        >>> x = torch.randn(2, 50, 3)
        >>> middle = lambda x: x.mean(1)
        >>> check_continuous(middle, rotate, rotate, x, random_rotations(10)).passed
        True
    """
    with torch.no_grad():
        y = function(x)
        scale = y.abs().max().double()
        worst = 0.0
        for some in matrices.split(at_once):
            g = some.repeat_interleave(len(x), 0)
            moved = function(act_in(g, x.repeat(len(some), *[1] * (x.ndim - 1))))
            expected = act_out(g, y.repeat(len(some), *[1] * (y.ndim - 1)))
            gap = (moved.double() - expected.double()).abs().max()
            worst = max(worst, float(gap / scale))
    kind = str(y.dtype).removeprefix("torch.")
    title = f"equivariance to {len(matrices)} matrices, {kind}"
    return Report(title, {"greatest": worst}, TOLERANCE.get(y.dtype, 0.0))
