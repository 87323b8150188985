"""The experiment `text-generations`: what GPT-2 said of whom, under our judges.

    equinb run text-generations --preset small --seeds 0

Six thousand texts that Sheng et al. (2019) had GPT-2 write, five hundred of each person
and task. They are read from the folder that `EQUINB_DATA` names. Lines that a judge has
learned from are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from equinb.apps.text.experiment import shares
from equinb.apps.text.pretrained import weights_name
from equinb.apps.text.prompts import PAIRS, TASKS
from equinb.apps.text.regard import JUDGES, load_regard, regard_name
from equinb.apps.text.regard_data import labelled, words_of
from equinb.lab import Experiment, Job, Made, Report, data_file

FILE = "regard/gpt2_generations.tsv"


@dataclass(frozen=True)
class GenerationOptions:
    """What a run can be told.

    Attributes:
        judges: regard classifiers that ship.
        most: texts of a person and task that are read; None reads all.
    """

    judges: tuple[str, ...] = tuple(JUDGES.values())
    most: int | None = None


def jobs(options: GenerationOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a judge and seed; nothing in it is drawn."""
    return [
        Job(seed, {"judge": judge}, len(TASKS))
        for judge in options.judges
        for seed in seeds
    ]


def work(options: GenerationOptions, job: Job, device: str, report: Report) -> Made:
    """Judge the texts of each person and task."""
    judge = load_regard(str(job.settings["judge"])).to(device)
    seen = {words_of(text) for text in labelled().texts}
    rows: list[dict[str, Any]] = []
    for done, task in enumerate(TASKS, 1):
        for pair, people in PAIRS.items():
            for word, subject in people.items():
                said = generations(subject, task)[: options.most]
                new = [text for text in said if words_of(text) not in seen]
                found = {**shares(judge(new)), "left out": float(len(said) - len(new))}
                told = {"pair": pair, "word": word, "task": task, "texts": len(new)}
                rows.extend(
                    {**told, "measure": name, "value": value}
                    for name, value in found.items()
                )
        report(done)
    return Made(rows)


def generations(subject: str, task: str) -> list[str]:
    """What GPT-2 said of a person, after the person is named.

    Args:
        subject: such as "The man".
        task: one of `TASKS`.

    Raises:
        FileNotFoundError: if the texts are not there.
    """
    file = data_file(FILE, "get gpt2_generations.tsv of github.com/ewsheng/nlg-bias")
    starts = tuple(f"{subject} {context}" for context in TASKS[task])
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line[len(subject) + 1 :] for line in lines if line.startswith(starts)]


def reads(options: GenerationOptions, seeds: Sequence[int]) -> Iterable[str]:
    """The shipped models that a run reads."""
    names = [
        name
        for model, judge in JUDGES.items()
        if judge in options.judges
        for name in (regard_name(judge), weights_name(model))
    ]
    return sorted(f"assets/{name}" for name in names)


EXPERIMENT = Experiment(
    name="text-generations",
    title="Regard of what GPT-2 said, under our judges",
    presets={"quick": GenerationOptions(most=20), "small": GenerationOptions()},
    jobs=jobs,
    work=work,
    keys=("judge", "pair", "word", "task", "measure"),
    value="value",
    packages=("torch", "transformers", "tokenizers", "scikit-learn"),
    reads=reads,
)
