"""The experiment `clouds`: canonical-lambda-equitune on clouds of points.

    equinb run clouds --preset quick --seeds 0    # few offsets, few steps
    equinb run clouds --preset small --seeds 0-2

A network that knows upright clouds alone is asked about clouds turned by any rotation.
*Frozen*, at most lambda, the offsets and the frame are learned; *finetuned*, the
network is, after them, as the paper does it. All learn from the same labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from equinb.apps.clouds.data import SPOILS, TASKS, Clouds, Task, draw, turned
from equinb.apps.clouds.methods import (
    FINITE,
    OFFSETS,
    Learning,
    Way,
    answer,
    learn,
    operator,
)
from equinb.apps.clouds.network import load_network, weights_name
from equinb.frames import eigengap
from equinb.lab import Experiment, Job, Made, Report

#: The seed of the test clouds, of which each seed of a run has its own, and the seed of
#: the clouds that are learned from.
TEST_SEED, TRAIN_SEED = 4_000_000, 5_000_000
#: Parts of the test clouds, by how clear their axes are.
QUARTERS = 4
UPRIGHT = "plain, upright"
#: How parts are learned around a frozen network, and how it is finetuned after them.
FROZEN, FINETUNING = Learning(600), Learning(600, rate=1e-3)


@dataclass(frozen=True)
class CloudsOptions:
    """What a run can be told.

    Attributes:
        tasks: names of `TASKS`.
        offsets: how many are tried, of each kind.
        labels: how many labelled clouds are learned from.
        tested: how many clouds are looked at, for each kind of damage.
        frozen: how lambda, offsets and frame are learned.
        finetuning: how the network is, after them.
    """

    tasks: tuple[str, ...] = tuple(TASKS)
    offsets: tuple[int, ...] = (1, 2, 4, 8, 16)
    labels: int = 4000
    tested: int = 1000
    frozen: Learning = FROZEN
    finetuning: Learning = FINETUNING


def ways(task: Task, offsets: Sequence[int]) -> list[Way]:
    """All ways to be tried with a frozen network.

    Args:
        task: what is asked; for a vector, eq. (5) is tried as printed as well.
        offsets: how many; learned and random ones are tried at every other number.
    """
    found = [Way("plain"), *(Way(method) for method in FINITE)]
    found += [Way("canonical", k=k) for k in offsets]
    found.append(Way("canonical", offsets="learned"))
    for kind in OFFSETS:
        tried = offsets if kind == "fixed" else offsets[::2]
        found += [Way("canonical-lambda", offsets=kind, k=k) for k in tried]
    found += [Way("canonical", "learned")]
    found += [Way("canonical-lambda", "learned", k=k) for k in offsets[::2]]
    if task.vector:
        found += [replace(way, undo=False) for way in found if _printable(way)]
    else:
        found += [Way("canonical-equizero", k=k) for k in offsets]
    return found


def _printable(way: Way) -> bool:
    """Whether eq. (5) as printed differs, and is tried."""
    return (
        way.method == "canonical-lambda"
        and way.frame == "pca"
        and way.offsets != "random"
    )


def tuned_ways(offsets: Sequence[int]) -> list[Way]:
    """The ways to be tried with finetuning; "plain" is then augmentation."""
    some = dict.fromkeys((offsets[len(offsets) // 2], offsets[-1]))
    return [
        Way("plain"),
        Way("canonical"),
        Way("canonical", "learned"),
        *(Way("canonical-lambda", k=k) for k in some),
    ]


def jobs(options: CloudsOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a task and seed.

    Raises:
        ValueError: for a task that is none.
    """
    unknown = [name for name in options.tasks if name not in TASKS]
    if unknown:
        raise ValueError(
            f"There is no task {unknown[0]!r}; there are {', '.join(TASKS)}."
        )
    return [
        Job(seed, {"task": name}, _steps(options, TASKS[name]))
        for name in options.tasks
        for seed in seeds
    ]


def _steps(options: CloudsOptions, task: Task) -> int:
    return len(ways(task, options.offsets)) + len(tuned_ways(options.offsets))


def work(options: CloudsOptions, job: Job, device: str, report: Report) -> Made:
    """Make the network of a task equivariant in every way, and look at each."""
    task = TASKS[str(job.settings["task"])]
    net = load_network(task.name).to(device)
    random = torch.Generator().manual_seed(TRAIN_SEED + job.seed)
    train = draw(task, options.labels, random)
    upright, tests = _tests(task, options.tested, job.seed, device)
    rows = _looked_at({"setting": "frozen", "method": UPRIGHT}, net, task, upright)
    done = 0

    def fit(model: nn.Module, way: Way) -> nn.Module:
        function = operator(model, task, way, job.seed)
        mine = [p for p in function.parameters() if p.requires_grad]
        learn(function, mine, task, train, job.seed, options.frozen)
        return function.requires_grad_(False)

    for setting, tried in (
        ("frozen", ways(task, options.offsets)),
        ("finetuned", tuned_ways(options.offsets)),
    ):
        for way in tried:
            model = deepcopy(net)
            function = fit(model, way)
            if setting == "finetuned":
                model.requires_grad_(True)
                tuned = list(model.parameters())
                learn(function, tuned, task, train, job.seed, options.finetuning)
            rows += _looked_at(_told(setting, way), function, task, tests)
            done += 1
            report(done)
    return Made(rows)


def _tests(
    task: Task, count: int, seed: int, device: str
) -> tuple[dict[str, Clouds], dict[str, Clouds]]:
    """Test clouds, by how they are spoilt: upright ones, and the same turned."""
    random = torch.Generator().manual_seed(TEST_SEED + seed)
    upright = {name: draw(task, count, random, how) for name, how in SPOILS.items()}
    around = {name: turned(clouds, task, random) for name, clouds in upright.items()}

    def there(sets: dict[str, Clouds]) -> dict[str, Clouds]:
        return {name: clouds.to(device) for name, clouds in sets.items()}

    return there(upright), there(around)


def _told(setting: str, way: Way) -> dict[str, Any]:
    """A way as the columns of a row; what does not matter is left out."""
    told: dict[str, Any] = {"setting": setting, "method": way.method}
    if way.method.startswith("canonical"):
        told |= {"frame": way.frame, "offsets": way.offsets, "k": way.k}
        told |= {"undo": str(way.undo)}
    return told


def _looked_at(
    told: dict[str, Any], function: nn.Module, task: Task, tests: dict[str, Clouds]
) -> list[dict[str, Any]]:
    """Scores on every set, and on quarters of the clean one by how clear axes are."""
    rows = []
    for name, clouds in tests.items():
        y = answer(function, clouds.x)
        score = task.score(y, clouds.target)
        rows.append({**told, "spoil": name, "quarter": "all", "score": score})
        if name == "clean":
            for i, part in enumerate(quarters(clouds.x)):
                score = task.score(y[part], clouds.target[part])
                rows.append({**told, "spoil": name, "quarter": i + 1, "score": score})
    return rows


def quarters(x: Tensor) -> list[Tensor]:
    """Places of the clouds, in parts from the least to the greatest eigengap."""
    return list(eigengap(x).argsort().chunk(QUARTERS))


def reads(options: CloudsOptions, seeds: Sequence[int]) -> Iterable[str]:
    """The networks that a run reads."""
    return sorted(f"assets/{weights_name(name)}" for name in options.tasks)


EXPERIMENT = Experiment(
    name="clouds",
    title="Clouds of points under any rotation: canonical-lambda-equitune (Def. 1)",
    presets={
        "quick": CloudsOptions(
            ("planar",), (1, 4), 1000, 400, Learning(100), Learning(100, rate=1e-3)
        ),
        "small": CloudsOptions(),
    },
    jobs=jobs,
    work=work,
    keys=(
        *("task", "setting", "method", "frame", "offsets", "k", "undo"),
        *("spoil", "quarter"),
    ),
    value="score",
    reads=reads,
)
