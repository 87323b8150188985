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
            the generator sends each token to the next of its tuple. None for the
            trivial group, which is plain decoding.
        size: of the vocabulary, as the model has it: `model.config.vocab_size`.
        general: ids that a relaxed model leaves alone.

    Raises:
        TypeError: if there is no list of tuples for each group.
        ValueError: if a token is in two tuples, or in a tuple and among the general
            ones, or if the tuples of one group differ in length.

    Example:
        >>> swap = swap_of([[(0, 1)], [(2, 3, 4)]], size=6)
        >>> swap.group.order, swap.equality.tolist()
        (6, [True, True, True, True, True, False])
    """
    if any(isinstance(token, int) for line in tuples for token in line):
        raise TypeError(
            "Tuples come in one list for each group: swap_of([tokens_of(...)], size)."
        )
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
    groups, rows = [cyclic(1)], [np.arange(size)[None]]
    for line in tuples:
        lengths = {len(words) for words in line}
        if len(lengths) != 1:
            raise ValueError(
                "All tuples of one group have the same length, at least one; got "
                f"lengths {sorted(lengths)}."
            )
        groups.append(cyclic(lengths.pop()))
        rows.append(_cycles(line, groups[-1].order, size))
    # The trivial group is there for want of any other.
    kept = slice(1 if len(groups) > 1 else 0, None)
    group = reduce(direct_product, groups[kept])
    perms = reduce(_both, rows[kept])
    moved = torch.from_numpy((perms != np.arange(size)).any(0))
    untouched = torch.zeros(size, dtype=torch.bool)
    untouched[list(general)] = True
    on_ids, on_logits = Relabel(group, perms), Permutation(group, perms)
    return Swap(group, on_ids, on_logits, moved, untouched)


def tokens_of(
    tokenizer: Tokenizer, words: Sequence[Sequence[str]]
) -> list[tuple[int, ...]]:
    """Tuples of words as tuples of tokens, in every form that is one token each.

    A word after a blank, at the start of a text, and each with a capital are tokens of
    their own. A form is left out if a word of the tuple is more than one token in it.

    Args:
        tokenizer: of the model.
        words: tuples of words, such as ("man", "woman").

    Raises:
        ValueError: for words that are one token in no form, or if one token is in two
            tuples.

    Example:
        >>> class Letters:
        ...     def encode(self, text, add_special_tokens):
        ...         return list(text.encode())
        >>> tokens_of(Letters(), [("a", "e")])  # " a" is two tokens
        [(97, 101), (65, 69)]
    """
    # Byte-pair tokenizers know every text; others have a token for what they do not.
    unknown = getattr(tokenizer, "unk_token_id", None)
    found: dict[tuple[int, ...], Sequence[str]] = {}
    without = []
    for line in words:
        forms = [
            [blank + case(word) for word in line]
            for blank in (" ", "")
            for case in (str, _capital)
        ]
        made = [
            [tokenizer.encode(text, add_special_tokens=False) for text in form]
            for form in forms
        ]
        whole = [ids for ids in made if all(len(i) == 1 for i in ids)]
        whole = [ids for ids in whole if [unknown] not in ids]
        if not whole:
            without.append(" / ".join(line))
        for ids in whole:
            found[tuple(i[0] for i in ids)] = line
    if without:
        raise ValueError(
            "Only single tokens can be swapped, and to this tokenizer these have a "
            "word that it does not know, or of more than one token: "
            f"{', '.join(without)}."
        )
    owners: dict[int, Sequence[str]] = {}
    for tokens, line in found.items():
        for token in tokens:
            if token in owners:
                raise ValueError(
                    f"{' / '.join(owners[token])} and {' / '.join(line)} share a word, "
                    "and every word belongs to one tuple: leave one of them out."
                )
            owners[token] = line
    return list(found)


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


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
