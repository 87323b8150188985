"""Which words a group swaps, as actions on the tokens of any tokenizer.

The vocabulary falls into three sets, after the group-theoretic fairness of section 4.1
of the paper: *equality* words, which the group swaps, such as man and woman; *general*
words, which a relaxed model leaves as they are; and *neutral* words, all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from equinb.actions import Permutation, Relabel
from equinb.groups import FiniteGroup, IntArray, cyclic, direct_product


class Tokenizer(Protocol):
    """What is asked of a tokenizer: those of Hugging Face have it."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """The ids of a text."""

    def __len__(self) -> int:
        """How many ids there are."""


@dataclass(frozen=True)
class Swap:
    """A group that swaps words, on ids and on what a model says of ids.

    Attributes:
        group: the group $G$.
        on_ids: how it acts on token ids.
        on_logits: how it acts on scores over the vocabulary, `(..., V)`.
        equality: `(V,)`, whether some element moves a token.
        general: `(V,)`, whether a relaxed model leaves a token to the text as it is.
    """

    group: FiniteGroup
    on_ids: Relabel
    on_logits: Permutation
    equality: Tensor
    general: Tensor


def swap_of(
    tuples: Sequence[Sequence[Sequence[int]]],
    size: int,
    general: Sequence[int] = (),
) -> Swap:
    """The action of a product of cyclic groups, one for each list of tuples.

    Args:
        tuples: for each cyclic group, tuples of token ids, all as long as its order;
            the generator sends each token to the next of its tuple.
        size: of the vocabulary.
        general: ids that a relaxed model leaves alone.

    Raises:
        ValueError: if a token is in two tuples, or in a tuple and among the general
            ones, or if the tuples of one group differ in length.

    Example:
        >>> swap = swap_of([[(0, 1)], [(2, 3, 4)]], size=6)
        >>> swap.group.order, swap.equality.tolist()
        (6, [True, True, True, True, True, False])
    """
    flat = [token for line in tuples for words in line for token in words]
    doubles = [token for token, n in Counter([*flat, *set(general)]).items() if n > 1]
    if doubles:
        raise ValueError(
            f"Token {doubles[0]} is in two tuples, or in a tuple and among the general "
            "words: every token belongs to one set."
        )
    outside = [token for token in (*flat, *general) if not 0 <= token < size]
    if outside:
        raise ValueError(
            f"There are {size} tokens; token {outside[0]} is none of them."
        )
    groups, rows = [], []
    for line in tuples:
        lengths = {len(words) for words in line}
        if len(lengths) != 1:
            raise ValueError(
                "All tuples of one group have the same length, at least one; got "
                f"lengths {sorted(lengths)}."
            )
        groups.append(cyclic(lengths.pop()))
        rows.append(_cycles(line, groups[-1].order, size))
    group = reduce(direct_product, groups)
    perms = reduce(_both, rows)
    marked = torch.zeros((2, size), dtype=torch.bool)
    marked[0, flat] = True
    marked[1, list(general)] = True
    return Swap(group, Relabel(group, perms), Permutation(group, perms), *marked)


def tokens_of(
    tokenizer: Tokenizer, words: Sequence[Sequence[str]]
) -> list[tuple[int, ...]]:
    """Tuples of words as tuples of tokens, in every form that is one token each.

    A word after a blank, at the start of a text, and each with a capital are tokens of
    their own. The first of these forms must exist; of the others, those are left out in
    which some word of the tuple is more than one token.

    Args:
        tokenizer: of the model.
        words: tuples of words, such as ("man", "woman").

    Raises:
        ValueError: if a word after a blank is more than one token.
    """
    found: list[tuple[int, ...]] = []
    for line in words:
        for blank in (" ", ""):
            for capital in (False, True):
                written = [blank + (w.capitalize() if capital else w) for w in line]
                ids = [
                    tokenizer.encode(text, add_special_tokens=False) for text in written
                ]
                longer = [
                    text for text, i in zip(written, ids, strict=True) if len(i) > 1
                ]
                if not longer:
                    made = tuple(i[0] for i in ids)
                    if made not in found:
                        found.append(made)
                elif blank and not capital:
                    raise ValueError(
                        f"{longer[0]!r} is more than one token of this tokenizer, and "
                        "only single tokens can be swapped: take another word."
                    )
    return found


def _cycles(line: Sequence[Sequence[int]], order: int, size: int) -> IntArray:
    """`(order, size)`: what each power of the generator makes of each token."""
    step = np.arange(size)
    for words in line:
        for here, there in pairwise([*words, words[0]]):
            step[here] = there
    rows = [np.arange(size)]
    for _ in range(order - 1):
        rows.append(step[rows[-1]])
    return np.stack(rows)


def _both(one: IntArray, other: IntArray) -> IntArray:
    """The rows of a product group: (g, h) applies h, then g."""
    return one[:, other].reshape(-1, one.shape[1])
