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

    Args:
        function: what is called.
        x: with what.

    Example:
        >>> operations(torch.nn.Linear(3, 5), torch.zeros(2, 3))
        60
    """
    with FlopCounterMode(display=False) as counter:
        function(x)
    return int(counter.get_total_flops())


@torch.no_grad()
def seconds(function: TensorMap, x: Tensor, times: int = 2) -> float:
    """The least time of some calls, in seconds, after one that is not timed."""
    function(x)
    found = []
    for _ in range(times):
        began = time.perf_counter()
        function(x)
        found.append(time.perf_counter() - began)
    return min(found)
