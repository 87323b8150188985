r"""Frames: matrices $h(x)$ of a group that turn with their input, $h(gx) = g h(x)$.

From principal axes, or by Gram-Schmidt from vectors that a small network makes. Some
inputs have no frame; they are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor, nn

#: From a batch `(B, ...)` to matrices `(A, B, n, n)`: the A frames of each input.
Frame = Callable[[Tensor], Tensor]

#: Variances nearer than this, relative to the greatest, have no order.
LEAST_GAP = 1e-4


def proper(q: Tensor) -> Tensor:
    """Orthogonal matrices, the last column turned round where they mirror."""
    last = torch.cat([torch.ones_like(q[..., 0, 1:]), q.det().sign()[..., None]], -1)
    return q * last[..., None, :]


def pca_frame(x: Tensor, mirrors: bool = False, least_gap: float = LEAST_GAP) -> Tensor:
    r"""`(A, B, n, n)`: the principal axes of clouds of points, with all their signs.

    The axes are the eigenvectors of the covariance, in the order of their eigenvalues;
    their signs are not determined, so all are taken: $A = 2^{n-1}$ frames of SO(n), or
    $2^n$ of O(n).

    Args:
        x: `(B, points, n)`.
        mirrors: frames of O(n) instead of SO(n).
        least_gap: the least difference of two eigenvalues, relative to the greatest.

    Raises:
        ValueError: for a cloud whose axes are not determined, because two eigenvalues
            are too near: one that a continuous family of rotations leaves as it is, or
            nearly so.

    Example:
        >>> pca_frame(torch.randn(5, 100, 3)).shape
        torch.Size([4, 5, 3, 3])
    """
    points = _cloud(x)
    values, axes = torch.linalg.eigh(points.mT @ points / points.shape[1])
    values, axes = values.flip(-1), axes.flip(-1)  # the greatest first
    _refuse_close(values, least_gap)
    n = x.shape[-1]
    signs = torch.tensor(list(product((1.0, -1.0), repeat=n)), dtype=torch.float64)
    if not mirrors:
        axes, signs = proper(axes), signs[signs.prod(1) > 0]
    frames: Tensor = axes * signs.to(axes)[:, None, None]
    return frames


def eigengap(x: Tensor) -> Tensor:
    """`(B,)`: the least difference of two principal variances over the greatest."""
    points = _cloud(x)
    return _gaps(torch.linalg.eigvalsh(points.mT @ points).flip(-1)).amin(-1)


def gram_schmidt(
    vectors: Tensor,
    mirrors: bool = False,
    size: Tensor | None = None,
    least: float = LEAST_GAP,
) -> Tensor:
    r"""`(A, B, n, n)`: the frame that n - 1 vectors span, as columns.

    The last axis is at right angles to all others. In SO(n) that leaves one direction,
    A = 1; in O(n) two, A = 2.

    Args:
        vectors: `(B, n - 1, n)`, equivariant functions of an input.
        mirrors: frames of O(n) instead of SO(n).
        size: `(B,)`, the lengths that the vectors could have: rounding is told from a
            vector by it. None takes the longest of each input.
        least: the least length of a vector, relative to `size`, that is left when those
            before it are taken out.

    Raises:
        ValueError: for vectors that span no frame: collinear ones, or zero.
    """
    v = vectors.double()
    size = v.norm(dim=-1).amax(-1) if size is None else size
    columns: list[Tensor] = []
    for i in range(v.shape[1]):
        rest = v[:, i]
        for column in columns:
            rest = rest - (rest * column).sum(-1, keepdim=True) * column
        length = rest.norm(dim=-1)
        _refuse(~(length > least * size), "its vectors are collinear or zero")
        columns.append(rest / length[:, None])
    first = torch.stack(columns, -1)  # (B, n, n - 1)
    # Cofactors: the vector at right angles to the others that gives determinant one.
    n = first.shape[1]
    minors = [first[:, [r for r in range(n) if r != i]].det() for i in range(n)]
    odd = torch.tensor([(-1.0) ** (i + n - 1) for i in range(n)]).to(v)
    normal = torch.stack(minors, -1) * odd
    one = torch.cat([first, normal[..., None]], -1)
    if not mirrors:
        return one[None]
    return torch.stack([one, torch.cat([first, -normal[..., None]], -1)])


class LearnedFrame(nn.Module):
    r"""The frame of vectors that a small network makes of a cloud: learned h.

    $v_j(x) = \sum_p \varphi_j(p) \, p + \psi_j(p) \, C p$ over the points about their
    mean, with C their covariance and one network for $\varphi$ and $\psi$, which reads
    $|p|$ and $|C p|$; these vectors turn with the cloud. `gram_schmidt` makes a frame
    of them, and gradients pass through it. Where the terms of a sum cancel, as in a
    cloud that is its own mirror image through the middle, there is no frame.

    Args:
        n: the dimension of space.
        hidden: the width of the network.
        mirrors: frames of O(n) instead of SO(n).
        least: see `gram_schmidt`.

    Example:
        >>> LearnedFrame()(torch.randn(5, 100, 3)).shape
        torch.Size([1, 5, 3, 3])
    """

    def __init__(
        self,
        n: int = 3,
        hidden: int = 32,
        mirrors: bool = False,
        least: float = LEAST_GAP,
    ) -> None:
        super().__init__()
        self.mirrors, self.least = mirrors, least
        self.net = nn.Sequential(
            nn.Linear(2, hidden), nn.SiLU(), nn.Linear(hidden, 2 * (n - 1))
        ).double()

    def forward(self, x: Tensor) -> Tensor:
        """`(A, B, n, n)`, float64, from `(B, points, n)`."""
        vectors, size = self.vectors(x)
        return gram_schmidt(vectors, self.mirrors, size, self.least)

    def vectors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, n - 1, n)`: the vectors; `(B,)`: their length if nothing cancelled."""
        points = _cloud(x)
        radius = points.norm(dim=-1).mean(1)[:, None, None].clamp_min(1e-30)
        points = points / radius
        moved = points @ (points.mT @ points) / points.shape[1]  # C p
        both = torch.stack([points, moved], 2)  # (B, points, 2, n)
        lengths = both.norm(dim=-1)  # (B, points, 2)
        read = lengths.to(next(self.net.parameters()).dtype)
        weights = (
            self.net(read).double().unflatten(-1, (2, -1))
        )  # (B, points, 2, n - 1)
        vectors = torch.einsum("bpsj,bpsn->bjn", weights, both) / points.shape[1]
        terms = (weights.abs() * lengths[..., None]).sum(2).mean(1)  # (B, n - 1)
        return vectors, terms.detach().amax(-1)


def _cloud(x: Tensor) -> Tensor:
    """Points about their mean, float64.

    Raises:
        ValueError: for another shape, no points, NaN or infinity.
    """
    if x.ndim != 3 or not x.shape[1]:
        raise ValueError(
            f"Clouds of points are asked for, (B, points, n); got {tuple(x.shape)}."
        )
    points = x.double()
    _refuse(~points.isfinite().all((1, 2)), "it holds NaN or infinity")
    return points - points.mean(1, keepdim=True)


def _gaps(values: Tensor) -> Tensor:
    """Differences of neighbours over the greatest of `(B, n)`; NaN if all vanish."""
    return (values[:, :-1] - values[:, 1:]) / values[:, :1]


def _refuse_close(values: Tensor, least_gap: float) -> None:
    _refuse(
        ~(_gaps(values) > least_gap).all(-1),
        "two of its principal variances are nearly equal",
    )


def _refuse(bad: Tensor, why: str) -> None:
    """Refuse inputs without a frame, `(B,)`, in one sentence."""
    if bool(bad.any()):
        raise ValueError(
            f"Input {int(bad.nonzero()[0, 0])} has no frame: {why}. Leave such inputs "
            "out, or take a finite group."
        )
