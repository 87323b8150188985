"""What a proxy loss is worth for a head that is there, on a few labelled images.

A proxy ranks the views of an image without its label; the label ranks them as well, by
the cross-entropy of each view.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from equinb.apps.views.answers import answer, weigh
from equinb.apps.views.orbits import Orbits
from equinb.equizero import ArgMin
from equinb.symmetrized import TensorMap, Weighting

#: Bins of confidence for the calibration error.
BINS = 15


def losses_of_views(orbits: Orbits, head: TensorMap) -> Tensor:
    """`(|G|, N)`: the cross-entropy of each view by itself, in nats."""
    logits = head(orbits.features)
    flat = cross_entropy(
        logits.flatten(0, 1),
        orbits.labels.to(logits.device).repeat(len(logits)),
        reduction="none",
    )
    losses: Tensor = flat.unflatten(0, logits.shape[:2])
    return losses


def rank_agreement(proxy: Tensor, loss: Tensor) -> Tensor:
    """`(N,)`: Kendall's tau of two orders of the views of each image.

    The share of pairs of views that both order alike, less the share that they order
    the other way round; a pair that either ties counts for neither.

    Args:
        proxy: `(|G|, N)`.
        loss: `(|G|, N)`.

    Example:
        >>> views = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
        >>> other = torch.tensor([[1.0, 3.0], [2.0, 2.0], [4.0, 1.0]])
        >>> rank_agreement(views, other)
        tensor([ 1., -1.])
    """
    one, other = torch.combinations(torch.arange(len(proxy))).T
    alike = (proxy[one] - proxy[other]).sign() * (loss[one] - loss[other]).sign()
    return alike.mean(0)


@torch.no_grad()
def judge(orbits: Orbits, head: TensorMap, weighting: Weighting) -> dict[str, float]:
    """What an average changes, over all turns of labelled images.

    Returns:
        `corrected` and `corrupted`, the shares of turned images that it puts right and
        wrong, against the head by itself.
    """
    right = head(orbits.features).argmax(-1).cpu() == orbits.labels  # (|G|, N)
    hit = answer(weighting, orbits, head, "logits").argmax(-1).cpu() == orbits.labels
    return {
        "corrected": float((hit & ~right).double().mean()),
        "corrupted": float((~hit & right).double().mean()),
    }


@torch.no_grad()
def judge_proxy(orbits: Orbits, head: TensorMap, proxy: TensorMap) -> dict[str, float]:
    """How well a proxy loss orders the views of labelled images.

    Returns:
        `agreement`, the mean rank agreement with the true loss; `regret`, by how many
        nats the chosen view is worse than the best; `best`, the share of images of
        which it chooses the best view.
    """
    orbit = weigh(ArgMin(proxy), orbits, head)
    loss = losses_of_views(orbits, head)
    paid = (orbit.weights * loss).sum(0)
    best = orbit.weights.gather(0, loss.argmin(0)[None])[0]
    return {
        "agreement": float(rank_agreement(orbit.scores, loss).double().mean()),
        "regret": float((paid - loss.amin(0)).double().mean()),
        "best": float(best.double().mean()),
    }


def calibration_error(logits: Tensor, labels: Tensor) -> float:
    """The expected calibration error: how far confidence and accuracy are apart.

    Args:
        logits: `(N, classes)`.
        labels: `(N,)`.

    Example:
        >>> calibration_error(torch.tensor([[0.0, 9.0], [0.0, 9.0]]), torch.ones(2))
        0.0001...
    """
    sure, said = logits.softmax(-1).double().max(-1)
    hit = (said == labels.to(said.device)).double()
    place = (sure * BINS).long().clamp_max(BINS - 1)
    apart = torch.zeros(BINS, dtype=torch.float64, device=sure.device)
    apart.index_add_(0, place, hit - sure)
    return float(apart.abs().sum() / len(labels))


def by_class(hits: Tensor, labels: Tensor, classes: int) -> Tensor:
    """`(classes,)`: the accuracy of each class, from hits `(N,)` or `(|G|, N)`."""
    right = hits.double().reshape(-1, len(labels)).mean(0)
    found = [right[labels == k].mean() for k in range(classes)]
    return torch.stack(found)


def confusion(said: Tensor, labels: Tensor, classes: int) -> Tensor:
    """`(classes, classes)`: the share of each class (row) that is taken for another.

    Args:
        said: `(N,)` or `(|G|, N)`, classes.
        labels: `(N,)`.
        classes: how many there are.

    Example:
        >>> confusion(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 0, 1, 1]), 2)
        tensor([[0.5000, 0.5000],
                [0.0000, 1.0000]], dtype=torch.float64)
    """
    flat = said.reshape(-1, len(labels))
    place = labels * classes + flat
    counts = torch.bincount(place.flatten(), minlength=classes**2)
    table = counts.view(classes, classes).double()
    return table / table.sum(1, keepdim=True)
