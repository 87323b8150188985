"""Can a proxy loss work here? What tells, before anything is trained through it.

A proxy ranks the views of an image without its label. The label ranks them as well, by
the cross-entropy of each view. The closer the two orders are, the better equizero is.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from equinb.apps.views.answers import answer, weigh
from equinb.apps.views.orbits import Orbits
from equinb.equizero import ArgMin
from equinb.symmetrized import TensorMap

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


def judge_proxy(orbits: Orbits, head: TensorMap, proxy: TensorMap) -> dict[str, float]:
    """What a proxy loss is worth on labelled images, as numbers.

    Returns:
        `agreement`, the mean rank agreement with the true loss; `regret`, by how many
        nats the chosen view is worse than the best; `best`, the share of images of
        which it chooses the best view; `corrected` and `corrupted`, the shares of
        turned images, each turn alike, that the choice puts right and wrong.
    """
    chosen = ArgMin(proxy)
    orbit = weigh(chosen, orbits, head)
    loss = losses_of_views(orbits, head)
    paid = (orbit.weights * loss).sum(0)
    right = head(orbits.features).argmax(-1).cpu() == orbits.labels  # (|G|, N)
    hit = answer(chosen, orbits, head, "logits").argmax(-1).cpu() == orbits.labels
    best = orbit.weights.gather(0, loss.argmin(0)[None])[0]
    return {
        "agreement": float(rank_agreement(orbit.scores, loss).double().mean()),
        "regret": float((paid - loss.amin(0)).double().mean()),
        "best": float(best.double().mean()),
        "corrected": float((hit & ~right).double().mean()),
        "corrupted": float((~hit & right).double().mean()),
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
    counts = torch.zeros(classes, dtype=torch.float64).index_add_(
        0, labels, torch.ones_like(right)
    )
    return torch.zeros_like(counts).index_add_(0, labels, right) / counts
