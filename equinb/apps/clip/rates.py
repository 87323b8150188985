"""The experiment `clip-rates`: how much the learning rate of finetuning matters.

    equinb run clip-rates --preset quick             # a CLIP of signs, 50 steps
    equinb run clip-rates --preset small --seeds 0-2 # the same, 2,000 steps

A tenth and ten times the rate of `clip-finetuning`; lambda-equitune is left out, all
else is as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from equinb.apps.clip import few_shot
from equinb.apps.clip.experiment import reads
from equinb.apps.clip.few_shot import AUGMENTATION, FinetuningOptions
from equinb.apps.clip.finetuning import Tuning
from equinb.lab import Experiment, Job, Made, Report


@dataclass(frozen=True)
class RateOptions(FinetuningOptions):
    """What a run can be told.

    Attributes:
        rates: learning rates, each in the place of that of `tuning`.
    """

    rates: tuple[float, ...] = (1e-5, 1e-3)


def jobs(options: RateOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model, data set, method, rate and seed."""
    return [
        replace(job, settings={**job.settings, "rate": rate})
        for rate in options.rates
        for job in few_shot.jobs(options, seeds)
    ]


def work(options: RateOptions, job: Job, device: str, report: Report) -> Made:
    """Finetune a CLIP at the rate of the job, and read it on the way."""
    tuning = replace(options.tuning, rate=float(job.settings["rate"]))
    return few_shot.work(replace(options, tuning=tuning), job, device, report)


EXPERIMENT = Experiment(
    name="clip-rates",
    title="CLIP finetuned at other learning rates",
    presets={
        "quick": RateOptions(
            ("glyph-resnet",), Tuning(50), looks=1, images=1000, every=8
        ),
        "small": RateOptions(
            ("glyph-resnet",),
            Tuning(2000, precision="mixed"),
            methods=("equitune", "equizero", AUGMENTATION),
            looks=2,
            images=1000,
        ),
    },
    jobs=jobs,
    work=work,
    keys=("model", "data", "method", "rate", "steps", "set", "rule"),
    value="top1",
    packages=few_shot.EXPERIMENT.packages,
    reads=reads,
)
