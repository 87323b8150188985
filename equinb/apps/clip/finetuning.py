"""Finetuning a CLIP through its symmetrized answer, on one device or on several.

The texts are encoded once and stay; the image tower learns. It stays in eval mode, so
that its batch statistics are those of its pretraining and theorem 2 applies throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from equinb.actions import Action, Rot90
from equinb.apps.clip.model import Clip, Similarity
from equinb.apps.views.answers import answer
from equinb.apps.views.orbits import Labelled, Orbits, accelerator_for, autocast
from equinb.equitune import Uniform
from equinb.groups import cyclic
from equinb.symmetrized import Weighting

#: The trivial group: a model by itself, trained on images that are turned at random.
ALONE = Rot90(cyclic(1))


@dataclass(frozen=True)
class Tuning:
    """How a CLIP is finetuned; every method has the same.

    Attributes:
        steps: updates.
        rate: the learning rate of AdamW, constant after a short rise.
        batch: images a step, over all devices, each with all its views.
        warm: steps in which the rate rises.
        precision: "float32", or "mixed" for half precision where that is safe.
        workers: processes that read images.
    """

    steps: int
    rate: float = 1e-4
    batch: int = 32
    warm: int = 100
    precision: str = "float32"
    workers: int = 0


def finetune(
    clip: Clip,
    images: Labelled,
    head: Similarity,
    act: Action,
    weighting: Weighting | None,
    tuning: Tuning,
    seed: int = 0,
    visit: Callable[[int], None] = lambda step: None,
) -> None:
    """Finetune the image tower of a CLIP in place, by cross-entropy.

    Each image is turned at random first. Under `accelerate launch` every process takes
    its part of each batch, and the outcome is that of one process.

    Args:
        clip: in eval mode.
        images: to learn from.
        head: the similarity to the texts.
        act: how the group acts on images.
        weighting: how views are weighed; None to learn from the turned images as they
            are, without an average: augmentation.
        tuning: how it learns.
        seed: of the order of the images and of their turns.
        visit: called after every step.
    """
    device = next(clip.model.parameters()).device
    accelerator = accelerator_for(device)
    tower: Any = clip.model.visual
    # Faster on a CPU; it is put back at the end.
    tower.requires_grad_(True).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(tower.parameters(), tuning.rate, weight_decay=0.0)
    random = torch.Generator().manual_seed(seed)
    drawn = Turned(images, act.group.order, tuning.steps * tuning.batch, random)
    loader = DataLoader(
        drawn, tuning.batch, num_workers=tuning.workers, generator=random
    )
    tower, optimizer, loader = accelerator.prepare(tower, optimizer, loader)
    views_of = ALONE if weighting is None else act
    for step, (pixels, shown, labels) in enumerate(loader, 1):
        for group in optimizer.param_groups:
            group["lr"] = tuning.rate * min(1.0, step / tuning.warm)
        turned = turn(act, pixels.to(device), shown)
        views = views_of.orbit(turned)
        with autocast(device, tuning.precision), attention(device, tuning.precision):
            features = tower(views.flatten(0, 1)).float().unflatten(0, views.shape[:2])
        orbits = Orbits(views_of.group, features, labels)
        logits = answer(weighting or Uniform(), orbits, head, "logits")
        optimizer.zero_grad()
        accelerator.backward(cross_entropy(logits, labels.to(device)))
        optimizer.step()
        visit(step)
    clip.model.requires_grad_(False).to(memory_format=torch.contiguous_format)


def attention(
    device: torch.device | str, precision: str
) -> AbstractContextManager[None]:
    """A context for attention: on a CPU in half precision, not the fused kind.

    There the gradient of the fused kind takes as long as all else together.
    """
    slow = torch.device(device).type == "cpu" and precision == "mixed"
    return sdpa_kernel(SDPBackend.MATH) if slow else nullcontext()


class Turned(Dataset[tuple[Tensor, int, int]]):
    """Draws of images, each with the element of the group that is to turn it.

    Every image is drawn once, in a random order, before any is drawn again.

    Args:
        images: pairs of a preprocessed image and a label.
        group: how many elements there are.
        draws: how many.
        random: where order and turns come from.
    """

    def __init__(
        self, images: Labelled, group: int, draws: int, random: torch.Generator
    ) -> None:
        n = len(images)  # type: ignore[arg-type]
        rounds = [torch.randperm(n, generator=random) for _ in range(-(-draws // n))]
        self.images, self.order = images, torch.cat(rounds)[:draws]
        self.shown = torch.randint(group, (draws,), generator=random)

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, i: int) -> tuple[Tensor, int, int]:
        image, label = self.images[int(self.order[i])]
        return image, int(self.shown[i]), label


def turn(act: Action, images: Tensor, shown: Tensor) -> Tensor:
    """Each image `(N, 3, H, W)` as its own element `(N,)` of the group turns it."""
    turned = torch.empty_like(images)
    for g in range(act.group.order):
        here = (shown == g).to(images.device)
        turned[here] = act(g, images[here])
    return turned
