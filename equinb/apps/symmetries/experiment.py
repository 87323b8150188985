"""The experiment `symmetries`: gains foretold without labels, and measured with them.

    equinb run symmetries --preset quick             # one model of each kind
    equinb run symmetries --preset small --seeds 0-4 # all that ship

A pair is a model and a group. For each, `diagnose` foretells from a few hundred
unlabelled inputs what equitune and equizero gain; then other inputs, whose labels are
known, are transformed at random by the group, and the gain in accuracy is measured. The
label of a transformed input is the one that it has in the task: that of a turned 6 is
9, a turned 4 stays a 4. So a group that the task lacks can only lose where it makes two
classes alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from equinb.apps.clip.model import weights_name as clip_weights
from equinb.apps.cnn.backbones import SIGNS
from equinb.apps.cnn.backbones import weights_name as cnn_weights
from equinb.apps.rl.agents import SEEDS, weights_name
from equinb.apps.rl.tasks import TASKS
from equinb.apps.symmetries.subjects import Subject, load_subject
from equinb.diagnose import diagnose
from equinb.equitune import Equitune, Uniform
from equinb.equizero import ArgMin
from equinb.lab import Experiment, Job, Made, Report
from equinb.lab.results import Interval
from equinb.symmetrized import Weighting

#: Views at once, and the draws of the bootstrap.
CHUNK, DRAWS = 500, 2000
SMALL_NETS = ("letters", "signs", "digits", "digits 01689")
AGENTS = ("cartpole", "acrobot", "gridworld")
OF_SIGNS = tuple(f"{kind}/{name}" for kind in ("cnn", "probe") for name in SIGNS)
CLIPS = ("clip/glyph-resnet", "clip/glyph-vit")


@dataclass(frozen=True)
class SymmetryOptions:
    """What a run can be told.

    Attributes:
        subjects: names that `load_subject` knows.
        unlabelled: inputs that the diagnosis sees, at most.
        labelled: inputs that gains are measured on, at most.
    """

    subjects: tuple[str, ...]
    unlabelled: int = 400
    labelled: int = 2000


def jobs(options: SymmetryOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a subject and seed."""
    return [Job(seed, {"model": name}) for name in options.subjects for seed in seeds]


def work(options: SymmetryOptions, job: Job, device: str, report: Report) -> Made:
    """Foretell first, then measure."""
    name, sizes = str(job.settings["model"]), (options.unlabelled, options.labelled)
    subject = load_subject(name, job.seed, *sizes)
    found = diagnose(
        subject.model,
        subject.unlabelled,
        subject.candidates,
        subject.head,
        loss=subject.loss,
        chunk=CHUNK,
    )
    rows: list[dict[str, Any]] = []
    for finding in found.findings:
        told = {
            "group": finding.name,
            "changed": finding.changed,
            "pose": finding.pose,
            "applies": finding.applies,
            "moved": len(finding.moved),
            "lacks": subject.lacks(finding.name),
        }
        measured = measure(subject, finding.name, job.seed)
        plain = measured.pop("pretrained")
        for method, accuracy in measured.items():
            gain = finding.gains[method]
            rows.append({**told, "method": method, "pretrained": plain})
            rows[-1] |= {"expected": gain.gain, "error": gain.error}
            rows[-1] |= {"kept": gain.kept, "cost": gain.cost}
            rows[-1]["measured"] = accuracy - plain
    report(1)
    return Made(rows)


@torch.no_grad()
def measure(subject: Subject, name: str, seed: int = 0) -> dict[str, float]:
    """Accuracies on labelled inputs, each transformed by an element at random.

    Args:
        subject: the model and its task.
        name: of the candidate group.
        seed: of the elements.

    Returns:
        By method, and for the model as it is, "pretrained".
    """
    act_in, act_out = subject.candidates[name]
    n, order = len(subject.inputs), act_in.group.order
    random = torch.Generator().manual_seed(seed)
    drawn, each = torch.randint(order, (n,), generator=random), torch.arange(n)
    x = act_in.orbit(subject.inputs)[drawn, each]
    # Class c of an input is class carries[g, c] of its view.
    right = torch.zeros_like(subject.right)
    right.scatter_(1, subject.carries[name][drawn], subject.right)
    f = Equitune(subject.model, act_in, act_out, head=subject.head, chunk=CHUNK)
    orbit = f.orbit(x)
    answers = {"pretrained": orbit.outputs[act_in.group.identity]}
    ways: dict[str, Weighting] = {"equitune": Uniform()}
    ways["equizero"] = ArgMin(subject.loss)
    for method, weighting in ways.items():
        orbit.scores, orbit.weights = weighting(orbit)
        y = weighting.combine(orbit)
        answers[method] = y if subject.head is None else subject.head(y)
    return {
        method: float(right[each, y.argmax(-1)].double().mean())
        for method, y in answers.items()
    }


def pairs_of(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a (model, group, method): the means over seeds of what was found.

    A pair counts as one that the diagnosis applies to if it does for every seed.
    """
    numbers = ("pretrained", "expected", "kept", "measured", "pose")
    means = dict.fromkeys(numbers, "mean")
    both = {"applies": "all", "lacks": "all"}
    keys = ["model", "group", "method"]
    table: pd.DataFrame = rows.groupby(keys, sort=False).agg(means | both)
    return table.reset_index()


def rank_correlation(
    pairs: pd.DataFrame, of: str = "expected", seed: int = 0
) -> Interval:
    """Spearman's rho of foretold and measured gains, with a 95 % bootstrap interval.

    Pairs of one model are no independent witnesses: the bootstrap draws models, each
    with all its pairs.

    Args:
        pairs: from `pairs_of`, or some of its rows.
        of: the column with what is foretold; "kept" for what would be, if no class that
            has moved were seen.
        seed: of the draws.

    Returns:
        Rho, and the 2.5 and 97.5 percentiles over the draws.

    Raises:
        ValueError: for fewer than three rows.
    """
    from scipy.stats import spearmanr

    if len(pairs) < 3:
        raise ValueError(
            f"A rank correlation needs at least three pairs; got {len(pairs)}."
        )

    def rho(values: NDArray[np.float64]) -> float:
        return float(spearmanr(*values.T).statistic)

    random = np.random.default_rng(seed)
    values = pairs[[of, "measured"]].to_numpy(dtype=np.float64)
    places = pairs.groupby("model", sort=False).indices.values()
    parts = [values[rows] for rows in places]
    drawn = [
        rho(np.concatenate([parts[i] for i in chosen]))
        for chosen in random.integers(len(parts), size=(DRAWS, len(parts)))
    ]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Interval(rho(values), float(low), float(high))


def reads(options: SymmetryOptions, seeds: Sequence[int]) -> Iterable[str]:
    """The shipped models that a run reads; votes are by agents of all seeds."""
    files = set()
    for name in options.subjects:
        kind, _, which = name.partition("/")
        if kind == "clip":
            files.add(clip_weights(which))
        elif which:
            files.add(cnn_weights(which))
        for task in TASKS.values():
            if task.short == kind:
                files |= {weights_name(task.environment, agent) for agent in SEEDS}
    return sorted(f"assets/{file}" for file in files)


EXPERIMENT = Experiment(
    name="symmetries",
    title="Gains foretold without labels, against measured ones",
    presets={
        "quick": SymmetryOptions(
            (*SMALL_NETS, OF_SIGNS[0], OF_SIGNS[2], CLIPS[0], AGENTS[0]), labelled=600
        ),
        "small": SymmetryOptions((*SMALL_NETS, *OF_SIGNS, *CLIPS, *AGENTS)),
    },
    jobs=jobs,
    work=work,
    keys=("model", "group", "method"),
    value="measured",
    packages=("torch", "torchvision", "open_clip_torch", "scikit-learn", "numpy"),
    reads=reads,
)
