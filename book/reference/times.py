"""When an executed notebook ran, by the clock that it carries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

START, END = "iopub.execute_input", "shell.execute_reply"


def spans(cells: list[dict[str, Any]]) -> list[tuple[datetime, datetime]]:
    """The begin and the end of each of its cells."""
    stamps = [cell["metadata"].get("execution", {}) for cell in cells]
    return [(_time(s[START]), _time(s[END])) for s in stamps if START in s and END in s]


def runtime(cells: list[dict[str, Any]]) -> float:
    """The seconds that its cells took together."""
    return sum((end - start).total_seconds() for start, end in spans(cells))


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))
