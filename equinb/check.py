"""Checks with a report: is it a group, an action, an equivariant function?

Each returns the numbers and whether they pass; a check that fails raises nothing. Tests
and chapters call the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from equinb.actions import Action, require_same_group
from equinb.groups import axiom_failures

#: The greatest relative error that counts as rounding, by dtype.
TOLERANCE = {
    torch.float64: 1e-9,
    torch.complex128: 1e-9,
    torch.float32: 1e-5,
    torch.complex64: 1e-5,
    torch.bfloat16: 5e-2,
    torch.float16: 5e-3,
}


@dataclass(frozen=True, repr=False)
class Report:
    """What a check has measured.

    Attributes:
        title: what was checked.
        errors: the greatest error for each element or law, by name. Errors are relative
            to the greatest absolute value compared.
        tolerance: the greatest error that passes.
        notes: what is wrong, in words, one line each.
    """

    title: str
    errors: dict[str, float]
    tolerance: float
    notes: tuple[str, ...] = ()

    @property
    def error(self) -> float:
        """The greatest of the errors."""
        return _greatest(self.errors.values())

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong and every error is within the tolerance."""
        # Written so that NaN fails.
        within = all(e <= self.tolerance for e in self.errors.values())
        return within and not self.notes

    def __repr__(self) -> str:
        width = max((len(name) for name in self.errors), default=0)
        rows = [
            f"  {name:<{width}}  {error:.1e}{'' if error <= self.tolerance else '  <-'}"
            for name, error in self.errors.items()
        ]
        rows += [f"  {note}" for note in self.notes]
        verdict = "passed" if self.passed else "FAILED"
        bound = f" (tolerance {self.tolerance:.0e})" if self.errors else ""
        return "\n".join([f"{self.title}: {verdict}{bound}", *rows])


def check_group(table: ArrayLike) -> Report:
    """Check the axioms of a group on a Cayley table (section 2 of the paper).

    Args:
        table: `(n, n)` whole numbers; entry `[g, h]` is the index of $gh$.

    Example:
        >>> check_group([[0, 1], [1, 1]])
        group axioms: FAILED
          element 1 has no inverse
    """
    return Report("group axioms", {}, 0.0, tuple(axiom_failures(table)))


def check_action(action: Action, x: Tensor) -> Report:
    """Check $ex = x$, $g(hx) = (gh)x$ and $g^{-1}(gx) = x$ on a batch.

    Args:
        action: the action.
        x: `(B, ...)`, the batch it acts on.

    Example:
        >>> import equinb as eq
        >>> check_action(eq.Rot90(eq.cyclic(4)), torch.rand(2, 3, 8, 8)).passed
        True
    """
    _require_entries(x)
    G = action.group
    x = x.detach()
    views = action.orbit(x)
    composed = [
        _difference(action.orbit(v), views[G.table[:, h].tolist()])
        for h, v in enumerate(views.unbind(0))
    ]
    errors = {
        "ex = x": _difference(views[G.identity], x),
        "g(hx) = (gh)x": _greatest(composed),
        "g^-1(gx) = x": _difference(action.undo(views), x.expand_as(views)),
    }
    return Report(f"action {action!r}", errors, _tolerance(x))


def check_equivariance(
    function: Callable[[Tensor], Any],
    act_in: Action,
    act_out: Action,
    x: Tensor,
    tolerance: float | None = None,
) -> Report:
    """Measure how far $f(gx)$ is from $g f(x)$ for every $g$.

    Args:
        function: from `(B, ...)` to `(B, ...)`: a model, symmetrized or not.
        act_in: how the group acts on its input.
        act_out: how the group acts on its output.
        x: `(B, ...)`, a batch, in the dtype to be checked.
        tolerance: the greatest relative error that passes; None for `TOLERANCE` of the
            output's dtype.

    Returns:
        One error an element: the greatest $|f(gx) - g f(x)|$ over the batch, divided by
        the greatest finite $|f(x)|$. Equal infinities, such as masked logits, agree.
        A function that vanishes on the whole batch is measured against its own
        rounding: give it an input on which it does not.

    Raises:
        ValueError, TypeError: for actions of two groups, a batch that the group cannot
            act on, a function that returns no tensor.

    Example:
        >>> import equinb as eq
        >>> G = eq.cyclic(4)
        >>> turn = eq.Rot90(G)
        >>> shift = lambda x: x.roll(1, -1)
        >>> check_equivariance(shift, turn, turn, torch.rand(1, 3, 3)).passed
        False
        >>> f = eq.Equitune(shift, turn, turn)
        >>> check_equivariance(f, turn, turn, torch.rand(1, 3, 3)).passed
        True
    """
    require_same_group(act_in, act_out)
    _require_entries(x)
    G = act_in.group
    with torch.no_grad():
        y = function(x)
        if not isinstance(y, Tensor):
            raise TypeError(
                f"The function must return one tensor; got {type(y).__name__}. Wrap it "
                "in a function that picks one."
            )
        expected = act_out.orbit(y)
        errors = {
            G.elements[g]: _difference(function(gx), expected[g], y)
            for g, gx in enumerate(act_in.orbit(x).unbind(0))
        }
    bound = _tolerance(y) if tolerance is None else tolerance
    kind = str(y.dtype).removeprefix("torch.")
    return Report(f"equivariance to {G.name}, {kind}", errors, bound)


def _require_entries(x: Tensor) -> None:
    if not x.numel():
        raise ValueError(
            f"A check needs at least one input; got shape {tuple(x.shape)}."
        )


def _difference(a: Tensor, b: Tensor, scale: Tensor | None = None) -> float:
    """The greatest difference, relative to the greatest absolute value of `scale`."""
    if a.shape != b.shape:
        return float("inf")
    if not (a.dtype.is_floating_point or a.dtype.is_complex):
        return float((a != b).any())
    wide = torch.promote_types(a.dtype, torch.float64)
    gaps = torch.where(a == b, 0.0, (a.to(wide) - b.to(wide)).abs())
    sizes = (b if scale is None else scale).to(wide).abs()
    greatest = float(torch.where(sizes.isfinite(), sizes, 0.0).max())
    error = float(gaps.max())
    return error / greatest if greatest > 0 else error


def _greatest(errors: Iterable[float]) -> float:
    """The greatest of some errors, NaN if one of them is."""
    return max(errors, key=lambda e: (e != e, e), default=0.0)


def _tolerance(x: Tensor) -> float:
    return TOLERANCE.get(x.dtype, 0.0)
