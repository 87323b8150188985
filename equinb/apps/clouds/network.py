"""The networks of clouds: PointNet, small; one for each task comes with equinb."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from equinb.lab import load_weights


class PointNet(nn.Module):
    """A network of a set of points: a map of each, their maximum, a map of that.

    After Qi et al. 2017. It knows that the order of points does not matter, and
    nothing of rotations.

    Args:
        n: the dimension of space.
        out: how many numbers it gives.
        width: of its first two layers; the third has twice as many.

    Example:
        >>> PointNet(3, 12)(torch.randn(5, 64, 3)).shape
        torch.Size([5, 12])
    """

    def __init__(self, n: int, out: int, width: int = 48) -> None:
        super().__init__()
        self.each = nn.Sequential(
            nn.Linear(n, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 2 * width),
        )
        self.all = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, out)
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(N, out)` from `(N, points, n)`."""
        out: Tensor = self.all(self.each(x).amax(1))
        return out


def load_network(task: str) -> PointNet:
    """The network of a task, which comes with equinb: of upright clouds, frozen.

    Args:
        task: one of `TASKS`.
    """
    tensors, card = load_weights(weights_name(task))
    return restore(card["network"], tensors)


def restore(network: dict[str, Any], tensors: dict[str, Tensor]) -> PointNet:
    """A frozen network from its options and weights."""
    net = PointNet(**network)
    net.load_state_dict({name: t.float() for name, t in tensors.items()})
    return net.eval().requires_grad_(False)


def weights_name(task: str) -> str:
    """The file of the network of a task, below the assets."""
    return f"clouds/{task}.safetensors"


def seeded(seed: int, n: int, out: int, width: int) -> PointNet:
    """A network with first weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PointNet(n, out, width)
