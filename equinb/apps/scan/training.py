"""Pretraining: teacher forcing by coin, many sentences at once, the best model kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from equinb.apps.scan.decoding import exact_match, say
from equinb.apps.scan.grammar import load_split
from equinb.apps.scan.model import Cell, Seq2Seq
from equinb.apps.scan.words import ACTIONS, COMMANDS, tensors

#: The share of the training set that is held back to choose the best model.
VALIDATION = 0.2
#: The chance that a batch is told the right words, and not its own.
TEACHER_FORCING = 0.5
#: The greatest norm of the gradient of the encoder, and of that of the decoder.
CLIP = 5.0
#: As many batches are drawn at once, so that each can hold sentences of like length.
DRAWN = 32


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        batch: pairs of a command and its actions in a step.
        pairs: in all, drawn with replacement.
        learning_rate: of Adam, at first.
        decay: whether it falls to zero, along a line.
        looks: how many times the model is judged on the validation set.
    """

    batch: int
    pairs: int
    learning_rate: float
    decay: bool = False
    looks: int = 10

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if min(self.batch, self.pairs, self.looks) < 1 or not self.learning_rate > 0:
            raise ValueError(
                f"A recipe needs a batch, pairs, looks and a learning rate above zero; "
                f"got {self}."
            )


#: What the published code does: one pair a step.
PUBLISHED = Recipe(batch=1, pairs=200_000, learning_rate=1e-4)
#: What the shipped models had.
BATCHED = Recipe(batch=64, pairs=300_000, learning_rate=1e-3, decay=True)


def sentence_losses(
    model: Seq2Seq, commands: Tensor, actions: Tensor, forced: bool
) -> Tensor:
    """`(B,)`: the negative log-likelihood of each sentence, up to where it counts.

    As in the published code, a sentence counts up to the first EOS that the model
    itself holds most likely, even if it should go on.

    Args:
        model: in train mode for its dropout.
        commands: `(B, 10)` ids.
        actions: `(B, 49)` ids, right ones.
        forced: whether the model is told the right words, or goes on from its own.
    """
    length = int((actions != ACTIONS.eos).sum(1).max()) + 1
    actions = actions[:, :length]
    log_p = model(commands, actions) if forced else model.run(commands, length)
    ended = (log_p.argmax(-1) == ACTIONS.eos) | (actions == ACTIONS.eos)
    counts = ended.cumsum(1) - ended.long() == 0
    chosen = log_p.gather(-1, actions[..., None])[..., 0]
    return -(chosen * counts).sum(1)


class Data(NamedTuple):
    """Ids of commands `(N, 10)` and of their actions `(N, 49)`."""

    commands: Tensor
    actions: Tensor


class Sets(NamedTuple):
    """What a model is trained, chosen and tested on."""

    train: Data
    validation: Data
    test: Data


def load_sets(task: str, seed: int, device: str = "cpu") -> Sets:
    """A split of SCAN, its training set divided again by `VALIDATION`.

    Args:
        task: "add_jump" or "around_right".
        seed: of the division.
        device: where the ids are wanted.
    """
    split = load_split(task)
    commands, actions = (part.to(device) for part in tensors(split.train))
    order = torch.randperm(len(commands), generator=generator(seed, "division"))
    held = int(len(commands) * VALIDATION)
    test = Data(*(part.to(device) for part in tensors(split.test)))
    validation, train = order[:held], order[held:]
    return Sets(
        Data(commands[train], actions[train]),
        Data(commands[validation], actions[validation]),
        test,
    )


class Look(NamedTuple):
    """How far a training has come.

    Attributes:
        pairs: that were seen.
        validation: exact-match accuracy, from 0 to 1.
    """

    pairs: int
    validation: float


def pretrain(
    kind: Cell,
    sets: Sets,
    seed: int,
    recipe: Recipe,
    visit: Callable[[Look], None] = lambda look: None,
) -> Seq2Seq:
    """Train a model from nothing.

    Args:
        kind: the recurrent cell.
        sets: see `load_sets`.
        seed: of the first weights, the order of the pairs, dropout and coins.
        recipe: how.
        visit: called after every look.

    Returns:
        The model in the state that was best on the validation set, in eval mode.
    """
    torch.manual_seed(seed)
    model = Seq2Seq(kind).to(sets.train.commands.device)

    def losses(commands: Tensor, actions: Tensor, forced: bool) -> Tensor:
        return sentence_losses(model, commands, actions, forced)

    fit(
        model,
        losses,
        lambda: accuracy(model, sets.validation),
        sets.train,
        seed,
        recipe,
        visit,
    )
    return model.eval()


def fit(
    model: Seq2Seq,
    losses: Callable[[Tensor, Tensor, bool], Tensor],
    validate: Callable[[], float],
    data: Data,
    seed: int,
    recipe: Recipe,
    visit: Callable[[Look], None] = lambda look: None,
) -> None:
    """Train the weights of a model in place, and leave it in its best state.

    Args:
        model: the weights, in train mode for its dropout.
        losses: from commands, actions, and whether the words are told, to `(B,)`; see
            `sentence_losses`.
        validate: the accuracy by which the best state is chosen.
        data: what is learnt from.
        seed: of the order of the pairs and the coins.
        recipe: how.
        visit: called after every look.
    """
    optimizer = torch.optim.Adam(model.parameters(), recipe.learning_rate, fused=True)
    coins = generator(seed, "coins")
    seen, looks, best, kept = 0, 0, -1.0, {}
    for rows in batches(data, recipe, generator(seed, "order")):
        if recipe.decay:
            left = 1 - seen / recipe.pairs
            optimizer.param_groups[0]["lr"] = recipe.learning_rate * left
        forced = torch.rand((), generator=coins).item() < TEACHER_FORCING
        loss = losses(data.commands[rows], data.actions[rows], forced).mean()
        optimizer.zero_grad()
        loss.backward()
        for part in model.encoder_and_decoder:
            nn.utils.clip_grad_norm_(part, CLIP)
        optimizer.step()
        seen += len(rows)
        if seen * recipe.looks < (looks + 1) * recipe.pairs:
            continue
        looks += 1
        validation = validate()
        visit(Look(seen, validation))
        if validation > best:
            best = validation
            kept = {name: t.clone() for name, t in model.state_dict().items()}
    model.load_state_dict(kept)


def accuracy(model: Seq2Seq, data: Data) -> float:
    """The share of commands whose actions are all right, from 0 to 1.

    The model is back in the mode that it was in.
    """
    training = model.training
    said = say(model.eval(), data.commands)
    model.train(training)
    return float(exact_match(said.words, data.actions).float().mean())


def batches(data: Data, recipe: Recipe, order: torch.Generator) -> Iterator[Tensor]:
    """Rows of `recipe.pairs` pairs, drawn with replacement, of like length."""
    words = (data.commands != COMMANDS.eos).sum(1)
    length = words * (ACTIONS.longest + 1) + (data.actions != ACTIONS.eos).sum(1)
    left = recipe.pairs
    while left > 0:
        drawn = torch.randint(
            len(words), (min(left, DRAWN * recipe.batch),), generator=order
        )
        left -= len(drawn)
        parts = drawn[length[drawn].argsort()].split(recipe.batch)
        for place in torch.randperm(len(parts), generator=order).tolist():
            yield parts[place]


def generator(seed: int, what: str) -> torch.Generator:
    """Randomness from a seed and a name, on the CPU, whatever the device.

    Names whose letter codes have the same sum share it, as "order" and "coins" do by
    accident: a coin and a row are then made from the same number, by other bits of it.
    """
    return torch.Generator().manual_seed(seed * 1000 + sum(map(ord, what)))
