"""What the reference pages share: cells and times of notebooks, links, tables."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

START, END = "iopub.execute_input", "shell.execute_reply"


@cache
def cells(notebook: Path) -> list[dict[str, Any]]:
    """The cells of an executed notebook; who reads them leaves them as they are."""
    found: list[dict[str, Any]] = json.loads(notebook.read_text("utf-8"))["cells"]
    return found


def spans(cells: list[dict[str, Any]]) -> list[tuple[datetime, datetime]]:
    """The begin and the end of each cell, by the clock that the notebook carries."""
    stamps = [cell["metadata"].get("execution", {}) for cell in cells]
    return [(_time(s[START]), _time(s[END])) for s in stamps if START in s and END in s]


def runtime(cells: list[dict[str, Any]]) -> float:
    """The seconds that some cells took together."""
    return sum((end - start).total_seconds() for start, end in spans(cells))


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))


def link(page: str, text: str = "") -> str:
    """A link from a page of `book/` to a notebook, by its title if no text is given."""
    return f"[{text}](../notebooks/{page}.ipynb)"


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], right: Container[str] = ()
) -> str:
    """A table in Markdown.

    Args:
        head: the names of the columns.
        rows: their values.
        right: the columns that are aligned there, as numbers are.
    """
    rule = ["--:" if name in right else ":--" for name in head]
    lines = [f"| {' | '.join(map(str, row))} |" for row in (head, rule, *rows)]
    return "\n".join([*lines, ""])
