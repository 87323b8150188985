"""Which pages the site has, where it lies, and how it is looked at."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("EQUINB_SITE", ROOT / "_build" / "html"))
WIDTHS = {"wide": 1280, "narrow": 390}
THEMES = ("light", "dark")
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


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


@cache
def soup(page: Path) -> BeautifulSoup:
    """A page of the built site, parsed; who reads it leaves it as it is."""
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def weight(page: Path) -> int:
    """The bytes of a page with its own pictures, without the theme."""
    images = {str(i["src"]) for i in soup(page).select(".bd-article img")}
    files = {source for source in images if not source.startswith("data:")}
    pictures = [page.parent / unquote(urlsplit(file).path) for file in files]
    return sum(part.stat().st_size for part in [page, *pictures])
