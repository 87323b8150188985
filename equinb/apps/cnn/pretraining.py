"""How our small CNNs are trained from nothing, on upright images.

What they learn from is in `glyph_cnns`, `tiny_cnns` and `cifar100_cnns`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from equinb.apps.cnn.backbones import build, normalise, pack, restore, weights_name
from equinb.apps.training import jobs_of, optimizer_of
from equinb.apps.views.orbits import autocast
from equinb.lab import Experiment, Job, Made, Report

PACKAGES = ("torch", "torchvision", "numpy")
#: How often a model is looked at on the way, and images at once where it is.
LOOKS, CHUNK = 10, 500


@dataclass(frozen=True)
class Recipe:
    """How a CNN is trained.

    Attributes:
        network: as `build` takes it.
        steps: updates.
        rate: the greatest learning rate of AdamW; it rises, then falls as a cosine.
        decay: of weights that are matrices.
        batch: images a step.
    """

    network: Mapping[str, Any]
    steps: int
    rate: float
    decay: float = 0.1
    batch: int = 128


@dataclass(frozen=True)
class PretrainingOptions:
    """What a run can be told.

    Attributes:
        models: names of recipes.
        shorter: divides the number of steps.
        precision: "float32", or "mixed" for half precision where that is safe.
    """

    models: tuple[str, ...]
    shorter: int = 1
    precision: str = "mixed"


@dataclass(frozen=True)
class Course:
    """What a network is taught, and what it is asked.

    Attributes:
        data: what the images are, in words.
        classes: how many there are.
        batches: from a batch's size and a source of random numbers to batches without
            end: images `(N, 3, 32, 32)`, bytes, and labels.
        split: images and labels of a set to look at, "validation" or "test".
    """

    data: str
    classes: int
    batches: Callable[[int, torch.Generator], Iterator[tuple[Tensor, Tensor]]]
    split: Callable[[str], tuple[Tensor, Tensor]]


def pretraining(
    name: str,
    title: str,
    course: Callable[[], Course],
    recipes: Mapping[str, Recipe],
    presets: Mapping[str, int],
) -> Experiment[PretrainingOptions]:
    """The experiment that trains networks and judges them as they ship.

    Args:
        name: what the command line calls it.
        title: one line.
        course: makes what the networks are taught; a function of the module that the
            experiment is in.
        recipes: of its networks, by name.
        presets: by what each divides the number of steps.
    """
    return Experiment(
        name=name,
        title=title,
        presets={
            preset: PretrainingOptions(tuple(recipes), shorter)
            for preset, shorter in presets.items()
        },
        jobs=partial(jobs_of, recipes),
        work=partial(make, course, recipes),
        keys=("model", "set", "steps"),
        value="upright",
        packages=PACKAGES,
        code=(course.__module__,),
    )


def make(
    course_of: Callable[[], Course],
    recipes: Mapping[str, Recipe],
    options: PretrainingOptions,
    job: Job,
    device: str,
    report: Report,
) -> Made:
    """Train a network, and judge it as it ships: in half precision."""
    course, name = course_of(), str(job.settings["model"])
    recipe = replace(recipes[name], steps=job.steps)
    rows: list[dict[str, Any]] = []

    def visit(step: int, net: nn.Module) -> None:
        report(step)
        if step % max(1, recipe.steps // LOOKS) == 0:
            upright = accuracy(net, course, "validation")
            rows.append({"steps": step, "set": "validation", "upright": upright})

    net = pretrain(course, job.seed, recipe, device, options.precision, visit)
    tensors = pack(net)
    shipped = restore(recipe.network, course.classes, tensors).eval().to(device)
    for split in "validation", "test":
        rows.append({"steps": recipe.steps, "set": f"{split}, shipped"})
        rows[-1]["upright"] = accuracy(shipped, course, split)
        rows[-1]["turned"] = accuracy(shipped, course, split, turned=True)
    found = {
        row["set"]: {k: row[k] for k in ("upright", "turned")} for row in rows[-2:]
    }
    card = {
        "data": course.data,
        "classes": course.classes,
        "seed": job.seed,
        **asdict(recipe),
        "accuracy": found,
        "versions": {name: version(name) for name in PACKAGES},
        "licence": "MIT",
    }
    ships = recipe == recipes[name] and job.seed == 0
    return Made(rows, {weights_name(name): (tensors, card)} if ships else {})


def pretrain(
    course: Course,
    seed: int,
    recipe: Recipe,
    device: str = "cpu",
    precision: str = "float32",
    visit: Callable[[int, nn.Module], None] = lambda step, net: None,
) -> nn.Module:
    """A network, trained by cross-entropy.

    Args:
        course: what it learns.
        seed: of everything random in it.
        recipe: how it learns.
        device: where.
        precision: "float32" or "mixed".
        visit: called after every step, the network in eval mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net: Any = build(recipe.network, course.classes).to(device)
        net.to(memory_format=torch.channels_last)
        random = torch.Generator().manual_seed(seed)
        optimizer, schedule = optimizer_of(net, recipe.rate, recipe.decay, recipe.steps)
        batches = islice(course.batches(recipe.batch, random), recipe.steps)
        for step, (pixels, labels) in enumerate(batches, 1):
            net.train()
            x = normalise(pixels.to(device))
            with autocast(device, precision):
                logits = net(x.contiguous(memory_format=torch.channels_last))
            loss = cross_entropy(logits.float(), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            net.eval()
            visit(step, net)
    trained: nn.Module = net.requires_grad_(False)
    return trained


@torch.no_grad()
def accuracy(net: nn.Module, course: Course, split: str, turned: bool = False) -> float:
    """Of a network in eval mode, on upright images or as the mean over four turns."""
    images, labels = course.split(split)
    device = next(net.parameters()).device
    right = []
    for pixels, target in zip(images.split(CHUNK), labels.split(CHUNK), strict=True):
        x = normalise(pixels.to(device))
        for turns in range(4 if turned else 1):
            logits = net(torch.rot90(x, turns, (-2, -1)))
            right.append(logits.argmax(1).cpu() == target)
    return float(torch.cat(right).double().mean())


def shuffled(n: int, batch: int, random: torch.Generator) -> Iterator[Tensor]:
    """Places of `n` things, so many at once, all before any again; without end."""
    while True:
        yield from torch.randperm(n, generator=random).split(batch)


def mirrored(images: Tensor, random: torch.Generator) -> Tensor:
    """Half of the images, at random, from left to right."""
    chosen = torch.rand(len(images), generator=random) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)
