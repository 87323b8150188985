"""Finetuning on the training sentences: one loop, and every method as a way to train.

A method says what a step follows the gradient of. How the finetuned model is read, by
which of `RULES`, is another choice; a test of a method needs both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from equinb.apps.scan.importance import LAMBDA, Floored
from equinb.apps.scan.methods import TIE, certainty
from equinb.apps.scan.model import Seq2Seq
from equinb.apps.scan.symmetrized import Cut, SymmetrizedSeq2Seq
from equinb.apps.scan.training import (
    CLIP,
    TEACHER_FORCING,
    Data,
    Recipe,
    batches,
    generator,
    sentence_losses,
)
from equinb.apps.scan.words import Symmetry
from equinb.equitune import Uniform
from equinb.equizero import ArgMin
from equinb.lambda_equitune import Learned
from equinb.symmetrized import Weighting

#: The steps after which a model is looked at.
LOOKS = (0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000)
#: Of Adam, in the paper (section 5.1.3).
LEARNING_RATE = {"add_jump": 1e-5, "around_right": 2e-5}


@dataclass(frozen=True)
class Tuning:
    """How a model is finetuned.

    Attributes:
        learning_rate: of Adam.
        steps: of one batch each.
        batch: sentences in a step; one in the published code.
        updates: how often a step changes each weight. With two, two optimisers hold
            all weights and follow the same gradient one after the other. The published
            code for equizero registers every weight twice too, the encoder's within one
            optimiser.
        weight_decay: of Adam, added to the gradient.

    Raises:
        ValueError: for what cannot be done.
    """

    learning_rate: float
    steps: int = LOOKS[-1]
    batch: int = 1
    updates: int = 1
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        counts = min(self.steps, self.batch, self.updates)
        if counts < 1 or not self.learning_rate > 0 or self.weight_decay < 0:
            raise ValueError(
                "Finetuning needs steps, a batch, updates and a learning rate above "
                f"zero, and no negative weight decay; got {self}."
            )


def finetune(
    model: Seq2Seq,
    data: Data,
    seed: int,
    tuning: Tuning,
    visit: Callable[[int], None] = lambda step: None,
    augment: Symmetry | None = None,
) -> None:
    """Train the weights of a model in place, those that ask for gradients.

    Args:
        model: a `Seq2Seq`, or a `SymmetrizedSeq2Seq` for the losses of its average. It
            is in train mode afterwards.
        data: what is learnt from.
        seed: of the order of the sentences, dropout and coins; the same for all methods
            gives all the same sentences. torch's global seed is set to it.
        tuning: how.
        visit: called before the first step and after each, with the steps done.
        augment: show one view of each batch, drawn at random, instead of itself.

    Example:
        >>> from equinb.apps.scan import load_model, load_sets, symmetry
        >>> by, tuning = symmetry("Verb"), Tuning(1e-4, steps=2, batch=8)
        >>> model = SymmetrizedSeq2Seq(load_model("add_jump"), by, Uniform())
        >>> data = load_sets("add_jump", 0).train
        >>> finetune(model, data, 0, tuning, visit=print)
        0
        1
        2
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizers = [
        torch.optim.Adam(
            parameters,
            tuning.learning_rate,
            weight_decay=tuning.weight_decay,
            fused=True,
        )
        for _ in range(tuning.updates)
    ]
    torch.manual_seed(seed)
    coins, views = generator(seed, "coins"), generator(seed, "views")
    size = tuning.batch
    recipe = Recipe(size, tuning.steps * size, tuning.learning_rate)
    model.train()
    visit(0)
    for step, rows in enumerate(batches(data, recipe, generator(seed, "order")), 1):
        commands, actions = data.commands[rows], data.actions[rows]
        if augment is not None:
            g = int(torch.randint(augment.group.order, (), generator=views))
            commands = augment.commands.orbit(commands)[g]
            actions = augment.actions.orbit(actions)[g]
        forced = torch.rand((), generator=coins).item() < TEACHER_FORCING
        loss = sentence_losses(model, commands, actions, forced).mean()
        optimizers[0].zero_grad()
        loss.backward()
        for part in model.encoder_and_decoder:
            nn.utils.clip_grad_norm_(part, CLIP)
        for optimizer in optimizers:
            optimizer.step()
        visit(step)


@dataclass(frozen=True)
class Method:
    """A way to finetune.

    Attributes:
        what: in words.
        weights: from lambda, learned before, to the weighting of the views; None for a
            model without a group.
        cut: what is averaged; see `equinb.apps.scan.symmetrized`.
        together: whether views follow one sentence; see `SymmetrizedSeq2Seq`.
        reads: the rule of `RULES` by which the method says a sentence.
        augment: train on a view at random.
        tuning: what else is different, by names of `Tuning`.
    """

    what: str
    reads: str
    weights: Callable[[Learned], Weighting] | None = None
    cut: Cut = "log p"
    together: bool = False
    augment: bool = False
    tuning: dict[str, Any] = field(default_factory=dict)

    def start(self, model: Seq2Seq, by: Symmetry, learned: Learned) -> Seq2Seq:
        """The model that is to be finetuned, a copy.

        Args:
            model: pretrained.
            by: the symmetry.
            learned: lambda, from `learn_importance`.
        """
        if self.weights is None:
            copy = Seq2Seq(model.kind).to(model.out.weight.device)
            copy.load_state_dict(model.state_dict())
            return copy
        weighting = self.weights(learned)
        return SymmetrizedSeq2Seq(model, by, weighting, self.cut, self.together)

    def tune(self, tuning: Tuning) -> Tuning:
        """A recipe with what is different in this method."""
        return replace(tuning, **self.tuning)


def _even(learned: Learned) -> Weighting:
    return Uniform()


def _learned(learned: Learned) -> Weighting:
    return learned


def _surest(estimator: str) -> Callable[[Learned], Weighting]:
    """Equizero by `certainty`, with one of the core's gradient estimators."""
    return lambda learned: ArgMin(certainty, "features", estimator, TIE)


FLOOR = f"{LAMBDA}, floor"
#: Every way to finetune that is measured here; the first four on all cells.
METHODS = {
    "equitune": Method(
        "the mean of logits; all views follow one sentence",
        reads="equitune, log-probabilities",
        weights=_even,
        cut="logits",
        together=True,
    ),
    "equizero": Method(
        "the surest view; gradient of the mean, M_G + sg(M_G^0 - M_G), of log p",
        reads="equizero",
        weights=_surest("mean"),
    ),
    "equizero, identity": Method(
        "the surest view; gradient of the model, M + sg(M_G^0 - M), of log p",
        reads="equizero",
        weights=_surest("identity"),
    ),
    LAMBDA: Method(
        "learned weights, frozen; the mean of log p; all views follow one sentence",
        reads=LAMBDA,
        weights=_learned,
        together=True,
    ),
    FLOOR: Method(
        "as lambda-equitune, but half of the weights is even",
        reads=FLOOR,
        weights=Floored,
        together=True,
    ),
    "equitune, p": Method(
        "the mean of probabilities",
        reads="equitune",
        weights=_even,
        cut="p",
        together=True,
    ),
    "equitune, log p": Method(
        "the mean of log p, each view speaking for itself, as published",
        reads="equitune, published",
        weights=_even,
    ),
    "equizero, p": Method(
        "as equizero, but of p",
        reads="equizero",
        weights=_surest("mean"),
        cut="p",
    ),
    "equizero, logits": Method(
        "as equizero, but of logits",
        reads="equizero",
        weights=_surest("mean"),
        cut="logits",
    ),
    f"{LAMBDA}, p": Method(
        "as lambda-equitune, but of p",
        reads=LAMBDA,
        weights=_learned,
        cut="p",
        together=True,
    ),
    f"{LAMBDA}, logits": Method(
        "as lambda-equitune, but of logits",
        reads=LAMBDA,
        weights=_learned,
        cut="logits",
        together=True,
    ),
    "equizero, chosen": Method(
        "the surest view, with its own gradient",
        reads="equizero",
        weights=_surest("chosen"),
    ),
    "equizero, published": Method(
        "as equizero, but two optimisers, which take two updates a step",
        reads="equizero, published",
        weights=_surest("mean"),
        tuning={"updates": 2, "weight_decay": 1e-4},
    ),
    "augmented": Method(
        "no average: one view of each batch, drawn at random",
        reads="pretrained",
        augment=True,
    ),
}


def looks_of(steps: int) -> Sequence[int]:
    """The steps of `LOOKS` that a finetuning reaches, and its last.

    Example:
        >>> looks_of(300)
        (0, 100, 200, 300)
    """
    return (*(look for look in LOOKS if look < steps), steps)
