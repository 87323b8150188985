"""Where a stored result comes from, and whether its producer has changed since."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from equinb.lab.code import hash_sources


@dataclass(frozen=True)
class Provenance:
    """The record that a stored result carries. It names no machine and no folder.

    Attributes:
        command: what makes the result again, from the root of the repository.
        config: the settings, as JSON values.
        seeds: the seeds of the runs behind the rows.
        sources: the files that determine the rows, as paths inside the package: code,
            and weights that were read.
        code_hash: one sha256 over `sources`, as they were.
        versions: the version of Python and of each package that matters.
        device: "cpu", "cuda" or "mps".
        date: when it was made, ISO 8601, UTC.
        wall_time: how many seconds the work took, summed over jobs that ran side by
            side.
        weights: the sha256 of each file of weights that came with the rows.

    Example:
        >>> made = Provenance.record("make", sources=["groups.py"], packages=["numpy"])
        >>> made.is_current, sorted(made.versions)
        (True, ['numpy', 'python'])
    """

    command: str
    config: dict[str, Any]
    seeds: list[int]
    sources: list[str]
    code_hash: str
    versions: dict[str, str]
    device: str
    date: str
    wall_time: float
    weights: dict[str, str] = field(default_factory=dict)

    @classmethod
    def record(
        cls,
        command: str,
        *,
        sources: Iterable[str],
        packages: Iterable[str],
        config: Mapping[str, Any] | None = None,
        seeds: Iterable[int] = (),
        device: str = "cpu",
        wall_time: float = 0.0,
        weights: Mapping[str, str] | None = None,
    ) -> Provenance:
        """The record of something made now.

        Raises:
            FileNotFoundError: if a source is missing.
            importlib.metadata.PackageNotFoundError: if a package is not installed.
        """
        names = sorted(set(sources))
        versions = {name: version(name) for name in packages}
        return cls(
            command=command,
            config=dict(config or {}),
            seeds=[int(seed) for seed in seeds],
            sources=names,
            code_hash=hash_sources(names),
            versions={"python": platform.python_version(), **versions},
            device=device,
            date=now(),
            wall_time=round(wall_time, 1),
            weights=dict(weights or {}),
        )

    @property
    def is_current(self) -> bool:
        """Whether the sources are still what they were when the result was made."""
        try:
            return hash_sources(self.sources) == self.code_hash
        except FileNotFoundError:
            return False

    @property
    def age(self) -> float:
        """How long ago the result was made, in days."""
        made = datetime.fromisoformat(self.date)
        return (datetime.now(UTC) - made).total_seconds() / 86400

    def __str__(self) -> str:
        code = "unchanged since" if self.is_current else "CHANGED since: run it again"
        versions = ", ".join(f"{name} {v}" for name, v in self.versions.items())
        return "\n".join(
            [
                f"made   {self.date[:10]}, {self.age:.0f} days ago",
                f"by     {self.command}",
                f"in     {self.wall_time:.0f} s on {self.device}, seeds {self.seeds}",
                f"with   {versions}",
                f"code   {self.code_hash[:12]}, {code}",
            ]
        )


def now() -> str:
    """The time, ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
