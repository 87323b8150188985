"""Actions on the entries of one axis: moved, signed, multiplied, or renamed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from equinb.actions.base import Action, require_axis
from equinb.groups import FiniteGroup, IntArray


class Permutation(Action):
    """Moves the entries of one axis: $(gx)[p_g(i)] = x[i]$.

    Args:
        group: the group $G$.
        perms: `(|G|, n)`; row `g` says where $g$ sends each place.
        dim: the axis of size `n` that is permuted; never the batch axis.

    Raises:
        ValueError: if a row is no permutation, or the rows are no action of the group.

    Example:
        >>> import equinb as eq
        >>> swap = eq.Permutation(eq.cyclic(2), [[0, 1], [1, 0]])
        >>> swap("r", torch.tensor([[0.2, 0.8]]))
        tensor([[0.8000, 0.2000]])
    """

    def __init__(self, group: FiniteGroup, perms: ArrayLike, dim: int = -1) -> None:
        super().__init__(group)
        self.perms = _checked_perms(group, perms, type(self).__name__)
        self.dim = dim
        self.size = self.perms.shape[1]
        # Place j of gx comes from place p_g^-1(j) of x, and p_g^-1 is p_(g^-1).
        self._source = torch.from_numpy(self.perms[group.inverses])
        self._target = torch.from_numpy(self.perms)

    def check(self, x: Tensor) -> None:
        """The axis must exist, hold `n` entries, and not be the batch."""
        require_axis(x, self.dim, type(self).__name__, self.size)

    def act(self, g: int, x: Tensor) -> Tensor:
        """The batch with its entries moved."""
        return x.index_select(self.dim, self._source[g].to(x.device))

    def orbit(self, x: Tensor) -> Tensor:
        """`(|G|, B, ...)` by one gather."""
        self.check(x)
        axis = self.dim % x.ndim
        views = x.movedim(axis, -1)[..., self._source.to(x.device)]
        return views.movedim((-2, -1), (0, axis + 1))

    def undo(self, y: Tensor) -> Tensor:
        """Entry `g` becomes $g^{-1} y_g$, by one gather."""
        self.check(y[0])
        axis = self.dim % (y.ndim - 1) + 1
        shape = [1] * y.ndim
        shape[0], shape[axis] = self._target.shape
        return y.take_along_dim(self._target.view(shape).to(y.device), axis)


class SignedPermutation(Permutation):
    """Moves the entries of one axis and flips signs: $(gx)[p_g(i)] = s_g(i) x[i]$.

    Args:
        group: the group $G$.
        perms: `(|G|, n)` as in `Permutation`, or None to leave every entry in place.
        signs: `(|G|, n)` of +1 and -1; `signs[g, i]` multiplies entry `i` before the
            move.
        dim: the axis of size `n`.

    Example:
        >>> import equinb as eq
        >>> negate = eq.SignedPermutation(eq.cyclic(2), None, [[1, 1], [-1, -1]])
        >>> negate("r", torch.tensor([[3.0, -4.0]]))
        tensor([[-3.,  4.]])
    """

    def __init__(
        self,
        group: FiniteGroup,
        perms: ArrayLike | None,
        signs: ArrayLike,
        dim: int = -1,
    ) -> None:
        s = np.asarray(signs)
        if s.ndim != 2 or len(s) != group.order or not np.isin(s, (-1, 1)).all():
            raise ValueError(
                f"SignedPermutation needs signs of shape ({group.order}, n), each +1 "
                f"or -1; got shape {s.shape} with values {np.unique(s)[:4].tolist()}."
            )
        still = np.tile(np.arange(s.shape[1]), (len(s), 1))
        super().__init__(group, still if perms is None else perms, dim)
        if self.perms.shape != s.shape:
            raise ValueError(
                f"SignedPermutation needs as many signs as places; got shapes "
                f"{s.shape} and {self.perms.shape}."
            )
        g, h = np.meshgrid(*[np.arange(group.order)] * 2, indexing="ij")
        # s_gh(i) = s_g(p_h(i)) s_h(i)
        both = s[g[..., None], self.perms[h]] * s[h]
        _require_action(group, both == s[group.table], "SignedPermutation")
        self._sign_before = torch.from_numpy(s.astype(np.int8))
        moved = np.take_along_axis(s, self.perms[group.inverses], axis=1)
        self._sign_after = torch.from_numpy(moved.astype(np.int8))

    def act(self, g: int, x: Tensor) -> Tensor:
        """The batch with its entries moved and signed."""
        sign = self._sign_after[g].to(x)
        return super().act(g, x) * _along(sign, x.ndim, self.dim)

    def orbit(self, x: Tensor) -> Tensor:
        """`(|G|, B, ...)` by one gather and one product."""
        return super().orbit(x) * self._orbit_signs(self._sign_after, x.ndim).to(x)

    def undo(self, y: Tensor) -> Tensor:
        """Entry `g` becomes $g^{-1} y_g$."""
        signs = self._orbit_signs(self._sign_before, y.ndim - 1)
        return super().undo(y) * signs.to(y)

    def _orbit_signs(self, signs: Tensor, ndim: int) -> Tensor:
        shape = [len(signs)] + [1] * ndim
        shape[self.dim % ndim + 1] = self.size
        return signs.view(shape)


class Relabel(Action):
    """Replaces token ids: every id `t` of $x$ becomes $p_g(t)$.

    This is how a group acts on words: the sentence keeps its order, words change. On
    the logits over the same vocabulary the group acts by `Permutation(group, perms)`.

    Args:
        group: the group $G$.
        perms: `(|G|, vocabulary)`; row `g` says what $g$ makes of each id.

    Example:
        >>> import equinb as eq
        >>> jump_run = eq.Relabel(eq.cyclic(2), [[0, 1, 2], [1, 0, 2]])
        >>> jump_run("r", torch.tensor([[0, 2, 2]]))
        tensor([[1, 2, 2]])
    """

    def __init__(self, group: FiniteGroup, perms: ArrayLike) -> None:
        super().__init__(group)
        self.perms = _checked_perms(group, perms, "Relabel")
        self.size = self.perms.shape[1]
        self._map = torch.from_numpy(self.perms)

    def check(self, x: Tensor) -> None:
        """Ids must be whole numbers below the size of the vocabulary."""
        if x.dtype.is_floating_point or x.dtype.is_complex or x.dtype is torch.bool:
            raise TypeError(
                f"Relabel acts on token ids, so on integer tensors; got {x.dtype}. "
                "For logits over the vocabulary use Permutation."
            )
        if self.size > torch.iinfo(x.dtype).max:
            raise ValueError(
                f"Relabel knows {self.size} ids, too many for {x.dtype}: call x.long() "
                "first."
            )
        if x.numel() and (int(x.min()) < 0 or int(x.max()) >= self.size):
            raise ValueError(
                f"Relabel knows ids from 0 to {self.size - 1}; got ids from "
                f"{int(x.min())} to {int(x.max())}."
            )

    def act(self, g: int, x: Tensor) -> Tensor:
        """The batch with its ids replaced."""
        return self._map[g].to(x)[x.long()]


class Matrix(Action):
    """A linear representation: $gx = R_g x$ along one axis.

    Args:
        group: the group $G$.
        matrices: `(|G|, n, n)`; entry `g` is $R_g$. They need not be orthogonal.
        dim: the axis of size `n` that the matrices multiply.

    Raises:
        ValueError: if $R_g R_h$ differs from $R_{gh}$ by more than 1e-5 of their size.

    Example:
        >>> import equinb as eq
        >>> turn = eq.Matrix(eq.cyclic(2), [[[1, 0], [0, 1]], [[-1, 0], [0, -1]]])
        >>> turn("r", torch.tensor([[1.0, 2.0]]))
        tensor([[-1., -2.]])
    """

    def __init__(self, group: FiniteGroup, matrices: ArrayLike, dim: int = -1) -> None:
        super().__init__(group)
        R = np.asarray(matrices, dtype=np.float64)
        if R.ndim != 3 or len(R) != group.order or R.shape[1] != R.shape[2]:
            raise ValueError(
                f"Matrix needs one square matrix an element, ({group.order}, n, n); "
                f"got shape {R.shape}."
            )
        if not np.isfinite(R).all():
            raise ValueError("Matrix needs finite entries; got NaN or infinity.")
        error = abs(np.einsum("gij,hjk->ghik", R, R) - R[group.table])
        _require_action(group, error <= 1e-5 * abs(R).max(), "Matrix")
        _require_identity(np.allclose(R[group.identity], np.eye(R.shape[1])), "Matrix")
        self.dim = dim
        self.size = R.shape[1]
        self.matrices = torch.from_numpy(R)

    def check(self, x: Tensor) -> None:
        """The tensor must be floating-point and its axis of size `n`."""
        if not (x.dtype.is_floating_point or x.dtype.is_complex):
            raise TypeError(
                f"Matrix multiplies floating-point tensors; got {x.dtype}. Call "
                "x.float() first."
            )
        require_axis(x, self.dim, "Matrix", self.size)

    def act(self, g: int, x: Tensor) -> Tensor:
        """The batch multiplied by $R_g$."""
        R = self.matrices[g].to(x)
        return (x.movedim(self.dim, -1) @ R.T).movedim(-1, self.dim)


def _along(values: Tensor, ndim: int, dim: int) -> Tensor:
    """A vector, shaped to multiply axis `dim` of a tensor with `ndim` axes."""
    shape = [1] * ndim
    shape[dim] = len(values)
    return values.view(shape)


def _checked_perms(group: FiniteGroup, perms: ArrayLike, who: str) -> IntArray:
    p = np.asarray(perms)
    if p.ndim != 2 or len(p) != group.order:
        raise ValueError(
            f"{who} needs one row an element, ({group.order}, n); got shape {p.shape}."
        )
    if not (np.sort(p, axis=1) == np.arange(p.shape[1])).all():
        raise ValueError(
            f"{who} needs rows that are permutations of 0 to {p.shape[1] - 1}."
        )
    p = p.astype(np.int64)
    for g in range(group.order):
        _require_action(group, p[g][p] == p[group.table[g]], who)
    return p


def _require_action(group: FiniteGroup, holds: np.ndarray, who: str) -> None:
    if not holds.all():
        raise ValueError(
            f"{who} got no action of {group.name}: doing h and then g must be the same "
            "as doing gh, for all pairs; check the order of the elements."
        )


def _require_identity(holds: bool, who: str) -> None:
    if not holds:
        raise ValueError(f"{who} got no action: the identity must change nothing.")
