"""Turns and mirrors of images, exact on their pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from equinb.actions.base import Action, require_axis
from equinb.groups import FiniteGroup, cyclic, dihedral


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
        require_axis(x, self.dim, "Flip")

    def act(self, g: int, x: Tensor) -> Tensor:
        """The batch, mirrored unless $g = e$."""
        return x if g == self.group.identity else x.flip(self.dim)
