"""Gridworld: a proper environment, symmetric in every state, action and outcome."""

import warnings
from collections import Counter

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import equinb as eq
from equinb.apps.rl import GRIDWORLD, Gridworld, gridworld_actions
from equinb.apps.rl.gridworld import (
    CELLS,
    MOVES,
    PREY_MOVES,
    REACH,
    observe,
    outcomes,
    picture,
)

STATE, ACTION = gridworld_actions()
G = STATE.group


def turned(g, cell):
    """A cell after g, by turning its picture."""
    seen = STATE(g, torch.from_numpy(observe(cell))[None])[0]
    row, column = np.argwhere(seen.numpy())[0] - REACH
    return int(row), int(column)


def turned_move(g, move):
    """An action after g, by the action on Q-values."""
    return int(ACTION(g, torch.eye(len(MOVES))[move][None]).argmax())


def distribution(cell, action, g=None):
    """Probability of (prey, reward, end) after a step; the prey turned by g."""
    found = Counter()
    for p, prey, reward, caught in outcomes(cell, action):
        found[prey if g is None else turned(g, prey), reward, caught] += p
    return found


def test_the_pair_is_a_pair_of_actions():
    assert eq.check_action(STATE, torch.rand(5, 7, 7)).passed
    assert eq.check_action(ACTION, torch.rand(5, 5)).passed


@pytest.mark.parametrize("g", range(4))
@pytest.mark.parametrize("action", range(len(MOVES)))
def test_every_step_is_symmetric(g, action):
    """P(g s', r, end | g s, g a) = P(s', r, end | s, a), in all 48 states."""
    for cell in CELLS:
        here = distribution(cell, action, g)
        there = distribution(turned(g, cell), turned_move(g, action))
        assert here == there


def test_moves_turn_into_one_another():
    """A quarter turn, counter-clockwise: right to up to left to down."""
    assert [turned_move("r", a) for a in range(5)] == [0, 2, 3, 4, 1]
    assert [turned("r", move) for move in MOVES] == [MOVES[a] for a in (0, 2, 3, 4, 1)]


def test_the_start_is_symmetric():
    assert len(CELLS) == 48
    assert {turned("r", cell) for cell in CELLS} == set(CELLS)


def test_other_pairs_would_be_refused_by_the_dynamics():
    """The test above can fail: forget the moves, and the steps differ."""
    assert any(
        distribution(cell, 1, g=1) != distribution(turned(1, cell), 1) for cell in CELLS
    )


@pytest.mark.parametrize("action", range(len(MOVES)))
def test_outcomes_are_a_distribution(action):
    for cell in CELLS:
        found = outcomes(cell, action)
        assert sum(o.probability for o in found) == pytest.approx(1)
        assert len({o.prey for o in found}) == len(found)
        for o in found:
            assert o.prey == (0, 0) or o.prey in CELLS
            assert o.caught == (o.prey == (0, 0))
            assert o.reward == (1.0 if o.caught else -0.1)


def test_the_torus_wraps():
    # The prey at the left edge, the agent moves right: it comes back on the right.
    assert outcomes((0, -3), action=1)[0].prey == (0, 3)


@pytest.mark.parametrize(("cell", "action"), [((2, -1), 3), ((0, 2), 1), ((1, 1), 0)])
def test_steps_follow_the_distribution(cell, action):
    env = gymnasium.make(GRIDWORLD).unwrapped
    env.reset(seed=0)
    n, seen = 4000, Counter()
    for _ in range(n):
        env.prey = cell
        _, reward, caught, _, _ = env.step(action)
        seen[env.prey, reward, caught] += 1
    expected = distribution(cell, action)
    assert set(seen) == set(expected)
    for key, p in expected.items():
        # Four standard errors.
        assert abs(seen[key] / n - p) < 4 * (p * (1 - p) / n) ** 0.5 + 1e-12


def test_the_prey_moves_as_often_as_stated():
    (still, *moved) = outcomes((2, 2), 0)
    assert still.probability == 1 - PREY_MOVES
    assert sum(o.probability for o in moved) == pytest.approx(PREY_MOVES)


def test_gymnasium_finds_nothing_wrong():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(GRIDWORLD, render_mode="rgb_array").unwrapped)


def test_an_episode_ends_after_a_hundred_steps():
    env = gymnasium.make(GRIDWORLD)
    env.reset(seed=1, options={"prey": (3, 3)})
    for step in range(100):
        # Run away: with the prey in a corner, keep it there.
        row, column = env.unwrapped.prey
        env.unwrapped.prey = (3, 3)
        _, _, caught, cut, _ = env.step(0)
        assert not caught, (row, column)
        assert cut == (step == 99)


def test_same_seed_same_episode():
    def play(seed):
        env = gymnasium.make(GRIDWORLD)
        seen = [env.reset(seed=seed)[0]]
        seen += [env.step(i % 5)[0] for i in range(30)]
        return np.stack(seen)

    np.testing.assert_array_equal(play(3), play(3))
    assert (play(3) != play(4)).any()


def test_frames_show_agent_and_prey():
    env = gymnasium.make(GRIDWORLD, render_mode="rgb_array")
    env.reset(options={"prey": (-3, 2)})
    frame = env.render()
    np.testing.assert_array_equal(frame, picture((-3, 2)))
    orange = (frame == (213, 94, 0)).all(-1)
    rows, columns = np.nonzero(orange)
    assert rows.max() < 16
    assert 5 * 16 <= columns.min() <= columns.max() < 6 * 16
    assert gymnasium.make(GRIDWORLD).unwrapped.render() is None


@pytest.mark.parametrize("prey", [(0, 0), (4, 0), (0, -4), (1,), (1, 2, 3)])
def test_impossible_places_are_refused(prey):
    with pytest.raises(ValueError, match="rows and columns away"):
        Gridworld().reset(options={"prey": prey})


@pytest.mark.parametrize("action", [-1, 5])
def test_unknown_actions_are_refused(action):
    with pytest.raises(ValueError, match="Actions are 0 to 4"):
        outcomes((1, 1), action)
