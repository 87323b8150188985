"""Data sets that are not shipped: they lie in the folder that `EQUINB_DATA` names."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder(name: str, source: str) -> Path:
    """Where a data set lies, below `EQUINB_DATA`: a folder, or a file.

    Raises:
        FileNotFoundError: if it does not lie there.
    """
    root = os.environ.get("EQUINB_DATA")
    folder = Path(root or ".", name)
    if not root or not folder.exists():
        where = f"{folder} is missing" if root else "EQUINB_DATA is not set"
        raise FileNotFoundError(
            f"{where}: {source}, and let the environment variable EQUINB_DATA name the "
            f"folder that holds {name}."
        )
    return folder
