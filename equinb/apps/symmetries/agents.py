"""Agents as subjects: states that they visit, and which actions are right there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from equinb.actions import Permutation
from equinb.apps.rl.agents import SEEDS, load_q_network
from equinb.apps.rl.gridworld import CELLS, GRIDWORLD, MOVES, REACH, Cell, outcomes
from equinb.apps.rl.rollouts import rollout
from equinb.apps.rl.tasks import TASKS, Task
from equinb.equitune import Equitune

#: Episodes that are played, the seeds of their start states, and the discount.
EPISODES, START, GAMMA = 50, (7000, 8000), 0.99


@dataclass(frozen=True)
class Played:
    """An agent and states that it has visited.

    Attributes:
        task: the environment and its symmetry.
        q: the Q function.
        unlabelled: `(B, ...)`, states.
        states: `(N, ...)`, of other episodes.
        right: `(N, actions)`, which actions are right in them.
    """

    task: Task
    q: nn.Sequential
    unlabelled: Tensor
    states: Tensor
    right: Tensor

    @property
    def moves(self) -> Tensor:
        """`(|G|, actions)`: where each element sends each action."""
        return torch.as_tensor(cast(Permutation, self.task.action).perms)


def play(short: str, seed: int, unlabelled: int, labelled: int) -> Played:
    """Play the shipped agent of a seed, and collect states at random.

    Args:
        short: "cartpole", "acrobot" or "gridworld".
        seed: the agent's, 0 to 4.
        unlabelled: at most so many states without labels.
        labelled: at most so many with.
    """
    task = next(task for task in TASKS.values() if task.short == short)
    q = load_q_network(task.environment, seed)
    random = torch.Generator().manual_seed(seed)
    sets = []
    for start, n in zip(START, (unlabelled, labelled), strict=True):
        seen = torch.as_tensor(rollout(q, task.environment, EPISODES, start).visited)
        sets.append(seen[torch.randperm(len(seen), generator=random)[:n]])
    states = sets[1]
    right = (
        optimal(states) if task.environment == GRIDWORLD else vote(task, seed, states)
    )
    return Played(task, q, sets[0], states, right)


def vote(task: Task, seed: int, states: Tensor) -> Tensor:
    """`(N, actions)`: what most of the other agents do, each of them equituned.

    Where there is no exact answer, theirs stands for it; it is equivariant.
    """
    others = [
        load_q_network(task.environment, other) for other in SEEDS if other != seed
    ]
    with torch.no_grad():
        said = [Equitune(q, task.state, task.action)(states) for q in others]
    count = sum(one_hot(q.argmax(-1), q.shape[-1]) for q in said)
    votes = torch.as_tensor(count)
    return votes == votes.amax(-1, keepdim=True)


def optimal(states: Tensor) -> Tensor:
    """`(N, 5)`: the optimal actions in Gridworld, from pictures `(N, 7, 7)`."""
    best = best_actions()
    cells = [np.argwhere(state.numpy())[0] - REACH for state in states]
    return torch.stack([best[int(row), int(column)] for row, column in cells])


@cache
def best_actions() -> dict[Cell, Tensor]:
    """The optimal actions in every cell of Gridworld, by value iteration.

    Example:
        >>> best_actions()[0, 2].tolist()  # stay, right, up, left, down
        [False, True, False, False, False]
    """
    value = {(0, 0): 0.0, **dict.fromkeys(CELLS, 0.0)}
    while True:
        q = {
            cell: [
                sum(
                    o.probability * (o.reward + (not o.caught) * GAMMA * value[o.prey])
                    for o in outcomes(cell, action)
                )
                for action in range(len(MOVES))
            ]
            for cell in CELLS
        }
        gap = max(abs(max(q[cell]) - value[cell]) for cell in CELLS)
        value |= {cell: max(row) for cell, row in q.items()}
        if gap < 1e-9:
            break
    return {cell: torch.tensor(row) >= max(row) - 1e-6 for cell, row in q.items()}
