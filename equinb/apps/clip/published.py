"""What the published code of the paper does with CLIP, for comparison.

It averages probabilities at temperature 1, takes the greatest probability of each class
over the views for equizero, and has a lambda that is neither positive nor normalised.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from equinb.apps.clip.model import Similarity
from equinb.apps.views.orbits import Orbits

#: CLIP's own temperature is left out.
SCALE = 1.0
#: How its lambda is trained: SGD with momentum, steps and images a step.
STEPS, BATCH, LEARNING_RATE, MOMENTUM = 2000, 32, 0.33, 0.9


def published_equitune(orbits: Orbits, text: Tensor) -> Tensor:
    """`(N, classes)`: the mean of the views' probabilities, at temperature 1."""
    return probabilities(orbits, text).mean(0)


def published_equizero(orbits: Orbits, text: Tensor) -> Tensor:
    """`(N, classes)`: the greatest probability of each class over the views.

    It need not be any view's probabilities, and does not sum to one.
    """
    return probabilities(orbits, text).amax(0)


def probabilities(orbits: Orbits, text: Tensor) -> Tensor:
    """`(|G|, N, classes)`: those of the views, at temperature 1."""
    p: Tensor = Similarity(text, SCALE)(orbits.features).softmax(-1)
    return p


class PublishedImportance(nn.Module):
    """The published lambda: d - 100 - 100 - 1, with dropout that is never turned off.

    Args:
        features: how many there are.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Linear(features, 100)
        self.second = nn.Linear(100, 100)
        self.last = nn.Linear(100, 1)

    def forward(self, features: Tensor) -> Tensor:
        """`(..., 1)`, of either sign; another number at every call."""
        hidden = dropped(self.first(features).relu())
        weight: Tensor = self.last(dropped(self.second(hidden)))
        return weight


def dropped(x: Tensor) -> Tensor:
    """Half of the entries, in training and ever after."""
    return nn.functional.dropout(x, 0.5, training=True)


def published_lambda(net: PublishedImportance, orbits: Orbits, text: Tensor) -> Tensor:
    """`(N, classes)`: lambda multiplies a feature; then softmax; then the mean.

    So lambda sets the temperature of each view, and no view loses its vote.
    """
    unit = normalize(orbits.features, dim=-1)
    weighted: Tensor = net(unit) * unit
    return (SCALE * weighted @ text.T).softmax(-1).mean(0)


def learn_published(orbits: Orbits, text: Tensor, seed: int = 0) -> PublishedImportance:
    """Train the published lambda as published.

    The cross-entropy is given probabilities where it expects logits.

    Args:
        orbits: of labelled images.
        text: `(classes, d)` of length one.
        seed: of its first weights, dropout and the order of the images.
    """
    device = orbits.features.device
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = PublishedImportance(orbits.features.shape[-1]).to(device)
        optimizer = torch.optim.SGD(net.parameters(), LEARNING_RATE, MOMENTUM)
        for _ in range(STEPS):
            few = orbits.rows(torch.randint(len(orbits), (BATCH,)))
            p = published_lambda(net, few, text)
            loss = cross_entropy(p, few.labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.requires_grad_(False)
