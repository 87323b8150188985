"""The one operator of the paper: a weighted average over the orbit of a model.

    M_G(x) = sum over g of  w_g(x) · g^-1 M(gx),      sum over g of w_g(x) = 1

Equations (1), (2) and (4) differ in the weights alone. Those live in `equitune`,
`equizero` and `lambda_equitune`; the operator and its record of the orbit live here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from equinb.actions import Action, require_same_group
from equinb.groups import FiniteGroup

TensorMap = Callable[[Tensor], Tensor]


@dataclass
class Orbit:
    r"""Everything that one pass over the views of a batch has made.

    Axes are `(group, batch, ...)`. What a weighting reads must depend on $gx$ alone:
    `inputs`, `features` and `outputs` do, `aligned` does not.

    Attributes:
        group: the group $G$.
        inputs: `(|G|, B, ...)`, the views $gx$.
        features: `(|G|, B, ...)`, what the encoder makes of each view.
        aligned: `(|G|, B, ...)`, the features carried back, $g^{-1} M(gx)$.
        head: the part of the model after the average, if any.
        scores: `(|G|, B)`, what the weighting read off each view: the proxy loss for
            equizero, $\log \lambda(gx)$ for lambda-equitune, zero for equitune.
        weights: `(|G|, B)`, $w_g(x)$, positive or zero, summing to one over the group.
    """

    group: FiniteGroup
    inputs: Tensor
    features: Tensor
    aligned: Tensor
    head: TensorMap | None = None
    scores: Tensor = field(default_factory=lambda: torch.empty(0))
    weights: Tensor = field(default_factory=lambda: torch.empty(0))

    @cached_property
    def outputs(self) -> Tensor:
        """`(|G|, B, ...)`: $M(gx)$, the head's answer to each view by itself."""
        if self.head is None:
            return self.features
        flat = _apply(self.head, self.features.flatten(0, 1), "The head")
        return flat.reshape(*self.features.shape[:2], *flat.shape[1:])

    @property
    def views(self) -> int:
        """How many views the encoder was given: $|G| B$."""
        return self.features.shape[0] * self.features.shape[1]

    @property
    def effective_views(self) -> Tensor:
        """`(B,)`: exp of the entropy of the weights, from 1 to $|G|$."""
        entropy: Tensor = torch.special.entr(self.weights).sum(0)
        return entropy.exp()

    def score(self, function: TensorMap, of: str, who: str) -> Tensor:
        """`(|G|, B)`: one finite number a view, or a sentence that says what is wrong.

        Raises:
            ValueError: if the function gives another shape, NaN or infinity, or changes
                what it reads.
        """
        group, batch = self.features.shape[:2]
        flat = _apply(function, getattr(self, of).flatten(0, 1), who)
        shape = tuple(flat.shape) if isinstance(flat, Tensor) else type(flat).__name__
        if shape not in ((group * batch,), (group * batch, 1)):
            raise ValueError(
                f"{who} must give one number a view, shape ({group * batch},) or "
                f"({group * batch}, 1); got {shape}."
            )
        if not bool(flat.isfinite().all()):
            raise ValueError(
                f"{who} gave NaN or infinity for some views: look at what it makes of "
                f"the orbit's {of}."
            )
        return flat.reshape(group, batch)


class Weighting(nn.Module, ABC):
    """How the views of an orbit are weighed; one subclass for each method."""

    @abstractmethod
    def forward(self, orbit: Orbit) -> tuple[Tensor, Tensor]:
        """The scores and the weights, `(|G|, B)` each; the weights sum to one."""

    def combine(self, orbit: Orbit) -> Tensor:
        """The weighted sum of the aligned views over the group: `(B, ...)`."""
        shape = orbit.weights.shape + (1,) * (orbit.aligned.ndim - 2)
        y, w = orbit.aligned, orbit.weights.view(shape).to(orbit.aligned.dtype)
        # Infinite entries, such as masked logits, stay out of the product: 0 times
        # infinity, in the value or in the gradient of w, would be NaN.
        if not (torch.is_grad_enabled() and (y.requires_grad or w.requires_grad)):
            return torch.where(w == 0, 0.0, w * y).sum(0)
        finite = y.isfinite()
        infinite = torch.where(finite | (w == 0), 0.0, y.detach())
        return (w * torch.where(finite, y, 0.0) + infinite).sum(0)


class Symmetrized(nn.Module):
    """A model averaged over a group, in one encoder pass over $|G| B$ views.

    The model is cut where the average is to be taken: `encoder`, average, `head`.
    Without a head the average is over the model's outputs. By theorem 2 the average is
    equivariant, whatever the encoder, as long as each view is treated alike: call
    `eval()` first where the model has dropout or batch statistics.

    Args:
        encoder: from `(N, ...)` to a floating-point tensor `(N, ...)`.
        act_in: how the group acts on the encoder's input.
        act_out: how it acts on the encoder's output; its inverse is always applied.
        weighting: how the views are weighed.
        head: what follows the average; it keeps the symmetry only if it respects it, as
            any head does where `act_out` is `Trivial`.
        chunk: the most views that the encoder sees at once; None for all. It bounds
            the memory of the activations where no gradient is kept. In eval mode it
            changes nothing else, but for the time: `equinb.fastest_chunk`.

    Raises:
        ValueError, TypeError: for actions of two groups, a batch that the group cannot
            act on, an encoder that drops the batch or returns no tensor of floats, a
            mixture of devices or dtypes.

    Example:
        >>> import equinb as eq
        >>> G = eq.cyclic(4)
        >>> f = eq.Equitune(nn.Flatten(), eq.Rot90(G), eq.Trivial(G))
        >>> f(torch.tensor([[[0.0, 4.0], [8.0, 0.0]]]))
        tensor([[3., 3., 3., 3.]])
    """

    def __init__(
        self,
        encoder: TensorMap,
        act_in: Action,
        act_out: Action,
        weighting: Weighting,
        head: TensorMap | None = None,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        require_same_group(act_in, act_out)
        if chunk is not None and (int(chunk) != chunk or chunk < 1):
            raise ValueError(
                f"chunk is the most views at once, a whole number of at least 1; got "
                f"{chunk}."
            )
        self.encoder, self.head = encoder, head
        self.act_in, self.act_out = act_in, act_out
        self.weighting = weighting
        self.chunk = None if chunk is None else int(chunk)

    def orbit(self, x: Tensor) -> Orbit:
        """The orbit of a batch `(B, ...)` through the encoder, not yet weighed."""
        if not isinstance(x, Tensor):
            raise TypeError(
                f"A symmetrized model takes a torch tensor; got {type(x).__name__}."
            )
        if x.ndim < 1 or not len(x):
            raise ValueError("A symmetrized model needs at least one input; got none.")
        views = self.act_in.orbit(x)
        flat = self._encode(views.flatten(0, 1))
        features = flat.reshape(*views.shape[:2], *flat.shape[1:])
        aligned = self.act_out.undo(features)
        return Orbit(self.act_in.group, views, features, aligned, self.head)

    def forward(
        self, x: Tensor, return_orbit: bool = False
    ) -> Tensor | tuple[Tensor, Orbit]:
        """The symmetrized output `(B, ...)`; with `return_orbit`, its `Orbit` as well.

        Args:
            x: `(B, ...)`.
            return_orbit: also return the record of the orbit.
        """
        orbit = self.orbit(x)
        orbit.scores, orbit.weights = self.weighting(orbit)
        y = self.weighting.combine(orbit)
        if self.head is not None:
            y = _apply(self.head, y, "The head", shared=False)
        return (y, orbit) if return_orbit else y

    def _encode(self, flat: Tensor) -> Tensor:
        pieces = [flat] if self.chunk is None else torch.split(flat, self.chunk)
        encoded = [
            self._checked(_apply(self.encoder, piece, "The encoder"), piece)
            for piece in pieces
        ]
        return encoded[0] if len(encoded) == 1 else torch.cat(encoded)

    @staticmethod
    def _checked(y: Tensor, piece: Tensor) -> Tensor:
        if not isinstance(y, Tensor) or not y.dtype.is_floating_point:
            what = y.dtype if isinstance(y, Tensor) else type(y).__name__
            raise TypeError(
                f"The encoder must return one floating-point tensor; got {what}. Wrap "
                "it in a function that picks the features or logits to average."
            )
        if y.ndim < 1 or len(y) != len(piece):
            raise ValueError(
                f"The encoder must keep the batch as axis 0: {len(piece)} views went "
                f"in, shape {tuple(y.shape)} came out."
            )
        return y


def _apply(part: TensorMap, x: Tensor, who: str, shared: bool = True) -> Tensor:
    """A part of the model on a batch, with a sentence for what often goes wrong.

    Raises:
        ValueError: if its weights are on another device or of another dtype, or if it
            changes in place a `shared` batch, which others read after it.
    """
    before = x._version if shared and not x.is_inference() else None
    try:
        y = part(x)
    except RuntimeError as error:
        mixture = _mixture(part, x, who, str(error))
        if mixture:
            raise ValueError(mixture) from error
        raise
    if before is not None and x._version != before:
        raise ValueError(
            f"{who} changes what it reads in place, and others still read it: build it "
            "with inplace=False, or begin it with a clone()."
        )
    return y


def _mixture(part: TensorMap, x: Tensor, who: str, error: str) -> str | None:
    """Say which device or dtype of a batch and of the weights disagree."""
    if not isinstance(part, nn.Module):
        return None
    p = next(part.parameters(), x)
    if p.device != x.device:
        return (
            f"{who} has its weights on {p.device} and got a tensor on {x.device}: move "
            "one with .to(device)."
        )
    # Whole numbers are right for an embedding: believe torch that they are not.
    if p.dtype != x.dtype and (x.dtype.is_floating_point or "type" in error):
        return (
            f"{who} has weights of {p.dtype} and got {x.dtype}: convert one with "
            ".to(dtype)."
        )
    return None
