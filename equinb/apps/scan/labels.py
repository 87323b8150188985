"""The experiment `scan-importance`: lambda for sentences, and how little it needs.

    equinb run scan-importance --preset quick             # one LSTM a task
    equinb run scan-importance --preset paper --seeds 0-2 # all cells

Lambda learns from training sentences, whose answers the models have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equinb.apps.scan.decoding import exact_match, say
from equinb.apps.scan.importance import LAMBDA, learn_importance, weigh
from equinb.apps.scan.methods import equizero, every, speak
from equinb.apps.scan.model import CELLS, Cell, Seq2Seq
from equinb.apps.scan.pretrained import (
    SYMMETRY,
    TASKS,
    Task,
    load_model,
    weights_name,
)
from equinb.apps.scan.training import Data, generator, load_sets
from equinb.apps.scan.words import Symmetry, symmetry
from equinb.lab import Experiment, Job, Made, Report


@dataclass(frozen=True)
class LabelOptions:
    """What a run can be told.

    Attributes:
        cells: which recurrent cells.
        tasks: which of the two splits.
        labels: how many training sentences lambda learns from.
        every: one of so many commands is looked at.
    """

    cells: tuple[Cell, ...] = CELLS
    tasks: tuple[Task, ...] = TASKS
    labels: tuple[int, ...] = (4, 16, 64, 256, 1024)
    every: int = 2


def jobs(options: LabelOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model."""
    return [
        Job(seed, {"task": task, "cell": cell}, len(options.labels) + 1)
        for cell in options.cells
        for task in options.tasks
        for seed in seeds
    ]


def work(options: LabelOptions, job: Job, device: str, report: Report) -> Made:
    """Learn lambda from few sentences and from many, and look at its weights."""
    task, kind = job.settings["task"], job.settings["cell"]
    assert task in TASKS
    assert kind in CELLS
    by, sets = symmetry(SYMMETRY[task]), load_sets(task, job.seed, device)
    model = load_model(task, kind, job.seed).to(device)
    parts = {"test": every(sets.test, options.every)}
    seen = every(sets.validation, options.every)
    here, there = by.commands.orbit(seen.commands)
    swapped = (here != there).any(1)
    parts["validation, words to swap"] = _of(seen, swapped)
    parts["validation, nothing to swap"] = _of(seen, ~swapped)
    chosen = {
        name: equizero(model, speak(model, data.commands, by))
        for name, data in parts.items()
    }
    rows = []
    for name, data in parts.items():
        even = torch.full_like(chosen[name][1], 1 / by.group.order)
        alone = torch.zeros_like(even)
        alone[by.group.identity] = 1
        weights = {"pretrained": alone, "equitune": even, "equizero": chosen[name][1]}
        for rule, w in weights.items():
            rows.append({"set": name, "rule": rule, "labels": 0})
            rows[-1] |= _look(model, data, by, w, chosen[name][1])
    report(1)
    for done, labels in enumerate(options.labels, 2):
        few = Data(*(part[:labels] for part in sets.train))
        learned = learn_importance(model, few, by, job.seed)
        for name, data in parts.items():
            w = weigh(learned, data.commands, by)
            order = torch.randperm(
                w.shape[1], generator=generator(job.seed, "shuffled")
            )
            for rule, used in (LAMBDA, w), (f"{LAMBDA}, shuffled", w[:, order]):
                rows.append({"set": name, "rule": rule, "labels": labels})
                rows[-1] |= _look(model, data, by, used, chosen[name][1])
        report(done)
    return Made(rows)


def reads(options: LabelOptions, seeds: Sequence[int]) -> list[str]:
    """The shipped models."""
    return sorted(
        f"assets/{weights_name(task, cell, seed)}"
        for cell in options.cells
        for task in options.tasks
        for seed in seeds
    )


EXPERIMENT = Experiment(
    name="scan-importance",
    title="Lambda-equitune for sentences: weights, labels, agreement with equizero",
    presets={
        "quick": LabelOptions(("LSTM",), labels=(256,), every=16),
        "paper": LabelOptions(),
    },
    jobs=jobs,
    work=work,
    keys=("task", "cell", "set", "rule", "labels"),
    value="accuracy",
    reads=reads,
)


def _of(data: Data, rows: Tensor) -> Data:
    return Data(data.commands[rows], data.actions[rows])


def _look(
    model: Seq2Seq, data: Data, by: Symmetry, weights: Tensor, chosen: Tensor
) -> dict[str, Any]:
    """What weights `(|G|, N)` are worth, and how they look.

    `views` is their effective number, a mean over commands; `agrees` the share of
    commands whose greatest weight is on a view that equizero has `chosen`.
    """
    words = say(model, data.commands, by, weights).words
    top = weights.argmax(0, keepdim=True)
    return {
        "commands": len(data.commands),
        "accuracy": float(exact_match(words, data.actions).double().mean()),
        "views": float(torch.special.entr(weights.double()).sum(0).exp().mean()),
        "agrees": float((chosen.gather(0, top) > 0).double().mean()),
    }
