"""What every action can do, and the actions made of others."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from equinb.groups import FiniteGroup, direct_product


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
        >>> import equinb as eq
        >>> eq.Trivial(eq.cyclic(4))("r", torch.ones(1, 2))
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


class Product(Action):
    """Two actions on the same tensor, one after the other: $(g, h)x = g(hx)$.

    The two must commute, as a turn of an image does with a change of its channels;
    `check_action` shows whether they do.

    Args:
        first: the action of $G$.
        second: the action of $H$; the product's group is `direct_product(G, H)`.

    Example:
        >>> import equinb as eq
        >>> C2 = eq.cyclic(2)
        >>> both = eq.Product(eq.Flip(C2, -1), eq.Flip(C2, -2))
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
        >>> import equinb as eq
        >>> D4 = eq.dihedral(4)
        >>> mirror = eq.Rot90(D4).restrict(D4.subgroup("s"))
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


def require_axis(x: Tensor, dim: int, who: str, size: int | None = None) -> None:
    """Refuse a tensor without the axis that `who` acts on, or of another size."""
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
