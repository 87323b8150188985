"""A router in front of a model, tried with every number of views.

Accuracies are of all test images, from features that were computed once; what passes
cost is counted, and equivariance checked, on the model itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from equinb.actions import Action, Trivial
from equinb.apps.fewer.cost import operations, seconds
from equinb.apps.fewer.routers import Look
from equinb.apps.fewer.subjects import Subject
from equinb.apps.views.orbits import Orbits, action
from equinb.check import check_equivariance
from equinb.routed import Routed, choose

#: Images on which passes are counted and timed, and equivariance is checked.
COUNTED, CHECKED = 100, 32


@dataclass(frozen=True)
class Trial:
    """A router in front of a model, tried with every number of views.

    Attributes:
        subject: the model, and the features of the test images' views.
        group: one of `GENERATORS`.
        head: from features to logits.
        net: the router, from small views to one number each.
        look: what makes views small.
    """

    subject: Subject
    group: str
    head: nn.Module
    net: nn.Module
    look: Look

    def rows(self, eps: Sequence[float]) -> list[dict[str, Any]]:
        """Accuracy, cost and certificate for every k and for every eps."""
        test = self.subject.test_orbits.of(self.group)
        scores = scores_of(self.net, self.act, self.look(self.subject.test))
        images = self.subject.test[:COUNTED]
        plain = operations(self.plain, images)
        time = seconds(self.plain, images)
        rows: list[dict[str, Any]] = []
        for how in _settings(test.group.order, eps):
            f = self.routed(**how)
            row = judge(scores, choose(scores, **how), test, self.head)
            row |= _named(how) | {"router": self.router_share()}
            row["cost"] = row["passes"] + row["router"]
            row["counted"] = operations(f, images) / plain
            row["time"] = seconds(f, images) / time
            row["error"] = self.error(f)
            rows.append(row)
        return rows

    @property
    def act(self) -> Action:
        """How the group acts on images."""
        return action(self.group)

    def plain(self, images: Tensor) -> Tensor:
        """`(N, classes)`: the model's own logits, one pass an image."""
        logits: Tensor = self.head(self.subject.encoder.encode(images))
        return logits

    def routed(self, k: int | None = None, eps: float | None = None) -> Routed:
        """The model behind the router: an average of logits."""
        same = Trivial(self.act.group)
        return Routed(
            self.plain, self.act, same, self.net, k=k, eps=eps, look=self.look
        )

    def router_share(self) -> float:
        """The router's operations on all views of an image, in passes."""
        one = self.subject.test[:1]
        views = self.act.orbit(self.look(one)).flatten(0, 1)
        return operations(self.net, views) / operations(self.plain, one)

    def error(self, f: Routed) -> float:
        """The greatest relative error of equivariance on some test images.

        Raises:
            ArithmeticError: if it is not within the tolerance of `check_equivariance`.
        """
        x = self.subject.test[-CHECKED:]
        found = check_equivariance(f, self.act, Trivial(self.act.group), x)
        if not found.passed:
            raise ArithmeticError(f"The routed model is not equivariant.\n{found}")
        return found.error


def judge(
    scores: Tensor, chosen: Tensor, test: Orbits, head: nn.Module
) -> dict[str, Any]:
    """What some views are worth, and what the certificate says of those left out.

    Args:
        scores: `(|G|, N)`, the router's.
        chosen: `(|G|, N)`, which views are averaged.
        test: features of all views.
        head: from features to logits.

    Returns:
        `top1` of averaged logits. Of averaged probabilities: `variation`, the mean
        distance to the average over all views; `left_out`, the mean of its bound;
        `excess`, the greatest of distance less bound, at most rounding; `certified`,
        the share of images whose answer no view left out can change.
    """
    shares = scores.softmax(0)
    weights = torch.where(chosen, shares, 0)
    left_out = torch.where(chosen, 0, shares).sum(0)
    weights = weights / weights.sum(0)
    logits = head(test.features)
    hits = (weights[..., None] * logits).sum(0).argmax(-1).cpu() == test.labels
    said = logits.softmax(-1)
    part = (weights[..., None] * said).sum(0)
    whole = (shares[..., None] * said).sum(0)
    variation = (part - whole).abs().sum(-1) / 2
    first, second = part.topk(2).values.unbind(-1)
    # The whole's margin is at least (1 - d)(first - second) - d.
    certified = (1 - left_out) * (first - second) > left_out
    return {
        "top1": mean(hits),
        "passes": mean(chosen.sum(0)),
        "left_out": mean(left_out),
        "variation": mean(variation),
        "excess": float((variation - left_out).max()),
        "certified": mean(certified),
    }


def _settings(views: int, eps: Sequence[float]) -> Iterator[dict[str, Any]]:
    yield from ({"k": k} for k in range(1, views + 1))
    yield from ({"eps": value} for value in eps)


def _named(how: dict[str, Any]) -> dict[str, Any]:
    [(rule, at)] = how.items()
    return {"rule": rule, "at": float(at)}


def mean(values: Tensor) -> float:
    """The mean of numbers or of truths, in double precision."""
    return float(values.double().mean())


@torch.no_grad()
def scores_of(net: nn.Module, act: Action, small: Tensor) -> Tensor:
    """`(|G|, N)`: what a router gives the views of small images."""
    views = act.orbit(small)
    scores: Tensor = net(views.flatten(0, 1)).reshape(views.shape[:2])
    return scores
