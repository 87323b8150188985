"""Episodes of a gymnasium environment, side by side, under a greedy Q function."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from equinb.apps.rl.gridworld import GRIDWORLD, REACH, picture
from equinb.apps.rl.tasks import ACROBOT, CARTPOLE
from equinb.symmetrized import TensorMap

FloatArray = NDArray[np.float64]

#: The start states of every evaluation, the same for all methods and agents.
START_SEED = 1000


class Rollout(NamedTuple):
    """Episodes played side by side, T steps until the last one ends.

    Attributes:
        states: `(T + 1, episodes, ...)`, before each action and after the last.
        actions: `(T, episodes)`.
        rewards: `(T, episodes)`, zero once the episode is over.
        lengths: `(episodes,)`, the number of steps of each.
    """

    states: NDArray[np.float32]
    actions: NDArray[np.int64]
    rewards: FloatArray
    lengths: NDArray[np.int64]

    @property
    def returns(self) -> FloatArray:
        """`(episodes,)`: the sum of rewards of each."""
        total: FloatArray = self.rewards.sum(0)
        return total

    @property
    def visited(self) -> NDArray[np.float32]:
        """`(n, ...)`: all states in which an action was chosen."""
        running = np.arange(len(self.actions))[:, None] < self.lengths
        return self.states[:-1][running]

    @property
    def ends(self) -> NDArray[np.float32]:
        """`(episodes, ...)`: the state that ended each."""
        return self.states[self.lengths, np.arange(len(self.lengths))]


def rollout(
    q: TensorMap,
    environment: str = CARTPOLE,
    episodes: int = 200,
    seed: int = START_SEED,
    start: dict[str, Any] | None = None,
    device: str = "cpu",
) -> Rollout:
    """Play the greedy policy of a Q function, and keep every step.

    All episodes run side by side, in gymnasium's vector environment. Their start states
    depend on `seed`, `episodes` and `start` alone, never on the policy.

    Args:
        q: from states `(episodes, ...)` to Q-values `(episodes, actions)`.
        environment: the name of a gymnasium environment with discrete actions.
        episodes: how many.
        seed: the seed of the start states.
        start: options of the environment's `reset`; for CartPole and Acrobot `{"low":
            ..., "high": ...}`, the range of all four numbers at the start; for
            Gridworld `{"prey": (row, column)}`.
        device: where `q` lives.

    Raises:
        ValueError: for less than one episode, actions that are not discrete, Q-values
            of another shape.

    Example:
        >>> left = lambda s: torch.tensor([[1.0, 0.0]]).expand(len(s), 2)
        >>> played = rollout(left, episodes=5)
        >>> played.actions.shape == (played.lengths.max(), 5)
        True
    """
    if episodes < 1:
        raise ValueError(f"A rollout needs at least one episode; got {episodes}.")
    envs = gymnasium.make_vec(environment, num_envs=episodes)
    try:
        count = _action_count(envs.single_action_space, environment)
        state, _ = envs.reset(seed=seed, options=start)
        states, actions, rewards = [state], [], []
        running, lengths = np.ones(episodes, dtype=bool), np.zeros(episodes, np.int64)
        while running.any():
            with torch.no_grad():
                values = q(torch.as_tensor(state, device=device))
            if values.shape != (episodes, count):
                raise ValueError(
                    f"The Q function must give Q-values of shape ({episodes}, {count}) "
                    f"in {environment}; got {tuple(values.shape)}."
                )
            actions.append(values.argmax(-1).cpu().numpy())
            state, reward, ended, cut, _ = envs.step(actions[-1])
            states.append(state)
            rewards.append(running * np.asarray(reward, dtype=np.float64))
            lengths += running
            running &= ~(ended | cut)
    finally:
        envs.close()
    return Rollout(np.stack(states), np.stack(actions), np.stack(rewards), lengths)


def evaluate(
    q: TensorMap,
    environment: str = CARTPOLE,
    episodes: int = 200,
    seed: int = START_SEED,
    start: dict[str, Any] | None = None,
    device: str = "cpu",
) -> FloatArray:
    """`(episodes,)`: the returns of a `rollout` with the same arguments.

    Example:
        >>> left = lambda s: torch.tensor([[1.0, 0.0]]).expand(len(s), 2)
        >>> bool(evaluate(left, episodes=3).max() < 12)
        True
    """
    return rollout(q, environment, episodes, seed, start, device).returns


def frames(
    states: NDArray[np.float32], environment: str = CARTPOLE
) -> list[NDArray[np.uint8]]:
    """Pictures of states, drawn by the environment itself.

    Args:
        states: `(n, ...)`, as the environment gives them.
        environment: one of the three of this chapter.

    Returns:
        n pictures `(height, width, 3)`.

    Example:
        >>> frames(np.zeros((1, 4), dtype=np.float32))[0].shape
        (400, 600, 3)
    """
    if environment == GRIDWORLD:
        cells = [np.argwhere(state)[0] - REACH for state in states]
        return [picture((int(row), int(column))) for row, column in cells]
    # Drawing needs no screen.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    env = gymnasium.make(environment, render_mode="rgb_array")
    env.reset(seed=0)
    drawn = []
    for state in states:
        if environment == ACROBOT:
            cos1, sin1, cos2, sin2, *speeds = state
            angles = np.arctan2(sin1, cos1), np.arctan2(sin2, cos2)
            state = np.array([*angles, *speeds])
        env.unwrapped.state = state  # type: ignore[attr-defined]
        drawn.append(np.array(env.render(), dtype=np.uint8))
    env.close()
    return drawn


def _action_count(space: gymnasium.Space[Any], environment: str) -> int:
    if not isinstance(space, gymnasium.spaces.Discrete):
        raise ValueError(
            f"Q-values need a finite set of actions; {environment} has {space}."
        )
    return int(space.n)
