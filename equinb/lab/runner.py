"""Run an experiment: jobs side by side, each kept as soon as it is done.

    runs/dqn-small/units/*.csv, *.json     what each job made, with its provenance
    runs/dqn-small/dqn/*.safetensors       weights that came with it, and SHA256SUMS
    runs/dqn-small/dqn-small.csv, .json    the whole, once every job is done

A run that is killed loses the jobs that were at work; the same command goes on.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch

from equinb.lab.command import command_of, run_name
from equinb.lab.experiment import Experiment, Job
from equinb.lab.files import ASSETS, remove_parts, sha256
from equinb.lab.parallel import Call, Finished, in_parallel
from equinb.lab.progress import Progress
from equinb.lab.provenance import Provenance, now
from equinb.lab.results import RESULTS, StoredResult, load_result, save_result
from equinb.lab.weights import read_sums, store_weights

RUNS = Path("runs")
Config = TypeVar("Config")


def run(
    experiment: Experiment[Config],
    preset: str = "quick",
    seeds: Sequence[int] = (0,),
    *,
    config: Config | None = None,
    workers: int = 1,
    dask: str | None = None,
    folder: Path = RUNS,
    device: str = "cpu",
    progress: bool | None = None,
) -> StoredResult:
    """Run all jobs that are not done yet, and store the whole.

    Args:
        experiment: what to run.
        preset: one of its presets.
        seeds: one row a (method, seed, setting).
        config: options that replace the preset's; their result has a name of its own.
        workers: how many jobs at once, each on one thread; more than one have a process
            each.
        dask: the address of a Dask scheduler, whose workers then do the jobs.
        folder: the run has a folder of its own below this one.
        device: "cpu", "cuda", "mps", or "auto" for the best that is there.
        progress: draw a bar; None for only where there is a terminal.

    Returns:
        The rows of all seeds in the order of the jobs, and their provenance. On one
        machine and on the CPU the rows are equal bit for bit, whatever the number of
        workers and however often the run was interrupted.

    Raises:
        ValueError: for an unknown preset, seeds that are no seeds, no worker, no jobs,
            a device that is not there.
        OSError: if something could not be stored, or a worker is lost; what was stored
            before is kept.
    """
    config = experiment.config(preset) if config is None else config
    seeds, device = _checked_seeds(seeds), pick_device(device)
    if workers < 1:
        raise ValueError(f"At least one worker is needed; got {workers}.")
    name = run_name(experiment, preset, config)
    place = folder / name
    jobs = experiment.jobs(config, seeds)
    _require_different(jobs)
    command = command_of(experiment, preset, seeds, config, device)
    whole = _plan(experiment, config, command, seeds, device)
    plans = {j.name: _plan(experiment, config, command, [j.seed], device) for j in jobs}
    with _own_folder(place) as mine:
        _require_writable(mine)
        kept: dict[str, StoredResult] = {}
        with Progress(name, jobs, mine / "progress", progress) as board:
            for job in jobs:
                try:
                    kept[job.name] = _kept(job, plans[job.name], place)
                    board.finished(job, "kept")
                except FileNotFoundError:  # not done yet
                    pass
                except ValueError as reason:
                    board.say(f"{job.name} is done again: {reason}")
            left = [job for job in jobs if job.name not in kept]
            calls = [
                Call(experiment, config, job, plans[job.name], board.folder)
                for job in left
            ]
            failed: list[Exception] = []
            for job, done in in_parallel(calls, workers, dask):
                if isinstance(done, Exception):
                    failed.append(done)
                    continue
                with _storing(job.name, mine):
                    kept[job.name] = _keep(job, done, plans[job.name], mine)
                board.finished(job, f"{done.seconds:.0f} s")
        if failed:
            raise failed[0]
        units = [kept[job.name] for job in jobs]
        rows = pd.concat([unit.rows for unit in units], ignore_index=True)
        made = [unit.provenance for unit in units]
        whole = replace(
            whole,
            date=max(unit.date for unit in made),
            wall_time=round(sum(unit.wall_time for unit in made), 1),
            weights={k: v for unit in made for k, v in unit.weights.items()},
        )
        with _storing(name, mine):
            save_result(name, rows, whole, mine)
            remove_parts(mine)
        return load_result(name, mine)


def ship(name: str, folder: Path = RUNS, assets: Path = ASSETS) -> list[str]:
    """Make a finished run part of the package: its rows and its weights.

    Args:
        name: the name of the result, for instance "dqn-small".
        folder: the folder that the run was made in.
        assets: the folder of the package's own.

    Returns:
        The files, below `assets`.

    Raises:
        FileNotFoundError: if the run is not finished.
        ValueError: if one of its files is damaged, or its code has changed since.
    """
    place = folder / name
    rows, provenance = load_result(name, place)
    if not provenance.is_current:
        raise ValueError(
            f"The code has changed since {name} was made: run "
            f"`{provenance.command}` again, then ship it."
        )
    files = {file: _read(place / file) for file in provenance.weights}
    for file, data in files.items():
        if sha256(data) != provenance.weights[file]:
            raise ValueError(
                f"The weights {file} in {place} are damaged: run "
                f"`{provenance.command}` again, then ship it."
            )
    for file, data in files.items():
        store_weights(file, data, assets)
    results = assets / RESULTS.name
    save_result(name, rows, provenance, results)
    return [*files, f"{RESULTS.name}/{name}.csv"]


def _kept(job: Job, wanted: Provenance, place: Path) -> StoredResult:
    """What an earlier run has kept of a job, if it is whole and of the same making.

    Raises:
        FileNotFoundError: if there is nothing.
        ValueError: if it is damaged, or another making's.
    """
    unit = load_result(job.name, place / "units")
    made = unit.provenance
    for key in ("config", "sources", "code_hash", "versions", "device"):
        if getattr(made, key) != getattr(wanted, key):
            what = {"config": "options", "code_hash": "code"}.get(key, key)
            raise ValueError(f"its {what} are not those of this run.")
    sums = read_sums(place)
    for name, checksum in made.weights.items():
        if {sums.get(name), sha256(_read(place / name))} != {checksum}:
            raise ValueError(f"its weights {name} are damaged.")
    return unit


def _keep(job: Job, done: Finished, plan: Provenance, place: Path) -> StoredResult:
    """Store what a job made: weights, rows and, last of all, the record."""
    for name, data in done.weights.items():
        store_weights(name, data, place)
    record = replace(
        plan,
        date=now(),
        wall_time=round(done.seconds, 1),
        weights={name: sha256(data) for name, data in done.weights.items()},
    )
    save_result(job.name, done.rows, record, place / "units")
    return load_result(job.name, place / "units")


def _plan(
    experiment: Experiment[Config],
    config: Config,
    command: str,
    seeds: Sequence[int],
    device: str,
) -> Provenance:
    """The record of what is about to be made."""
    return Provenance.record(
        command,
        sources=experiment.sources(config, seeds),
        packages=experiment.packages,
        config=experiment.options(config),
        seeds=seeds,
        device=device,
    )


def is_first_process() -> bool:
    """Whether this is the first of those that `accelerate launch` has started."""
    return int(os.environ.get("RANK", "0")) == 0


def pick_device(name: str = "auto") -> str:
    """A device that is there.

    Args:
        name: "cpu", "cuda", "mps", or "auto" for the best of them.

    Raises:
        ValueError: if it is not there.

    Example:
        >>> pick_device("cpu")
        'cpu'
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    best = [device for device, found in there.items() if found]
    if name == "auto":
        return best[0]
    if name not in best:
        raise ValueError(
            f"There is no device {name!r} here; there is {', '.join(best)}."
        )
    return name


def _require_different(jobs: Sequence[Job]) -> None:
    doubles = [name for name, n in Counter(job.name for job in jobs).items() if n > 1]
    if doubles:
        raise ValueError(f"{doubles[0]} is asked for twice: name every setting once.")
    if not jobs:
        raise ValueError("Nothing is asked for: name at least one of every setting.")


def _read(path: Path) -> bytes:
    """The content of a file, nothing if it is missing: its sha256 then tells."""
    return path.read_bytes() if path.exists() else b""


def _checked_seeds(seeds: Sequence[int]) -> list[int]:
    whole = [int(seed) for seed in seeds]
    doubles = [seed for seed, count in Counter(whole).items() if count > 1]
    if not whole or min(whole) < 0 or doubles:
        raise ValueError(
            f"Seeds are different whole numbers from 0 on, at least one; got {whole}."
        )
    return whole


@contextlib.contextmanager
def _own_folder(place: Path) -> Iterator[Path]:
    """The folder to write in: of processes that share a job, the first's stays."""
    if is_first_process():
        yield place
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _require_writable(place: Path) -> None:
    """Find out before an hour of work whether its result can be stored."""
    with _storing("A run", place):
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"0")
            file.flush()


@contextlib.contextmanager
def _storing(what: str, place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{what} could not be stored in {place}: {error.strerror or error}. Make "
            "room there or name another --folder, and run the same command again: what "
            "was finished before is kept."
        ) from error
