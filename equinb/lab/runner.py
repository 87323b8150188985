"""Run an experiment: jobs side by side, each kept as soon as it is done.

    runs/dqn-small/units/*.csv, *.json     what each job made, with its provenance
    runs/dqn-small/dqn-small.csv, .json    the whole, once every job is done
    runs/dqn-small/dqn/*.safetensors       weights that came with it, and SHA256SUMS

A run that is killed loses the jobs that were at work; the same command goes on.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from equinb.lab.experiment import Experiment, Job
from equinb.lab.files import ASSETS, sha256
from equinb.lab.progress import Progress, Ticker
from equinb.lab.provenance import Provenance
from equinb.lab.results import RESULTS, StoredResult, load_result, save_result
from equinb.lab.weights import pack_weights, store_weights

RUNS = Path("runs")
Config = TypeVar("Config")


@dataclass(frozen=True)
class Finished:
    """What a job sends back: its rows, its files of weights as bytes, its seconds."""

    rows: list[dict[str, Any]]
    weights: dict[str, bytes]
    seconds: float


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
        workers: how many jobs at once, each in a process and on one thread.
        dask: the address of a Dask scheduler, whose workers then do the jobs.
        folder: the run has a folder of its own below this one.
        device: "cpu", "cuda" or "mps".
        progress: draw a bar; None for only where there is a terminal.

    Returns:
        The rows of all seeds in the order of the jobs, and their provenance. On one
        machine and on the CPU the rows are equal bit for bit, whatever the number of
        workers and however often the run was interrupted.

    Raises:
        ValueError: for an unknown preset, seeds that are no seeds, no worker.
        OSError: if something could not be stored; what was stored before is kept.
    """
    config = experiment.config(preset) if config is None else config
    seeds = _checked_seeds(seeds)
    if workers < 1:
        raise ValueError(f"At least one worker is needed; got {workers}.")
    name = run_name(experiment, preset, config)
    place = folder / name
    _require_writable(place)
    jobs = experiment.jobs(config, seeds)
    began = Provenance.record(
        command_of(experiment, preset, seeds, config),
        sources=experiment.sources(config, seeds),
        packages=experiment.packages,
        config=experiment.options(config),
        device=device,
    )
    with Progress(name, jobs, progress) as board:
        kept: dict[str, StoredResult] = {}
        for job in jobs:
            try:
                kept[job.name] = _kept(job, began, place)
                board.finished(job, "kept")
            except FileNotFoundError:  # not done yet
                pass
            except ValueError as reason:
                board.say(f"{job.name} is done again: {reason}")
        left = [job for job in jobs if job.name not in kept]
        calls = [(experiment, config, job, device, board.folder) for job in left]
        for place_in_line, done in _in_parallel(calls, workers, dask):
            job = left[place_in_line]
            with _storing(job.name, place):
                kept[job.name] = _keep(job, done, began, place)
            board.finished(job, f"{done.seconds:.0f} s")
    units = [kept[job.name] for job in jobs]
    rows = pd.concat([unit.rows for unit in units], ignore_index=True)
    made = [unit.provenance for unit in units]
    whole = replace(
        began,
        seeds=seeds,
        wall_time=round(sum(unit.wall_time for unit in made), 1),
        weights={k: v for unit in made for k, v in unit.weights.items()},
    )
    with _storing(name, place):
        save_result(name, rows, whole, place)
    return load_result(name, place)


def run_name(experiment: Experiment[Config], preset: str, config: Config) -> str:
    """The name of a result: that of the preset, and a mark if its options differ."""
    name = f"{experiment.name}-{preset}"
    if config == experiment.config(preset):
        return name
    options = json.dumps(experiment.options(config), sort_keys=True)
    return f"{name}-{sha256(options.encode())[:6]}"


def command_of(
    experiment: Experiment[Config], preset: str, seeds: Sequence[int], config: Config
) -> str:
    """The command that makes a result again."""
    command = f"equinb run {experiment.name} --preset {preset} --seeds {span(seeds)}"
    usual = experiment.options(experiment.config(preset))
    for key, value in experiment.options(config).items():
        if value != usual[key]:
            flag = key.replace("_", "-")
            if isinstance(value, bool):
                command += f" --{flag}" if value else f" --no-{flag}"
            else:
                shown = value if isinstance(value, (list, tuple)) else [value]
                command += f" --{flag} {' '.join(map(str, shown))}"
    return command


def span(seeds: Sequence[int]) -> str:
    """Seeds as the command line writes them.

    Example:
        >>> span([0, 1, 2, 3]), span([0, 2])
        ('0-3', '0,2')
    """
    first, last = min(seeds), max(seeds)
    if len(seeds) > 1 and sorted(seeds) == list(range(first, last + 1)):
        return f"{first}-{last}"
    return ",".join(map(str, seeds))


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
    for file, checksum in provenance.weights.items():
        data = (place / file).read_bytes()
        if sha256(data) != checksum:
            raise ValueError(
                f"The weights {file} in {place} are damaged: run "
                f"`{provenance.command}` again, then ship it."
            )
        store_weights(file, data, assets)
    results = assets / RESULTS.name
    save_result(name, rows, provenance, results)
    return [*provenance.weights, f"{RESULTS.name}/{name}.csv"]


def _in_parallel(
    calls: Sequence[tuple[Any, ...]], workers: int, dask: str | None
) -> Iterator[tuple[int, Finished]]:
    """Do all calls, and give each result with its place as soon as it is there."""
    # Heavy, and not needed to read what is stored.
    from joblib import Parallel, delayed, parallel_config  # type: ignore[import-untyped]

    numbered = [delayed(_numbered)(i, *call) for i, call in enumerate(calls)]
    with contextlib.ExitStack() as stack:
        if dask is None:
            stack.enter_context(parallel_config("loky", n_jobs=workers))
        else:
            stack.enter_context(_dask(dask))
        parallel = Parallel(return_as="generator_unordered", pre_dispatch="all")
        yield from parallel(numbered)


@contextlib.contextmanager
def _dask(address: str) -> Iterator[None]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError(
            "A Dask cluster needs the package distributed: pip install 'equinb[dask]'."
        ) from error
    from joblib import parallel_config

    try:
        client = Client(  # type: ignore[no-untyped-call]
            address, timeout=10, set_as_default=False
        )
    except (OSError, ValueError) as error:
        raise OSError(
            f"There is no Dask scheduler at {address}: start one with `dask "
            "scheduler`, and name the address that it prints."
        ) from error
    with client, parallel_config("dask", client=client):
        yield


def _numbered(place: int, *call: Any) -> tuple[int, Finished]:
    return place, _work(*call)


def _work(
    experiment: Experiment[Config], config: Config, job: Job, device: str, board: str
) -> Finished:
    """Do one job, on one thread: rows do not depend on how a machine splits a sum."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    began = time.perf_counter()
    try:
        with threadpool_limits(1):
            made = experiment.work(config, job, device, Ticker(board, job))
    finally:
        torch.set_num_threads(threads)
    rows = [{**job.settings, "seed": job.seed, **row} for row in made.rows]
    weights = {name: pack_weights(*pair) for name, pair in made.weights.items()}
    return Finished(rows, weights, time.perf_counter() - began)


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
    for name, checksum in made.weights.items():
        if sha256((place / name).read_bytes()) != checksum:
            raise ValueError(f"its weights {name} are damaged.")
    return unit


def _keep(job: Job, done: Finished, began: Provenance, place: Path) -> StoredResult:
    """Store what a job made: weights, rows and, last of all, the record."""
    for name, data in done.weights.items():
        store_weights(name, data, place)
    record = replace(
        began,
        seeds=[job.seed],
        wall_time=round(done.seconds, 1),
        weights={name: sha256(data) for name, data in done.weights.items()},
    )
    save_result(job.name, done.rows, record, place / "units")
    return load_result(job.name, place / "units")


def _checked_seeds(seeds: Sequence[int]) -> list[int]:
    whole = [int(seed) for seed in seeds]
    doubles = [seed for seed, count in Counter(whole).items() if count > 1]
    if not whole or min(whole) < 0 or doubles:
        raise ValueError(
            f"Seeds are different whole numbers from 0 on, at least one; got {whole}."
        )
    return whole


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
            f"{what} could not be stored in {place}: {error.strerror}. Make room there "
            "or name another --folder, and run the same command again: what was "
            "finished before is kept."
        ) from error
