"""An experiment that takes no time: a random walk for each seed and length."""

import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from equinb.lab import Experiment, Job, Made


@dataclass(frozen=True)
class Walk:
    """Options: how long the walks are, and some ways to misbehave."""

    lengths: tuple[int, ...] = (10, 20)
    fails_at: int = -1
    log: str = ""
    weights: bool = False
    uses_global_state: bool = False
    seconds: float = 0.0


#: A file that each seed is said to read.
FILES = ("code", "files", "runner", "verify", "weights")


def jobs(options, seeds):
    return [
        Job(seed, {"length": length}, length)
        for length in options.lengths
        for seed in seeds
    ]


def work(options, job, device, report):
    if options.log:
        with Path(options.log).open("a") as file:
            file.write(f"{job.name}\n")
    if job.seed == options.fails_at:
        raise ValueError(f"Seed {job.seed} fails.")
    if options.uses_global_state:
        torch.manual_seed(job.seed)
        time.sleep(0.05)
        return Made([{"method": "drawn", "value": float(torch.rand(1))}])
    random = torch.Generator().manual_seed(job.seed)
    path = torch.randn(job.settings["length"], generator=random).cumsum(0)
    for step in range(len(path)):
        report(step + 1)
        time.sleep(options.seconds)
    end, mean = float(path[-1]), float(path.double().mean() / 3)
    rows = [{"method": "end", "value": end}, {"method": "mean", "value": mean}]
    if options.weights:
        name = f"toy/{job.name}.safetensors"
        return Made(rows, {name: ({"path": path}, {"licence": "MIT"})})
    return Made(rows)


def hears(options, job, device, report):
    """Whether Ctrl-C would reach the process that does the job."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return Made([{"method": "hears", "value": float(signal.SIGINT not in held)}])


TOY = Experiment(
    name="toy",
    title="A random walk",
    presets={"quick": Walk(), "small": Walk(lengths=(5,), weights=True)},
    jobs=jobs,
    work=work,
    keys=("length", "method"),
    value="value",
    code=("equinb.losses",),
    reads=lambda options, seeds: [f"lab/{FILES[seed]}.py" for seed in seeds],
)
