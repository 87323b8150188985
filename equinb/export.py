"""A symmetrized model as tensor operations alone, to be exported and run elsewhere.

A `Symmetrized` model says in one sentence what is wrong with what it is given; those
checks read the numbers, and an exporter cannot follow them. `plain_module` leaves them
out and computes the same, so that `torch.export` takes it, and what it writes runs
without this package.
"""

from __future__ import annotations

from inspect import ismethod

import torch
from torch import Tensor, nn

from equinb.actions import Action, Trivial
from equinb.equitune import Uniform
from equinb.equizero import TIE_TOLERANCE, ArgMin
from equinb.lambda_equitune import Learned
from equinb.symmetrized import Symmetrized, TensorMap, Weighting


def plain_module(f: Symmetrized) -> nn.Module:
    """A module of tensor operations alone that computes what `f` does.

    It shares the weights of `f`, checks nothing and serves inference: the gradient of
    equizero is not kept. All views go through the encoder in one pass, whatever the
    `chunk` of `f`.

    Args:
        f: an `Equitune`, `Equizero` or `LambdaEquitune`, in eval mode. Where a part of
            it is a module's method, such as `model.encode_image`, the module is found.

    Raises:
        TypeError: for another model, `Routed` and `OverCosets` among them, or a
            weighting of your own.
        ValueError: for a model in training mode.

    Example:
        >>> import equinb as eq
        >>> G = eq.cyclic(4)
        >>> f = eq.Equitune(nn.Flatten(), eq.Rot90(G), eq.Trivial(G)).eval()
        >>> x = torch.rand(3, 8, 8)
        >>> size = ({0: torch.export.Dim("batch")},)
        >>> program = torch.export.export(plain_module(f), (x,), dynamic_shapes=size)
        >>> torch.equal(program.module()(x[:2]), f(x[:2]))
        True
    """
    return _Plain(f)


class _Plain(nn.Module):
    """See `plain_module`."""

    def __init__(self, f: Symmetrized) -> None:
        super().__init__()
        if not isinstance(f, Symmetrized):
            raise TypeError(
                f"Only a symmetrized model has a plain module; got {type(f).__name__}."
            )
        kind = type(f)
        if (kind.forward, kind.orbit) != (Symmetrized.forward, Symmetrized.orbit):
            raise TypeError(
                f"{type(f).__name__} is not a plain average over the whole orbit, and "
                "has no plain module."
            )
        w = f.weighting
        if type(w) not in (Uniform, ArgMin, Learned):
            raise TypeError(
                f"The weights must be those of Equitune, Equizero or LambdaEquitune; "
                f"got {type(w).__name__}."
            )
        self.encoder, self.head = f.encoder, f.head
        self.act_in, self.act_out, self.weighting = f.act_in, f.act_out, w
        judge = w.loss if isinstance(w, ArgMin) else getattr(w, "net", None)
        # Only the weights of modules that are registered are exported as weights.
        parts = (f.encoder, f.head, judge)
        self.owners = nn.ModuleList(m for m in map(owner_of, parts) if m is not None)
        for m in (f, *self.owners):
            if m.training:
                raise ValueError(
                    f"{type(m).__name__} is in training mode, where dropout and batch "
                    "statistics break the symmetry: call eval() first."
                )

    def forward(self, x: Tensor) -> Tensor:
        """The symmetrized output `(B, ...)`."""
        order = self.act_in.group.order
        views = _orbit(self.act_in, x)
        features = self.encoder(views.flatten(0, 1)).unflatten(0, (order, -1))
        aligned = _undo(self.act_out, features)
        w = _weights(self.weighting, self.head, views, features)
        w = w.reshape(w.shape + (1,) * (aligned.ndim - 2)).to(aligned.dtype)
        # As in `Weighting.combine`: 0 times infinity would be NaN.
        y = torch.where(w == 0, 0.0, w * aligned).sum(0)
        return y if self.head is None else self.head(y)


def owner_of(part: TensorMap | None) -> nn.Module | None:
    """The module whose method a part is, if it is one."""
    owner = getattr(part, "__self__", None) if ismethod(part) else None
    return owner if isinstance(owner, nn.Module) else None


def _orbit(action: Action, x: Tensor) -> Tensor:
    """`(|G|, B, ...)`, element by element, unchecked."""
    if isinstance(action, Trivial):
        return action.orbit(x)
    return torch.stack([action.act(g, x) for g in range(action.group.order)])


def _undo(action: Action, y: Tensor) -> Tensor:
    if isinstance(action, Trivial):
        return y
    back = action.group.inverses.tolist()
    return torch.stack([action.act(g, y[i]) for i, g in enumerate(back)])


def _weights(
    weighting: Weighting, head: TensorMap | None, views: Tensor, features: Tensor
) -> Tensor:
    """`(|G|, B)`, as the weighting gives them, unchecked."""
    order = features.shape[0]
    if not isinstance(weighting, ArgMin | Learned):
        return features.new_full(features.shape[:2], 1 / order)
    made = {"inputs": views, "features": features}
    flat = made.get(weighting.of, features).flatten(0, 1)
    if weighting.of == "outputs" and head is not None:
        flat = head(flat)
    if isinstance(weighting, Learned):
        z = weighting.net(flat).reshape(order, -1)
        given = weighting.positive == "given"
        return (z.log() if given else weighting._log_lambda(z)).softmax(0)
    losses = weighting.loss(flat).reshape(order, -1)
    tolerance = weighting.tolerance
    if tolerance is None:
        tolerance = TIE_TOLERANCE.get(losses.dtype, 0.0)
    edge = losses.amin(0) + tolerance * losses.abs().amax(0)
    tied = (losses <= edge).to(losses.dtype)
    return tied / tied.sum(0)
