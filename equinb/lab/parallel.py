"""Jobs side by side: in processes of this machine, or on a Dask cluster.

One call serves both, through joblib. A job runs alone in its process and on one thread,
so that its rows depend neither on its neighbours nor on how a machine splits a sum.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from equinb.lab.code import hash_sources
from equinb.lab.experiment import Experiment, Job
from equinb.lab.progress import Ticker
from equinb.lab.provenance import Provenance
from equinb.lab.weights import pack_weights

_ONE_AT_A_TIME = threading.Lock()


class Call(NamedTuple):
    """All that a worker needs to know of a job."""

    experiment: Experiment[Any]
    config: Any
    job: Job
    plan: Provenance
    board: str


@dataclass(frozen=True)
class Finished:
    """What a job sends back: its rows, its files of weights as bytes, its seconds."""

    rows: list[dict[str, Any]]
    weights: dict[str, bytes]
    seconds: float


def in_parallel(
    calls: Sequence[Call], workers: int, dask: str | None
) -> Iterator[tuple[Job, Finished | Exception]]:
    """Do all calls, and give what each made, or how it failed, as soon as it has.

    Args:
        calls: what is to be done.
        workers: how many at once; more than one have a process each.
        dask: the address of a Dask scheduler, whose workers then do it.

    Raises:
        OSError: if a worker is lost, or there is no cluster at that address.
        ValueError: if the package for Dask is not installed.
    """
    # Heavy, and not needed to read what is stored.
    from joblib import Parallel, delayed, parallel_config  # type: ignore[import-untyped]
    from joblib.externals.loky.process_executor import (  # type: ignore[import-untyped]
        TerminatedWorkerError,
    )

    tasks = [delayed(_outcome)(place, call) for place, call in enumerate(calls)]
    with contextlib.ExitStack() as stack:
        if dask is None:
            stack.enter_context(parallel_config("loky", n_jobs=workers))
            # A worker that has grown is replaced by a new one, and joblib says so.
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", "A worker stopped while some jobs")
        else:
            stack.enter_context(_dask(dask))
        ahead = "n_jobs" if dask is None else "all"
        parallel = Parallel(return_as="generator_unordered", pre_dispatch=ahead)
        try:
            with _interrupts_held():
                outcomes = parallel(tasks)
            for place, done in outcomes:
                yield calls[place].job, done
        except TerminatedWorkerError as error:
            raise OSError(
                "A worker was killed, perhaps for want of memory: run the same command "
                "again with fewer --workers. What was finished is kept."
            ) from error


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back, here for a moment, and in processes started here for good.

    A terminal sends it to all of them. This process says that it was interrupted and
    ends its workers; an idle worker that heard it would end in a traceback of its own.
    """
    mask = getattr(signal, "pthread_sigmask", None)
    if mask is None:  # as on Windows
        yield
        return
    before = mask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)


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
    with client:
        if not client.nthreads():  # type: ignore[no-untyped-call]
            raise OSError(
                f"The Dask scheduler at {address} has no workers: start some with "
                f"`dask worker {address} --nthreads 1`."
            )
        with parallel_config("dask", client=client):
            yield


def _outcome(place: int, call: Call) -> tuple[int, Finished | Exception]:
    """What a call makes, or how it fails: one that fails leaves the others at work."""
    try:
        # Random states and threads belong to the process: one job in it at a time.
        with _ONE_AT_A_TIME:
            return place, _work(call)
    except Exception as error:
        return place, error


def _work(call: Call) -> Finished:
    """Do one job, on one thread: rows do not depend on how a machine splits a sum."""
    experiment, config, job, plan, board = call
    if hash_sources(plan.sources) != plan.code_hash:
        raise ValueError(
            "The code has changed during the run, or differs on a worker: run the same "
            "command again."
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    began = time.perf_counter()
    try:
        with threadpool_limits(1):
            made = experiment.work(config, job, plan.device, Ticker(board, job))
    finally:
        torch.set_num_threads(threads)
    rows = [{**job.settings, "seed": job.seed, **row} for row in made.rows]
    weights = {name: pack_weights(*pair) for name, pair in made.weights.items()}
    return Finished(rows, weights, time.perf_counter() - began)
