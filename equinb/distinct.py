"""Encoders that spare passes over inputs that they have: in this batch, or before.

Both wrap an encoder and give what it gives, so they serve wherever an encoder does.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import torch
from torch import Tensor, nn

from equinb.symmetrized import TensorMap


def distinct_rows(batch: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of a batch that differ, in the order of their content.

    Args:
        batch: `(N, ...)`, without NaN.

    Returns:
        `(n,)`, where each distinct row first stands; and `(N,)`, the place of every row
        among these. Rows are equal if all numbers in them are, to the last bit but for
        the sign of zero.

    Raises:
        ValueError: for NaN, which is equal to nothing.

    Example:
        >>> distinct_rows(torch.tensor([[2, 1], [0, 3], [2, 1]]))
        (tensor([1, 0]), tensor([1, 0, 1]))
    """
    if not bool((batch == batch).all()):
        raise ValueError("Inputs must not hold NaN: it is equal to no other number.")
    flat = batch.detach().reshape(len(batch), -1)
    found, place = torch.unique(flat, dim=0, return_inverse=True)
    rows = torch.arange(len(flat), device=flat.device)
    first = rows.new_full((len(found),), len(flat))
    return first.scatter_reduce(0, place, rows, "amin"), place


class Distinct(nn.Module):
    r"""An encoder that sees each distinct input of a batch once.

    An input that some $h \neq e$ leaves as it is has views that are equal, $gx = ghx$.
    Each then passes once, and every element of the group that makes it keeps its place
    in the average: a view counts as often as it occurs. As the encoder sees a batch in
    the order of its content, it sees the same batch for x and for gx.

    Args:
        encoder: from `(N, ...)` to `(N, ...)`, each input by itself: in eval mode.

    Example:
        >>> import equinb as eq
        >>> G = eq.cyclic(4)
        >>> f = eq.Equitune(Distinct(nn.Flatten()), eq.Rot90(G), eq.Trivial(G))
        >>> f(torch.tensor([[[1.0, 3.0], [3.0, 1.0]]]))  # two distinct views
        tensor([[2., 2., 2., 2.]])
    """

    def __init__(self, encoder: TensorMap) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """What the encoder makes of `(N, ...)`, from one pass a distinct input."""
        first, place = distinct_rows(x)
        return self.encoder(x[first])[place]


class Cached(nn.Module):
    """An encoder that remembers what it has made of the last inputs.

    All views of gx are views of x. So a symmetrized model whose encoder is `Cached` has
    answered for every gx once it has answered for x. An input is known by a hash of its
    bytes: this pays off where a pass takes longer than that.

    Nothing is remembered or recalled while gradients are kept or in training mode, and
    all is forgotten when a weight changes.

    Args:
        encoder: from `(N, ...)` to `(N, ...)`, each input by itself.
        size: the most inputs whose outputs are kept; the one used least recently goes.

    Attributes:
        passes: how many inputs the encoder itself has seen.

    Raises:
        ValueError: for a size that is no whole number of at least 1.

    Example:
        >>> import equinb as eq
        >>> G = eq.cyclic(4)
        >>> encoder = Cached(nn.Flatten(), size=100).eval()
        >>> turn = eq.Rot90(G)
        >>> f = eq.Equitune(encoder, turn, eq.Trivial(G))
        >>> x = torch.tensor([[[0.0, 4.0], [8.0, 0.0]]])
        >>> with torch.no_grad():
        ...     both = f(x), f(turn("r", x))
        >>> encoder.passes
        4
    """

    def __init__(self, encoder: TensorMap, size: int) -> None:
        super().__init__()
        if int(size) != size or size < 1:
            raise ValueError(
                f"size is the most outputs kept, a whole number of at least 1; got "
                f"{size}."
            )
        self.encoder, self.size, self.passes = encoder, int(size), 0
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()
        self._weights: tuple[tuple[int, int], ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        """What the encoder makes of `(N, ...)`, from one pass an unknown input."""
        if self.training or torch.is_grad_enabled():
            self.passes += len(x)
            return self.encoder(x)
        self._forget_if_changed()
        keys = [_key(row) for row in x]
        unknown = {key: i for i, key in enumerate(keys) if key not in self._kept}
        known = {key: self._kept[key] for key in keys if key not in unknown}
        if unknown:
            self.passes += len(unknown)
            made = self.encoder(x[list(unknown.values())])
            known |= dict(zip(unknown, made, strict=True))
        for key in keys:
            # A row alone would keep the memory of its whole batch.
            self._kept[key] = known[key].clone() if key in unknown else known[key]
            self._kept.move_to_end(key)
        while len(self._kept) > self.size:
            self._kept.popitem(last=False)
        return torch.stack([known[key] for key in keys])

    def _forget_if_changed(self) -> None:
        tensors = [*self.parameters(), *self.buffers()]
        weights = tuple((t.data_ptr(), t._version) for t in tensors)
        if weights != self._weights:
            self._kept.clear()
            self._weights = weights


def _key(row: Tensor) -> bytes:
    """A hash of what a tensor holds, its dtype, shape and place."""
    data = row.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    kind = f"{row.dtype} {tuple(row.shape)} {row.device}".encode()
    return hashlib.blake2b(kind + data.tobytes(), digest_size=16).digest()
