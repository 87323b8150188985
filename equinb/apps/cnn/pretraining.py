"""The experiment `cnn-pretraining`: CNNs trained from nothing, on upright images.

    equinb run cnn-pretraining --preset quick   # the CNNs of signs, shortened
    equinb run cnn-pretraining --preset small   # the four that ship
    equinb run cnn-pretraining --preset paper --device cuda   # CIFAR100

Tiny-ImageNet and CIFAR100 are read from the folder that `EQUINB_DATA` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torchvision.datasets import CIFAR100

from equinb.apps.clip.data import CIFAR100_TRAIN
from equinb.apps.clip.glyphs import GLYPHS, draw, sample
from equinb.apps.clip.tiny_imagenet import tiny_images
from equinb.apps.cnn.backbones import (
    CIFAR100_CNNS,
    SHIPPED,
    SIGNS,
    build,
    normalise,
    pack,
    restore,
    weights_name,
)
from equinb.apps.views.orbits import autocast
from equinb.lab import Experiment, Job, Made, Report, data_folder

PACKAGES = ("torch", "torchvision", "numpy")
#: How often a model is looked at on the way, and images at once where it is.
LOOKS, CHUNK = 10, 500
#: Pixels by which a photograph is moved at most.
MOVED = 4
#: How many signs a model is looked at with, and the seed of the first set.
LOOKED_AT, SEED = 2000, 2_000_000


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


#: How the networks are trained; those of CIFAR100 are the paper's.
RECIPES = {
    "glyph-resnet": Recipe(
        {"kind": "resnet", "widths": (12, 24, 48, 96), "blocks": 1, "stride": 2},
        3000,
        3e-3,
    ),
    "glyph-alexnet": Recipe(
        {
            "kind": "alexnet",
            "widths": (16, 32, 48, 48, 32),
            "hidden": 128,
            "dropout": 0.2,
        },
        4000,
        2e-3,
    ),
    "tiny-resnet": Recipe(
        {"kind": "resnet", "widths": (32, 64, 128, 256), "blocks": 2, "stride": 2},
        12_000,
        2e-3,
        0.2,
    ),
    "tiny-alexnet": Recipe(
        {
            "kind": "alexnet",
            "widths": (48, 128, 192, 128, 128),
            "hidden": 256,
            "dropout": 0.3,
        },
        12_000,
        1e-3,
    ),
    "cifar100-resnet": Recipe(
        {"kind": "resnet", "widths": (64, 128, 256, 512), "blocks": 2},
        40_000,
        2e-3,
        0.3,
    ),
    "cifar100-alexnet": Recipe(
        {"kind": "alexnet", "widths": (64, 192, 384, 256, 256), "hidden": 1024},
        40_000,
        1e-3,
    ),
}


@dataclass(frozen=True)
class PretrainingOptions:
    """What a run can be told.

    Attributes:
        models: names of `RECIPES`.
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


def course_of(model: str) -> Course:
    """What a network is taught, by the first word of its name."""
    kind = model.split("-")[0]
    if kind == "glyph":
        told = "100 glyphs in fonts that ship with matplotlib, drawn by equinb"
        return Course(told, len(GLYPHS), _glyph_batches, _glyphs)
    if kind == "tiny":
        told = (
            "Tiny-ImageNet at 32x32 pixels, 400 training images of each of 200 classes"
        )
        return Course(told, 200, _tiny_batches, tiny_images)
    return Course("CIFAR100", 100, _cifar100_batches, cifar100)


def jobs(options: PretrainingOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model and seed.

    Raises:
        ValueError: for a model without a recipe.
    """
    unknown = [name for name in options.models if name not in RECIPES]
    if unknown:
        raise ValueError(
            f"There is no recipe for {unknown[0]!r}; there is one for "
            f"{', '.join(RECIPES)}."
        )
    return [
        Job(seed, {"model": name}, RECIPES[name].steps // options.shorter)
        for name in options.models
        for seed in seeds
    ]


def work(options: PretrainingOptions, job: Job, device: str, report: Report) -> Made:
    """Train a network, and judge it as it ships: in half precision."""
    name = str(job.settings["model"])
    course, recipe = course_of(name), replace(RECIPES[name], steps=job.steps)
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
    ships = recipe == RECIPES[name] and job.seed == 0
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
        optimizer, schedule = _optimizer(net, recipe)
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


def _optimizer(
    net: nn.Module, recipe: Recipe
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    matrices = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, recipe.rate)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        recipe.rate,
        total_steps=recipe.steps,
        pct_start=0.1,
        cycle_momentum=False,
    )


def _shuffled(n: int, batch: int, random: torch.Generator) -> Iterator[Tensor]:
    """Places of `n` things, so many at once, all before any again; without end."""
    while True:
        yield from torch.randperm(n, generator=random).split(batch)


def _glyph_batches(
    batch: int, random: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        labels = torch.randint(len(GLYPHS), (batch,), generator=random)
        yield draw(labels, random), labels


def _glyphs(split: str) -> tuple[Tensor, Tensor]:
    test = split == "test"
    return sample(LOOKED_AT, SEED + test, test)


def _tiny_batches(
    batch: int, random: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    return _photographs(*tiny_images("pretraining"), batch, random)


def _cifar100_batches(
    batch: int, random: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    return _photographs(*cifar100("train"), batch, random)


def _photographs(
    images: Tensor, labels: Tensor, batch: int, random: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Photographs, each moved, and half of them mirrored from left to right."""
    line = torch.arange(images.shape[-1])
    for rows in _shuffled(len(images), batch, random):
        wide = pad(images[rows], (MOVED,) * 4)
        down, right = torch.randint(2 * MOVED + 1, (2, len(rows)), generator=random)
        y, x = (line + by[:, None] for by in (down, right))
        each = torch.arange(len(rows))[:, None, None]
        moved = wide[each, :, y[:, :, None], x[:, None, :]]
        yield _mirrored(moved.permute(0, 3, 1, 2), random), labels[rows]


def _mirrored(images: Tensor, random: torch.Generator) -> Tensor:
    chosen = torch.rand(len(images), generator=random) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


@cache
def cifar100(split: str) -> tuple[Tensor, Tensor]:
    """CIFAR100 as torchvision downloads it; the last training images are to validate.

    Raises:
        FileNotFoundError: if it does not lie where `EQUINB_DATA` says.
    """
    how = "get CIFAR100 (169 MB, www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz)"
    folder = data_folder("cifar-100-python", how)
    whole = CIFAR100(str(folder.parent), split != "test")
    pixels = torch.from_numpy(whole.data).permute(0, 3, 1, 2).contiguous()
    rows = {
        "train": slice(CIFAR100_TRAIN),
        "validation": slice(CIFAR100_TRAIN, None),
        "test": slice(None),
    }[split]
    return pixels[rows], torch.tensor(whole.targets)[rows]


EXPERIMENT = Experiment(
    name="cnn-pretraining",
    title="Small CNNs of signs, photographs and CIFAR100, trained from nothing",
    presets={
        "quick": PretrainingOptions(SIGNS, 50),
        "small": PretrainingOptions(SHIPPED),
        "paper": PretrainingOptions(CIFAR100_CNNS),
    },
    jobs=jobs,
    work=work,
    keys=("model", "set", "steps"),
    value="upright",
    packages=PACKAGES,
)
