"""The experiment `text-toy`: a model of the toy language, and how well it knows it.

equinb run text-toy --preset quick
equinb run text-toy --preset small   # the one that ships
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from equinb.apps.text.toy import NETWORK, PLANTED, TOY, chances, learn_toy
from equinb.lab import Experiment, Job, Made, Report

PACKAGES = ("torch", "transformers")


@dataclass(frozen=True)
class ToyOptions:
    """What a run can be told.

    Attributes:
        steps: updates.
        batch: sentences a step.
    """

    steps: int = 4000
    batch: int = 256


def jobs(options: ToyOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a seed."""
    return [Job(seed) for seed in seeds]


def work(options: ToyOptions, job: Job, device: str, report: Report) -> Made:
    """Train a model, and ask it for its chances."""
    model = learn_toy(job.seed, options.steps, options.batch)
    report(1)
    rows = [
        {"person": person, "said": said, "planted": planted, "learned": found[said]}
        for person, shares in PLANTED.items()
        for found in [chances(model, person)]
        for said, planted in shares.items()
    ]
    if job.seed != 0 or options != ToyOptions():
        return Made(rows)
    card = {
        "data": "sentences of a toy language, drawn by equinb.apps.text.toy",
        "seed": job.seed,
        "steps": options.steps,
        "batch": options.batch,
        "network": {**NETWORK, "vocab_size": model.size},
        "versions": {name: version(name) for name in PACKAGES},
        "licence": "MIT",
    }
    return Made(rows, {TOY: (model.model.transformer.state_dict(), card)})


EXPERIMENT = Experiment(
    name="text-toy",
    title="A language model of a toy language with a planted bias",
    presets={"quick": ToyOptions(200, 64), "small": ToyOptions()},
    jobs=jobs,
    work=work,
    keys=("person", "said"),
    value="learned",
    packages=PACKAGES,
)
