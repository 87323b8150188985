"""How our small CLIPs are trained from nothing, on upright images.

What they learn from is in `glyph_clips` and `tiny_clips`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import islice
from typing import Any

import torch
from open_clip import ClipLoss
from torch import Tensor
from torch.nn.functional import normalize

from equinb.apps.clip.model import (
    Clip,
    Similarity,
    Tokenizer,
    build,
    normalise,
    pack,
    restore,
    weights_name,
)
from equinb.lab import Experiment, Job, Made, Report

PACKAGES = ("torch", "open_clip_torch", "numpy")
#: Where CLIP's authors stop the scale: at 100.
LOG_HOTTEST = 4.6052
#: How often a model is looked at on the way.
LOOKS = 10
#: The most images at once where no gradient is kept.
CHUNK = 500


@dataclass(frozen=True)
class Recipe:
    """How a CLIP is trained: every step sees one image of each class, with a caption.

    So no caption in a batch is right for another's image, as CLIP's loss assumes.

    Attributes:
        vision: the image tower, as open_clip's `vision_cfg`.
        steps: updates.
        rate: the greatest learning rate of AdamW; it rises, then falls as a cosine.
        decay: of weights that are matrices.
        warm: the share of the steps in which the rate rises.
        clip: the greatest norm of a gradient.
    """

    vision: Mapping[str, Any]
    steps: int
    rate: float
    decay: float = 0.1
    warm: float = 0.08
    clip: float = 1.0


@dataclass(frozen=True)
class PretrainingOptions:
    """What a run can be told.

    Attributes:
        models: names of models that ship.
        shorter: divides the number of steps.
    """

    models: tuple[str, ...]
    shorter: int = 1


@dataclass(frozen=True)
class Course:
    """What a model is taught, and what it is asked.

    Attributes:
        data: what the images are, in words.
        classes: the names in captions.
        templates: of captions.
        batches: from a source of random numbers to batches without end: images
            `(classes, 3, 32, 32)`, bytes, one of each class.
        split: images and labels of a set to look at, "validation" or "test".
    """

    data: str
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    batches: Callable[[torch.Generator], Iterator[Tensor]]
    split: Callable[[str], tuple[Tensor, Tensor]]

    @torch.no_grad()
    def accuracy(self, clip: Clip, split: str, turned: bool = False) -> float:
        """Zero-shot, on upright images or as the mean over the four turns."""
        text = clip.classifier(self.classes, self.templates)
        head = Similarity(text, clip.scale)
        images, labels = self.split(split)
        right = []
        for pixels, target in zip(
            images.split(CHUNK), labels.split(CHUNK), strict=True
        ):
            x = normalise(pixels.to(text.device))
            for turns in range(4 if turned else 1):
                logits = head(clip.encode(torch.rot90(x, turns, (-2, -1))))
                right.append(logits.argmax(1).cpu() == target)
        return float(torch.cat(right).double().mean())


def pretraining(
    name: str,
    title: str,
    course: Callable[[], Course],
    recipes: Mapping[str, Recipe],
    shorter: int,
) -> Experiment[PretrainingOptions]:
    """The experiment that trains models and judges them as they ship.

    Args:
        name: what the command line calls it.
        title: one line.
        course: makes what the models are taught; a function of the module that the
            experiment is in.
        recipes: of its models, by name.
        shorter: divides the number of steps in `quick`.
    """
    return Experiment(
        name=name,
        title=title,
        presets={
            "quick": PretrainingOptions(tuple(recipes), shorter),
            "small": PretrainingOptions(tuple(recipes)),
        },
        jobs=partial(jobs_of, recipes),
        work=partial(make, course, recipes),
        keys=("model", "set", "steps"),
        value="upright",
        packages=PACKAGES,
        code=(course.__module__,),
    )


def jobs_of(
    recipes: Mapping[str, Recipe], options: PretrainingOptions, seeds: Sequence[int]
) -> list[Job]:
    """One job a model and seed.

    Raises:
        ValueError: for a model without a recipe.
    """
    unknown = [name for name in options.models if name not in recipes]
    if unknown:
        raise ValueError(
            f"There is no recipe for {unknown[0]!r}; there is one for "
            f"{', '.join(recipes)}."
        )
    return [
        Job(seed, {"model": name}, recipes[name].steps // options.shorter)
        for name in options.models
        for seed in seeds
    ]


def make(
    course_of: Callable[[], Course],
    recipes: Mapping[str, Recipe],
    options: PretrainingOptions,
    job: Job,
    device: str,
    report: Report,
) -> Made:
    """Train a model, and judge it as it ships: in half precision."""
    course, name = course_of(), str(job.settings["model"])
    recipe = replace(recipes[name], steps=job.steps)
    whole = recipe == recipes[name]
    rows: list[dict[str, Any]] = []

    def visit(step: int, clip: Clip) -> None:
        report(step)
        if step % max(1, recipe.steps // LOOKS) == 0:
            upright = course.accuracy(clip, "validation")
            rows.append({"steps": step, "set": "validation", "upright": upright})

    clip = pretrain(name, course, job.seed, recipe, device, visit)
    tensors = pack(clip)
    shipped = restore(name, recipe.vision, tensors).to(device)
    for split in "validation", "test":
        rows.append({"steps": recipe.steps, "set": f"{split}, shipped"})
        rows[-1]["upright"] = course.accuracy(shipped, split)
        rows[-1]["turned"] = course.accuracy(shipped, split, turned=True)
    card = _card(course, job.seed, recipe, rows[-2:])
    ships = whole and job.seed == 0
    return Made(rows, {weights_name(name): (tensors, card)} if ships else {})


def pretrain(
    name: str,
    course: Course,
    seed: int,
    recipe: Recipe,
    device: str = "cpu",
    visit: Callable[[int, Clip], None] = lambda step, clip: None,
) -> Clip:
    """A CLIP, trained with open_clip's contrastive loss.

    Args:
        name: what it is called.
        course: what it learns.
        seed: of everything random in it.
        recipe: how it learns.
        device: where.
        visit: called after every step, the model in eval mode.
    """
    captions = [[t.format(name) for name in course.classes] for t in course.templates]
    tokenizer = Tokenizer.for_captions([text for line in captions for text in line])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = build(name, recipe.vision, tokenizer).to(device)
    told = torch.stack([tokenizer(line) for line in captions]).to(device)
    random = torch.Generator().manual_seed(seed)
    model: Any = clip.model.to(memory_format=torch.channels_last)
    optimizer, schedule = _optimizer(model, recipe)
    loss_of = ClipLoss()
    for step, pixels in enumerate(islice(course.batches(random), recipe.steps), 1):
        model.train()
        template = int(torch.randint(len(told), (1,), generator=random))
        text = normalize(model.encode_text(told[template]), dim=-1)
        images = normalise(pixels.to(device))
        images = images.contiguous(memory_format=torch.channels_last)
        loss = loss_of(clip.encode_unit(images), text, model.logit_scale.exp())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, LOG_HOTTEST)
        model.eval()
        visit(step, clip)
    model.requires_grad_(False)
    return clip


def _optimizer(
    model: torch.nn.Module, recipe: Recipe
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, recipe.rate, betas=(0.9, 0.98), eps=1e-6)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        recipe.rate,
        total_steps=recipe.steps,
        pct_start=recipe.warm,
        cycle_momentum=False,
    )


def _card(
    course: Course, seed: int, recipe: Recipe, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    found = {row["set"]: {k: row[k] for k in ("upright", "turned")} for row in rows}
    return {
        "data": course.data,
        "seed": seed,
        **asdict(recipe),
        "accuracy": found,
        "versions": {name: version(name) for name in PACKAGES},
        "licence": "MIT",
    }
