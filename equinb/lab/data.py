"""Data sets that are not shipped: they lie in the folder that `EQUINB_DATA` names."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder(name: str, source: str) -> Path:
    """Where a data set lies, below `EQUINB_DATA`.

    Raises:
        FileNotFoundError: if it does not lie there.
    """
    folder = _place(name)
    if folder is None or not folder.is_dir():
        raise _missing(folder, source, f"{name}/")
    return folder


def data_file(name: str, source: str) -> Path:
    """Where a data set of one file lies, below `EQUINB_DATA`.

    Raises:
        FileNotFoundError: if it does not lie there.
    """
    file = _place(name)
    if file is None or not file.is_file():
        raise _missing(file, source, name)
    return file


def _place(name: str) -> Path | None:
    root = os.environ.get("EQUINB_DATA")
    return Path(root, name) if root else None


def _missing(place: Path | None, source: str, name: str) -> FileNotFoundError:
    where = f"{place} is missing" if place else "EQUINB_DATA is not set"
    return FileNotFoundError(
        f"{where}: {source}, and let the environment variable EQUINB_DATA name the "
        f"folder that holds {name}."
    )
