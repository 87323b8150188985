"""The command `equinb`: list, run, show and verify experiments."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, make_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

try:
    import pandas as pd
    import tyro

    from equinb import lab
except ModuleNotFoundError as error:
    sys.exit(f"equinb: {error}. The command needs more: pip install 'equinb[lab]'.")

from equinb.apps import EXPERIMENTS, load_experiment
from equinb.lab.command import run_name
from equinb.lab.experiment import PRESETS, Preset
from equinb.lab.files import ASSETS
from equinb.lab.results import RESULTS
from equinb.lab.runner import RUNS

Name = Annotated[str, tyro.conf.Positional]


@dataclass(frozen=True)
class RunOptions:
    """What every run can be told.

    Attributes:
        preset: quick: in seconds or minutes, from shipped weights; small: everything
            real that two cores can do; paper: the paper's own settings.
        seeds: which seeds, such as 3 or 0-4 or 0,2,5.
        workers: how many jobs at once, one thread each.
        dask: the address of a Dask scheduler, such as tcp://127.0.0.1:8786; its workers
            do the jobs.
        folder: where the run is kept; an interrupted one goes on from there.
        device: where tensors live.
        ship: at the end, make rows and weights part of the package (for its authors).
    """

    preset: Preset = "quick"
    seeds: str = "0"
    workers: int = 1
    dask: str | None = None
    folder: Path = RUNS
    device: Literal["cpu", "cuda", "mps", "auto"] = "cpu"
    ship: bool = False


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and end with one clear sentence if something is wrong."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["run"] and words[1:2] not in ([], ["--help"], ["-h"]):
            status = _run(words[1], words[2:])
        else:
            commands: dict[str, Callable[..., int]]
            commands = {"list": list_, "run": run, "show": show, "verify": verify}
            status = tyro.extras.subcommand_cli_from_dict(
                commands, prog="equinb", description=__doc__, args=words
            )
    except (OSError, ValueError, ImportError) as error:
        print(f"equinb: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print(
            "equinb: interrupted; what was finished is kept, and the same command "
            "goes on from there.",
            file=sys.stderr,
        )
        status = 130
    sys.exit(status)


def list_() -> int:
    """List the experiments with their presets."""
    for name in EXPERIMENTS:
        try:
            found = load_experiment(name)
            print(f"{name:<12} {found.title} ({', '.join(found.presets)})")
        except ModuleNotFoundError as error:
            print(f"{name:<12} {error}")
    return 0


def run(name: Name) -> int:
    """Run an experiment, or go on with it.

    Args:
        name: the experiment; `equinb run NAME --help` shows its options.
    """
    return _run(name, [])


def show(
    name: Name,
    preset: Preset | None = None,
    folder: Path = RUNS,
    shipped: bool = False,
    rows: bool = False,
) -> int:
    """Show a result: your own run of it, or else the one that ships with the book.

    Args:
        name: the experiment, or a result such as dqn-small.
        preset: which of its presets; your last run, or the book's small one, if not
            named.
        folder: where it was run.
        shipped: show what ships with the book, even if you have run it.
        rows: show every row, not the means over seeds.
    """
    experiment = load_experiment(_experiment_of(name))
    wanted = name if preset is None else f"{experiment.name}-{preset}"
    own = [] if shipped else _own(wanted, folder)
    result = own[-1].name if own else wanted
    if result == experiment.name:
        result = f"{result}-small"
    stored = lab.load_result(result, own[-1] if own else RESULTS)
    if rows:
        print(stored.rows.to_string(index=False))
    else:
        print(summary(experiment, stored.rows))
    print(f"\nfrom {own[-1] if own else 'the book'}\n{stored.provenance}")
    return 0


def verify(folder: Path = ASSETS) -> int:
    """Check stored results against their code, and weights against their sha256.

    Args:
        folder: what to check; the package's own assets unless named.
    """
    findings = lab.verify(folder)
    for name, ok, note in findings:
        print(f"{'ok   ' if ok else 'WRONG'} {name}: {note}")
    wrong = sum(not finding.ok for finding in findings)
    print(f"{len(findings)} files verified, {wrong} wrong")
    return 1 if wrong or not findings else 0


def summary(experiment: lab.Experiment[Any], rows: pd.DataFrame) -> str:
    """Means over seeds of the experiment's value, with intervals, as a table."""
    keys = [key for key in experiment.keys if key in rows]
    groups = rows.groupby(keys, sort=False)[experiment.value]
    table = groups.agg(_cell).unstack(keys[-1], sort=False)
    seeds = rows["seed"].nunique()
    title = f"{experiment.value}, mean over {seeds} seeds [95 % interval]"
    return f"{title}\n\n{table.to_string()}"


def _experiment_of(result: str) -> str:
    """The experiment that a result belongs to, by the longest name that fits."""
    fit = [name for name in EXPERIMENTS if f"{result}-".startswith(f"{name}-")]
    return max(fit, key=len, default=result.split("-")[0])


def _own(result: str, folder: Path) -> list[Path]:
    """The reader's own finished runs of a result or experiment, the last one last."""
    places = [
        place
        for place in folder.glob(f"{result}*")
        if (place / f"{place.name}.json").exists()
        and (
            place.name == result
            or (
                place.name.startswith(f"{result}-")
                and _experiment_of(place.name) == _experiment_of(result)
            )
        )
    ]
    return sorted(
        places, key=lambda place: (place / f"{place.name}.json").stat().st_mtime
    )


def parse_seeds(text: str) -> list[int]:
    """Seeds as the command line takes them.

    Raises:
        ValueError: for anything else.

    Example:
        >>> parse_seeds("0-2,7")
        [0, 1, 2, 7]
    """
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            seeds += range(int(first), int(last if dash else first) + 1)
    except ValueError as error:
        raise ValueError(
            f"Seeds are whole numbers such as 3, 0-4 or 0,2,5; got {text!r}."
        ) from error
    return seeds


def _cell(values: pd.Series[float]) -> str:
    if len(values) < 2:
        return f"{values.iloc[0]:.2f}"
    mean, low, high = lab.mean_interval(values)
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _run(name: str, words: list[str]) -> int:
    experiment = load_experiment(name)
    # The preset decides what the other options are by default.
    preset = _preset(words)
    config = experiment.config(preset)
    parts: list[Any] = [
        ("run", Annotated[RunOptions, tyro.conf.arg(name="")], field()),
        ("config", Annotated[type(config), tyro.conf.arg(name="")], field()),
    ]
    chosen = tyro.cli(
        make_dataclass("Run", parts),
        prog=f"equinb run {name}",
        description=experiment.title,
        default=make_dataclass("Run", parts)(RunOptions(preset), config),
        args=words,
    )
    options: RunOptions = chosen.run
    lab.run(
        experiment,
        options.preset,
        parse_seeds(options.seeds),
        config=chosen.config,
        workers=options.workers,
        dask=options.dask,
        folder=options.folder,
        device=options.device,
    )
    result = run_name(experiment, options.preset, chosen.config)
    print(f"{options.folder / result / result}.csv")
    if options.ship and lab.is_first_process():
        print("shipped:", *lab.ship(result, options.folder), sep="\n  ")
    return 0


def _preset(words: list[str]) -> Preset:
    given = " ".join(words).replace("--preset=", "--preset ").split()
    for preset in PRESETS:
        if ("--preset", preset) in pairwise(given):
            return preset
    return "quick"
