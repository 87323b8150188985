"""How a group acts on a tensor, and the orbit of a batch in one tensor.

Every action takes batches `(B, ...)` and makes orbits `(|G|, B, ...)`. It is a left
action, $g(hx) = (gh)x$ (section 2 of the paper): one that is not is refused when built.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from equinb.groups import FiniteGroup, IntArray, cyclic, dihedral, direct_product


class Action(ABC):
    """How `group` acts on a batch of tensors.

    A subclass says what one element does (`act`); orbits and their undoing follow, and
    may be overridden where one call can do all elements at once.
    """

    def __init__(self, group: FiniteGroup) -> None:
        self.group = group

    @abstractmethod
    def act(self, g: int, x: Tensor) -> Tensor:
        """The batch $gx$, of the shape of `x`: `(B, ...)`."""

    def check(self, x: Tensor) -> None:  # noqa: B027 - most tensors are fine
        """Refuse a batch that the group cannot act on, with a ValueError."""

    def __call__(self, g: int | str, x: Tensor) -> Tensor:
        """The batch $gx$ for an element given by name or index."""
        self.check(x)
        return self.act(self.group.index(g), x)

    def orbit(self, x: Tensor) -> Tensor:
        """All views of a batch: `(|G|, B, ...)`, entry `g` is $gx$."""
        self.check(x)
        return torch.stack([self.act(g, x) for g in range(self.group.order)])

    def undo(self, y: Tensor) -> Tensor:
        """Carry each entry of an orbit back: entry `g` becomes $g^{-1} y_g$.

        Args:
            y: `(|G|, B, ...)`.
        """
        self.check(y[0])
        back = self.group.inverses
        return torch.stack([self.act(int(back[g]), y[g]) for g in range(len(y))])

    def restrict(self, subgroup: FiniteGroup) -> Restriction:
        """The same action, for a subgroup made by `group.subgroup(...)`."""
        return Restriction(self, subgroup)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.group.name})"


class Trivial(Action):
    """Every element leaves the tensor as it is: the action on an invariant output.

    Example:
        >>> Trivial(cyclic(4))("r", torch.ones(1, 2))
        tensor([[1., 1.]])
    """

    def act(self, g: int, x: Tensor) -> Tensor:
        """The batch itself."""
        return x

    def orbit(self, x: Tensor) -> Tensor:
        """`(|G|, B, ...)`: the batch, once an element, without a copy."""
        return x.expand(self.group.order, *x.shape)

    def undo(self, y: Tensor) -> Tensor:
        """The orbit itself."""
        return y


class Rot90(Action):
    """Quarter turns (and mirrors) of square images `(B, ..., H, W)`, exact.

    `cyclic(4)` turns counter-clockwise by 90 degrees, `cyclic(2)` by 180; `dihedral(4)`
    and `dihedral(2)` also mirror left and right, `dihedral(1)` does only that:
    $r^k s^m$ mirrors first. For other subgroups there is `restrict`.

    Raises:
        ValueError: for another group, or the same table under other names; for images
            that a quarter turn would reshape.

    Example:
        >>> Rot90(cyclic(4))("r", torch.tensor([[[1, 2], [3, 4]]]))
        tensor([[[2, 4],
                 [1, 3]]])
    """

    def __init__(self, group: FiniteGroup) -> None:
        super().__init__(group)
        # By name as well: a half turn and a mirror have one table, but not one effect.
        for n in (1, 2, 4):
            for known in (cyclic(n), dihedral(n)):
                if group == known and group.elements == known.elements:
                    self.turns = [(4 // n) * (g % n) for g in range(group.order)]
                    self.mirrored = [g >= n for g in range(group.order)]
                    return
        raise ValueError(
            f"Rot90 needs cyclic(n) or dihedral(n), n one of 1, 2, 4; got {group!r}. "
            "For a subgroup use Rot90(dihedral(4)).restrict(subgroup)."
        )

    def check(self, x: Tensor) -> None:
        """Images must be `(B, ..., H, W)`, and square where a quarter turn acts."""
        if x.ndim < 3:
            raise ValueError(
                "Rot90 acts on batches of images (B, ..., H, W); got shape "
                f"{tuple(x.shape)}. Add a batch axis with x[None]."
            )
        if x.shape[-1] != x.shape[-2] and any(k % 2 for k in self.turns):
            raise ValueError(
                f"A quarter turn needs square images; got {x.shape[-2]} by "
                f"{x.shape[-1]}. Crop or pad them, or use the half turn, cyclic(2)."
            )

    def act(self, g: int, x: Tensor) -> Tensor:
        """The images, mirrored if $g$ mirrors, then turned."""
        x = x.flip(-1) if self.mirrored[g] else x
        return torch.rot90(x, self.turns[g], (-2, -1))


class Flip(Action):
    """The group of order two, mirroring one axis of the tensor.

    Args:
        group: a group of order 2.
        dim: the axis: -1 mirrors left and right, -2 up and down.

    Example:
        >>> Flip(cyclic(2))("r", torch.tensor([[[1, 2, 3]]]))
        tensor([[[3, 2, 1]]])
    """

    def __init__(self, group: FiniteGroup, dim: int = -1) -> None:
        super().__init__(group)
        self.dim = dim
        if group.order != 2:
            raise ValueError(f"Flip needs a group of order 2; got {group!r}.")

    def check(self, x: Tensor) -> None:
        """The axis must exist and not be the batch."""
        _axis(x, self.dim, "Flip")

    def act(self, g: int, x: Tensor) -> Tensor:
        """The batch, mirrored unless $g = e$."""
        return x if g == self.group.identity else x.flip(self.dim)


class Permutation(Action):
    """Moves the entries of one axis: $(gx)[p_g(i)] = x[i]$.

    Args:
        group: the group $G$.
        perms: `(|G|, n)`; row `g` says where $g$ sends each place.
        dim: the axis of size `n` that is permuted; never the batch axis.

    Raises:
        ValueError: if a row is no permutation, or the rows are no action of the group.

    Example:
        >>> swap = Permutation(cyclic(2), [[0, 1], [1, 0]])
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
        _axis(x, self.dim, type(self).__name__, self.size)

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
        >>> negate = SignedPermutation(cyclic(2), None, [[1, 1], [-1, -1]])
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
        >>> jump_run = Relabel(cyclic(2), [[0, 1, 2], [1, 0, 2]])
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
        >>> turn = Matrix(cyclic(2), [[[1, 0], [0, 1]], [[-1, 0], [0, -1]]])
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
        _axis(x, self.dim, "Matrix", self.size)

    def act(self, g: int, x: Tensor) -> Tensor:
        """The batch multiplied by $R_g$."""
        R = self.matrices[g].to(x)
        return (x.movedim(self.dim, -1) @ R.T).movedim(-1, self.dim)


class Product(Action):
    """Two actions on the same tensor, one after the other: $(g, h)x = g(hx)$.

    The two must commute, as a turn of an image does with a change of its channels;
    `check_action` shows whether they do.

    Args:
        first: the action of $G$.
        second: the action of $H$; the product's group is `direct_product(G, H)`.

    Example:
        >>> both = Product(Flip(cyclic(2), -1), Flip(cyclic(2), -2))
        >>> both("(r, r)", torch.tensor([[[1, 2], [3, 4]]]))
        tensor([[[4, 3],
                 [2, 1]]])
    """

    def __init__(self, first: Action, second: Action) -> None:
        super().__init__(direct_product(first.group, second.group))
        self.first, self.second = first, second

    def check(self, x: Tensor) -> None:
        """Both actions must accept the batch."""
        self.first.check(x)
        self.second.check(x)

    def act(self, g: int, x: Tensor) -> Tensor:
        """The batch $g(hx)$."""
        i, j = divmod(g, self.second.group.order)
        return self.first.act(i, self.second.act(j, x))

    def __repr__(self) -> str:
        return f"Product({self.first!r}, {self.second!r})"


class Restriction(Action):
    """An action, kept to a subgroup (`action.restrict(H)`).

    Example:
        >>> D4 = dihedral(4)
        >>> mirror = Rot90(D4).restrict(D4.subgroup("s"))
        >>> mirror("s", torch.tensor([[[1, 2], [3, 4]]]))
        tensor([[[2, 1],
                 [4, 3]]])
    """

    def __init__(self, action: Action, subgroup: FiniteGroup) -> None:
        super().__init__(subgroup)
        if subgroup.parent is None or subgroup.parent != action.group:
            raise ValueError(
                f"{subgroup.name} is no subgroup made from {action.group.name}: use "
                f"action.group.subgroup(...)."
            )
        self.action = action

    def check(self, x: Tensor) -> None:
        """The whole group's action must accept the batch."""
        self.action.check(x)

    def act(self, g: int, x: Tensor) -> Tensor:
        """The batch $gx$."""
        return self.action.act(self.group.members[g], x)

    def __repr__(self) -> str:
        return f"{self.action!r}.restrict({self.group.name})"


def require_same_group(act_in: Action, act_out: Action) -> None:
    """Refuse a pair that is no two actions of one group, in one sentence."""
    for action in (act_in, act_out):
        if not isinstance(action, Action):
            raise TypeError(
                f"An action is needed, such as Rot90(G) or Trivial(G); got {action!r}."
            )
    if act_in.group != act_out.group:
        raise ValueError(
            "The input and output actions must be of one group; got "
            f"{act_in!r} of order {act_in.group.order} and {act_out!r} of order "
            f"{act_out.group.order}. Build both on the same group."
        )


def _axis(x: Tensor, dim: int, who: str, size: int | None = None) -> None:
    if not -x.ndim <= dim < x.ndim or dim % x.ndim == 0:
        raise ValueError(
            f"{who} needs an axis of the tensor other than the batch, axis 0; got "
            f"dim={dim} for shape {tuple(x.shape)}."
        )
    if size is not None and x.shape[dim] != size:
        raise ValueError(
            f"{who} acts on {size} entries along axis {dim}; got {x.shape[dim]} in "
            f"shape {tuple(x.shape)}."
        )


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
