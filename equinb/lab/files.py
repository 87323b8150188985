"""Files that are whole or not there, and their checksums."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
ASSETS = PACKAGE / "assets"


def write_atomic(path: Path, data: bytes) -> Path:
    """Write a file so that a reader sees the old one or the new one, never a part.

    Args:
        path: where to; its folder is made if it is missing.
        data: the whole content.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp lets the owner alone read; shipped files are for everyone.
        Path(part).chmod(0o644)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    return path


def remove_parts(folder: Path) -> None:
    """Remove what writes that were killed half-way have left below a folder."""
    for path in folder.rglob(".*.????????"):
        path.unlink(missing_ok=True)


def sha256(data: bytes, text: bool = False) -> str:
    r"""The sha256 of some bytes, in hexadecimal.

    Args:
        data: the bytes.
        text: take the line ends \r\n of a checkout on Windows for \n.

    Example:
        >>> sha256(b"a\r\n", text=True) == sha256(b"a\n")
        True
    """
    data = data.replace(b"\r\n", b"\n") if text else data
    return hashlib.sha256(data).hexdigest()
