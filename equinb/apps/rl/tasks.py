"""The three environments of the paper with their symmetries, and how to pretrain there.

How each group acts is of section 4.1 of the paper, after van der Pol et al. (2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from equinb.actions import Action, Permutation, Rot90, SignedPermutation
from equinb.apps.rl.gridworld import GRIDWORLD, SIZE
from equinb.groups import cyclic

CARTPOLE = "CartPole-v1"
ACROBOT = "Acrobot-v1"


@dataclass(frozen=True)
class Pretraining:
    """How a DQN is trained that knows nothing of symmetry.

    Attributes:
        steps: of the environment; the course of training is followed so far.
        use: after how many of them the agent is taken for the comparison of methods.
        width: units in each of the two hidden layers.
        learning_rate: Adam's.
        more: what else differs from the defaults of stable-baselines3.
    """

    steps: int
    use: int
    width: int = 256
    learning_rate: float = 1e-4
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """An environment, its symmetry, and two ways to pretrain an agent in it.

    Attributes:
        environment: its name in gymnasium.
        short: what its files are called.
        shape: of one state.
        state: how the group acts on states `(B, ...)`.
        action: how it acts on Q-values `(B, actions)`.
        ours: settings that make an agent which is competent and can be improved.
        paper: section 5.1.1, and the library's defaults where it is silent.
    """

    environment: str
    short: str
    shape: tuple[int, ...]
    state: Action
    action: Action
    ours: Pretraining
    paper: Pretraining


def cartpole_actions() -> tuple[Action, Action]:
    """The mirror of CartPole: negate the state, swap left and right.

    Returns:
        How C2 acts on states `(B, 4)` and on Q-values `(B, 2)`.

    Example:
        >>> import torch
        >>> state, action = cartpole_actions()
        >>> action("r", torch.tensor([[0.2, 0.8]]))
        tensor([[0.8000, 0.2000]])
    """
    G = cyclic(2)
    state = SignedPermutation(G, None, [[1, 1, 1, 1], [-1, -1, -1, -1]])
    return state, Permutation(G, [[0, 1], [1, 0]])


def acrobot_actions() -> tuple[Action, Action]:
    """The mirror of Acrobot: negate both angles and velocities, and the torque.

    Returns:
        How C2 acts on states `(B, 6)`, the cosine and sine of two angles and two
        velocities, and on Q-values `(B, 3)`.

    Example:
        >>> import torch
        >>> state, _ = acrobot_actions()
        >>> state("r", torch.tensor([[0.8, 0.6, 1.0, 0.0, 2.0, -3.0]]))
        tensor([[ 0.8000, -0.6000,  1.0000, -0.0000, -2.0000,  3.0000]])
    """
    G = cyclic(2)
    state = SignedPermutation(G, None, [[1] * 6, [1, -1, 1, -1, -1, -1]])
    return state, Permutation(G, [[0, 1, 2], [2, 1, 0]])


def gridworld_actions() -> tuple[Action, Action]:
    """Quarter turns of Gridworld: turn the picture, and the four moves with it.

    Returns:
        How C4 acts on states `(B, 7, 7)` and on Q-values `(B, 5)`.

    Example:
        >>> import torch
        >>> _, action = gridworld_actions()
        >>> action("r", torch.tensor([[0, 1, 2, 3, 4]]))  # stay, right, up, left, down
        tensor([[0, 4, 1, 2, 3]])
    """
    G = cyclic(4)
    moves = [[0, *(1 + (k + move) % 4 for move in range(4))] for k in range(4)]
    return Rot90(G), Permutation(G, moves)


#: Batch, target network and exploration after what is known to train an Acrobot agent
#: with this library; the learning rate is the paper's.
_ACROBOT = {
    "batch_size": 128,
    "target_update_interval": 250,
    "train_freq": 4,
    "gradient_steps": -1,
    "exploration_fraction": 0.12,
    "exploration_final_eps": 0.1,
}
#: The width that comes closest to the paper's 103k parameters on CartPole.
_PAPER_WIDTH = 316

TASKS = {
    task.environment: task
    for task in (
        Task(
            CARTPOLE,
            "cartpole",
            (4,),
            *cartpole_actions(),
            ours=Pretraining(100_000, 100_000),
            paper=Pretraining(100_000, 100_000, _PAPER_WIDTH),
        ),
        Task(
            ACROBOT,
            "acrobot",
            (6,),
            *acrobot_actions(),
            ours=Pretraining(70_000, 40_000, more=_ACROBOT),
            paper=Pretraining(70_000, 70_000, _PAPER_WIDTH),
        ),
        Task(
            GRIDWORLD,
            "gridworld",
            (SIZE, SIZE),
            *gridworld_actions(),
            ours=Pretraining(100_000, 20_000),
            paper=Pretraining(100_000, 100_000, _PAPER_WIDTH),
        ),
    )
}


def find_task(environment: str) -> Task:
    """The task of an environment.

    Raises:
        ValueError: if it is none of the three.
    """
    if environment not in TASKS:
        raise ValueError(
            f"There are no agents for {environment!r}; there are some for "
            f"{', '.join(TASKS)}."
        )
    return TASKS[environment]
