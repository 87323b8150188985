"""Clouds of points for a network: tasks, what a scanner spoils, and turning.

A cloud is drawn anew each time: its proportions, which points of it are seen, a tilt of
a few degrees. It is about its mean, at a mean square radius of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from equinb.apps.clouds.shapes import PLANAR, SOLIDS, THORNS, Surface
from equinb.canonical import random_rotations, rotate

#: Points of a cloud.
POINTS = 64
#: Standard deviations: of the tilt, in degrees; of the logarithm of the proportions.
TILT, STRETCH = 8.0, 0.2


@dataclass(frozen=True)
class Task:
    """What is asked of a cloud.

    Attributes:
        name: what it is called.
        shapes: the surfaces, by name.
        n: the dimension of space.
        vector: whether a vector is asked for, the tip of the thorn; otherwise the name.
    """

    name: str
    shapes: Mapping[str, Surface]
    n: int = 3
    vector: bool = False

    @property
    def outputs(self) -> int:
        """How many numbers a network gives."""
        return self.n if self.vector else len(self.shapes)

    def loss(self, y: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy, or the mean square."""
        return mse_loss(y, target) if self.vector else cross_entropy(y, target)

    def score(self, y: Tensor, target: Tensor) -> float:
        r"""Accuracy; for a vector $1 - \sum |\hat v - v|^2 / \sum |v|^2$.

        Both are one at best. The latter is zero for who answers zero.
        """
        if self.vector:
            missed = (y.double() - target.double()).square().sum()
            return 1 - float(missed / target.double().square().sum())
        return float((y.argmax(-1) == target).double().mean())


TASKS = {
    "solids": Task("solids", SOLIDS),
    "planar": Task("planar", PLANAR, n=2),
    "thorns": Task("thorns", THORNS, vector=True),
}


@dataclass(frozen=True)
class Spoil:
    """What a scanner does to a cloud.

    Attributes:
        noise: the standard deviation of each coordinate, of the shape's radius.
        missing: the share of points that are hidden, all on one side; others are seen
            twice instead.
        outliers: the share of points that are anywhere.
    """

    noise: float = 0.0
    missing: float = 0.0
    outliers: float = 0.0


#: How clouds are spoilt where a network is looked at.
SPOILS = {
    "clean": Spoil(),
    "noise 0.1": Spoil(noise=0.1),
    "noise 0.2": Spoil(noise=0.2),
    "missing 0.2": Spoil(missing=0.2),
    "missing 0.4": Spoil(missing=0.4),
    "outliers 0.1": Spoil(outliers=0.1),
    "outliers 0.2": Spoil(outliers=0.2),
}


@dataclass(frozen=True)
class Clouds:
    """A set of clouds.

    Attributes:
        x: `(N, points, n)`.
        target: `(N,)` labels or `(N, n)` vectors.
    """

    x: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, chosen: Tensor) -> Clouds:
        """Some of them."""
        return Clouds(self.x[chosen], self.target[chosen])

    def to(self, device: str) -> Clouds:
        """The same on a device."""
        return Clouds(self.x.to(device), self.target.to(device))


def draw(
    task: Task, count: int, random: torch.Generator, spoil: Spoil | None = None
) -> Clouds:
    """Upright clouds.

    Args:
        task: what is asked.
        count: how many.
        random: where they come from.
        spoil: what is done to each; None draws that for each from a mixture of all.

    Example:
        >>> draw(TASKS["solids"], 5, torch.Generator().manual_seed(0)).x.shape
        torch.Size([5, 64, 3])
    """
    labels = torch.randint(len(task.shapes), (count,), generator=random)
    x = torch.empty(count, POINTS + task.vector, task.n)
    for k, surface in enumerate(task.shapes.values()):
        mine = labels == k
        t = torch.rand((int(mine.sum()), POINTS, 2), generator=random)
        x[mine] = surface(t, random)
    x = x * (STRETCH * torch.randn((count, 1, task.n), generator=random)).exp()
    x = rotate(_tilts(count, task.n, random), x)
    tips, points = x[:, : task.vector], x[:, task.vector :]
    points, tips = _centred(points, tips)
    points, tips = _centred(_spoilt(points, spoil, random), tips)
    return Clouds(points, tips[:, 0] if task.vector else labels)


def turned(clouds: Clouds, task: Task, random: torch.Generator) -> Clouds:
    """Each cloud turned by a rotation of its own, drawn evenly; vectors turn along."""
    g = random_rotations(len(clouds), task.n, random)
    target = rotate(g, clouds.target) if task.vector else clouds.target
    return Clouds(rotate(g, clouds.x), target)


def _tilts(count: int, n: int, random: torch.Generator) -> Tensor:
    """`(count, n, n)`: rotations by a few degrees."""
    free = torch.randn((count, n, n), generator=random) * math.radians(TILT)
    skew = free.triu(1)
    tilts: Tensor = torch.linalg.matrix_exp(skew - skew.mT)
    return tilts


def _centred(points: Tensor, tips: Tensor) -> tuple[Tensor, Tensor]:
    """Points about their mean, at a mean square radius of one; tips go along."""
    middle = points.mean(1, keepdim=True)
    points, tips = points - middle, tips - middle
    radius = points.square().sum(-1).mean(1).sqrt()[:, None, None]
    return points / radius, tips / radius


def _spoilt(points: Tensor, spoil: Spoil | None, random: torch.Generator) -> Tensor:
    """Clouds as a scanner sees them."""
    count, size, n = points.shape
    level = torch.rand((3, count, 1), generator=random)
    if spoil is None:
        # Each kind of damage on a third of the clouds, up to the greatest shown.
        hit = torch.rand((3, count, 1), generator=random) < 1 / 3
        level = level * hit * torch.tensor([0.2, 0.4, 0.2])[:, None, None]
    else:
        told = torch.tensor([spoil.noise, spoil.missing, spoil.outliers])
        level = told[:, None, None].expand(3, count, 1)
    noise, missing, outliers = level
    side = torch.randn((count, n, 1), generator=random)
    rank = (points @ side)[..., 0].argsort(1).argsort(1)
    first = (missing * size).round()  # so many are hidden
    other = first + torch.rand((count, size), generator=random) * (size - first)
    source = torch.where(rank < first, other.long(), rank)
    ordered = points.gather(1, rank.argsort(1)[..., None].expand_as(points))
    points = ordered.gather(1, source[..., None].expand_as(points))
    points = points + noise[..., None] * torch.randn(points.shape, generator=random)
    far = 4 * torch.rand(points.shape, generator=random) - 2
    lost = torch.rand((count, size), generator=random) < outliers
    return torch.where(lost[..., None], far, points)
