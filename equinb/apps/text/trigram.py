"""An interpolated Kneser-Ney trigram: what a language model has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
#: Counts from here on share one discount.
MOST = 3
#: The least that is taken off a count.
LEAST = 0.1


@dataclass(frozen=True)
class Level:
    """The n-grams of one length: how often each was seen, and in what context.

    Attributes:
        keys: `(n,)`, sorted; an n-gram is a number in base `size`.
        kept: `(n,)`, their counts, discounted, over the count of their context.
        contexts: `(m,)`, sorted.
        left: `(m,)`, the share of each context that goes to the level below.
    """

    keys: Ints
    kept: Floats
    contexts: Ints
    left: Floats


class KneserNey:
    """A trigram with the three discounts of Chen and Goodman (1999).

    Args:
        tokens: `(n,)`, what it learns from.
        size: of the vocabulary.
        order: 3 for trigrams.

    Example:
        >>> model = KneserNey(np.array([0, 1, 2] * 10), 3)
        >>> float(model.probability(np.array([[0, 1, 2]]))[0]) > 0.9
        True
    """

    def __init__(self, tokens: Ints, size: int, order: int = 3) -> None:
        self.size, self.order = size, order
        windows = np.lib.stride_tricks.sliding_window_view(tokens, order)
        keys, counts = np.unique(self._keys(windows), return_counts=True)
        self.levels: list[Level] = []
        for n in range(order, 0, -1):
            self.levels.append(_level(keys, counts.astype(np.int64), size))
            # Below, an n-gram counts once for every token that was seen before it.
            keys, counts = np.unique(keys % size ** (n - 1), return_counts=True)

    def probability(self, ngrams: Ints) -> Floats:
        """`(N,)`: of the last token of each of `(N, order)`, after those before it."""
        keys = self._keys(ngrams)
        made = np.full(len(keys), 1 / self.size)
        for n, level in enumerate(reversed(self.levels), 1):
            here = keys % self.size**n
            known, place = _find(level.keys, here)
            context_known, context = _find(level.contexts, here // self.size)
            # Of a context that was never seen, the level below knows all there is.
            share = np.where(context_known, level.left[context], 1.0)
            made = np.where(known, level.kept[place], 0.0) + share * made
        return made

    def perplexity(self, tokens: Ints) -> float:
        """Of every token of `(n,)` that has a whole context before it."""
        windows = np.lib.stride_tricks.sliding_window_view(tokens, self.order)
        return float(np.exp(-np.log(self.probability(windows)).mean()))

    def _keys(self, ngrams: Ints) -> Ints:
        powers = self.size ** np.arange(ngrams.shape[1] - 1, -1, -1, dtype=np.int64)
        keys: Ints = ngrams.astype(np.int64) @ powers
        return keys


def _level(keys: Ints, counts: Ints, size: int) -> Level:
    contexts, first = np.unique(keys // size, return_index=True)
    totals = np.add.reduceat(counts, first)
    discounts = _discounts(counts)[np.minimum(counts, MOST)]
    place = np.searchsorted(contexts, keys // size)
    left = np.add.reduceat(discounts, first) / totals
    return Level(keys, (counts - discounts) / totals[place], contexts, left)


def _discounts(counts: Ints) -> Floats:
    """`(MOST + 1,)`: what is taken off a count of 1, 2 and more, by count."""
    seen = np.bincount(counts[counts <= MOST + 1], minlength=MOST + 2)
    # Where too few are seen to tell, one is taken as seen.
    n = np.maximum(seen, 1).astype(float)
    y = n[1] / (n[1] + 2 * n[2])
    made = [0.0, *(i - (i + 1) * y * n[i + 1] / n[i] for i in range(1, MOST + 1))]
    # Never nothing: what was not seen must be possible.
    discounts: Floats = np.clip(made, LEAST, np.maximum(np.arange(MOST + 1), LEAST))
    return discounts


def _find(among: Ints, keys: Ints) -> tuple[npt.NDArray[np.bool_], Ints]:
    place = np.minimum(np.searchsorted(among, keys), len(among) - 1)
    return among[place] == keys, place
