"""Saying a sentence, word by word, with all views of its command at once.

The next word is the likeliest of one symmetrized distribution,

    p_G(y_t | y_<t, x) = sum over g of  w_g · g^-1 p(. | g y_<t, g x),

which is eq. (1), (2) or (4) of the paper, as the weights are, for the model that takes
a command and the words so far. Every view then goes on from the same word, in its own
terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from equinb.apps.scan.model import Memory, Seq2Seq, State
from equinb.apps.scan.words import ACTIONS, COMMANDS, Symmetry, symmetry
from equinb.equitune import Uniform
from equinb.symmetrized import Orbit, Weighting

#: Where a sentence is given up, as in the published code.
LONGEST = 50


@dataclass(frozen=True)
class Said:
    """Sentences, and how sure the model was of them.

    Attributes:
        words: `(N, 50)` ids of actions, EOS to the end.
        p: `(N, 50, 8)`, the distribution of each word; zero after the first EOS.
    """

    words: Tensor
    p: Tensor

    @property
    def sentences(self) -> list[str]:
        """As text."""
        return ACTIONS.decode(self.words)


def exact_match(words: Tensor, actions: Tensor) -> Tensor:
    """`(N,)`: which sentences are the right ones, word by word and in length.

    Args:
        words: `(N, 50)` ids that were said, EOS after the end.
        actions: `(N, 49)` ids, right ones.
    """
    same = words[:, : actions.shape[1]] == actions
    over = words[:, actions.shape[1] :] == ACTIONS.eos
    return same.all(1) & over.all(1)


@torch.no_grad()
def say(
    model: Seq2Seq,
    commands: Tensor,
    by: Symmetry | None = None,
    weights: Weighting | Tensor | None = None,
    chunk: int = 1024,
) -> Said:
    """Greedy decoding of commands, symmetrized.

    The distributions are equivariant; so are the words, except where an element leaves
    a command as it is and moves its likeliest word: of words that tie, the first is
    said.

    Args:
        model: in eval mode; a new one is not, and would decode with dropout.
        commands: `(N, 10)` ids, one at least.
        by: the symmetry; None for the model by itself.
        weights: what weighs the views: a `Weighting` that is asked before every word
            (`Uniform` if None), or `(|G|, N)` of weights that hold for the sentence.
        chunk: the most sentences at once, which bounds the memory.

    Example:
        >>> from equinb.apps.scan.words import symmetry
        >>> model, x = Seq2Seq("GRU").eval(), COMMANDS.encode(["jump", "run"])
        >>> jump, run = say(model, x, symmetry("Verb"), chunk=2).sentences
        >>> jump.replace("JUMP", "RUN") == run.replace("JUMP", "RUN")
        True
    """
    by = symmetry("None") if by is None else by
    weights = Uniform() if weights is None else weights
    # Sentences of like length end at like times.
    order = (commands != COMMANDS.eos).sum(1).argsort(stable=True)
    words = torch.full((len(commands), LONGEST), ACTIONS.eos, device=commands.device)
    p = model.out.weight.new_zeros(*words.shape, len(ACTIONS))
    for rows in order.split(chunk):
        _say(model, commands, by, weights, rows, words, p)
    return Said(words, p)


def _say(
    model: Seq2Seq,
    commands: Tensor,
    by: Symmetry,
    weights: Weighting | Tensor,
    rows: Tensor,
    words: Tensor,
    p: Tensor,
) -> None:
    """Say the sentences `rows`, into `words` and `p`."""
    G = by.group
    memory, state = model.encode(by.commands.orbit(commands[rows]).flatten(0, 1))
    last = torch.full_like(rows, ACTIONS.ids["<sos>"])

    def head(hidden: Tensor) -> Tensor:
        return model.next_word(hidden).exp()

    for t in range(LONGEST):
        told = by.actions.orbit(last)
        log_p, state = model.step(told.flatten(), state, memory)
        # A weighting may read the decoder's state as features, and p as outputs.
        p_views = log_p.exp().view(G.order, len(rows), -1)
        hidden = state.hidden.view(G.order, len(rows), -1)
        orbit = Orbit(G, told, hidden, by.logits.undo(p_views), head)
        if isinstance(weights, Weighting):
            orbit.scores, orbit.weights = weights(orbit)
            now = weights.combine(orbit)
        else:
            orbit.weights = weights[:, rows]
            now = Uniform().combine(orbit)
        last = now.argmax(-1)
        words[rows, t], p[rows, t] = last, now
        goes_on = last != ACTIONS.eos
        if bool(goes_on.all()):
            continue
        # What has ended is left behind.
        rows, last = rows[goes_on], last[goes_on]
        if not len(rows):
            return
        both = goes_on.repeat(G.order)
        memory = Memory(*(part[both] for part in memory))
        state = State(*(part[both] for part in state if part is not None))
