"""Words as numbers, and how the groups of the paper act on them.

Sentences end with one EOS and are padded with it: `commands` is `(B, 10)`, ids below
14; `actions` is `(B, 49)`, ids below 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, reduce

import torch
from torch import Tensor

from equinb.actions import Action, Permutation, Product, Relabel
from equinb.apps.scan.grammar import DIRECTIONS, VERBS, Pair
from equinb.groups import FiniteGroup, cyclic


class Vocabulary:
    """Words and their ids.

    Args:
        words: in the order of their ids; "<eos>" among them.
        longest: the number of words of the longest sentence.

    Example:
        >>> COMMANDS.words[:3], ACTIONS.words[:3]
        (('<eos>', 'after', 'and'), ('<eos>', '<sos>', 'JUMP'))
    """

    def __init__(self, words: Sequence[str], longest: int) -> None:
        self.words = tuple(words)
        self.longest = longest
        self.ids = {word: i for i, word in enumerate(self.words)}
        self.eos = self.ids["<eos>"]

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, sentences: Sequence[str]) -> Tensor:
        """`(B, longest + 1)` ids: each sentence, then EOS to the end.

        Raises:
            ValueError: for an unknown word, or a sentence that is too long.
        """
        rows = []
        for sentence in sentences:
            words = sentence.split()
            unknown = [word for word in words if word not in self.ids]
            if unknown or len(words) > self.longest:
                raise ValueError(
                    f"{sentence!r} has {len(words)} words, of which unknown: "
                    f"{', '.join(unknown) or 'none'}; SCAN has at most {self.longest} "
                    f"of: {', '.join(w for w in self.words if w[0] != '<')}."
                )
            ids = [self.ids[word] for word in words]
            rows.append(ids + [self.eos] * (self.longest + 1 - len(ids)))
        return torch.tensor(rows).reshape(-1, self.longest + 1)

    def decode(self, ids: Tensor) -> list[str]:
        """The sentences of `(B, length)` ids, up to the first EOS of each."""
        sentences = []
        for row in ids.tolist():
            end = row.index(self.eos) if self.eos in row else len(row)
            sentences.append(" ".join(self.words[i] for i in row[:end]))
        return sentences


COMMANDS = Vocabulary(
    (
        "<eos>",
        *sorted(
            {*VERBS, *DIRECTIONS, "turn", "opposite", "around"}
            | {"twice", "thrice", "and", "after"}
        ),
    ),
    longest=9,
)
ACTIONS = Vocabulary(
    ("<eos>", "<sos>", "JUMP", "LOOK", "RUN", "TURN_LEFT", "TURN_RIGHT", "WALK"),
    longest=48,
)


@dataclass(frozen=True)
class Symmetry:
    """A group of word swaps, and how it acts.

    Attributes:
        name: what the paper calls it.
        commands: on ids of commands.
        actions: on ids of actions.
        logits: on scores over the vocabulary of actions, the last axis.
    """

    name: str
    commands: Action
    actions: Action
    logits: Action

    @property
    def group(self) -> FiniteGroup:
        """The group $G$."""
        return self.commands.group

    def __mul__(self, other: Symmetry) -> Symmetry:
        """Both symmetries at once, for swaps that have no word in common.

        Swaps of the same words, such as Verb and Verbs, are no action together;
        `check_action` shows it.
        """
        mine = (self.commands, self.actions, self.logits)
        yours = (other.commands, other.actions, other.logits)
        both = (Product(a, b) for a, b in zip(mine, yours, strict=True))
        return Symmetry(f"{self.name} x {other.name}", *both)


def cycle(name: str, *steps: tuple[str, str]) -> Symmetry:
    """The cyclic group that moves every word to the next, the last to the first.

    Args:
        name: what to call it.
        steps: a word of the commands and one of the actions each; with two of them,
            the group is a swap.

    Raises:
        ValueError: for a word that the vocabulary does not have.

    Example:
        >>> swap = cycle("Verb", ("jump", "JUMP"), ("run", "RUN"))
        >>> COMMANDS.decode(swap.commands("r", COMMANDS.encode(["jump and run"])))
        ['run and jump']
    """
    G = cyclic(len(steps))
    perms = []
    for vocabulary, words in zip(
        (COMMANDS, ACTIONS), zip(*steps, strict=True), strict=True
    ):
        unknown = [word for word in words if word not in vocabulary.ids]
        if unknown:
            raise ValueError(f"SCAN has no word {unknown[0]!r} to be swapped.")
        ids = torch.tensor([vocabulary.ids[word] for word in words])
        perm = torch.arange(len(vocabulary)).repeat(G.order, 1)
        for k in range(G.order):
            perm[k, ids] = ids.roll(-k)
        perms.append(perm.numpy())
    commands, actions = perms
    return Symmetry(
        name, Relabel(G, commands), Relabel(G, actions), Permutation(G, actions)
    )


@cache
def symmetry(name: str) -> Symmetry:
    """A symmetry of SCAN.

    Args:
        name: "Verb" (jump and run) or "Direction" (right and left), the paper's;
            "Verbs", the cycle of all four, Gordon et al.'s; "Verb x Direction", both;
            "None", the group of one element.

    Raises:
        ValueError: for another name.

    Example:
        >>> symmetry("Verbs").group.order
        4
    """
    swaps = {
        "Verb": (("jump", "JUMP"), ("run", "RUN")),
        "Direction": (("right", "TURN_RIGHT"), ("left", "TURN_LEFT")),
        "Verbs": tuple(
            (verb, verb.upper()) for verb in ("jump", "run", "walk", "look")
        ),
        "None": (("jump", "JUMP"),),
    }
    parts = name.split(" x ")
    if any(part not in swaps for part in parts):
        raise ValueError(
            f"SCAN has the symmetries {', '.join(swaps)}, and products of them, such "
            f"as Verb x Direction; got {name!r}."
        )
    found = [cycle(part, *swaps[part]) for part in parts]
    return reduce(Symmetry.__mul__, found)


def tensors(pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Ids of commands `(N, 10)` and of actions `(N, 49)`."""
    return (
        COMMANDS.encode([pair.command for pair in pairs]),
        ACTIONS.encode([pair.actions for pair in pairs]),
    )
