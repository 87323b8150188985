"""The gallery: a card for every figure and table of the paper, and where it is here.

Pictures and the words for them are taken from the executed notebooks, commands from the
records of the stored rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from equinb.lab import load_result
from reference.items import DOWNLOADS, ITEMS, Item, item_of, not_run
from reference.side_by_side import anchor, known_items
from reference.thumbnails import slim


def figures(notebooks: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """The drawings of executed notebooks by their names, each with its metadata."""
    found = {}
    for path in sorted(notebooks.glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            options = cell["metadata"].get("mystnb", {})
            for output in cell.get("outputs", []):
                drawing = output.get("data", {}).get("image/svg+xml")
                if drawing and "figure" in options:
                    found[options["figure"]["name"]] = "".join(drawing), options
    return found


def thumbnails(notebooks: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every picture of the gallery."""
    drawn = figures(notebooks)
    for name in sorted({item.figure for item in ITEMS if item.figure}):
        yield f"{name}.svg", slim(drawn[name][0])


def gallery(notebooks: Path) -> str:
    """A card an item, as MyST text."""
    drawn = figures(notebooks)
    cards = {"Figures": "", "Tables": ""}
    for item in ITEMS:
        kind = "Tables" if item.name.startswith("Table") else "Figures"
        cards[kind] += card(item, drawn.get(item.figure, ("", {}))[1])
    grid = "## {}\n\n:::::{{grid}} 1 2 2 2\n:gutter: 3\n\n{}:::::\n"
    return "\n".join(grid.format(kind, text) for kind, text in cards.items())


def card(item: Item, options: dict[str, Any]) -> str:
    """What a reader sees of an item."""
    lines = [f"::::{{grid-item-card}} {item.name}", ""]
    if item.figure:
        image = options["image"]
        photo = "photo" in image.get("classes", "").split()
        lines += [
            f":::{{image}} thumbnails/{item.figure}.svg",
            f":alt: {image['alt']}",
            *([":class: drawn"] if not photo else []),
            ":::",
            "",
        ]
    lines += [f"{{bdg-secondary}}`{item.state}`", "", item.shows, ""]
    if item.page:
        page = f"[](../notebooks/{item.page}.ipynb)"
        figure = f"{{numref}}`{item.figure}` of " if item.figure else ""
        lines += [f"**Here:** {figure}{page}", ""]
    commands = [f"`{load_result(name).provenance.command}`" for name in item.results]
    if commands:
        lines += [f"**Rows:** {', '.join(commands)}", ""]
    elif item.page:
        lines += ["**Rows:** none, the page computes it", ""]
    lines += [f"**Not run:** `{c}`; {DOWNLOADS}" for c in not_run(item)]
    lines += ["", f"**The paper's values:** {values(item)}", "::::", "", ""]
    return "\n".join(lines)


def values(item: Item) -> str:
    """Where the paper's values of an item stand beside ours."""
    known = [name for name in known_items() if item_of(name) == item]
    links = ", ".join(f"{{ref}}`beside ours <{anchor(name)}>`" for name in known)
    return links or "not available"
