r"""Small networks that read small views and say which ones are worth a pass.

A view is made grey or kept in colour, pooled to a few pixels and scaled; all of that
commutes with turns and mirrors. A router then gives its $\log \lambda$.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy

from equinb.actions import Action

#: Of AdamW: the greatest rate and the decay.
RATE, DECAY = 3e-3, 1e-2
#: Keeps an image of one colour from being divided by zero.
LEAST = 1e-3


@dataclass(frozen=True)
class Recipe:
    """What a router is, and how it is trained.

    Attributes:
        side: of the images that it reads, in pixels.
        grey: whether it reads them without colour.
        channels: of its convolutions, each halving the image; none by default.
        hidden: the widths of its hidden layers after these.
        steps: updates.
        batch: images an update, each with all its views.
        spread: the standard deviation of noise on the views that it learns from, where
            the views themselves have one of 1.
    """

    side: int = 16
    grey: bool = True
    channels: tuple[int, ...] = ()
    hidden: tuple[int, ...] = (256, 32)
    steps: int = 1500
    batch: int = 128
    spread: float = 0.0


class Look(nn.Module):
    """Images as a router reads them: pooled, of mean 0 and standard deviation 1.

    Args:
        recipe: its `side` and `grey` are read.

    Raises:
        ValueError: for images whose side is no multiple of the recipe's.

    Example:
        >>> Look(Recipe(side=8))(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.side, self.grey = recipe.side, recipe.grey

    def forward(self, images: Tensor) -> Tensor:
        """`(N, C, side, side)` of `(N, 3, H, H)`; C is 1 where they become grey."""
        times, left = divmod(images.shape[-1], self.side)
        if left or not times:
            raise ValueError(
                f"A router that reads {self.side} pixels needs images of a multiple of "
                f"it; got {images.shape[-1]}."
            )
        x = images.mean(1, keepdim=True) if self.grey else images
        x = avg_pool2d(x, times)
        x = x - x.mean((1, 2, 3), keepdim=True)
        return x / x.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(LEAST)


def new_router(recipe: Recipe, seed: int = 0) -> nn.Sequential:
    r"""A router with random weights: from views `(N, C, side, side)` to `(N, 1)`.

    Args:
        recipe: what it is.
        seed: of its weights.

    Example:
        >>> new_router(Recipe(hidden=(8,)))(torch.rand(4, 1, 16, 16)).shape
        torch.Size([4, 1])
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        inside, side = 1 if recipe.grey else 3, recipe.side
        for width in recipe.channels:
            layers += [nn.Conv2d(inside, width, 3, 2, 1), nn.ReLU()]
            inside, side = width, (side + 1) // 2
        layers.append(nn.Flatten())
        widths = [inside * side**2, *recipe.hidden]
        for here, there in pairwise(widths):
            layers += [nn.Linear(here, there), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], 1))


def learn_router(
    small: Tensor, act: Action, recipe: Recipe, seed: int, told: Tensor | None = None
) -> nn.Sequential:
    """Train a router on views of upright images.

    Args:
        small: `(N, C, side, side)`, what `Look` makes of them.
        act: how the group acts on images.
        recipe: how it is trained.
        seed: of its first weights, of the order of the images and of the noise.
        told: `(|G|, N)`, the weights that it is to give; None for all weight on the
            upright view.

    Returns:
        The router, in eval mode and frozen.
    """
    net = new_router(recipe, seed).to(small.device)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=recipe.steps, cycle_momentum=False
    )
    random = torch.Generator().manual_seed(seed)
    for _ in range(recipe.steps):
        rows = torch.randint(len(small), (recipe.batch,), generator=random)
        rows = rows.to(small.device)
        views = act.orbit(small[rows])
        noise = torch.randn(views.shape, generator=random).to(views)
        scores = net((views + recipe.spread * noise).flatten(0, 1))
        scores = scores.reshape(views.shape[:2]).T
        upright = torch.full_like(rows, act.group.identity)
        loss = cross_entropy(scores, upright if told is None else told[:, rows].T)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval().requires_grad_(False)
