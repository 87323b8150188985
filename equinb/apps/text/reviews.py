"""Film reviews: real text to learn a language model from, and whether they praise."""

from __future__ import annotations

import csv
from functools import cache
from typing import NamedTuple

from equinb.lab import data_folder

SPLITS = ("training", "validation", "test")
#: One review in so many is for testing, the one after it for validation.
EVERY = 20
FILES = ("train_neg", "train_pos", "test_neg", "test_pos")


class Review(NamedTuple):
    """What someone wrote about a film.

    Attributes:
        text: in one line.
        praise: whether they liked it.
    """

    text: str
    praise: bool


@cache
def reviews(split: str) -> tuple[Review, ...]:
    """Reviews of the Large Movie Review Dataset (Maas et al., 2011).

    Its 50,000 labelled reviews are split anew, since a language model needs no labels:
    in every file one of 20 is for testing and one for validation.

    Args:
        split: one of `SPLITS`; each is read once.

    Raises:
        ValueError: for another split, or a line that is no review.
        FileNotFoundError: if the reviews are not there.
    """
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}; there are {', '.join(SPLITS)}.")
    how = (
        "get the Large Movie Review Dataset (84 MB, ai.stanford.edu/~amaas/data/"
        "sentiment) as train_pos.tsv, train_neg.tsv, test_pos.tsv and test_neg.tsv, a "
        "review a line: its name, a tab, its text"
    )
    folder = data_folder("imdb", how)
    found = []
    for name in FILES:
        file = folder / f"{name}.tsv"
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing: {how}.")
        with file.open(encoding="utf-8", newline="") as lines:
            table = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            for place, line in enumerate(table):
                if len(line) != 2:
                    raise ValueError(
                        f"Line {place + 1} of {file} has {len(line)} parts, and a "
                        "review has two: its name, a tab, its text."
                    )
                text = line[1]
                if split == _split_of(place):
                    plain = " ".join(text.replace("<br />", " ").split())
                    found.append(Review(plain, name.endswith("pos")))
    return tuple(found)


def _split_of(place: int) -> str:
    return {0: "test", 1: "validation"}.get(place % EVERY, "training")
