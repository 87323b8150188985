"""The experiment `clouds-pretraining`: networks of upright clouds, from nothing.

equinb run clouds-pretraining --preset quick   # shortened
equinb run clouds-pretraining --preset small   # the networks that ship
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version

import torch
from torch import nn

from equinb.apps.clouds.data import SPOILS, TASKS, Clouds, Task, draw, turned
from equinb.apps.clouds.network import PointNet, restore, seeded, weights_name
from equinb.apps.training import jobs_of, optimizer_of
from equinb.lab import Experiment, Job, Made, Report

PACKAGES = ("torch", "numpy")
#: How many clouds a network is looked at with, and the seed of the first set.
LOOKED_AT, SEED = 2000, 3_000_000


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        width: of the network.
        steps: updates.
        rate: the greatest learning rate of AdamW; it rises, then falls as a cosine.
        decay: of weights that are matrices.
        batch: clouds a step.
    """

    width: int = 48
    steps: int = 4000
    rate: float = 4e-3
    decay: float = 0.01
    batch: int = 128


RECIPES = {task: Recipe() for task in TASKS}


@dataclass(frozen=True)
class PretrainingOptions:
    """What a run can be told.

    Attributes:
        models: names of tasks; each has a network.
        shorter: divides the number of steps.
    """

    models: tuple[str, ...] = tuple(RECIPES)
    shorter: int = 1


def work(options: PretrainingOptions, job: Job, device: str, report: Report) -> Made:
    """Train a network, and judge it on sets of its own."""
    name = str(job.settings["model"])
    recipe = replace(RECIPES[name], steps=job.steps)
    task = TASKS[name]
    net = pretrain(task, recipe, job.seed, device, report)
    rows = []
    for spoil in SPOILS:
        upright = looked_at(task, spoil).to(device)
        random = torch.Generator().manual_seed(SEED - 1)
        around = turned(looked_at(task, spoil), task, random).to(device)
        rows.append({"set": spoil, "upright": score(net, task, upright)})
        rows[-1]["turned"] = score(net, task, around)
    card = {
        "data": f"{task.name}: clouds of points, drawn by equinb",
        "seed": job.seed,
        **asdict(recipe),
        "network": {"n": task.n, "out": task.outputs, "width": recipe.width},
        "accuracy": {row["set"]: row for row in rows},
        "versions": {package: version(package) for package in PACKAGES},
        "licence": "MIT",
    }
    tensors = {key: t.cpu() for key, t in net.state_dict().items()}
    ships = recipe == RECIPES[name] and job.seed == 0
    return Made(rows, {weights_name(name): (tensors, card)} if ships else {})


def pretrain(
    task: Task,
    recipe: Recipe,
    seed: int,
    device: str = "cpu",
    visit: Report = lambda step: None,
) -> PointNet:
    """A network, trained on upright clouds as they are drawn; frozen."""
    network = {"n": task.n, "out": task.outputs, "width": recipe.width}
    net = seeded(seed, **network).to(device)
    random = torch.Generator().manual_seed(seed)
    optimizer, schedule = optimizer_of(net, recipe.rate, recipe.decay, recipe.steps)
    for step in range(1, recipe.steps + 1):
        clouds = draw(task, recipe.batch, random).to(device)
        loss = task.loss(net(clouds.x), clouds.target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        visit(step)
    return restore(network, net.state_dict())


def looked_at(task: Task, spoil: str) -> Clouds:
    """The upright clouds that a network is looked at with, spoilt in a named way."""
    seed = SEED + list(SPOILS).index(spoil)
    return draw(task, LOOKED_AT, torch.Generator().manual_seed(seed), SPOILS[spoil])


@torch.no_grad()
def score(net: nn.Module, task: Task, clouds: Clouds) -> float:
    """What a network scores on clouds as they are."""
    return task.score(net(clouds.x), clouds.target)


EXPERIMENT = Experiment(
    name="clouds-pretraining",
    title="Small networks of upright clouds of points, trained from nothing",
    presets={
        "quick": PretrainingOptions(shorter=50),
        "small": PretrainingOptions(),
    },
    jobs=partial(jobs_of, RECIPES),
    work=work,
    keys=("model", "set"),
    value="upright",
    packages=PACKAGES,
)
