"""The experiment `dqn`: training that nobody disturbs, and the stored results."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from equinb import lab
from equinb.apps import load_experiment, rl
from equinb.apps.rl import sb3
from equinb.apps.rl.experiment import EXPERIMENT, work

SMALL = EXPERIMENT.config("small")
STORED = ["dqn-small", "dqn-paper"]


def trained(task, every, visit=lambda now: None, steps=600):
    """The weights after a short training."""
    last = {}

    def look(now):
        visit(now)
        last.update(copy.deepcopy(now.q.state_dict()))

    settings = replace(task.ours, steps=steps, width=8)
    sb3.pretrain(task.environment, 3, settings, look, every)
    return last


@pytest.mark.parametrize("task", rl.TASKS.values(), ids=lambda t: t.short)
def test_looking_on_does_not_disturb_training(task):
    def visit(now):
        pair = task.state, task.action
        lam = rl.fit_lambda(now.q, now.target, *pair, now.replay, steps=2)
        rl.compare(now.q, lam, task, episodes=2)

    watched, alone = trained(task, 200, visit), trained(task, 600)
    for name, tensor in alone.items():
        assert torch.equal(tensor, watched[name])


def test_the_replay_is_what_the_library_samples():
    def visit(now):
        s, a, r, after, ended = now.replay
        assert len(s) == now.steps - 1  # the last is stored after the look
        assert a.dtype == torch.int64
        # Where an episode goes on, the next state is the next row.
        on = ended[:-1] == 0
        assert torch.equal(after[:-1][on], s[1:][on])
        assert not torch.equal(after[:-1][~on], s[1:][~on])
        assert set(r.tolist()) == {1.0}
        assert 0 < ended.sum() < now.steps / 5

    trained(rl.TASKS[rl.CARTPOLE], 300, visit)


def test_a_limit_of_steps_is_no_end():
    def visit(now):
        states, _, _, after, ended = now.replay
        cut = (after[:-1] != states[1:]).flatten(1).any(-1) & (ended[:-1] == 0)
        assert cut.sum() >= 1

    trained(rl.TASKS[rl.ACROBOT], 1200, visit, steps=1200)


def test_a_job_makes_rows_and_what_is_shipped(monkeypatch):
    task = rl.TASKS[rl.GRIDWORLD]
    short = replace(task, ours=replace(task.ours, steps=400, use=200, width=8))
    monkeypatch.setitem(rl.TASKS, rl.GRIDWORLD, short)
    options = replace(SMALL, environments=(rl.GRIDWORLD,), episodes=3, every=200)
    job = lab.Job(2, {"environment": rl.GRIDWORLD}, 400)
    done = []
    made = work(options, job, "cpu", done.append)
    assert [(row["steps"], row["method"]) for row in made.rows] == [
        (steps, method) for steps in (200, 400) for method in rl.METHODS
    ]
    assert done == list(range(1, 401))
    assert sorted(made.weights) == [
        "dqn/gridworld-lambda-seed2.safetensors",
        "dqn/gridworld-q-seed2.safetensors",
    ]
    tensors, card = made.weights["dqn/gridworld-q-seed2.safetensors"]
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert card["steps"] == 200
    assert card["licence"] == "MIT"
    again = work(options, job, "cpu", done.append)
    assert again.rows == made.rows


def test_the_presets():
    names = {name: config.agents for name, config in EXPERIMENT.presets.items()}
    assert names == {"quick": "shipped", "small": "ours", "paper": "paper"}
    assert all(config.episodes >= 100 for config in EXPERIMENT.presets.values())
    assert load_experiment("dqn") is EXPERIMENT


@pytest.mark.parametrize("name", STORED)
def test_stored_rows_are_complete(name):
    rows, made = lab.load_result(name)
    assert made.seeds == list(rl.SEEDS)
    assert (rows["episodes"] >= 100).all()
    for task in rl.TASKS.values():
        settings = task.paper if name == "dqn-paper" else task.ours
        mine = rows[rows["environment"] == task.environment]
        steps = range(10_000, settings.steps + 1, 10_000)
        assert sorted(mine["steps"].unique()) == list(steps)
        assert settings.use in steps
        assert len(mine) == len(steps) * len(rl.SEEDS) * len(rl.METHODS)


def test_agents_are_competent_and_can_be_improved():
    rows, _ = lab.load_result("dqn-small")
    for task, least in (
        (rl.TASKS[rl.CARTPOLE], 150),
        (rl.TASKS[rl.ACROBOT], -200),
        (rl.TASKS[rl.GRIDWORLD], -3),
    ):
        mine = rows[rows["environment"] == task.environment]
        used = mine[mine["steps"] == task.ours.use]
        means = used.groupby("method")["mean_return"].mean()
        assert means["pretrained"] >= least
        assert means.max() > means["pretrained"]


def test_a_random_agent_is_no_match_in_gridworld():
    torch.manual_seed(0)
    random = rl.evaluate(lambda s: torch.rand(len(s), 5), rl.GRIDWORLD, 200)
    assert random.mean() < -4


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("task", rl.TASKS.values(), ids=lambda t: t.short)
def test_shipped_weights_give_the_stored_rows(task, seed):
    rows, _ = lab.load_result("dqn-small")
    then = rows[
        (rows["environment"] == task.environment)
        & (rows["seed"] == seed)
        & (rows["steps"] == task.ours.use)
    ].set_index("method")
    q = rl.load_q_network(task.environment, seed)
    lam = rl.load_lambda(task.environment, seed)
    for row in rl.compare(q, lam, task, SMALL.episodes):
        stored = then.loc[row["method"]]
        assert row["mean_return"] == pytest.approx(stored["mean_return"], rel=0.01)
        assert row["effective_views"] == pytest.approx(
            stored["effective_views"], rel=0.01
        )


def test_no_two_agents_are_alike():
    for task in rl.TASKS.values():
        weights = {
            rl.load_q_network(task.environment, seed)[-1].bias.numpy().tobytes()
            for seed in rl.SEEDS
        }
        assert len(weights) == 5


def test_returns_are_within_what_the_environments_allow():
    rows, _ = lab.load_result("dqn-small")
    bounds = {rl.CARTPOLE: (1, 500), rl.ACROBOT: (-500, 0), rl.GRIDWORLD: (-10, 1)}
    for environment, (low, high) in bounds.items():
        returns = rows[rows["environment"] == environment]["mean_return"]
        assert returns.between(low, high).all()
    views = rows[rows["method"] == "lambda-equitune"]["effective_views"]
    assert views.between(1, 4).all()
    assert np.isfinite(rows["asymmetry"]).all()
