"""What the reference pages hold that is made anew with every build.

A page asks for it by a line `% made here: NAME`; the rest of the page is its own text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from reference import front, gallery, side_by_side, status

ROOT = Path(__file__).resolve().parents[2]
PLACE = re.compile(r"^% made here:\s*(.*?)\s*$", re.MULTILINE)


def parts(notebooks: Path) -> dict[str, Callable[[], str]]:
    """What can be asked for, by its name.

    Args:
        notebooks: the folder of the executed notebooks.
    """
    return {
        "landing": lambda: front.landing(notebooks),
        "glance": front.glance,
        "time-to-read": lambda: front.time_to_read(notebooks),
        "time-to-run": lambda: front.time_to_run(notebooks),
        "time-to-use": lambda: front.time_to_use(notebooks),
        "path": lambda: front.path(notebooks, chapters()),
        "gallery": lambda: gallery.gallery(notebooks),
        "beside-summary": side_by_side.summary,
        "beside": side_by_side.sections,
        "machine": lambda: status.machine(notebooks),
        "pages": lambda: status.pages(notebooks, chapters()),
        "stored": status.stored,
        "unrun": status.unrun,
    }


def fill(text: str, notebooks: Path) -> str:
    """A page with all that it asks for.

    Raises:
        ValueError: if it asks for what is not made.
    """
    made = parts(notebooks)
    for name in PLACE.findall(text):
        if name not in made:
            known = ", ".join(made)
            raise ValueError(f"Nothing is made here by the name {name!r}: {known}.")
    return PLACE.sub(lambda place: made[place[1]](), text)


def files(notebooks: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield the pictures and files of those pages, by their path in `book/`."""
    for name, picture in gallery.thumbnails(notebooks):
        yield Path("thumbnails", name), picture
    yield Path("paper_beside_here.csv"), side_by_side.as_csv()


def chapters() -> list[str]:
    """The notebooks in the order of the book."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    return [Path(name).name for name in files if name.startswith("notebooks/")]
