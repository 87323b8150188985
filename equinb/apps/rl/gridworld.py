"""Gridworld: an agent hunts a prey on a small torus, seen from where the agent stands.

After van der Pol et al. (2020): 7 x 7 cells, the agent always in the middle, a reward
of -0.1 a step and +1 for the catch. A quarter turn of the picture is a quarter turn of
the moves; nothing in the dynamics prefers a direction.

Importing this file registers `equinb/Gridworld-v0`, with a limit of 100 steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

GRIDWORLD = "equinb/Gridworld-v0"
SIZE = 7
#: How far the prey can be from the agent along one axis.
REACH = SIZE // 2
#: Rows down and columns right, for: stay, right, up, left, down. The quarter turn of
#: `equinb.Rot90`, counter-clockwise, takes each move to the next one.
MOVES = ((0, 0), (0, 1), (-1, 0), (0, -1), (1, 0))
#: How likely the prey moves, to each of its four neighbours alike.
PREY_MOVES = 0.15

Cell = tuple[int, int]


class Outcome(NamedTuple):
    """What one step can lead to.

    Attributes:
        probability: how likely it is.
        prey: where the prey is then, seen from the agent.
        reward: the reward of the step.
        caught: whether the episode ends.
    """

    probability: float
    prey: Cell
    reward: float
    caught: bool


class Gridworld(gymnasium.Env[NDArray[np.float32], np.int64]):
    """The environment. Its state is the place of the prey, seen from the agent.

    Observations are `(7, 7)` float32 pictures: one at the prey's cell, zero elsewhere;
    the agent stands in the middle. Actions are `MOVES`: stay, right, up, left, down.

    Args:
        render_mode: None, or "rgb_array" for pictures.

    Example:
        >>> env = gymnasium.make(GRIDWORLD)
        >>> picture, _ = env.reset(options={"prey": (0, 1)})
        >>> _, reward, caught, _, _ = env.step(1)
        >>> picture.shape, reward, caught
        ((7, 7), 1.0, True)
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 1, (SIZE, SIZE), np.float32)
        self.action_space = gymnasium.spaces.Discrete(len(MOVES))
        self.render_mode = render_mode
        self.prey: Cell = (0, 1)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Put the prey into any cell but the agent's.

        Args:
            seed: of the start and of the prey's moves.
            options: `{"prey": (row, column)}` puts it there, rows down and columns
                right of the agent.

        Raises:
            ValueError: for a cell that is not on the grid, or the agent's own.
        """
        super().reset(seed=seed)
        if options and "prey" in options:
            prey = tuple(int(i) for i in options["prey"])
            if len(prey) != 2 or prey == (0, 0) or max(map(abs, prey)) > REACH:
                raise ValueError(
                    f"The prey can be from {-REACH} to {REACH} rows and columns away, "
                    f"and not where the agent is; got {options['prey']}."
                )
            self.prey = (prey[0], prey[1])
        else:
            self.prey = CELLS[int(self.np_random.integers(len(CELLS)))]
        return observe(self.prey), {}

    def step(
        self, action: np.int64 | int
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Move the agent; then the prey may move."""
        possible = outcomes(self.prey, int(action))
        edges = np.cumsum([outcome.probability for outcome in possible])
        # Not searched for where there is nothing to choose, nor beyond rounding.
        place = np.searchsorted(edges[:-1], self.np_random.random(), side="right")
        _, self.prey, reward, caught = possible[int(place)]
        return observe(self.prey), reward, caught, False, {}

    def render(self) -> NDArray[np.uint8] | None:
        """A picture `(112, 112, 3)`: the agent blue, the prey orange."""
        return picture(self.prey) if self.render_mode == "rgb_array" else None


#: Every place of the prey at which an episode goes on.
CELLS: tuple[Cell, ...] = tuple(
    (row, column)
    for row in range(-REACH, REACH + 1)
    for column in range(-REACH, REACH + 1)
    if (row, column) != (0, 0)
)


def outcomes(prey: Cell, action: int) -> list[Outcome]:
    """All that a step can lead to, with probabilities that sum to one.

    Args:
        prey: where the prey is, seen from the agent.
        action: an index into `MOVES`.

    Raises:
        ValueError: for an action that is not there.

    Example:
        >>> outcomes((0, 1), action=1)
        [Outcome(probability=1.0, prey=(0, 0), reward=1.0, caught=True)]
        >>> len(outcomes((2, 2), action=0))
        5
    """
    if not 0 <= action < len(MOVES):
        raise ValueError(f"Actions are 0 to {len(MOVES) - 1}; got {action}.")
    down, right = MOVES[action]
    near = _wrap(prey[0] - down, prey[1] - right)
    if near == (0, 0):
        return [_outcome(1.0, near)]
    moved = [_wrap(near[0] + i, near[1] + j) for i, j in MOVES[1:]]
    each = PREY_MOVES / len(moved)
    return [
        _outcome(1 - PREY_MOVES, near),
        *(_outcome(each, cell) for cell in moved),
    ]


def observe(prey: Cell) -> NDArray[np.float32]:
    """The picture `(7, 7)` that the agent sees: one at the prey's cell.

    Example:
        >>> np.argwhere(observe((0, 1))).tolist()
        [[3, 4]]
    """
    seen = np.zeros((SIZE, SIZE), np.float32)
    seen[REACH + prey[0], REACH + prey[1]] = 1
    return seen


def picture(prey: Cell, scale: int = 16) -> NDArray[np.uint8]:
    """The grid drawn: `(7 scale, 7 scale, 3)`, the agent blue, the prey orange.

    Example:
        >>> picture((0, 1)).shape
        (112, 112, 3)
    """
    cells = np.full((SIZE, SIZE, 3), 245, np.uint8)
    cells[REACH, REACH] = (0, 114, 178)
    cells[REACH + prey[0], REACH + prey[1]] = (213, 94, 0)
    drawn = cells.repeat(scale, 0).repeat(scale, 1)
    drawn[::scale] = drawn[:, ::scale] = 200
    return drawn


def _outcome(probability: float, prey: Cell) -> Outcome:
    caught = prey == (0, 0)
    return Outcome(probability, prey, 1.0 if caught else -0.1, caught)


def _wrap(row: int, column: int) -> Cell:
    return (row + REACH) % SIZE - REACH, (column + REACH) % SIZE - REACH


gymnasium.register(GRIDWORLD, f"{__name__}:{Gridworld.__name__}", max_episode_steps=100)
