"""The experiment `dqn`: pretrain in three environments, then compare the methods.

equinb run dqn --preset quick --seeds 0-4     # the shipped agents, evaluated
equinb run dqn --preset small --seeds 0-4     # our settings, trained from nothing
equinb run dqn --preset paper --seeds 0-4     # the settings of section 5.1.1
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

from equinb.apps.rl.agents import (
    SEEDS,
    compare,
    frozen,
    halves,
    load_lambda,
    load_q_network,
    relu_network,
    weights_name,
)
from equinb.apps.rl.rollouts import START_SEED
from equinb.apps.rl.tasks import TASKS, Pretraining, Task, find_task
from equinb.apps.rl.td import fit_lambda
from equinb.lab import Experiment, Job, Made, Report

PACKAGES = ("torch", "numpy", "gymnasium", "stable-baselines3")


@dataclass(frozen=True)
class DQNOptions:
    """What a run can be told.

    Attributes:
        agents: "shipped" ones, or trained with "ours" or the "paper"'s settings.
        environments: which of the three.
        episodes: for each method, with the same start states.
        every: environment steps between two looks at the course of training.
    """

    agents: Literal["shipped", "ours", "paper"]
    environments: tuple[str, ...] = tuple(TASKS)
    episodes: int = 200
    every: int = 10_000


def jobs(options: DQNOptions, seeds: Sequence[int]) -> list[Job]:
    """One job an environment and seed, the environments in order."""
    for environment in options.environments:
        find_task(environment)
    if options.episodes < 2:
        raise ValueError(f"At least two episodes are needed; got {options.episodes}.")
    return [
        Job(seed, {"environment": environment}, _steps(options, environment))
        for environment in options.environments
        for seed in seeds
    ]


def work(options: DQNOptions, job: Job, device: str, report: Report) -> Made:
    """Train an agent, unless it ships, and play under each method."""
    task = find_task(str(job.settings["environment"]))
    if options.agents == "shipped":
        return _shipped(options, task, job.seed, device)
    settings = _settings(options, task)
    rows: list[dict[str, Any]] = []
    weights = {}

    # Stable-baselines3 is slow to load, and the shipped agents do not need it.
    from equinb.apps.rl.sb3 import Checkpoint, pretrain

    def visit(now: Checkpoint) -> None:
        # What is measured is what would be shipped.
        tensors = halves(now.q)
        q = relu_network(tensors, task.shape).to(device)
        target = frozen(copy.deepcopy(now.target))
        lam = fit_lambda(q, target, task.state, task.action, now.replay, seed=job.seed)
        lambda_tensors = halves(lam)
        lam = relu_network(lambda_tensors, task.shape).to(device)
        found = compare(q, lam, task, options.episodes, device)
        rows.extend({"steps": now.steps, **row} for row in found)
        ships = options.agents == "ours" and job.seed in SEEDS
        if ships and now.steps == settings.use:
            card = _card(task, job.seed, settings)
            name = weights_name(task.environment, job.seed)
            weights[name] = (tensors, card)
            part = {**card, "part": "lambda, trained on the TD error of the average"}
            name = weights_name(task.environment, job.seed, "lambda")
            weights[name] = (lambda_tensors, part)

    pretrain(task.environment, job.seed, settings, visit, options.every, report, device)
    return Made(rows, weights)


def reads(options: DQNOptions, seeds: Sequence[int]) -> list[str]:
    """The shipped agents, where those are evaluated."""
    if options.agents != "shipped":
        return []
    return [
        f"assets/{weights_name(environment, seed, part)}"
        for environment in options.environments
        for seed in seeds
        for part in ("q", "lambda")
    ]


EXPERIMENT = Experiment(
    name="dqn",
    title="Deep Q-learning in CartPole, Acrobot and Gridworld (Fig. 2)",
    presets={
        "quick": DQNOptions("shipped", episodes=100),
        "small": DQNOptions("ours"),
        "paper": DQNOptions("paper"),
    },
    jobs=jobs,
    work=work,
    keys=("environment", "steps", "method"),
    value="mean_return",
    packages=PACKAGES,
    reads=reads,
)


def _shipped(options: DQNOptions, task: Task, seed: int, device: str) -> Made:
    q = load_q_network(task.environment, seed).to(device)
    lam = load_lambda(task.environment, seed).to(device)
    found = compare(q, lam, task, options.episodes, device)
    return Made([{"steps": task.ours.use, **row} for row in found])


def _settings(options: DQNOptions, task: Task) -> Pretraining:
    return task.paper if options.agents == "paper" else task.ours


def _steps(options: DQNOptions, environment: str) -> int:
    if options.agents == "shipped":
        return 1
    return _settings(options, TASKS[environment]).steps


def _card(task: Task, seed: int, settings: Pretraining) -> dict[str, Any]:
    return {
        "algorithm": "DQN (stable-baselines3), its defaults but for what is named",
        "environment": task.environment,
        "seed": seed,
        "steps": settings.use,
        "learning_rate": settings.learning_rate,
        "width": settings.width,
        **settings.more,
        "start_seed": START_SEED,
        "versions": {name: version(name) for name in PACKAGES},
        "licence": "MIT",
    }
