"""The gallery: a card for every figure and table of the paper, and where it is here.

Pictures and the words for them are taken from the executed notebooks, commands from the
records of the stored rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from equinb.lab import load_result
from reference.items import DOWNLOADS, ITEMS, Item, item_of, not_run
from reference.pages import cells, link
from reference.side_by_side import anchor, known_items, title
from reference.thumbnails import slim


@cache
def figures(notebooks: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """The drawings of executed notebooks by their names, each with its metadata."""
    found = {}
    for path in sorted(notebooks.glob("*.ipynb")):
        for cell in cells(path):
            options = cell["metadata"].get("mystnb", {})
            for output in cell.get("outputs", []):
                drawing = output.get("data", {}).get("image/svg+xml")
                if drawing and "figure" in options:
                    found[options["figure"]["name"]] = "".join(drawing), options
    return found


def figure(notebooks: Path, name: str) -> tuple[str, dict[str, Any]]:
    """A drawing and its metadata.

    Raises:
        ValueError: if no executed page has it.
    """
    drawn = figures(notebooks)
    if name not in drawn:
        raise ValueError(f"No executed page has the figure {name!r} of the gallery.")
    return drawn[name]


def thumbnails(notebooks: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every picture of the gallery."""
    for name in sorted({item.figure for item in ITEMS if item.figure}):
        yield f"{name}.svg", slim(figure(notebooks, name)[0])


def gallery(notebooks: Path) -> str:
    """A card an item, as MyST text."""
    cards = {"Figures": "", "Tables": ""}
    for item in ITEMS:
        kind = "Tables" if item.name.startswith("Table") else "Figures"
        cards[kind] += card(item, notebooks)
    grid = "## {}\n\n:::::{{grid}} 1 2 2 2\n:gutter: 3\n\n{}:::::\n"
    return "\n".join(grid.format(kind, text) for kind, text in cards.items())


def card(item: Item, notebooks: Path) -> str:
    """What a reader sees of an item."""
    lines = [f"::::{{grid-item-card}} {item.name}", ""]
    if item.figure:
        image = figure(notebooks, item.figure)[1]["image"]
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
        drawing = f"{{numref}}`{item.figure}` of " if item.figure else ""
        lines += [f"**Here:** {drawing}{link(item.page)}", ""]
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
    links = ", ".join(f"{{ref}}`{title(name)} <{anchor(name)}>`" for name in known)
    return f"beside ours: {links}" if links else "not available"
