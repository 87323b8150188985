"""Lambda for sentences: a small network that reads the encoder of a pretrained model.

It is trained with the model frozen, on the task's training sentences alone: no command
of the test set and no label beyond those that the model has seen.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from equinb.apps.scan.model import HIDDEN, Seq2Seq
from equinb.apps.scan.training import Data, generator
from equinb.apps.scan.words import ACTIONS, Symmetry
from equinb.lambda_equitune import Learned
from equinb.symmetrized import Orbit, Weighting

#: What the rows of results call it.
LAMBDA = "lambda-equitune"
#: The hidden layer of the network, and how it is trained: with Adam.
WIDTH, STEPS, BATCH, LEARNING_RATE = 32, 300, 512, 1e-2
#: The most commands that are read at once.
CHUNK = 1024


class Importance(nn.Module):
    r"""$\log \lambda$ of commands, from the last states of a frozen encoder.

    Args:
        model: copied and frozen, so that lambda stays what it is while the model is
            finetuned; the price is a second pass of the encoder.

    Example:
        >>> from equinb.apps.scan.words import COMMANDS
        >>> Importance(Seq2Seq("GRU"))(COMMANDS.encode(["jump twice"])).shape
        torch.Size([1])
    """

    def __init__(self, model: Seq2Seq) -> None:
        super().__init__()
        self.model = deepcopy(model).requires_grad_(False)
        self.net = nn.Sequential(
            nn.Linear(HIDDEN, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1)
        ).to(model.out.weight.device)

    @torch.no_grad()
    def read(self, commands: Tensor) -> Tensor:
        """`(B, 128)`: the last states of both directions, from `(B, words)` ids."""
        return self.model.encode(commands)[1].hidden

    def forward(self, commands: Tensor) -> Tensor:
        r"""`(B,)`: $\log \lambda$, from `(B, words)` ids."""
        log_lambda: Tensor = self.net(self.read(commands))[:, 0]
        return log_lambda


def learn_importance(
    model: Seq2Seq, data: Data, by: Symmetry, seed: int = 0, steps: int = STEPS
) -> Learned:
    """Train lambda on sentences that the model knows, the model frozen.

    It minimises the negative log-likelihood of the right sentence under the weighted
    average of the views, all of them told the words so far.

    Args:
        model: in eval mode.
        data: commands and the right actions.
        by: the symmetry.
        seed: of its first weights, and of the order of the sentences.
        steps: of Adam.

    Returns:
        The weighting of eq. (4), reading the views of commands ("inputs"); frozen.

    Example:
        >>> from equinb.apps.scan import COMMANDS, load_model, load_sets, symmetry
        >>> model, by = load_model("add_jump"), symmetry("Verb")
        >>> few = Data(*(part[:64] for part in load_sets("add_jump", 0).train))
        >>> learned = learn_importance(model, few, by)
        >>> weigh(learned, COMMANDS.encode(["jump around left"]), by).argmax().item()
        1
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Importance(model)
    views = by.commands.orbit(data.commands)
    read = [net.read(part) for part in views.flatten(0, 1).split(CHUNK)]
    states = torch.cat(read).unflatten(0, views.shape[:2])
    told = likelihoods(model, data, by)
    optimizer = torch.optim.Adam(net.net.parameters(), LEARNING_RATE)
    order = generator(seed, "importance")
    for _ in range(steps):
        rows = torch.randint(len(data.commands), (BATCH,), generator=order)
        rows = rows.to(states.device)
        log_w = net.net(states[:, rows])[..., 0].log_softmax(0)
        loss = -(log_w[..., None] + told[:, rows]).logsumexp(0).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Learned(net.requires_grad_(False), of="inputs")


class Floored(Weighting):
    r"""Weights with an even share: $(1 - \epsilon) w_g + \epsilon / |G|$.

    A view that lambda does not trust has no gradient to learn from, unless it keeps a
    share. They depend on $gx$ alone if the weights do.

    Args:
        weighting: whose weights.
        share: $\epsilon$, from 0 to 1.

    Raises:
        ValueError: for another share.
    """

    def __init__(self, weighting: Weighting, share: float = 0.5) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"The even share lies between 0 and 1; got {share}.")
        self.weighting, self.share = weighting, share

    def forward(self, orbit: Orbit) -> tuple[Tensor, Tensor]:
        """The scores, and the weights, `(|G|, B)` each."""
        scores, weights = self.weighting(orbit)
        return scores, (1 - self.share) * weights + self.share / orbit.group.order


@torch.no_grad()
def likelihoods(model: Seq2Seq, data: Data, by: Symmetry) -> Tensor:
    """`(|G|, N, 49)`: what each view gives the right words, as log-probabilities.

    Args:
        model: in eval mode.
        data: commands and the right actions; each view is told them so far.
        by: the symmetry.

    Returns:
        Zero after the end of a sentence.
    """
    parts = []
    for rows in torch.arange(len(data.commands)).split(CHUNK):
        commands, actions = data.commands[rows], data.actions[rows]
        length = int((actions != ACTIONS.eos).sum(1).max()) + 1
        told = by.actions.orbit(actions[:, :length]).flatten(0, 1)
        log_p = model(by.commands.orbit(commands).flatten(0, 1), told)
        chosen = log_p.gather(-1, told[..., None])[..., 0]
        ended = (told == ACTIONS.eos).long()
        spoken = chosen * (ended.cumsum(1) - ended == 0)
        spoken = pad(spoken, (0, actions.shape[1] - length))
        parts.append(spoken.unflatten(0, (by.group.order, len(rows))))
    return torch.cat(parts, 1)


@torch.no_grad()
def weigh(weighting: Weighting, commands: Tensor, by: Symmetry) -> Tensor:
    """`(|G|, N)`: the weights of the views of commands, for `say` to hold to.

    Args:
        weighting: that reads the views of commands ("inputs").
        commands: `(N, words)` ids.
        by: the symmetry.
    """
    views = by.commands.orbit(commands)
    found: tuple[Tensor, Tensor] = weighting(Orbit(by.group, views, views, views))
    return found[1]
