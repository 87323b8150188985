"""A probe on frozen features, learned through an average over their orbit.

The backbone has made the features of all views already, so an epoch takes a second. A
probe is one linear layer; with `hidden`, as in "the last two layers", it is two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from equinb.apps.views.answers import answer
from equinb.apps.views.importance import Importance
from equinb.apps.views.orbits import Orbits
from equinb.equitune import Uniform
from equinb.equizero import ArgMin
from equinb.lambda_equitune import Learned
from equinb.losses import entropy, neg_max_prob
from equinb.symmetrized import Orbit, TensorMap, Weighting

#: The hidden layer of the paper's lambda for CNNs (section 5.2.2).
LAMBDA_HIDDEN = (100,)


def neg_max_logit(logits: Tensor) -> Tensor:
    """`(N,)`: the negative of the greatest logit of `(N, classes)`."""
    return -logits.amax(-1)


def max_prob(logits: Tensor) -> Tensor:
    """`(N,)`: the greatest probability, which the paper's code makes small.

    So it picks the view of which the network is least sure.
    """
    return -neg_max_prob(logits)


#: The proxy losses of equizero that are tried, by what rows call them.
PROXIES: Mapping[str, TensorMap] = {
    "equizero": neg_max_prob,
    "equizero, entropy": entropy,
    "equizero, max logit": neg_max_logit,
    "equizero, published": max_prob,
}


def choices() -> dict[str, Weighting]:
    """The weightings that need no training, by name: equitune and every equizero."""
    chosen = {name: ArgMin(loss) for name, loss in PROXIES.items()}
    return {"equitune": Uniform(), **chosen}


@dataclass(frozen=True)
class Probing:
    """How a probe is trained; every method has the same.

    Attributes:
        epochs: passes over the training images.
        rate: the learning rate of Adam; the paper's is 1e-3.
        batch: images a step, each with all its views.
        hidden: the widths of hidden layers of the probe.
    """

    epochs: int = 10
    rate: float = 1e-3
    batch: int = 64
    hidden: tuple[int, ...] = ()


PROBING = Probing()


def probe(
    orbits: Orbits,
    classes: int,
    weighting: Weighting | None = None,
    probing: Probing = PROBING,
    seed: int = 0,
    shown: Tensor | None = None,
    visit: Callable[[int, nn.Module], None] = lambda epoch, head: None,
) -> nn.Module:
    """Train a probe by cross-entropy, the backbone frozen.

    Args:
        orbits: of the training images.
        classes: how many there are.
        weighting: how views are weighed; what can learn in it learns along. None to
            learn from one view of each image by itself.
        probing: how it is trained.
        seed: of its first weights and of the order of the images.
        shown: `(N,)`, without a weighting: which view of each image is shown; upright
            ones if not given.
        visit: called after every epoch.

    Returns:
        The probe, from features `(..., d)` to logits `(..., classes)`; frozen.
    """
    device = orbits.features.device
    head = new_probe(orbits.features.shape[-1], classes, probing.hidden, seed)
    head.to(device)
    if weighting is None:
        orbits = _one_view(orbits, shown)
        weighting = Uniform()
    weighting.to(device).requires_grad_(True)
    optimizer = torch.optim.Adam(
        [*head.parameters(), *weighting.parameters()], probing.rate
    )
    order = torch.Generator().manual_seed(seed)
    for epoch in range(1, probing.epochs + 1):
        drawn = torch.randperm(len(orbits), generator=order)
        for rows in drawn.split(probing.batch):
            few = orbits.rows(rows)
            logits = answer(weighting, few, head, "logits")
            loss = cross_entropy(logits, few.labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        visit(epoch, head)
    weighting.requires_grad_(False)
    return head.requires_grad_(False)


def new_probe(
    features: int, classes: int, hidden: tuple[int, ...], seed: int
) -> nn.Sequential:
    """A probe with random weights, the same for every method of a seed."""
    widths = [features, *hidden]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for here, there in pairwise(widths):
            layers += [nn.Linear(here, there), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


def new_lambda(features: int, seed: int) -> Learned:
    """The weighting of lambda-equitune with random weights: d-100-1, as published."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Learned(Importance(features, LAMBDA_HIDDEN))


class Sharpened(Weighting):
    r"""Learned weights at a temperature: $\lambda^{1 / \tau}$, normalised.

    Args:
        learned: the weighting.
        tau: its temperature; one leaves it as it is, towards zero it chooses a view.
    """

    def __init__(self, learned: Learned, tau: float) -> None:
        super().__init__()
        self.learned, self.tau = learned, tau

    def forward(self, orbit: Orbit) -> tuple[Tensor, Tensor]:
        """The logarithm of lambda over tau, and the weights."""
        scores, _ = self.learned(orbit)
        return scores / self.tau, (scores / self.tau).softmax(0)


def _one_view(orbits: Orbits, shown: Tensor | None) -> Orbits:
    every = torch.arange(len(orbits))
    here = orbits.group.identity if shown is None else shown
    group = orbits.group.subgroup(name="alone")
    return replace(orbits, group=group, features=orbits.features[here, every][None])
