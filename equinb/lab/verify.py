"""Whether what is stored is whole, and still what its producer would make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from equinb.lab.files import ASSETS
from equinb.lab.results import RESULTS, load_result
from equinb.lab.weights import load_weights, read_sums


class Finding(NamedTuple):
    """What was found out about one file.

    Attributes:
        name: the file, below the folder.
        ok: whether nothing is wrong with it.
        note: in words.
    """

    name: str
    ok: bool
    note: str


def verify(folder: Path = ASSETS) -> list[Finding]:
    """Check every stored result and every file of weights below a folder.

    A result must be whole, made by the code as it is now, and accompanied by the
    weights that came with it; a file of weights must have the sha256 that is listed.

    Args:
        folder: as `equinb/assets` is laid out.

    Example:
        >>> all(finding.ok for finding in verify())
        True
    """
    return [*_weights(folder), *_results(folder)]


def _weights(folder: Path) -> Iterator[Finding]:
    there = {path.relative_to(folder).as_posix() for path in _files(folder)}
    for name in sorted(there | set(read_sums(folder))):
        try:
            tensors, _ = load_weights(name, folder)
            count = sum(tensor.numel() for tensor in tensors.values())
            yield Finding(name, True, f"{count:,} numbers, sha256 as listed")
        except (OSError, ValueError) as error:
            yield Finding(name, False, str(error))


def _results(folder: Path) -> Iterator[Finding]:
    results = folder / RESULTS.name
    sums = read_sums(folder)
    names = {
        path.stem for kind in ("csv", "json") for path in results.glob(f"*.{kind}")
    }
    for name in sorted(names):
        file = f"{results.name}/{name}.csv"
        try:
            rows, provenance = load_result(name, results)
        except (OSError, ValueError) as error:
            yield Finding(file, False, str(error))
            continue
        others = [f for f, s in provenance.weights.items() if sums.get(f) != s]
        if not provenance.is_current:
            note = f"its code has changed: run `{provenance.command} --ship`"
        elif others:
            note = f"{others[0]} is of another run: run `{provenance.command} --ship`"
        else:
            note = f"{len(rows)} rows, {provenance.age:.0f} days old, code unchanged"
        yield Finding(file, provenance.is_current and not others, note)


def _files(folder: Path) -> Iterator[Path]:
    return folder.rglob("*.safetensors")
