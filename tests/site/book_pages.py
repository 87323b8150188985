"""Which pages the site has, where it lies, and how it is looked at."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("EQUINB_SITE", ROOT / "_build" / "html"))
WIDTHS = {"wide": 1280, "narrow": 390}
THEMES = ("light", "dark")


def toc_pages() -> list[str]:
    """Docnames of every page of the table of contents, the first page first."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    names = [toc["root"]]
    waiting = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    while waiting:
        entry = waiting.pop(0)
        names.append(entry["file"])
        waiting = entry.get("sections", []) + waiting
    return names
