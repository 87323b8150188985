"""Lambda-equitune for Q-values: which view is to be trusted, learned from experience.

The paper has equitune and equizero here; lambda is our extension. It is trained by the
pretraining's own loss, the temporal-difference error, with all else frozen.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from equinb.actions import Action
from equinb.equitune import Equitune
from equinb.symmetrized import TensorMap

#: The discount of the pretraining (the default of stable-baselines3).
GAMMA = 0.99
#: Units in the hidden layer of lambda.
WIDTH = 64


class Transitions(NamedTuple):
    """Steps that an agent has made, n of them.

    Attributes:
        states: `(n, ...)`.
        actions: `(n,)`.
        rewards: `(n,)`.
        after: `(n, ...)`, the next states.
        ended: `(n,)`, one where the episode ended there, but for a limit of steps.
    """

    states: Tensor
    actions: Tensor
    rewards: Tensor
    after: Tensor
    ended: Tensor


def lambda_net(entries: int) -> nn.Sequential:
    """An untrained net from views `(N, entries)`, flattened, to log lambda `(N, 1)`.

    It begins with equal weights for all views: its last layer is zero.

    Example:
        >>> lambda_net(49)(torch.rand(3, 7, 7)).flatten().tolist()
        [0.0, 0.0, 0.0]
    """
    last = nn.Linear(WIDTH, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Flatten(), nn.Linear(entries, WIDTH), nn.ReLU(), last)


def targets(q: TensorMap, seen: Transitions) -> Tensor:
    r"""`(n,)`: $r + \gamma \max_{a'} Q(s', a')$, or $r$ where the episode ended."""
    with torch.no_grad():
        best: Tensor = q(seen.after).amax(-1)
    return seen.rewards + GAMMA * (1 - seen.ended) * best


def td_error(q: TensorMap, goal: Tensor, seen: Transitions) -> Tensor:
    """The Huber loss of the values of the actions taken, as a DQN's pretraining has it.

    Args:
        q: from states to Q-values `(n, actions)`.
        goal: `(n,)`, see `targets`.
        seen: the steps.
    """
    taken = q(seen.states).gather(1, seen.actions[:, None])[:, 0]
    return smooth_l1_loss(taken, goal)


def fit_lambda(
    q: TensorMap,
    target: TensorMap,
    state: Action,
    action: Action,
    seen: Transitions,
    *,
    steps: int = 1500,
    batch: int = 256,
    learning_rate: float = 3e-3,
    seed: int = 0,
) -> nn.Sequential:
    """Train lambda so that the averaged Q function has the least TD error.

    Args:
        q: the pretrained Q network, frozen.
        target: the target network of its pretraining, frozen.
        state: how the group acts on states.
        action: how it acts on Q-values.
        seen: steps of the pretraining, from its replay buffer.
        steps: updates of lambda, by Adam; the learning rate falls to zero as a cosine.
        batch: steps seen in each.
        learning_rate: at the start.
        seed: of lambda's first weights and of the batches. The global random state is
            left as it is.

    Returns:
        The net that gives log lambda of a view, frozen.

    Example:
        >>> from equinb.apps.rl import cartpole_actions, load_q_network
        >>> q, n = load_q_network(), 100
        >>> s = torch.rand(n, 4)
        >>> one = torch.ones(n)
        >>> seen = Transitions(s, one.long(), one, s, 0 * one)
        >>> lam = fit_lambda(q, q, *cartpole_actions(), seen, steps=2)
        >>> lam(s).shape
        torch.Size([100, 1])
    """
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lam = lambda_net(math.prod(seen.states.shape[1:])).to(seen.states.device)
    goal = targets(target, seen)
    # Q is frozen: what each view says of the action taken is the same in every update.
    with torch.no_grad():
        views = Equitune(q, state, action, chunk=8192).orbit(seen.states).aligned
        taken = views.gather(-1, seen.actions.expand(len(views), -1)[..., None])[..., 0]
    optimiser = torch.optim.Adam(lam.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        chosen = torch.randint(len(goal), (batch,), generator=random).to(goal.device)
        log_lambda = lam(state.orbit(seen.states[chosen]).flatten(0, 1))
        weights = log_lambda.view(len(views), batch).softmax(0)
        optimiser.zero_grad()
        smooth_l1_loss((weights * taken[:, chosen]).sum(0), goal[chosen]).backward()
        optimiser.step()
        schedule.step()
    return lam.eval().requires_grad_(False)
