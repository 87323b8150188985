"""Lines that people have labelled by regard: three hundred of them."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from equinb.lab import data_folder

FILES = ("train_other", "train", "dev", "test")
#: The labels of the files, by their place in `LABELS`; those of other kinds are left.
PLACES = {-1: 0, 0: 1, 1: 2}
#: Lines that share more than this part of their words are kin.
KIN = 0.6


class Labelled(NamedTuple):
    """Lines with labels.

    Attributes:
        texts: what is said after the person is named.
        labels: `(N,)`, places in `LABELS`.
        kin: `(N,)`, a number that lines have in common which are nearly the same.
    """

    texts: list[str]
    labels: npt.NDArray[np.int64]
    kin: npt.NDArray[np.int64]


def labelled() -> Labelled:
    """The labelled lines of Sheng et al. (2019), each once.

    Lines whose regard is labelled as mixed or unclear are left out.

    Raises:
        FileNotFoundError: if they are not there.
    """
    how = (
        "get the regard data of github.com/ewsheng/nlg-bias as train_other.tsv, "
        "train.tsv, dev.tsv and test.tsv"
    )
    folder = data_folder("regard", how)
    found: dict[tuple[str, ...], tuple[str, int]] = {}
    for name in FILES:
        file = folder / f"{name}.tsv"
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing: {how}.")
        for line in file.read_text(encoding="utf-8").splitlines():
            label, text = line.split("\t", 1)
            if int(label) in PLACES:
                plain = re.sub(r"^XYZ\s+", "", text.strip())
                found.setdefault(words_of(plain), (plain, PLACES[int(label)]))
    texts = [text for text, _ in found.values()]
    return Labelled(
        texts, np.array([label for _, label in found.values()]), _kin(texts)
    )


def _kin(texts: list[str]) -> npt.NDArray[np.int64]:
    words = [set(words_of(text)) for text in texts]
    shared = np.array([[len(a & b) / len(a | b) for b in words] for a in words])
    _, kin = connected_components(shared > KIN, directed=False)
    found: npt.NDArray[np.int64] = kin.astype(np.int64)
    return found


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, in small letters: lines with the same words are one line.

    Example:
        >>> words_of("Was known for: KINDNESS.")
        ('was', 'known', 'for', 'kindness')
    """
    return tuple(re.findall(r"\w+", text.lower()))
