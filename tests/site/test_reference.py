"""The generated pages: all there, light, and telling what stored rows and pages say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import reference
from book_pages import soup, toc_pages, weight
from bs4 import Tag

from equinb.apps import EXPERIMENTS, load_experiment
from equinb.apps.beside import beside
from equinb.lab.results import RESULTS

FIGURES = ["1", "2", "3", "4", "5a", "5b", *"6789", "10", "11a", "11b"]
NAMES = [f"Figure {n}" for n in FIGURES] + [f"Table {n}" for n in range(1, 13)]
#: What a card says, by what the table of values says to differ.
STATES = {
    "": "reproduced",
    "device": "reproduced on another device",
    "model": "made again with other models",
}
MISSING = "content not available"
PAGES = ["gallery", "paper_beside_here", "status"]


def article(site: Path, name: str) -> Tag:
    found = soup(site / f"{name}.html").select_one("article")
    assert found is not None
    return found


def tables(part: Tag) -> list[list[list[str]]]:
    """The cells of every table, as text."""
    return [
        [[c.get_text().strip() for c in r.select("th, td")] for r in t.select("tr")]
        for t in part.select("table")
    ]


@pytest.fixture(scope="module")
def cards(site: Path) -> dict[str, Tag]:
    found = article(site, "book/gallery").select(".sd-card")
    return {c.select_one(".sd-card-title").get_text().strip(): c for c in found}


def test_a_request_that_nothing_answers_is_told(site: Path) -> None:
    made = reference.fill("a\n% made here: unrun \nb", site)
    assert "| experiment | preset |" in made
    with pytest.raises(ValueError, match=r"'glanse'.*: landing, glance, .*, path"):
        reference.fill("% made here: glanse", site)


# --- gallery ----------------------------------------------------------------------


def test_every_figure_and_table_has_a_card(cards: dict[str, Tag]) -> None:
    assert list(cards) == NAMES
    for name, card in cards.items():
        state = card.select_one(".sd-badge").get_text()
        assert state in {*STATES.values(), MISSING}, name
        page = card.select("a[href*='notebooks/']")
        assert bool(page) == (state != MISSING), name


def test_a_card_says_of_itself_what_its_values_say(cards: dict[str, Tag]) -> None:
    known = beside().dropna(subset="result")
    for (item, apart), _ in known.groupby(["item", "apart"]):
        kind, number = re.findall(r"^(fig|table)(\d+[ab]?)", item)[0]
        name = f"{'Figure' if kind == 'fig' else 'Table'} {number}"
        card = cards.get(name) or cards[name.rstrip("ab")]
        state = card.select_one(".sd-badge").get_text()
        assert state == STATES[apart.split(" ")[0]], (item, apart)


def test_cards_name_the_commands_of_their_experiments(cards: dict[str, Tag]) -> None:
    """An experiment says in its title which items it is for: "(Fig. 5a, 11a)"."""
    seen = set()
    for name in EXPERIMENTS:
        if not any((RESULTS / f"{name}-{p}.csv").exists() for p in ("small", "paper")):
            continue
        title = load_experiment(name).title
        for kind, numbers in re.findall(r"(Fig\.|Tab\.|Table) ([\da-c, -]+)", title):
            for first, last in re.findall(r"(\d+)[ab]?(?:-(\d+))?", numbers):
                for number in range(int(first), int(last or first) + 1):
                    item = f"{'Figure' if kind == 'Fig.' else 'Table'} {number}"
                    fit = [c for n, c in cards.items() if re.match(rf"{item}\b", n)]
                    fit = fit or [c for n, c in cards.items() if n[:-1] == item]
                    texts = [card.get_text() for card in fit]
                    assert any(f"equinb run {name} " in text for text in texts), item
                    seen.add(item)
    assert len(seen) >= 18


def test_thumbnails_are_small(site: Path, cards: dict[str, Tag]) -> None:
    for name, card in cards.items():
        for image in card.select("img"):
            size = (site / "book" / str(image["src"])).stat().st_size
            assert size < 60e3, f"{name}: {size / 1e3:.0f} kB"
    pictures = sum(len(card.select("img")) for card in cards.values())
    assert pictures >= 13


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_light(name: str, site: Path) -> None:
    assert weight(site / "book" / f"{name}.html") < 1.5e6


# --- paper beside here ------------------------------------------------------------


def test_every_value_of_the_paper_is_shown(site: Path) -> None:
    page, known = article(site, "book/paper_beside_here"), beside()
    shown = [t for t in tables(page) if "paper" in t[0] and "here" in t[0]]
    assert sum(len(table) - 1 for table in shown) == len(known)
    assert len(shown) == known["item"].nunique()
    links = [str(a["href"]) for a in page.select("a.download")]
    (file,) = [site / "book" / link for link in links if link.endswith(".csv")]
    read = pd.read_csv(file).fillna({"apart": ""})
    pd.testing.assert_frame_equal(read, known, check_dtype=False)


def section(site: Path, name: str) -> tuple[list[str], list[list[str]]]:
    page = article(site, "book/paper_beside_here")
    part = page.select_one(f"#beside-{name}")
    assert part is not None
    part = part if part.name == "section" else part.find_parent("section")
    head, *rows = tables(part)[0]
    return head, rows


def test_a_section_says_what_the_table_of_its_chapter_says(site: Path) -> None:
    """Figure 5a beside the executed page that has it."""
    there = tables(article(site, "notebooks/34_finetuning_clip"))
    steps = ["0", "1000", "2000", "3000", "4000"]
    table = next(t for t in there if t[0][-5:] == steps)
    known, model = {}, ""
    for row in table:
        if len(row) == 7:
            model = row[0]
        if row[-6:-5] and row[-6] in ("equitune", "equizero", "lambda-equitune"):
            known |= {
                (model, row[-6], n): v for n, v in zip(steps, row[-5:], strict=True)
            }
    head, rows = section(site, "fig5a")
    for cells in rows:
        row = dict(zip(head, cells, strict=True))
        there = known[row["model here"], row["method"], row["step"]]
        # A number half way between two may be rounded to either.
        assert float(row["here"]) == pytest.approx(float(there), abs=0.101)


def test_table_2_reads_as_on_its_chapter(site: Path) -> None:
    text = article(site, "notebooks/22_scan_tables").get_text(" ")
    head, rows = section(site, "table2")
    for cells in rows:
        row = dict(zip(head, cells, strict=True))
        assert f"{row['here']} (" in text
        assert not row["as published"] or f"{row['as published']} (" in text


# --- status -----------------------------------------------------------------------


def test_times_are_those_of_the_pages(site: Path) -> None:
    page = article(site, "book/status")
    (table,) = [t for t in tables(page) if t[0][:2] == ["page", "seconds"]]
    rows = page.select("table a[href*='notebooks/']")
    names = [n for n in toc_pages() if n.startswith("notebooks/")]
    assert [str(a["href"]).split("/")[-1] for a in rows] == [
        f"{Path(n).name}.html" for n in names
    ]
    for name, row in zip(names, table[1:], strict=False):
        badge = article(site, name).select_one(".sd-badge")
        assert badge.get_text() == f"{row[1]} s"


def test_every_stored_result_is_listed_with_its_state(site: Path) -> None:
    found = tables(article(site, "book/status"))
    (table,) = [t for t in found if t[0][:3] == ["result", "rows", "state"]]
    assert [row[0] for row in table[1:]] == sorted(
        p.stem for p in RESULTS.glob("*.csv")
    )
    for row in table[1:]:
        made = json.loads((RESULTS / f"{row[0]}.json").read_text(encoding="utf-8"))
        assert (row[1], row[-1]) == (str(made["rows"]), made["command"])
        assert row[2] == "code unchanged" or row[2].startswith("stale: ")


def test_what_is_not_run_has_no_rows(site: Path) -> None:
    found = tables(article(site, "book/status"))
    (table,) = [t for t in found if t[0][:2] == ["experiment", "preset"]]
    assert len(table) > 5
    for row in table[1:]:
        name = row[3].split()[2]
        assert not (RESULTS / f"{name}-{row[1]}.csv").exists()
