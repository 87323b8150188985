"""Times that can be compared: calls take turns, so that what slows one slows all.

A machine is now fast and now slow. The ratio of two times of one round has little of
that, and the median over rounds does not mind the few that were disturbed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy.stats import binom

Call = Callable[[], object]


class Median(NamedTuple):
    """A median and the interval around it, in the units of the values."""

    median: float
    low: float
    high: float


def seconds(call: Call, times: int = 1, device: str = "cpu") -> float:
    """The mean wall time of some calls, one after the other.

    Args:
        call: what is timed; call it once before, if its first call is a slow one.
        times: how many calls.
        device: where it works: a GPU is waited for before and after.
    """
    wait(device)
    began = time.perf_counter()
    for _ in range(times):
        call()
    wait(device)
    return (time.perf_counter() - began) / times


def in_turn(
    calls: Mapping[str, Call], rounds: int, times: int = 1, device: str = "cpu"
) -> Iterator[tuple[int, str, float]]:
    """Time every call once a round, in an order that is reversed with every round.

    Args:
        calls: what is timed, by name.
        rounds: how many.
        times: calls that follow one another for one time.
        device: where they work.

    Yields:
        The round, the name and the seconds of a call.

    Example:
        >>> calls = {"a": lambda: None, "b": lambda: None}
        >>> [(r, name) for r, name, _ in in_turn(calls, 2)]
        [(0, 'a'), (0, 'b'), (1, 'b'), (1, 'a')]
    """
    for done in range(rounds):
        for name in list(calls)[:: -1 if done % 2 else 1]:
            yield done, name, seconds(calls[name], times, device)


def median_interval(values: ArrayLike) -> Median:
    """The median of repetitions, and its 95 % interval by order statistics.

    It asks of the repetitions only that they are independent. Six are the fewest that
    have such an interval, from the least to the greatest.

    Args:
        values: `(n,)`, n >= 6.

    Raises:
        ValueError: if there are fewer than six, or one is not finite.

    Example:
        >>> median_interval([5, 1, 4, 2, 3, 6])
        Median(median=3.5, low=1.0, high=6.0)
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    if x.ndim != 1 or len(x) < 6 or not np.isfinite(x).all():
        raise ValueError(
            "An interval of a median needs at least six finite numbers in one row; got "
            f"{x.tolist()}."
        )
    # Fewer than k of n values lie below the median with a chance of 2.5 % at most.
    k = int(binom.ppf(0.025, len(x), 0.5))
    return Median(float(np.median(x)), float(x[k - 1]), float(x[-k]))


def medians(table: pd.DataFrame) -> pd.DataFrame:
    """The median over repetitions of each column, and its 95 % interval.

    Args:
        table: a row a repetition, a column a method; times, or their ratios.

    Returns:
        A row a method, with the columns median, low and high.

    Example:
        >>> medians(pd.DataFrame({"equitune": [5.0, 1, 4, 2, 3, 6]}))
                  median  low  high
        equitune     3.5  1.0   6.0
    """
    found = {name: median_interval(table[name]) for name in table}
    return pd.DataFrame(found, index=Median._fields).T


def wait(device: str) -> None:
    """Until a GPU has done all that it was told; the CPU has, when a call returns."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
