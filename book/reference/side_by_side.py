"""Every known value of the paper beside ours: a section an item, and one file."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pandas as pd

from equinb.apps.beside import beside
from equinb.lab import load_result
from reference.items import DOWNLOADS, item_of, not_run
from reference.pages import link
from reference.pages import table as pipes

#: How many digits of ours are shown, by metric; those of the paper are as printed.
DIGITS = {"time_s": 2, "memory_mb": 0, "top1": 1, "val_acc": 1, "test_acc": 1}
SHARE = 3
PLACE = ["dataset", "transform", "model", "method", "step", "metric"]
#: Columns that hold words; the others hold numbers.
WORDS = {"dataset", "transform", "model there", "method", "metric", "model here"}


@cache
def table() -> pd.DataFrame:
    """The whole table, made once."""
    return beside()


def known_items() -> list[str]:
    """The items that values are known of, in the order of the paper."""

    def order(name: str) -> tuple[bool, int, str]:
        return name.startswith("table"), int(re.findall(r"\d+", name)[0]), name

    return sorted(table()["item"].unique(), key=order)


def anchor(known: str) -> str:
    """The label of an item's section."""
    return f"beside-{known}"


def title(known: str) -> str:
    """An item as the paper names it: "Figure 3, race respect"."""
    kind, number, rest = re.findall(r"(fig|table)(\d+\w?)(.*)", known)[0]
    name = f"{'Figure' if kind == 'fig' else 'Table'} {number}"
    return f"{name}, {rest[1:].replace('-', ' ')}" if rest else name


def as_csv() -> bytes:
    """The whole table as a file."""
    return table().to_csv(index=False, lineterminator="\n").encode()


def summary() -> str:
    """How many values there are, and what they stand beside."""
    count = table()["apart"].where(table()["result"].notna(), "no counterpart")
    found = count.value_counts().items()
    rows = [[apart or "nothing that is known", number] for apart, number in found]
    rows.append(["all", len(count)])
    return pipes(["what differs here", "values"], rows, ["values"])


def sections() -> str:
    """A section an item, as MyST text."""
    return "\n".join(section(name) for name in known_items())


def section(known: str) -> str:
    """An item: what is the same for all of its values, then a row a value."""
    mine = table()[table()["item"] == known]
    item = item_of(known)
    there = mine.dropna(subset="result")
    apart = " ".join(f"{{bdg-secondary}}`{words(a)}`" for a in there["apart"].unique())
    results = ", ".join(
        f"`{name}`, by `{load_result(name).provenance.command}`"
        for name in there["result"].unique()
    )
    constant = [c for c in PLACE if mine[c].nunique(dropna=False) == 1]
    same = [str(mine[c].iloc[0]) for c in constant if not mine[c].isna().any()]
    lines = [f"({anchor(known)})=", f"## {title(known)}", "", apart, ""]
    lines += [f"- Paper: {', '.join(same)}; {'; '.join(mine['source'].unique())}."]
    data = ", ".join(there["data here"].unique())
    lines += [f"- Here: {data}; rows of {results}.", f"- Chapter: {link(item.page)}"]
    lines += [f"- Not run: `{command}`; {DOWNLOADS}." for command in not_run(item)]
    lines += [f"- Note: {note}." for note in mine["note"].dropna().unique()]
    shown = rows(mine, constant)
    right = set(shown) - WORDS
    return "\n".join([*lines, "", pipes(list(shown), shown.to_numpy(), right)])


def words(apart: str) -> str:
    """What differs, as a mark."""
    return f"other {apart}" if apart else "same model and data"


def rows(mine: pd.DataFrame, constant: list[str]) -> pd.DataFrame:
    """The values of an item as they are shown."""
    shown = mine[[c for c in PLACE if c not in constant]].copy()
    if "step" in shown:
        shown["step"] = shown["step"].astype(int)
    shown["paper"] = [
        f"{v:g}" if pd.isna(s) else f"{v:g} ({s:g})"
        for v, s in zip(mine["value"], mine["std"], strict=True)
    ]
    found = mine.to_dict("records")
    shown["here"] = [number(row, "mean") or row["apart"] for row in found]
    if mine["low"].notna().any():
        shown["interval"] = [interval(row) for row in found]
    shown["seeds"] = mine["seeds"].astype("string").fillna("")
    if mine["mean, published"].notna().any():
        shown["as published"] = [number(row, "mean, published") for row in found]
    shown["model here"] = mine["model here"].fillna("")
    return shown.rename(columns={"model": "model there"})


def number(row: dict[str, Any], name: str) -> str:
    """One of our numbers, "" if there is none."""
    digits = DIGITS.get(row["metric"], SHARE)
    return "" if pd.isna(row[name]) else f"{row[name]:.{digits}f}"


def interval(row: dict[str, Any]) -> str:
    """The interval of one of our means."""
    low = number(row, "low")
    return low and f"{low} to {number(row, 'high')}"
