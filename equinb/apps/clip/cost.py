"""The experiment `clip-cost`: what each method costs in time and memory (Table 1).

    equinb run clip-cost --preset quick                            # a CLIP of signs
    equinb run clip-cost --preset small --seeds 0-2 --device cuda  # as in the paper

The cost of a network does not depend on its weights, so those of the paper's models are
random here and nothing is downloaded. Images are there already: what is measured is
views, features, weights and answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from open_clip.utils import to_2tuple
from torch import Tensor
from torch.nn.functional import normalize

from equinb.apps.clip.experiment import reads
from equinb.apps.clip.model import Clip, Similarity
from equinb.apps.clip.pretrained import SHIPPED, load_clip
from equinb.apps.clip.zero_shot import zero_shot
from equinb.apps.views.answers import PRETRAINED, answer, weigh
from equinb.apps.views.importance import LAMBDA, Importance
from equinb.apps.views.orbits import Orbits, action, autocast
from equinb.lab import Experiment, Job, Made, Report
from equinb.lambda_equitune import Learned
from equinb.symmetrized import Weighting

#: As published, lambda is fed by an encoder of its own.
SECOND = f"{LAMBDA}, a second encoder"
METHODS = (PRETRAINED, "equitune", "equizero", LAMBDA, SECOND)
GROUP = "rot90"
#: Texts that images are compared with, and images in the test set of CIFAR100.
CLASSES, WHOLE = 100, 10_000


@dataclass(frozen=True)
class CostOptions:
    """What a run can be told.

    Attributes:
        models: names that `load_clip` knows; those of the paper have random weights.
        batches: how many are timed, after a tenth as many that are not.
        batch: images in each, all with their views.
        precision: "float32", or "mixed" for half precision where that is safe.
    """

    models: tuple[str, ...]
    batches: int = 100
    batch: int = 32
    precision: str = "mixed"


def jobs(options: CostOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model and seed."""
    return [
        Job(seed, {"model": model}, len(METHODS))
        for model in options.models
        for seed in seeds
    ]


def work(options: CostOptions, job: Job, device: str, report: Report) -> Made:
    """Time every method on one model."""
    torch.manual_seed(job.seed)
    clip = _untrained(str(job.settings["model"]), device)
    images = torch.randn(options.batch, 3, *_sides(clip), device=device)
    rows: list[dict[str, Any]] = []
    for done, method in enumerate(METHODS, 1):
        call = partial(calls(clip, method, options.precision, device), images)
        seconds, memory = cost(call, options.batches, device)
        rows.append({"method": method, "time_s": seconds / options.batch * WHOLE})
        if memory is not None:
            rows[-1]["memory_mb"] = memory
        report(done)
    return Made(rows)


def calls(
    clip: Clip, method: str, precision: str, device: str
) -> Callable[[Tensor], Tensor]:
    """From images `(N, 3, H, W)` to logits `(N, CLASSES)`, by one of `METHODS`."""
    act = action(GROUP)
    width = clip.encode(torch.zeros(1, 3, *_sides(clip), device=device)).shape[-1]
    text = normalize(torch.randn(CLASSES, width, device=device), dim=-1)
    head = Similarity(text, clip.scale)
    net = Importance(width).requires_grad_(False).to(device)
    rules: dict[str, Weighting] = {**zero_shot(head), LAMBDA: Learned(net)}
    second = _untrained(clip.name, device) if method == SECOND else None

    @torch.no_grad()
    def call(images: Tensor) -> Tensor:
        views = images[None] if method == PRETRAINED else act.orbit(images)
        with autocast(device, precision):
            features = clip.encode(views.flatten(0, 1)).float()
            read = features
            if second is not None:
                read = second.encode(views.flatten(0, 1)).float()
        if method == PRETRAINED:
            made: Tensor = head(features)
            return made
        shape = views.shape[:2]
        orbits = Orbits(act.group, features.unflatten(0, shape), torch.empty(0))
        if second is None:
            return answer(rules[method], orbits, head, "logits")
        seen = replace(orbits, features=read.unflatten(0, shape))
        orbit = weigh(rules[LAMBDA], seen, head)
        return rules[LAMBDA].combine(replace(orbit, aligned=head(orbits.features)))

    return call


def cost(
    call: Callable[[], Any], times: int, device: str
) -> tuple[float, float | None]:
    """The mean time of a call in seconds, and the peak of memory in megabytes.

    Args:
        call: what is timed, after a tenth as many calls that are not.
        times: how often.
        device: memory is known on a GPU only.
    """
    cuda = torch.device(device).type == "cuda"

    def wait() -> None:
        if cuda:
            torch.cuda.synchronize()

    for _ in range(max(1, times // 10)):
        call()
    wait()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    for _ in range(times):
        call()
    wait()
    seconds = (time.perf_counter() - began) / times
    return seconds, torch.cuda.max_memory_allocated() / 2**20 if cuda else None


def _untrained(name: str, device: str) -> Clip:
    return load_clip(name, "openai" if name in SHIPPED else None).to(device)


def _sides(clip: Clip) -> tuple[int, int]:
    visual: Any = clip.model.visual
    height, width = to_2tuple(visual.image_size)
    return height, width


EXPERIMENT = Experiment(
    name="clip-cost",
    title="What each method costs on CLIP (Table 1)",
    presets={
        "quick": CostOptions(("glyph-resnet",), 5, precision="float32"),
        "small": CostOptions(("RN50", "ViT-B-32")),
    },
    jobs=jobs,
    work=work,
    keys=("model", "method"),
    value="time_s",
    packages=("torch", "open_clip_torch"),
    reads=reads,
)
