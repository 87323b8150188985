"""Which symmetry to try: a diagnosis of a classifier from unlabelled inputs alone.

`diagnose` says for each candidate group how far a model is from it, whether the task
seems to lack it, and what symmetrizing is likely to gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from equinb.actions import Action, require_same_group
from equinb.check import check_equivariance
from equinb.diagnosis import Diagnosis, Finding, Gain, Moved
from equinb.equitune import Equitune, Uniform
from equinb.equizero import ArgMin
from equinb.groups import FiniteGroup
from equinb.lambda_equitune import Learned
from equinb.lattices import subgroups
from equinb.losses import neg_max_prob
from equinb.symmetrized import Orbit, TensorMap, Weighting

#: Inputs on which the equivariance error is measured.
FEW = 8
#: An element moves a class if the other gets this probability, there and back.
MOST = 2 / 3
#: Of fewer inputs than this, a class says nothing about where it goes.
LEAST = 8

Candidates = Mapping[str, tuple[Action, Action]]


@torch.no_grad()
def diagnose(
    model: TensorMap,
    x: Tensor,
    candidates: Candidates,
    head: TensorMap | None = None,
    *,
    loss: TensorMap = neg_max_prob,
    net: TensorMap | None = None,
    of: str = "features",
    turned: float = 1.0,
    classes: Sequence[str] = (),
    chunk: int | None = None,
) -> Diagnosis:
    r"""Estimate without labels what symmetrizing a classifier would gain.

    The label of $x$ is taken to be the model's own answer $c$ there, and that of $gx$
    to be $gc$. One exception shows that the task lacks an element: if the model takes
    the inputs of a class $c$ at $gx$ for another class, and those of the other class at
    $g^{-1}x$ for $c$, and is sure of both, then $g$ carries one class to the other, as
    a half turn does 6 and 9, and the label of $gx$ is that class. The expected gain is
    the agreement of the symmetrized model with these labels, less that of the model,
    over the orbits of all inputs.

    It cannot see more than the model does. Its errors on $x$ itself are taken for right
    answers; two classes that are always taken for each other count as moved; and where
    the model knows all poses alike, as agents do, there is no answer to trust: see
    `Finding.pose`. Of fewer than eight inputs a class is not said to move.

    Args:
        model: from `(N, ...)` to logits `(N, classes)`, or features for the head; in
            eval mode.
        x: `(B, ...)`, unlabelled inputs in the pose that the model was trained on, a
            few hundred of them, the classes as often as they will come.
        candidates: by name, how a group acts on the input and on the model's output;
            `Trivial` for a class that does not depend on the pose.
        head: from averaged features to logits, if the average comes before it.
        loss: the proxy loss of equizero, from logits `(N, classes)` to `(N,)`.
        net: lambda, if there is one, as `LambdaEquitune` takes it.
        of: what `net` reads.
        turned: the share of inputs that will come transformed by an element drawn
            uniformly; the others come as they are in `x`.
        classes: names of the classes, for the report.
        chunk: the most views that the model sees at once.

    Raises:
        ValueError: for no inputs, no candidates, outputs that are not logits, a share
            that is none.
        TypeError: for inputs that are no tensor, candidates that are no actions.

    Example:
        >>> import equinb as eq
        >>> G = eq.cyclic(2)
        >>> swap = eq.Permutation(G, [[0, 1], [1, 0]])
        >>> model = lambda x: x * torch.tensor([1.0, 0.4])
        >>> x = torch.tensor([[3.0, 2.0], [1.0, 4.0], [5.0, 1.0], [2.0, 9.0]])
        >>> eq.diagnose(model, x, {"swap": (swap, swap)})["swap"].disagreement
        {'e': 0.0, 'r': 0.25}
    """
    _require(x, candidates, turned)
    ways: dict[str, Weighting] = {"equitune": Uniform(), "equizero": ArgMin(loss)}
    if net is not None:
        ways["lambda-equitune"] = Learned(net, of)
    findings = []
    for name, (act_in, act_out) in candidates.items():
        f = Equitune(model, act_in, act_out, head=head, chunk=chunk)
        findings.append(_examine(name, f, x, ways, loss, turned))
    return Diagnosis(len(x), float(turned), tuple(findings), tuple(map(str, classes)))


def _examine(
    name: str,
    f: Equitune,
    x: Tensor,
    ways: Mapping[str, Weighting],
    loss: TensorMap,
    turned: float,
) -> Finding:
    """All that is found out about one candidate, from one pass over its views."""
    orbit = f.orbit(x)
    raw = _logits(orbit.outputs)
    said = _carried_back(orbit).argmax(-1)  # (group, batch)
    G = orbit.group
    differs = said != said[G.identity]
    labels, moved = _labels(G, raw, said)
    # How likely each view of an input is to come.
    share = torch.full((G.order, 1), turned / G.order, dtype=torch.float64)
    share[G.identity] += 1 - turned
    share = share.to(said.device)
    gains = {
        way: _gain(_answer(orbit, weighting), said, labels, share, G.identity)
        for way, weighting in ways.items()
    }
    changed = differs.double().mean(1)
    bare = Equitune(f.encoder, f.act_in, f.act_out, chunk=f.chunk)
    before, after = (
        check_equivariance(function, f.act_in, f.act_out, x[:FEW]).error
        for function in (f.encoder, bare)
    )
    return Finding(
        name,
        G,
        dict(zip(G.elements, changed.tolist(), strict=True)),
        {H.name: _mean_of_others(changed, H) for H in subgroups(G)[1:]},
        before,
        after,
        gains,
        moved,
        _explained(orbit, loss, differs, labels),
    )


def _mean_of_others(changed: Tensor, H: FiniteGroup) -> float:
    """The mean over the elements of a subgroup that change something."""
    others = [g for i, g in enumerate(H.members) if i != H.identity]
    return float(changed[others].mean())


def _gain(answer: Tensor, said: Tensor, labels: Tensor, share: Tensor, e: int) -> Gain:
    """What a method gains on supposed labels.

    Args:
        answer: `(B,)`, of the symmetrized model at $x$; it gives the same to every
            view, carried along.
        said: `(|G|, B)`, of the model to every view, carried back.
        labels: `(|G|, B)`, carried back.
        share: `(|G|, 1)`, how likely each view is to come.
        e: the place of the untouched inputs.
    """
    right = (answer == labels).double() - (said == labels).double()
    gained = (share * right).sum(0)
    n = len(gained)
    error = float(gained.std()) / n**0.5 if n > 1 else float("inf")
    own = said[e]
    kept = share * ((answer == own).double() - (said == own).double())
    cost = float((answer != own).double().mean())
    return Gain(float(gained.mean()), error, float(kept.sum(0).mean()), cost)


def _labels(
    G: FiniteGroup, raw: Tensor, said: Tensor
) -> tuple[Tensor, tuple[Moved, ...]]:
    """The supposed labels of all views, carried back, and which classes have moved.

    Args:
        G: the group.
        raw: `(|G|, B, classes)`, logits of the views as they are.
        said: `(|G|, B)`, the answers carried back.

    Returns:
        `(|G|, B)`, classes; and one record a class that an element moves.
    """
    own = said[G.identity]
    labels, moved = own.repeat(G.order, 1), []
    p = raw.double().softmax(-1)
    known, count = (found.tolist() for found in own.unique(return_counts=True))
    # For each class the mean over its inputs: (group, classes).
    enough = [c for c, n in zip(known, count, strict=True) if n >= LEAST]
    goes = {c: p[:, own == c].mean(1) for c in enough}
    for c, told in goes.items():
        here = own == c
        there, target = told.max(1)
        for g in range(G.order):
            k, carried = int(target[g]), int(said[g, here].mode().values)
            if carried == c or k not in goes:
                continue
            back, j = goes[k][G.inverses[g]].max(0)
            if int(j) == c and float(there[g] + back) / 2 >= MOST:
                labels[g, here] = carried
                moved.append(Moved(G.elements[g], c, k, float(there[g])))
    return labels, tuple(moved)


def _explained(orbit: Orbit, loss: TensorMap, differs: Tensor, labels: Tensor) -> float:
    """The share of the changed answers that leave the one at $x$ to be trusted.

    Args:
        orbit: of the inputs.
        loss: from logits `(N, classes)` to `(N,)`.
        differs: `(|G|, B)`, where the answer carried back is not the one at $x$.
        labels: `(|G|, B)`, the supposed ones.

    Returns:
        Counted are views of classes that have moved, and those that the proxy loss
        likes less than the untouched input, half of them at a tie; 1 if none differs.
    """
    if not bool(differs.any()):
        return 1.0
    e = orbit.group.identity
    losses = orbit.score(loss, "outputs", "The proxy loss")
    gap = losses - losses[e]
    trusted = (gap > 0).double() + (gap == 0).double() / 2
    trusted[labels != labels[e]] = 1.0
    return float(trusted[differs].mean())


def _answer(orbit: Orbit, weighting: Weighting) -> Tensor:
    """`(B,)`: the class that the symmetrized model gives."""
    orbit.scores, orbit.weights = weighting(orbit)
    y = weighting.combine(orbit)
    logits: Tensor = y if orbit.head is None else orbit.head(y)
    return logits.argmax(-1)


def _carried_back(orbit: Orbit) -> Tensor:
    """`(|G|, B, classes)`: the logits of every view, carried back."""
    if orbit.head is None:
        return orbit.aligned
    made = orbit.head(orbit.aligned.flatten(0, 1))
    logits: Tensor = made.unflatten(0, orbit.aligned.shape[:2])
    return logits


def _logits(y: Tensor) -> Tensor:
    """Outputs that are logits, or a sentence that says that they are not."""
    if y.ndim != 3 or y.shape[-1] < 2:
        raise ValueError(
            "diagnose needs logits (B, classes) of two classes or more; got shape "
            f"{tuple(y.shape[1:])}. If the model makes features, give the head as well."
        )
    if not bool(y.isfinite().all()):
        raise ValueError("diagnose needs finite logits; got NaN or infinity.")
    return y


def _require(x: Tensor, candidates: Candidates, turned: float) -> None:
    """Refuse what cannot be diagnosed, in one sentence."""
    if not isinstance(x, Tensor):
        raise TypeError(f"diagnose takes a torch tensor; got {type(x).__name__}.")
    if not x.ndim or not len(x):
        raise ValueError("diagnose needs at least one input; got none.")
    if not 0 <= turned <= 1:
        raise ValueError(f"turned is a share of inputs, from 0 to 1; got {turned}.")
    if not isinstance(candidates, Mapping):
        raise TypeError(
            'candidates maps a name to two actions, such as {"turns": (Rot90(G), '
            f"Trivial(G))}}; got {type(candidates).__name__}."
        )
    if not candidates:
        raise ValueError("diagnose needs at least one candidate; got none.")
    for name, pair in candidates.items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(
                f"The candidate {name!r} must be a pair of actions, on the input and "
                f"on the output; got {pair!r}."
            )
        require_same_group(*pair)
