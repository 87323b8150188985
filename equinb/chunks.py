"""How many views at once: one pass over all of them, or several, whichever is faster.

A GPU is fastest with all views in one pass. On a CPU the large tensors of such a pass
may cost more than they save, and several smaller passes are then faster. Neither can be
known from the model alone, so it is measured, on the device and the batch that will be
used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from equinb.distinct import Cached
from equinb.export import owner_of
from equinb.symmetrized import Symmetrized

#: Views at once that are tried besides all of them and as many as the batch has inputs.
SMALL_CHUNK = 8


@torch.no_grad()
def fastest_chunk(
    f: Symmetrized, x: Tensor, chunks: Sequence[int | None] = (), rounds: int = 5
) -> int | None:
    """The `chunk` with which `f` answers batches like `x` in the least time.

    Each candidate is called once to warm up, and then once a round, in an order that is
    reversed with every round; the least median is taken. A candidate for which the
    device has not enough memory is out. Outputs do not depend on the choice, beyond
    rounding. `f` is left as it was.

    Args:
        f: a symmetrized model, in eval mode, on the device where it will work.
        x: `(B, ...)`, a batch of the size that will be used.
        chunks: what to choose from; by default all views at once (None), `B` at once
            (for a plain average a loop over the group), and `SMALL_CHUNK` at once.
        rounds: how often each is timed.

    Returns:
        The number of views at once, or None for all.

    Raises:
        TypeError: if `f` is no symmetrized model.
        ValueError: for a model in training mode, whose statistics would change with
            every call; for one that remembers views, which answers the second call from
            memory; for less than one round, or a chunk that is no whole number of at
            least 1.
        MemoryError: if there is not enough memory for any candidate.

    Example:
        >>> import equinb as eq
        >>> G = eq.cyclic(4)
        >>> f = eq.Equitune(torch.nn.Flatten(), eq.Rot90(G), eq.Trivial(G)).eval()
        >>> f.chunk = fastest_chunk(f, torch.rand(16, 32, 32))
        >>> f.chunk in (None, 16, 8)
        True
    """
    _require_steady(f)
    if rounds < 1:
        raise ValueError(f"At least one round has to be timed; got {rounds}.")
    for chunk in chunks:
        if chunk is not None and (chunk != int(chunk) or chunk < 1):
            raise ValueError(
                f"chunk is the most views at once, a whole number of at least 1, or "
                f"None; got {chunk}."
            )
    views = f.act_in.group.order * len(x)
    fewer = (chunk for chunk in (len(x), SMALL_CHUNK) if 0 < chunk < views)
    candidates = list(dict.fromkeys(chunks or (*fewer, None)))
    before = f.chunk
    try:
        times = _in_turn(f, x, candidates, rounds)
    finally:
        f.chunk = before
    best = min(candidates, key=lambda chunk: median(times[chunk]))
    if math.isinf(median(times[best])):
        raise MemoryError(
            "There is not enough memory for any of these chunks: try a smaller one, or "
            "a smaller batch."
        )
    return best


def _require_steady(f: Symmetrized) -> None:
    """Only a model whose second call does what the first did can be timed."""
    if not isinstance(f, Symmetrized):
        raise TypeError(
            f"fastest_chunk times a symmetrized model, such as eq.Equitune(...); got "
            f"{type(f).__name__}."
        )
    owners = (owner_of(part) for part in (f.encoder, f.head))
    modules = [m for part in (f, *owners) if part is not None for m in part.modules()]
    if any(module.training for module in modules):
        raise ValueError("The model is in training mode: call eval() on it first.")
    if any(isinstance(module, Cached) for module in modules):
        raise ValueError(
            "The model remembers views, and would be timed without its work: choose "
            "the chunk first, without Cached."
        )


def _in_turn(
    f: Symmetrized, x: Tensor, candidates: list[int | None], rounds: int
) -> dict[int | None, list[float]]:
    """The seconds of each call, by candidate; infinity where memory is not enough."""
    device: Any = getattr(torch, x.device.type)  # torch.cpu, torch.cuda, torch.mps
    times: dict[int | None, list[float]] = {chunk: [] for chunk in candidates}
    for done in range(1 + rounds):
        for chunk in candidates[:: -1 if done % 2 else 1]:
            f.chunk = chunk
            device.synchronize()
            began = perf_counter()
            try:
                f(x)
                device.synchronize()
                took = perf_counter() - began
            except torch.cuda.OutOfMemoryError:
                took = math.inf
            if done:  # the first round is to warm up
                times[chunk].append(took)
    return times
