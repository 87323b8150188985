"""The experiment `text-regard`: how good regard classifiers are, and those that ship.

    equinb run text-regard --preset small --seeds 0-4

Five folds, in which lines that are nearly the same stay together, shuffled anew by each
seed; beside ours stand the most frequent label and a regression on words. The lines are
read from the folder that `EQUINB_DATA` names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from equinb.apps.text.pretrained import SHIPPED, load_language_model, weights_name
from equinb.apps.text.regard import (
    JUDGES,
    LABELS,
    features,
    learn_regard,
    new_regression,
    regard_name,
)
from equinb.apps.text.regard_data import labelled
from equinb.lab import Experiment, Job, Made, Report

MAJORITY, WORDS = "most frequent label", "words"
PACKAGES = ("torch", "transformers", "scikit-learn")
FOLDS = 5


@dataclass(frozen=True)
class JudgeOptions:
    """What a run can be told.

    Attributes:
        judges: `MAJORITY`, `WORDS`, or a language model that ships.
    """

    judges: tuple[str, ...] = (MAJORITY, WORDS, *SHIPPED)


def jobs(options: JudgeOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a classifier and seed."""
    return [
        Job(seed, {"judge": judge}, FOLDS) for judge in options.judges for seed in seeds
    ]


def work(options: JudgeOptions, job: Job, device: str, report: Report) -> Made:
    """Cross-validate a classifier; one that ships is then learned from all lines."""
    judge, lines = str(job.settings["judge"]), labelled()
    x: Any = np.array(lines.texts, dtype=object)
    if judge in SHIPPED:
        x = features(load_language_model(judge), lines.texts).numpy()
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=job.seed)
    found = np.empty_like(lines.labels)
    splits = folds.split(x, lines.labels, lines.kin)
    for done, (train, test) in enumerate(splits, 1):
        found[test] = _new(judge).fit(x[train], lines.labels[train]).predict(x[test])
        report(done)
    rows: list[dict[str, Any]] = [
        {"measure": "accuracy", "value": float((found == lines.labels).mean())},
        {
            "measure": "macro F1",
            "value": f1_score(lines.labels, found, average="macro", zero_division=0),
        },
        {"measure": "lines", "value": len(found)},
    ]
    if judge not in JUDGES or job.seed != 0:
        return Made(rows)
    made = learn_regard(load_language_model(judge), lines.texts, lines.labels.tolist())
    card = {
        "data": "labelled lines of Sheng et al. (2019), github.com/ewsheng/nlg-bias",
        "model": judge,
        "labels": LABELS,
        "lines": len(found),
        "accuracy": rows[0]["value"],
        "versions": {name: version(name) for name in PACKAGES},
        "licence": "MIT",
    }
    tensors = {"weight": made.weight, "bias": made.bias}
    return Made(rows, {regard_name(JUDGES[judge]): (tensors, card)})


def _new(judge: str) -> Any:
    if judge == MAJORITY:
        return DummyClassifier()
    if judge == WORDS:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        return new_regression(words, (0.1, 1.0, 10.0, 100.0, 1000.0))
    return new_regression(StandardScaler())


def reads(options: JudgeOptions, seeds: Sequence[int]) -> Iterable[str]:
    """The shipped models that a run reads."""
    return sorted(
        f"assets/{weights_name(name)}" for name in options.judges if name in SHIPPED
    )


EXPERIMENT = Experiment(
    name="text-regard",
    title="Regard classifiers, cross-validated",
    presets={
        "quick": JudgeOptions((MAJORITY, WORDS, SHIPPED[0])),
        "small": JudgeOptions(),
    },
    jobs=jobs,
    work=work,
    keys=("judge", "measure"),
    value="value",
    packages=PACKAGES,
    reads=reads,
)
