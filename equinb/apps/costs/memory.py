"""The memory of one call: what is made in it at once, and what is kept from it."""

from __future__ import annotations

import ctypes
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from equinb.apps.costs.clock import Call, wait

#: Parameters of `mallopt`, in the C library of GNU.
TRIM_THRESHOLD, MMAP_MAX = -1, -4


def peak(call: Call, device: str = "cpu") -> int:
    """The most bytes that the tensors made in one call take at once.

    What was there before, such as weights and inputs, is not counted. On a CPU the
    profiler of torch sees every tensor come and go; it does not see what a library
    takes without it.

    Args:
        call: what is counted, called once.
        device: where it works.

    Example:
        >>> x = torch.zeros(1000)
        >>> peak(lambda: x.exp().exp()) == 2 * x.nbytes
        True
    """
    if torch.device(device).type == "cuda":
        wait(device)
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        wait(device)
        return torch.cuda.max_memory_allocated() - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # no talk of devices
    kinds = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=kinds, profile_memory=True) as profiler:
        call()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    changes = [event for event in events if event["name"] == "[memory]"]
    held = most = 0
    for event in sorted(changes, key=lambda event: event["ts"]):
        held += event["args"]["Bytes"]
        most = max(most, held)
    return most


def weights(modules: Iterable[nn.Module]) -> int:
    """The bytes of the weights of some networks, buffers included.

    Example:
        >>> weights([nn.Linear(3, 5)])
        80
    """
    tensors = [t for m in modules for t in (*m.parameters(), *m.buffers())]
    return sum(tensor.nbytes for tensor in tensors)


def keep_memory() -> None:
    """Let this process keep the memory that it frees, for the rest of its life.

    By default the C library returns large pieces to the system, and a network that
    makes large tensors asks for them anew in every layer. The system then has to clear
    them, page by page.

    Raises:
        OSError: where there is no such setting: it is one of the C library of GNU.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError, OSError) as error:
        raise OSError(
            "Memory can be kept with the C library of GNU only, as on most Linux: "
            "leave this way of computing out."
        ) from error
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, -1)
