"""Lambda for images: a small network on the features that the views already have.

The model is frozen, so the features are computed once, and an epoch takes a second. Who
says which view is worth most: labels, equizero's choice, or images known to be upright?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from equinb.apps.views.answers import answer, weigh
from equinb.apps.views.orbits import Orbits
from equinb.lambda_equitune import Learned
from equinb.symmetrized import Orbit, TensorMap, Weighting

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


def by_labels(orbits: Orbits, head: TensorMap, cut: str = "logits") -> Lesson:
    """Labels teach: the cross-entropy of the weighted average, eq. (4).

    Args:
        orbits: of labelled images.
        head: from features `(..., d)` to logits `(..., classes)`.
        cut: what is averaged; see `answer`.
    """

    def lesson(learned: Learned, rows: Tensor) -> Tensor:
        few = orbits.rows(rows)
        logits = answer(learned, few, head, cut)
        return cross_entropy(logits, few.labels.to(logits.device))

    return lesson


def by_teacher(orbits: Orbits, head: TensorMap, teacher: Weighting) -> Lesson:
    """Another weighting teaches, without a label: equizero's choice, distilled.

    Args:
        orbits: of images; their labels are not read.
        head: from features `(..., d)` to logits `(..., classes)`.
        teacher: whose weights lambda learns to give.
    """
    told = weigh(teacher, orbits, head).weights

    def lesson(learned: Learned, rows: Tensor) -> Tensor:
        scores = weigh(learned, orbits.rows(rows), head).scores
        return cross_entropy(scores.T, told[:, rows].T)

    return lesson


def by_upright(orbits: Orbits, head: TensorMap) -> Lesson:
    """Images known to be upright teach: a classifier of orientation.

    Args:
        orbits: of upright images; their labels are not read.
        head: of the model; it is not read either.
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
    """Train lambda, the model frozen.

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


class Shuffled(Weighting):
    """The weights of a weighting, each image's given to another: a control.

    Args:
        weighting: whose weights.
        seed: of the order.
    """

    def __init__(self, weighting: Weighting, seed: int = 0) -> None:
        super().__init__()
        self.weighting, self.seed = weighting, seed

    def forward(self, orbit: Orbit) -> tuple[Tensor, Tensor]:
        """The scores and the weights, `(|G|, B)` each, in another order of images."""
        scores, weights = self.weighting(orbit)
        random = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(weights.shape[1], generator=random)
        # Another order of views as well: where an image is upright is no secret here.
        places = torch.rand(weights.shape, generator=random).argsort(0)
        places = places.to(weights.device)
        order = order.to(weights.device)
        return (
            scores[:, order].gather(0, places),
            weights[:, order].gather(0, places),
        )


def judge(weighting: Weighting, test: Orbits, head: TensorMap) -> dict[str, float]:
    """What weights are worth on upright images and their turns, and how they look.

    Returns:
        `top1`; `views`, their effective number, a mean over images; `upright`, the
        share of images whose upright view alone has the greatest weight.
    """
    weights = weigh(weighting, test, head).weights
    hits = answer(weighting, test, head, "logits").argmax(-1).cpu() == test.labels
    others = [g for g in range(test.group.order) if g != test.group.identity]
    upright = weights[test.group.identity] > weights[others].amax(0)
    return {
        "top1": float(hits.double().mean()),
        "views": float(torch.special.entr(weights).sum(0).exp().double().mean()),
        "upright": float(upright.double().mean()),
    }
