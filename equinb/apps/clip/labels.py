"""The experiment `clip-importance`: what lambda learns, from what, and from how much.

    equinb run clip-importance --preset quick             # the CLIPs of signs
    equinb run clip-importance --preset small --seeds 0-2 # all four, more images
    equinb run clip-importance --preset paper --device cuda

A lambda that has seen labels of the task is not zero-shot: rows say how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from equinb.apps.clip.data import load_data, part
from equinb.apps.clip.experiment import ORACLE, PAPER_READING, jobs_of, reads
from equinb.apps.clip.model import Similarity
from equinb.apps.clip.pretrained import PAPER, SHIPPED, SIGNS, load_clip
from equinb.apps.clip.published import learn_published, published_lambda
from equinb.apps.clip.zero_shot import zero_shot
from equinb.apps.views.answers import PRETRAINED, UPRIGHT
from equinb.apps.views.importance import (
    LAMBDA,
    PUBLISHED,
    Shuffled,
    by_labels,
    by_teacher,
    by_upright,
    judge,
    learn_importance,
)
from equinb.apps.views.orbits import (
    READING,
    Orbits,
    Reading,
    accelerator_for,
    action,
    encode_orbits,
)
from equinb.lab import Experiment, Job, Made, Report
from equinb.lambda_equitune import Learned
from equinb.symmetrized import Weighting

#: What the rows call lambda, by who taught it.
DISTILLED = f"{LAMBDA}, distilled from equizero"
ORIENTATION = "orientation classifier"
OTHER_CLASSES = f"{LAMBDA}, other classes"
SHUFFLED = f"{LAMBDA}, shuffled"
PUBLISHED_LAMBDA = f"{LAMBDA}, published"
#: The networks that are tried, by their hidden layers.
NETWORKS = {"d-1": (), "d-32-1": (32,), "d-100-100-1": PUBLISHED}
GROUP = "rot90"


@dataclass(frozen=True)
class LabelOptions:
    """What a run can be told.

    Attributes:
        models: names that `load_clip` knows.
        data: data sets, for the models that do not ship.
        images: how many training images lambda learns from.
        every: one of so many test images is looked at.
        reading: how images are read and passed through the model.
    """

    models: tuple[str, ...]
    data: tuple[str, ...] = ("cifar100",)
    images: tuple[int, ...] = (50, 200, 1000, 4000, 16_000)
    every: int = 1
    reading: Reading = READING


def jobs(options: LabelOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model, data set and seed."""
    return jobs_of(options.models, options.data, seeds, len(options.images) + 2)


def work(options: LabelOptions, job: Job, device: str, report: Report) -> Made:
    """Teach lambda in several ways, and look at its answers and at its weights."""
    model, data = str(job.settings["model"]), str(job.settings["data"])
    device = str(accelerator_for(device).device)
    clip, task = load_clip(model).to(device), load_data(data)
    head = Similarity(clip.classifier(task.classes, task.templates), clip.scale)
    random = torch.Generator().manual_seed(job.seed)

    def encode(split: str, rows: Sequence[int]) -> Orbits:
        images = task.split(split, clip.preprocess)
        return encode_orbits(clip, images, action(GROUP), rows, options.reading)

    whole = len(task.split("train", clip.preprocess))  # type: ignore[arg-type]
    drawn = torch.randperm(whole, generator=random)[: max(options.images)]
    train = encode("train", drawn.tolist())
    test = encode("test", part(task.split("test", clip.preprocess), options.every))
    report(1)
    rows: list[dict[str, Any]] = []

    def look(method: str, weighting: Weighting, network: str = "", n: int = 0) -> None:
        rows.append({"method": method, "network": network, "images": n})
        rows[-1] |= judge(weighting, test, head)

    ready = zero_shot(head)
    for method, weighting in ready.items():
        look(method, weighting)
    hits = head(test.features).argmax(-1).cpu() == test.labels
    for method, top1 in (
        (PRETRAINED, hits.double().mean()),
        (UPRIGHT, hits[test.group.identity].double().mean()),
        (ORACLE, hits.any(0).double().mean()),
    ):
        rows.append({"method": method, "network": "", "images": 0, "top1": float(top1)})
    best = max(options.images)
    for done, n in enumerate(options.images, 2):
        few = train.rows(torch.arange(min(n, len(train))))
        lessons = {
            LAMBDA: by_labels(few, head),
            DISTILLED: by_teacher(few, head, ready["equizero"]),
            ORIENTATION: by_upright(few, head),
        }
        for method, lesson in lessons.items():
            for network, hidden in NETWORKS.items():
                if n == best or network == "d-100-100-1":
                    learned = learn_importance(few, lesson, job.seed, hidden)
                    look(method, learned, network, n)
                    if method == LAMBDA and n == best and hidden == PUBLISHED:
                        look(SHUFFLED, Shuffled(learned, job.seed), network, n)
        report(done)
    rows += _other_classes(train, test, head, job.seed)
    net = learn_published(train, head.text, job.seed)
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        made = published_lambda(net, test, head.text)
    top1 = float((made.argmax(-1).cpu() == test.labels).double().mean())
    rows.append({"method": PUBLISHED_LAMBDA, "network": "d-100-100-1", "images": best})
    rows[-1]["top1"] = top1
    report(len(options.images) + 2)
    return Made(rows)


def _other_classes(
    train: Orbits, test: Orbits, head: Similarity, seed: int
) -> list[dict[str, Any]]:
    """Lambda learns from the classes of even number, and is tried on the others."""
    rows: list[dict[str, Any]] = []
    even = train.rows((train.labels % 2 == 0).nonzero()[:, 0])
    odd = test.rows((test.labels % 2 == 1).nonzero()[:, 0])
    mine = train.rows((train.labels % 2 == 1).nonzero()[:, 0])
    for method, few in (OTHER_CLASSES, even), (f"{LAMBDA}, the same classes", mine):
        learned: Learned = learn_importance(few, by_labels(few, head), seed)
        rows.append({"method": method, "network": "d-100-100-1", "images": len(few)})
        rows[-1] |= judge(learned, odd, head)
    return rows


EXPERIMENT = Experiment(
    name="clip-importance",
    title="Lambda for CLIP: who teaches it, and with how many images",
    presets={
        "quick": LabelOptions(SIGNS, images=(200, 2000), every=8),
        "small": LabelOptions(SHIPPED),
        "paper": LabelOptions(
            tuple(PAPER),
            images=(100, 1000, 10_000, 45_000),
            reading=PAPER_READING,
        ),
    },
    jobs=jobs,
    work=work,
    keys=("model", "data", "method", "network", "images"),
    value="top1",
    packages=("torch", "open_clip_torch", "numpy"),
    reads=reads,
)
