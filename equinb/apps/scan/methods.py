"""Equitune and equizero for sentences: as the paper defines them, and as published.

A sentence is not one output but many, and the paper's equations leave open what is
averaged and what is scored. `RULES` names every reading that is measured here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from equinb.apps.scan.decoding import exact_match, say
from equinb.apps.scan.grammar import load_split
from equinb.apps.scan.model import Seq2Seq
from equinb.apps.scan.training import Data
from equinb.apps.scan.words import ACTIONS, Symmetry, tensors
from equinb.equitune import Uniform
from equinb.equizero import ArgMin
from equinb.symmetrized import Orbit, TensorMap, Weighting

#: Two scores of sentences tie within this: a few roundings of a probability. The core's
#: own tolerance would call two sentences a tie of which both are nearly certain.
TIE = 1e-6


@dataclass(frozen=True)
class Branches:
    """What a model says to each view of a command by itself.

    Attributes:
        by: the symmetry.
        commands: `(N, 10)` ids.
        words: `(|G|, N, 50)` ids of actions, in the terms of each view.
        p: `(|G|, N, 50, 8)`, zero after the end of a sentence.
    """

    by: Symmetry
    commands: Tensor
    words: Tensor
    p: Tensor

    @property
    def aligned(self) -> Tensor:
        r"""`(|G|, N, 50)`: the sentences carried back, $g^{-1} M(gx)$."""
        return self.by.actions.undo(self.words)

    def orbit(self) -> Orbit:
        """The orbit of distributions, for a `Weighting` to read."""
        views = self.by.commands.orbit(self.commands)
        return Orbit(self.by.group, views, self.p, self.by.logits.undo(self.p))


def speak(model: Seq2Seq, commands: Tensor, by: Symmetry) -> Branches:
    """Let a model answer each view of each command.

    Args:
        model: in eval mode.
        commands: `(N, 10)` ids.
        by: the symmetry.
    """
    views = by.commands.orbit(commands)
    said = say(model, views.flatten(0, 1))
    shape = views.shape[:2]
    return Branches(
        by, commands, said.words.unflatten(0, shape), said.p.unflatten(0, shape)
    )


def certainty(p: Tensor) -> Tensor:
    """The proxy loss of a sentence: minus the greatest probability, mean over words.

    Args:
        p: `(N, 50, 8)`, zero after the end.

    Returns:
        `(N,)`, from -1 (sure of every word) to -1/8.
    """
    return -p.amax(-1).sum(-1) / _used(p).sum(-1)


def certainty_of_slots(p: Tensor) -> Tensor:
    """As in the published code: mean over all 50 slots, where an empty one counts 1/8.

    Args:
        p: `(N, 50, 8)`, zero after the end.

    Returns:
        `(N,)`, from -1 to -1/8. A long sentence fills more slots.
    """
    return -torch.where(_used(p), p.amax(-1), 1 / p.shape[-1]).mean(-1)


def surprise(p: Tensor) -> Tensor:
    """The negative log-likelihood of the sentence that was said, in nats.

    Args:
        p: `(N, 50, 8)`, zero after the end.

    Returns:
        `(N,)`, at least 0. A short sentence has fewer terms.
    """
    return -torch.where(_used(p), p.amax(-1).log(), 0.0).sum(-1)


def equizero(
    model: Seq2Seq, branches: Branches, loss: TensorMap = certainty
) -> tuple[Tensor, Tensor]:
    """Eq. (2) for sentences: the view of least loss; ties go on from their average.

    Args:
        model: that has made the branches.
        branches: what it says to each view.
        loss: the proxy loss, from `(N, 50, 8)` to `(N,)`.

    Returns:
        Words `(N, 50)`, and the weights of the views, `(|G|, N)`.
    """
    orbit = branches.orbit()
    _, weights = ArgMin(loss, of="features", tolerance=TIE)(orbit)
    words = _pick(branches.aligned, weights.argmax(0))
    tied = (weights > 0).sum(0) > 1
    if bool(tied.any()):
        commands = branches.commands[tied]
        words[tied] = say(model, commands, branches.by, weights[:, tied]).words
    return words, weights


def published_equitune(branches: Branches) -> Tensor:
    """Words `(N, 50)`: the mean of log p at each place, zero after a view's end."""
    p = branches.orbit().aligned
    return _cut(torch.where(_used(p)[..., None], p.log(), 0.0).mean(0).argmax(-1))


def published_equizero(branches: Branches) -> Tensor:
    """Words `(N, 50)`: the view of least `certainty_of_slots`, the first of several."""
    p = branches.p
    scores = certainty_of_slots(p.flatten(0, 1)).unflatten(0, p.shape[:2])
    return _pick(branches.aligned, scores.argmin(0))


def judge(
    model: Seq2Seq, data: Data, by: Symmetry, rules: Sequence[str] | None = None
) -> pd.DataFrame:
    """Which sentences each rule gets right.

    Args:
        model: in eval mode.
        data: commands and the right actions.
        by: the symmetry.
        rules: names of `RULES`; None for all of them.

    Returns:
        A row a sentence, a column a rule and, last, a bound of `BOUNDS`: 1 where it is
        right, else 0; the mean over views for the random one.

    Raises:
        ValueError: for a rule that is none.
    """
    rules = tuple(RULES) if rules is None else rules
    unknown = [rule for rule in rules if rule not in RULES]
    if unknown:
        raise ValueError(f"There is no rule {unknown[0]!r}; there are: {[*RULES]}.")
    branches = speak(model, data.commands, by)
    found = {
        rule: exact_match(RULES[rule].say(model, branches), data.actions).double()
        for rule in rules
    }
    views = [exact_match(words, data.actions) for words in branches.aligned]
    each = torch.stack(views).double()
    found |= {"random view": each.mean(0), "any view": each.amax(0)}
    return pd.DataFrame({rule: right.cpu() for rule, right in found.items()})


def every(data: Data, step: int) -> Data:
    """Each `step`-th pair of a data set, for a look that is quick and fair."""
    return Data(data.commands[::step], data.actions[::step])


def reachable(task: str, by: Symmetry, commands: Tensor) -> Tensor:
    """`(N,)`: whether some view of a command is in the training set of a task.

    It is a matter of the grammar and of the group; no model is asked. The training set
    is whole, with the part that is held back for validation.
    """
    known = set(map(tuple, tensors(load_split(task).train)[0].tolist()))
    views = by.commands.orbit(commands)
    return torch.tensor(
        [[tuple(view) in known for view in part] for part in views.tolist()]
    ).any(0)


@dataclass(frozen=True)
class Rule:
    """A way to carry a method over to sentences.

    Attributes:
        what: in words.
        say: from the model and what it says to each view to words, `(N, 50)`.
    """

    what: str
    say: Callable[[Seq2Seq, Branches], Tensor]


class GeometricMean(Uniform):
    """Even weights, but the mean of log-probabilities: as products of experts do."""

    def combine(self, orbit: Orbit) -> Tensor:
        """The normalised geometric mean of the aligned views: `(B, 8)`."""
        return orbit.aligned.log().mean(0).softmax(-1)


def _used(p: Tensor) -> Tensor:
    """The places where something is said, EOS included; p without its last axis."""
    return p.sum(-1) > 0


def _pick(words: Tensor, view: Tensor) -> Tensor:
    """`(N, 50)`: of each sentence the words of one view."""
    return words[view, torch.arange(len(view), device=view.device)]


def _cut(words: Tensor) -> Tensor:
    """Everything after the first EOS is EOS."""
    over = (words == ACTIONS.eos).cumsum(-1) > 0
    return words.masked_fill(over, ACTIONS.eos)


def _jointly(weights: Weighting | None = None) -> Callable[[Seq2Seq, Branches], Tensor]:
    """Words from one symmetrized distribution of the next word."""
    return lambda model, branches: (
        say(model, branches.commands, branches.by, weights).words
    )


#: Every reading that is measured here. The first three are as defined.
RULES = {
    "pretrained": Rule(
        "the model by itself",
        lambda model, branches: branches.aligned[branches.by.group.identity],
    ),
    "equitune": Rule(
        "one symmetrized distribution of the next word; all views follow it",
        _jointly(),
    ),
    "equizero": Rule(
        "the view that is surest of a word on average; ties averaged",
        lambda model, branches: equizero(model, branches)[0],
    ),
    "equitune, log-probabilities": Rule(
        "as equitune, with the geometric mean", _jointly(GeometricMean())
    ),
    "equitune, place by place": Rule(
        "each view speaks for itself; mean of p at each place",
        lambda model, branches: _cut(branches.orbit().aligned.mean(0).argmax(-1)),
    ),
    "equitune, published": Rule(
        "each view speaks for itself; mean of log p, zero after its end",
        lambda model, branches: published_equitune(branches),
    ),
    "equizero, word by word": Rule(
        "the surest view is chosen anew for every word",
        _jointly(ArgMin(lambda p: -p.amax(-1), tolerance=TIE)),
    ),
    "equizero, likelihood": Rule(
        "the view whose whole sentence is the likeliest; ties averaged",
        lambda model, branches: equizero(model, branches, surprise)[0],
    ),
    "equizero, published": Rule(
        "the surest view over 50 slots, where empty ones count 1/8; the first of ties",
        lambda model, branches: published_equizero(branches),
    ),
}

#: No methods: the level of chance, which a bad choice may fall below, and the most that
#: a choice of view can reach.
BOUNDS = {
    "random view": "what choosing at random would give, on average",
    "any view": "right if one of the views is: no choice can do better",
}
