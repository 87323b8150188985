"""What an answer costs: in operations, counted, and in time, measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from equinb.symmetrized import TensorMap


@torch.no_grad()
def operations(function: Callable[[Tensor], Any], x: Tensor) -> int:
    """The floating-point operations of products and convolutions in one call.

    In evaluation torch has a faster way through attention, whose products the counter
    does not see; it is not taken here.

    Args:
        function: what is called.
        x: with what.

    Example:
        >>> layer = torch.nn.MultiheadAttention(4, 1, batch_first=True).eval()
        >>> attend = lambda x: layer(x, x, x, need_weights=False)[0]
        >>> products, attention = 4 * 2 * 3 * 4 * 4, 2 * 2 * 3 * 3 * 4
        >>> operations(attend, torch.zeros(1, 3, 4)) == products + attention
        True
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False) as counter:
            function(x)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops())


@torch.no_grad()
def seconds(function: TensorMap, x: Tensor, times: int = 2) -> float:
    """The least time of some calls on a CPU, after one that is not timed.

    Args:
        function: what is called.
        x: with what; not on a GPU, which would not be waited for.
        times: how many calls are timed.

    Returns:
        Seconds.
    """
    function(x)
    found = []
    for _ in range(times):
        began = time.perf_counter()
        function(x)
        found.append(time.perf_counter() - began)
    return min(found)
