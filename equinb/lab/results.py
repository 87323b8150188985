"""Stored results: a tidy table (CSV) and its provenance (JSON), side by side."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from packaging.version import Version

from equinb.lab.files import ASSETS, sha256, write_atomic
from equinb.lab.provenance import Provenance

RESULTS = ASSETS / "results"
#: Numbers are read back as they were written; later versions of pandas do so anyway.
EXACT: dict[str, Any] = (
    {"float_precision": "round_trip"}
    if Version(pd.__version__) < Version("3.1")
    else {}
)


class StoredResult(NamedTuple):
    """A stored table and where it comes from.

    Attributes:
        rows: one row a (method, seed, setting).
        provenance: the record of the run that made them.
    """

    rows: pd.DataFrame
    provenance: Provenance


class Interval(NamedTuple):
    """A mean and the interval around it, in the units of the values."""

    mean: float
    low: float
    high: float


def save_result(
    name: str,
    rows: pd.DataFrame | Sequence[Mapping[str, Any]],
    provenance: Provenance,
    folder: Path = RESULTS,
) -> Path:
    """Store rows as `NAME.csv` and their provenance as `NAME.json`.

    Args:
        name: the name of the result.
        rows: a data frame, or one mapping a row; its index is not kept.
        provenance: the record of the run.
        folder: where to; the package's own results if not given.

    Returns:
        The path of the table.

    Raises:
        ValueError: if there are no rows.
    """
    table = pd.DataFrame(rows)
    if table.empty:
        raise ValueError(f"The result {name} has no rows, so nothing was stored.")
    data = table.to_csv(index=False, lineterminator="\n").encode()
    record = {"rows": len(table), "sha256": sha256(data), **asdict(provenance)}
    path = write_atomic(folder / f"{name}.csv", data)
    # The record comes second: a table without its own record is refused.
    write_atomic(
        path.with_suffix(".json"), (json.dumps(record, indent=2) + "\n").encode()
    )
    return path


def load_result(name: str, folder: Path = RESULTS) -> StoredResult:
    """The rows and the provenance that `save_result` has stored.

    Args:
        name: the name of the result.
        folder: where from; the package's own results if not given.

    Raises:
        FileNotFoundError: if there is no such result.
        ValueError: if its table or record is damaged.

    Example:
        >>> rows, provenance = load_result("dqn-small")
        >>> sorted(rows["method"].unique()), provenance.seeds
        (['equitune', 'equizero', 'lambda-equitune', 'pretrained'], [0, 1, 2, 3, 4])
    """
    table, record = folder / f"{name}.csv", folder / f"{name}.json"
    if table.exists() != record.exists():
        raise ValueError(
            f"Of the result {name} only half is there: restore {name}.csv and "
            f"{name}.json with git, or make it again with `equinb run`."
        )
    if not table.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.csv"))) or "none"
        raise FileNotFoundError(
            f"There is no stored result {name!r} (there are: {known}): check its name, "
            "or make it with `equinb run`."
        )
    try:
        stored = json.loads(record.read_text(encoding="utf-8"))
        count, checksum = stored.pop("rows"), stored.pop("sha256")
        provenance = Provenance(**stored)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"The record {name}.json is damaged: restore it with git or reinstall "
            f"equinb, or make the result again: `equinb run` (see `equinb list`)."
        ) from error
    data = table.read_bytes()
    if sha256(data, text=True) != checksum:
        raise ValueError(
            f"The table {name}.csv is not the one of {count} rows that {name}.json "
            f"describes: restore both, or run `{provenance.command}`."
        )
    return StoredResult(pd.read_csv(io.BytesIO(data), **EXACT), provenance)


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """The mean over seeds and its interval, by Student's t.

    Args:
        values: `(n,)`, one finite number a seed, n >= 2.
        confidence: the share of such intervals that hold the true mean, if the values
            are independent and normal.

    Raises:
        ValueError: if there are fewer than two values, or one is not finite.

    Example:
        >>> mean, low, high = mean_interval([1.0, 2.0, 3.0])
        >>> mean, round(low, 2), round(high, 2)
        (2.0, -0.48, 4.48)
    """
    from scipy.stats import t

    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(
            "An interval over seeds needs at least two finite numbers in one row; got "
            f"{x.tolist()}."
        )
    mean = float(x.mean())
    half = float(
        t.ppf((1 + confidence) / 2, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5
    )
    return Interval(mean, mean - half, mean + half)


def intervals(table: pd.DataFrame) -> pd.DataFrame:
    """The mean over seeds of each column, and its 95 % interval.

    Args:
        table: a row a seed, a column a method.

    Returns:
        A row a method, with the columns mean, low and high.

    Example:
        >>> intervals(pd.DataFrame({"equitune": [1.0, 2.0, 3.0]})).round(2)
                  mean   low  high
        equitune   2.0 -0.48  4.48
    """
    found = {name: mean_interval(table[name]) for name in table}
    return pd.DataFrame(found, index=Interval._fields).T


def paired_gains(table: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """By how much one method is ahead of another, difference by difference.

    The seeds differ among themselves more than the methods do; the interval of their
    differences is what tells the methods apart.

    Args:
        table: a row a seed, a column a method.
        pairs: (one, other), the names of two columns.

    Returns:
        A row a pair, "one - other", with the columns mean, low and high.

    Example:
        >>> table = pd.DataFrame({"a": [1.0, 5.0, 9.0], "b": [2.0, 6.1, 9.9]})
        >>> paired_gains(table, [("b", "a")]).round(2)
               mean   low  high
        b - a   1.0  0.75  1.25
    """
    differences = {
        f"{one} - {other}": table[one] - table[other] for one, other in pairs
    }
    return intervals(pd.DataFrame(differences))
