"""The experiment `scan-finetuning`: accuracy after few steps and many.

    equinb run scan-finetuning --preset quick             # one LSTM, 200 steps
    equinb run scan-finetuning --preset small --seeds 0-2 # LSTMs, other methods, 3,200
    equinb run scan-finetuning --preset paper --seeds 0-2 # all cells, 10,000 steps

Each way to train is read by its own rule and by others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from equinb.apps.scan.decoding import exact_match, say
from equinb.apps.scan.finetuning import (
    FLOOR,
    LEARNING_RATE,
    METHODS,
    Tuning,
    finetune,
    looks_of,
)
from equinb.apps.scan.importance import LAMBDA, Floored, learn_importance, weigh
from equinb.apps.scan.methods import RULES, every, judge
from equinb.apps.scan.model import CELLS, Cell, Seq2Seq
from equinb.apps.scan.pretrained import (
    SYMMETRY,
    TASKS,
    Task,
    load_model,
    weights_name,
)
from equinb.apps.scan.training import Data, load_sets
from equinb.apps.scan.words import Symmetry, symmetry
from equinb.lab import Experiment, Job, Made, Report
from equinb.lambda_equitune import Learned

#: How a finetuned model is read on the way, besides by its own rule: what the views say
#: by themselves is all that these need.
ON_THE_WAY = (
    "pretrained",
    "equitune, published",
    "equizero",
    "equizero, published",
)
#: How it is read in the end, whatever it was finetuned by.
IN_THE_END = (
    *ON_THE_WAY,
    "equitune",
    "equitune, log-probabilities",
    LAMBDA,
    FLOOR,
)
#: Lambda learns from one of so many training sentences.
LAMBDA_LEARNS = 4
#: Steps between two reports of progress.
REPORTED = 50


@dataclass(frozen=True)
class FewShotOptions:
    """What a run can be told.

    Attributes:
        cells: which recurrent cells.
        tasks: which of the two splits.
        methods: names of `METHODS`.
        rates: learning rates, as multiples of the paper's.
        steps: of finetuning.
        batch: sentences in a step.
        every: one of so many test commands is looked at on the way.
        whole: whether the finetuned model is read on the whole test set, and on the
            validation set, as well.
    """

    cells: tuple[Cell, ...] = CELLS
    tasks: tuple[Task, ...] = TASKS
    methods: tuple[str, ...] = tuple(METHODS)[:4]
    rates: tuple[float, ...] = (1.0,)
    steps: int = 10_000
    batch: int = 1
    every: int = 8
    whole: bool = True


def jobs(options: FewShotOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model, method and rate.

    Raises:
        ValueError: for a method that is none.
    """
    unknown = [name for name in options.methods if name not in METHODS]
    if unknown:
        raise ValueError(
            f"There is no method {unknown[0]!r}; there are: {', '.join(METHODS)}."
        )
    return [
        Job(
            seed,
            {"task": task, "cell": cell, "method": method, "rate": rate},
            options.steps,
        )
        for cell in options.cells
        for task in options.tasks
        for method in options.methods
        for rate in options.rates
        for seed in seeds
    ]


def work(options: FewShotOptions, job: Job, device: str, report: Report) -> Made:
    """Finetune a model, and read it on the way."""
    task, kind = job.settings["task"], job.settings["cell"]
    assert task in TASKS
    assert kind in CELLS
    by, sets = symmetry(SYMMETRY[task]), load_sets(task, job.seed, device)
    method = METHODS[str(job.settings["method"])]
    pretrained = load_model(task, kind, job.seed).to(device)
    known = every(sets.train, LAMBDA_LEARNS)
    learned = learn_importance(pretrained, known, by, job.seed)
    model = method.start(pretrained, by, learned)
    few, looks = every(sets.test, options.every), looks_of(options.steps)
    rows: list[dict[str, Any]] = []

    def look(step: int, name: str, data: Data, rules: Iterable[str]) -> None:
        found = read(model, data, by, learned, rules)
        rows.extend(
            {"steps": step, "set": name, "rule": rule, "accuracy": accuracy}
            for rule, accuracy in found.items()
        )

    def visit(step: int) -> None:
        if step % REPORTED == 0:
            report(step)
        if step in looks:
            look(step, "some of test", few, {*ON_THE_WAY, method.reads})

    rate = float(job.settings["rate"]) * LEARNING_RATE[task]
    tuning = method.tune(Tuning(rate, options.steps, options.batch))
    augment = by if method.augment else None
    finetune(model, sets.train, job.seed, tuning, visit, augment)
    if options.whole:
        look(options.steps, "validation", sets.validation, IN_THE_END)
        look(options.steps, "test", sets.test, IN_THE_END)
    return Made(rows)


def read(
    model: Seq2Seq, data: Data, by: Symmetry, learned: Learned, rules: Iterable[str]
) -> dict[str, float]:
    """The accuracy of a model under each of some rules, and the bounds of a choice.

    Args:
        model: of any mode; it goes back to it.
        data: commands and the right actions.
        by: the symmetry.
        learned: lambda, for the rules that ask for it.
        rules: a collection of names of `IN_THE_END`; others are passed over.

    Returns:
        By name; "random view" and "any view" are always among them.
    """
    training = model.training
    model.eval()
    found = judge(model, data, by, [rule for rule in RULES if rule in rules]).mean()
    accuracies = {str(rule): float(value) for rule, value in found.items()}
    for rule, weighting in (LAMBDA, learned), (FLOOR, Floored(learned)):
        if rule in rules:
            weights = weigh(weighting, data.commands, by)
            words = say(model, data.commands, by, weights).words
            right = exact_match(words, data.actions).double()
            accuracies[rule] = float(right.mean())
    model.train(training)
    return accuracies


def reads(options: FewShotOptions, seeds: Sequence[int]) -> list[str]:
    """The shipped models."""
    return sorted(
        {
            f"assets/{weights_name(task, cell, seed)}"
            for cell in options.cells
            for task in options.tasks
            for seed in seeds
        }
    )


EXPERIMENT = Experiment(
    name="scan-finetuning",
    title="Compositional generalisation on SCAN, finetuned (Fig. 10, Tab. 10-12)",
    presets={
        "quick": FewShotOptions(
            ("LSTM",),
            ("around_right",),
            ("equitune", "equizero"),
            steps=200,
            whole=False,
        ),
        "small": FewShotOptions(
            ("LSTM",), methods=tuple(METHODS)[4:], steps=3200, whole=False
        ),
        "paper": FewShotOptions(),
    },
    jobs=jobs,
    work=work,
    keys=("task", "cell", "method", "rate", "steps", "set", "rule"),
    value="accuracy",
    reads=reads,
)
