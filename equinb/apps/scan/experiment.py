"""The experiment `scan`: the shipped models under every rule, without training.

equinb run scan --preset quick                 # one LSTM a task, the test sets
equinb run scan --preset small --seeds 0       # LSTMs trained one pair a step
equinb run scan --preset paper --seeds 0-2     # all cells, and larger groups

The one-by-one models are those of `scan-pretraining --preset paper`; all others are
those of its preset `small`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from equinb.apps.scan.methods import judge
from equinb.apps.scan.model import CELLS, Cell
from equinb.apps.scan.pretrained import (
    SYMMETRY,
    TASKS,
    Task,
    load_model,
    weights_name,
)
from equinb.apps.scan.training import load_sets
from equinb.apps.scan.words import symmetry
from equinb.lab import Experiment, Job, Made, Report
from equinb.lab.weights import read_sums

Recipe = Literal["batched", "published"]
Set = Literal["validation", "test"]

#: Groups beyond the paper's, for the test set of a task.
LARGER: dict[str, tuple[str, ...]] = {
    "add_jump": ("Verbs", "Verb x Direction"),
    "around_right": (),
}
LARGER_RULES = (
    "equitune",
    "equizero",
    "equitune, published",
    "equizero, published",
)


@dataclass(frozen=True)
class ScanOptions:
    """What a run can be told.

    Attributes:
        cells: which recurrent cells.
        tasks: which of the two splits.
        sets: what is judged; the validation set is a part of the training set that
            chose the model.
        larger: whether larger groups than the paper's are tried on the test set.
        recipe: "batched" for the models of all cells, "published" for the LSTMs that
            were trained on one pair a step.
    """

    cells: tuple[Cell, ...] = CELLS
    tasks: tuple[Task, ...] = TASKS
    sets: tuple[Set, ...] = ("validation", "test")
    larger: bool = True
    recipe: Recipe = "batched"


def jobs(options: ScanOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a shipped model."""
    found = [
        Job(
            seed,
            {"task": task, "cell": cell, "recipe": options.recipe},
            len(_parts(options, task)),
        )
        for cell in options.cells
        for task in options.tasks
        for seed in seeds
    ]
    shipped = read_sums()
    missing = [job.name for job in found if _file(job) not in shipped]
    if missing:
        raise ValueError(
            f"No model {missing[0]} ships; `equinb run scan-pretraining` trains one."
        )
    return found


def work(options: ScanOptions, job: Job, device: str, report: Report) -> Made:
    """Judge a model by every rule."""
    task, kind = job.settings["task"], job.settings["cell"]
    assert task in TASKS
    assert kind in CELLS
    batched = job.settings["recipe"] == "batched"
    model = load_model(task, kind, job.seed, batched).to(device)
    sets = load_sets(task, job.seed, device)
    rows = []
    for done, (group, name) in enumerate(_parts(options, task)):
        rules = None if group == SYMMETRY[task] else LARGER_RULES
        right = judge(model, getattr(sets, name), symmetry(group), rules)
        rows += [
            {"group": group, "set": name, "rule": rule, "accuracy": float(value)}
            for rule, value in right.mean().items()
        ]
        report(done + 1)
    return Made(rows)


def reads(options: ScanOptions, seeds: Sequence[int]) -> list[str]:
    """The shipped models."""
    return [f"assets/{_file(job)}" for job in jobs(options, seeds)]


EXPERIMENT = Experiment(
    name="scan",
    title="Compositional generalisation on SCAN, zero-shot (Tab. 2, 8, 9)",
    presets={
        "quick": ScanOptions(("LSTM",), TASKS, ("test",), larger=False),
        "small": ScanOptions(("LSTM",), larger=False, recipe="published"),
        "paper": ScanOptions(),
    },
    jobs=jobs,
    work=work,
    keys=("task", "cell", "recipe", "group", "set", "rule"),
    value="accuracy",
    reads=reads,
)


def _parts(options: ScanOptions, task: Task) -> list[tuple[str, Set]]:
    """What a job judges: pairs of a group and a set."""
    parts: list[tuple[str, Set]] = [(SYMMETRY[task], name) for name in options.sets]
    if options.larger and "test" in options.sets:
        parts += [(group, "test") for group in LARGER[task]]
    return parts


def _file(job: Job) -> str:
    settings = job.settings
    batched = settings["recipe"] == "batched"
    return weights_name(str(settings["task"]), str(settings["cell"]), job.seed, batched)
