"""What an experiment is: presets, jobs, and what one job makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Literal, TypeVar, get_args

from torch import Tensor

from equinb.lab.code import sources_of

Config = TypeVar("Config")
#: A job calls this with the number of its steps that are done.
Report = Callable[[int], None]
Preset = Literal["quick", "small", "paper"]
PRESETS: tuple[Preset, ...] = get_args(Preset)


@dataclass(frozen=True)
class Job:
    """The unit of work: what is run whole, or again.

    Attributes:
        seed: of everything random in it.
        settings: what sets it apart from the other jobs of its seed; they become
            columns of its rows.
        steps: how many steps it reports, in whatever unit suits it.

    Example:
        >>> Job(3, {"environment": "CartPole-v1"}).name
        'CartPole-v1-seed3'
    """

    seed: int
    settings: Mapping[str, str | int | float] = field(default_factory=dict)
    steps: int = 1

    @property
    def name(self) -> str:
        """A name for files and progress bars."""
        parts = [*map(str, self.settings.values()), f"seed{self.seed}"]
        return "-".join(parts).replace("/", "_")


@dataclass(frozen=True)
class Made:
    """What a job makes.

    Attributes:
        rows: one mapping a (method, setting); seed and settings are added to each.
        weights: by file name below the assets, tensors and their card.
    """

    rows: Sequence[Mapping[str, Any]]
    weights: Mapping[str, tuple[Mapping[str, Tensor], Mapping[str, Any]]] = field(
        default_factory=dict
    )


@dataclass(frozen=True)
class Experiment(Generic[Config]):
    """An experiment that `equinb run` can run.

    Attributes:
        name: what the command line calls it.
        title: one line for `equinb list`.
        presets: the options of each preset, as frozen dataclasses of one type.
        jobs: from options and seeds to jobs.
        work: from options, a job, a device and a `Report` to what the job makes; a
            function of a module, so that other processes can import it. The same job
            makes the same rows on one machine, whoever else is at work.
        keys: the columns that set rows of one seed apart.
        value: the column that `equinb show` sums up over seeds.
        packages: the packages whose versions matter.
        code: the modules of equinb that decide the rows; that of `work` if empty.
        reads: the files below `equinb/` that the jobs read.
    """

    name: str
    title: str
    presets: Mapping[str, Config]
    jobs: Callable[[Config, Sequence[int]], list[Job]]
    work: Callable[[Config, Job, str, Report], Made]
    keys: Sequence[str]
    value: str
    packages: Sequence[str] = ("torch", "numpy")
    code: Sequence[str] = ()
    reads: Callable[[Config, Sequence[int]], Iterable[str]] = lambda config, seeds: ()

    def config(self, preset: str) -> Config:
        """The options of a preset.

        Raises:
            ValueError: if the experiment has no such preset.
        """
        if preset not in self.presets:
            raise ValueError(
                f"{self.name} has no preset {preset!r}; it has "
                f"{', '.join(self.presets)}."
            )
        return self.presets[preset]

    def options(self, config: Config) -> dict[str, Any]:
        """Options as JSON values."""
        values = asdict(config)  # type: ignore[call-overload]
        # As they are read back from a record: JSON has no tuples.
        options: dict[str, Any] = json.loads(json.dumps(values))
        return options

    def sources(self, config: Config, seeds: Sequence[int]) -> list[str]:
        """The files that determine the rows: code, and what it reads."""
        modules = self.code or (self.work.__module__,)
        code = {source for module in modules for source in sources_of(module)}
        return sorted({*code, *self.reads(config, seeds)})
