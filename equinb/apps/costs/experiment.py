"""The experiment `costs`: methods timed in turn, at several sizes of a batch (Table 1).

    equinb run costs --preset quick                  # ViT-B/32, four images at once
    equinb run costs --preset small                  # RN50 too, up to 32 images
    equinb run costs --preset paper --device cuda    # on a GPU, and as fast as it goes

Weights are random, as the cost does not depend on them, and images are there already. A
row is one time: intervals of medians, and of ratios within a round, come from the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import torch

from equinb.apps.clip.experiment import reads
from equinb.apps.costs.clock import in_turn
from equinb.apps.costs.memory import keep_memory, peak
from equinb.apps.costs.methods import (
    FAST,
    FLOAT32,
    KEEPING,
    WAYS,
    held,
    methods,
    passes,
    prepare,
    sides,
    untrained,
)
from equinb.apps.costs.rates import card, matrix_rate
from equinb.apps.fewer.cost import operations
from equinb.lab import Experiment, Job, Made, Report

MEGABYTE = 2**20
#: Images in the test set of CIFAR100.
WHOLE = 10_000
PAPER_MODELS = ("RN50", "ViT-B-32")


@dataclass(frozen=True)
class CostsOptions:
    """What a run can be told.

    Attributes:
        models: names that `load_clip` knows; those of the paper have random weights.
        ways: names of `WAYS`, in which they compute. One that keeps memory comes last:
            a process cannot go back.
        batches: images at once, each with all its views.
        rounds: how often each method is timed.
        times: calls that follow one another for one time.
        chunk: how many views pass at once, where a method takes them in chunks.
    """

    models: tuple[str, ...]
    ways: tuple[str, ...] = (FLOAT32,)
    batches: tuple[int, ...] = (4,)
    rounds: int = 6
    times: int = 1
    chunk: int = 8


def jobs(options: CostsOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a way, model, batch and seed."""
    settings = product(options.ways, options.models, options.batches, seeds)
    return [
        Job(
            seed,
            {"model": model, "way": way, "batch": batch},
            len(WAYS[way].methods) * (1 + options.rounds),
        )
        for way, model, batch, seed in settings
    ]


def work(options: CostsOptions, job: Job, device: str, report: Report) -> Made:
    """Time every method on one model in one way, after a call that counts memory."""
    way, batch = WAYS[str(job.settings["way"])], int(job.settings["batch"])
    if way.keeps:
        keep_memory()
    torch.manual_seed(job.seed)
    clip = prepare(untrained(str(job.settings["model"]), device), way)
    images = torch.randn(batch, 3, *sides(clip), device=device)
    one = operations(clip.encode, images[:1])
    fixed = {name: held(clip, name) for name in way.methods}
    best = matrix_rate(device, way.dtype)
    run = {
        name: partial(method, images)
        for name, method in methods(clip, device, job.seed, options.chunk).items()
    }
    made: dict[str, int] = {}
    for done, (name, call) in enumerate(run.items(), 1):
        if way.compiled or device != "cpu":
            call()  # compiles, and looks for the fastest ways
        made[name] = peak(call, device)
        report(done)
    rows: list[dict[str, Any]] = []
    timed = in_turn(run, options.rounds, options.times, device)
    for done, (again, name, seconds) in enumerate(timed, len(run) + 1):
        rows.append(
            {
                "method": name,
                "round": again,
                "time_s": seconds / batch * WHOLE,
                "weights_mb": fixed[name] / MEGABYTE,
                "made_mb": made[name] / MEGABYTE,
                "memory_mb": (fixed[name] + made[name]) / MEGABYTE,
                "share": one * passes(name) * batch / seconds / best,
                "device": card(device),
            }
        )
        report(done)
    return Made(rows)


EXPERIMENT = Experiment(
    name="costs",
    title="What symmetry costs: batches, memory, loops and libraries (Table 1)",
    presets={
        "quick": CostsOptions(("ViT-B-32",), rounds=2),
        "small": CostsOptions(PAPER_MODELS, (FLOAT32, KEEPING), (4, 8, 16, 32)),
        "paper": CostsOptions(PAPER_MODELS, (FLOAT32, FAST), (32, 256), 12, 2),
    },
    jobs=jobs,
    work=work,
    keys=("model", "way", "batch", "method"),
    value="time_s",
    packages=("torch", "open_clip_torch", "ttach"),
    reads=reads,
)
