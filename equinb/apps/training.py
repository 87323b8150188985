"""What all trainings from nothing have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import nn, optim

from equinb.lab import Job


class Trained(Protocol):
    """What is asked of a recipe: how many updates it takes."""

    @property
    def steps(self) -> int:
        """Updates."""


class Options(Protocol):
    """What is asked of the options of a run."""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of recipes."""

    @property
    def shorter(self) -> int:
        """Divides the number of steps."""


def jobs_of(
    recipes: Mapping[str, Trained], options: Options, seeds: Sequence[int]
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


def optimizer_of(
    net: nn.Module, rate: float, decay: float, steps: int, **options: Any
) -> tuple[optim.Optimizer, optim.lr_scheduler.LRScheduler]:
    """AdamW whose rate rises over a tenth of the steps, then falls as a cosine.

    Args:
        net: what it trains.
        rate: the greatest learning rate.
        decay: of weights that are matrices; biases and scales have none.
        steps: updates.
        options: of `torch.optim.AdamW`.
    """
    matrices = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = optim.AdamW(groups, rate, **options)
    return optimizer, optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )
