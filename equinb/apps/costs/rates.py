"""How much a device can do: its best rate, and what it is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from equinb.apps.costs.clock import seconds

#: The side of the matrices whose product is timed, on a CPU and on anything else.
SIDE, LARGE_SIDE = 1024, 8192


def matrix_rate(device: str, dtype: torch.dtype, side: int | None = None) -> float:
    """Operations a second in a product of large square matrices, the best of some.

    On a GPU it has as few digits as convolutions have there by default.

    Args:
        device: whose rate.
        dtype: of the matrices.
        side: how large they are; by default as large as suits the device.

    Example:
        >>> matrix_rate("cpu", torch.float32, side=64) > 0
        True
    """
    if side is None:
        side = SIDE if torch.device(device).type == "cpu" else LARGE_SIDE
    a = torch.randn(side, side, device=device, dtype=dtype)
    made = torch.empty_like(a)
    with _digits_of_convolutions():
        calls = range(11)
        times = [seconds(lambda: torch.mm(a, a, out=made), 1, device) for _ in calls]
    return 2 * side**3 / min(times[1:])


def card(device: str) -> str:
    """The model of a device, such as "NVIDIA H200"; it names no machine."""
    if torch.device(device).type == "cuda":
        return str(torch.cuda.get_device_name())
    return f"{device.upper()}, {torch.get_num_threads()} threads"


@contextmanager
def _digits_of_convolutions() -> Iterator[None]:
    products = torch.backends.cuda.matmul
    before = products.allow_tf32
    products.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        products.allow_tf32 = before
