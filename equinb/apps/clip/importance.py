"""Lambda for images: a small network on the features that the views already have.

The CLIP is frozen, so the features are computed once, and an epoch takes a second. Who
says which view is worth most: labels, equizero's choice, or images known to be upright?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from equinb.apps.clip.model import Similarity
from equinb.apps.clip.orbits import Orbits
from equinb.apps.clip.zero_shot import answer, weigh
from equinb.lambda_equitune import Learned
from equinb.symmetrized import Weighting

#: What the rows of results call it.
LAMBDA = "lambda-equitune"
#: The hidden layers of the published network.
PUBLISHED = (100, 100)
#: How lambda is trained: Adam on so many images a step.
STEPS, BATCH, LEARNING_RATE, DECAY = 600, 256, 3e-3, 1e-2

#: From the rows of a batch and the network's numbers `(|G|, B)` for their views to what
#: is to be made small.
Lesson = Callable[[Learned, Tensor], Tensor]


class Importance(nn.Module):
    r"""$\log \lambda$ of views: a network on features, scaled to length one.

    Args:
        features: how many there are.
        hidden: the widths of its hidden layers; `PUBLISHED` by default, () for none.

    Example:
        >>> Importance(128)(torch.randn(5, 128)).shape
        torch.Size([5])
    """

    def __init__(self, features: int, hidden: Sequence[int] = PUBLISHED) -> None:
        super().__init__()
        widths = [features, *hidden]
        layers: list[nn.Module] = []
        for here, there in pairwise(widths):
            layers += [nn.Linear(here, there), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, features: Tensor) -> Tensor:
        r"""`(N,)`: $\log \lambda$, from features `(N, d)`."""
        # Features of length one have entries about 1/sqrt(d).
        unit = normalize(features, dim=-1) * features.shape[-1] ** 0.5
        log_lambda: Tensor = self.net(unit)[:, 0]
        return log_lambda


def by_labels(orbits: Orbits, head: Similarity, cut: str = "logits") -> Lesson:
    """Labels teach: the cross-entropy of the weighted average, eq. (4).

    Args:
        orbits: of labelled images.
        head: the similarity to the texts.
        cut: what is averaged; see `answer`.
    """

    def lesson(learned: Learned, rows: Tensor) -> Tensor:
        few = orbits.rows(rows)
        logits = answer(learned, few, head, cut)
        return cross_entropy(logits, few.labels.to(logits.device))

    return lesson


def by_teacher(orbits: Orbits, head: Similarity, teacher: Weighting) -> Lesson:
    """Another weighting teaches, without a label: equizero's choice, distilled.

    Args:
        orbits: of images; their labels are not read.
        head: the similarity to the texts.
        teacher: whose weights lambda learns to give.
    """
    told = weigh(teacher, orbits, head).weights

    def lesson(learned: Learned, rows: Tensor) -> Tensor:
        scores = weigh(learned, orbits.rows(rows), head).scores
        return cross_entropy(scores.T, told[:, rows].T)

    return lesson


def by_upright(orbits: Orbits, head: Similarity) -> Lesson:
    """Images known to be upright teach: a classifier of orientation.

    Args:
        orbits: of upright images; their labels are not read.
        head: the similarity to the texts; it is not read either.
    """
    upright = orbits.group.identity

    def lesson(learned: Learned, rows: Tensor) -> Tensor:
        scores = weigh(learned, orbits.rows(rows), head).scores
        return cross_entropy(scores.T, torch.full_like(rows, upright))

    return lesson


def learn_importance(
    orbits: Orbits,
    lesson: Lesson,
    seed: int = 0,
    hidden: Sequence[int] = PUBLISHED,
    steps: int = STEPS,
) -> Learned:
    """Train lambda, the CLIP frozen.

    Args:
        orbits: of the images that it learns from.
        lesson: what it is to learn about them.
        seed: of its first weights and of the order of the images.
        hidden: the widths of its hidden layers.
        steps: of AdamW.

    Returns:
        The weighting of eq. (4), reading features; frozen.
    """
    device = orbits.features.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Importance(orbits.features.shape[-1], hidden).to(device)
    learned = Learned(net)
    optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(len(orbits), (min(BATCH, len(orbits)),), generator=order)
        loss = lesson(learned, rows.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    learned.requires_grad_(False)
    return learned
