"""A probe on frozen features, learned through an average over their orbit.

The backbone has made the features of all views already, so an epoch takes a second. A
probe is one linear layer; with `hidden`, as in "the last two layers", it is two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from equinb.apps.views.answers import answer
from equinb.apps.views.importance import LAMBDA, Importance
from equinb.apps.views.orbits import Orbits
from equinb.equitune import Uniform
from equinb.equizero import ArgMin
from equinb.lambda_equitune import Learned
from equinb.losses import entropy, neg_max_prob
from equinb.symmetrized import Orbit, TensorMap, Weighting

#: The hidden layer of the paper's lambda for CNNs (section 5.2.2).
LAMBDA_HIDDEN = (100,)
LAMBDA_SEED = 1_000_000


def neg_max_logit(logits: Tensor) -> Tensor:
    """`(N,)`: the negative of the greatest logit of `(N, classes)`."""
    return -logits.amax(-1)


def max_prob(logits: Tensor) -> Tensor:
    """`(N,)`: the greatest probability; to make it small picks the least sure view.

    So does the published code, where a sign is turned.
    """
    return -neg_max_prob(logits)


#: The proxy losses of equizero that are tried, by what rows call them.
PROXIES: Mapping[str, TensorMap] = {
    "equizero": neg_max_prob,
    "equizero, entropy": entropy,
    "equizero, max logit": neg_max_logit,
    "equizero, sign turned": max_prob,
}
#: Equizero with the gradient of the chosen view, in the place of that of the mean.
CHOSEN = "equizero, chosen"
#: Probes that are learned without an average: of upright images; of images turned at
#: random, anew in every epoch; of all turns of every image, each by itself.
PLAIN, AUGMENTATION = "plain", "augmentation"
ALL_VIEWS = "augmentation, all views"
ALONE = (PLAIN, AUGMENTATION, ALL_VIEWS)


def choices() -> dict[str, Weighting]:
    """The weightings that need no training, by name: equitune and every equizero.

    The gradient of equizero is the paper's, straight-through: that of the mean.
    """
    chosen = {name: ArgMin(loss) for name, loss in PROXIES.items()}
    return {"equitune": Uniform(), **chosen}


def learners(features: int, seed: int) -> dict[str, Weighting | None]:
    """What a probe can be learned through, by name; None for no average.

    Args:
        features: how many there are.
        seed: of the first weights of lambda.
    """
    chosen = ArgMin(neg_max_prob, estimator="chosen")
    learned: dict[str, Weighting | None] = {CHOSEN: chosen}
    learned[LAMBDA] = new_lambda(features, seed)
    return {**dict.fromkeys(ALONE), **choices(), **learned}


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
    alone: str = PLAIN,
    visit: Callable[[int, nn.Module], None] = lambda epoch, head: None,
) -> nn.Module:
    """Train a probe by cross-entropy, the backbone frozen.

    Args:
        orbits: of the training images.
        classes: how many there are.
        weighting: how views are weighed; what is not frozen in it learns along. None to
            learn from views by themselves.
        probing: how it is trained.
        seed: of its first weights, of the order of the images and of their turns.
        alone: which views are shown by themselves, one of `ALONE`.
        visit: called after every epoch.

    Returns:
        The probe, from features `(..., d)` to logits `(..., classes)`; frozen.
    """
    device = orbits.features.device
    head = new_probe(orbits.features.shape[-1], classes, probing.hidden, seed)
    head.to(device)
    learning = [*head.parameters()]
    if weighting is not None:
        weighting.to(device)
        learning += [p for p in weighting.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learning, probing.rate)
    order = torch.Generator().manual_seed(seed)
    for epoch in range(1, probing.epochs + 1):
        drawn = torch.randperm(len(orbits), generator=order)
        for rows in drawn.split(probing.batch):
            few = orbits.rows(rows)
            if weighting is None:
                features, labels = _shown(few, alone, order)
                logits = head(features)
            else:
                labels = few.labels
                logits = answer(weighting, few, head, "logits")
            loss = cross_entropy(logits, labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        visit(epoch, head)
    if weighting is not None:
        weighting.requires_grad_(False)
    return head.requires_grad_(False)


def _shown(
    orbits: Orbits, alone: str, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Features `(M, d)` of the views that are shown by themselves, and their labels."""
    if alone == ALL_VIEWS:
        order = orbits.group.order
        return orbits.features.flatten(0, 1), orbits.labels.repeat(order)
    n = len(orbits)
    view = torch.full((n,), orbits.group.identity)
    if alone == AUGMENTATION:
        view = torch.randint(orbits.group.order, (n,), generator=random)
    return orbits.features[view, torch.arange(n)], orbits.labels


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
    """Lambda-equitune with random weights, d-100-1, as section 5.2.2 describes it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(LAMBDA_SEED + seed)  # not the numbers that the probe has
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
