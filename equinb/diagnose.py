"""Which symmetry to try: a diagnosis of a model from unlabelled inputs alone.

`subgroups` and `lattice` list what a group holds; `diagnose` says for each candidate
group how far the model is from it, and what symmetrizing is likely to gain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from equinb.actions import Action, require_same_group
from equinb.check import check_equivariance
from equinb.equitune import Equitune, Uniform
from equinb.equizero import ArgMin
from equinb.groups import FiniteGroup
from equinb.lambda_equitune import Learned
from equinb.losses import neg_max_prob
from equinb.symmetrized import Orbit, TensorMap, Weighting

#: Inputs on which the equivariance error after symmetrizing is measured.
FEW = 8
#: A view is familiar if the model is as sure of it as of this share of inputs, or more.
FAMILIAR = 0.25


def subgroups(G: FiniteGroup) -> list[FiniteGroup]:
    """All subgroups of a small group, by order, each with `parent` and `members`.

    Args:
        G: the group; time grows with the number of its subgroups times its order.

    Returns:
        From the trivial subgroup to the whole group, which keeps its name; the others
        are called after what generates them.

    Example:
        >>> import equinb as eq
        >>> [H.name for H in subgroups(eq.dihedral(2))]
        ['<e>', '<r>', '<s>', '<r s>', 'D2']
    """
    first = frozenset([G.identity])
    found: dict[frozenset[int], tuple[int, ...]] = {first: ()}
    layer = [first]
    while layer:
        grown = []
        for members in layer:
            for g in range(G.order):
                larger = members if g in members else _closed(G, members | {g})
                if larger not in found:
                    found[larger] = (*found[members], g)
                    grown.append(larger)
        layer = grown
    ordered = sorted(found, key=lambda members: (len(members), sorted(members)))
    return [
        G.subgroup(*found[members], name=G.name if len(members) == G.order else None)
        for members in ordered
    ]


def lattice(G: FiniteGroup) -> list[tuple[int, int]]:
    """The lines of the drawing of a group's subgroups, the larger above the smaller.

    Returns:
        Pairs `(i, j)`, places in `subgroups(G)`: `i` lies in `j`, and none between.

    Example:
        >>> import equinb as eq
        >>> lattice(eq.cyclic(4))
        [(0, 1), (1, 2)]
    """
    sets = [frozenset(H.members) for H in subgroups(G)]
    return [
        (i, j)
        for i, small in enumerate(sets)
        for j, large in enumerate(sets)
        if small < large and not any(small < between < large for between in sets)
    ]


def _closed(G: FiniteGroup, members: frozenset[int]) -> frozenset[int]:
    """The members of the smallest subgroup that holds some elements."""
    while True:
        grown = members | {int(G.table[g, h]) for g in members for h in members}
        if grown == members:
            return members
        members = grown


@dataclass(frozen=True)
class Gain:
    """What a method is expected to gain.

    Attributes:
        gain: the accuracy after symmetrizing, less that before, as a share of inputs.
        error: its standard error, from the spread over the inputs.
        cost: the share of inputs in their own pose whose answer the method changes.
    """

    gain: float
    error: float
    cost: float


@dataclass(frozen=True)
class Moved:
    """An element that carries a class to another one, so the task lacks it.

    Attributes:
        element: its name.
        source: the class of the untouched inputs.
        target: the class that the model is sure of once they are transformed.
        share: the share of the inputs of that class of which it is.
    """

    element: str
    source: int
    target: int
    share: float


@dataclass(frozen=True)
class Finding:
    """What is found out about one candidate.

    Attributes:
        name: what the candidate is called.
        group: its group.
        disagreement: for each element, the share of inputs whose answer at $gx$,
            carried back, differs from that at $x$.
        by_subgroup: the mean of these over the elements of a subgroup other than e.
        before: the equivariance error of the model, as `check_equivariance` has it.
        after: that of its equituned form, on a few of the inputs.
        gains: what each method is expected to gain, by name.
        moved: classes that an element carries to others.
    """

    name: str
    group: FiniteGroup
    disagreement: dict[str, float]
    by_subgroup: dict[str, float]
    before: float
    after: float
    gains: dict[str, Gain]
    moved: tuple[Moved, ...]

    @property
    def best(self) -> str:
        """The method that is expected to gain most."""
        return max(self.gains, key=lambda method: self.gains[method].gain)

    @property
    def verdict(self) -> str:
        """What to do, in a few words."""
        best = self.gains[self.best]
        if best.gain > 2 * best.error:
            return f"try {self.best}"
        if best.gain < -2 * best.error:
            return "leave it: it would cost"
        return "leave it: nothing to gain"


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` has found; printed, it is a table.

    Attributes:
        inputs: how many there were.
        turned: the share of inputs that are expected to come transformed.
        findings: one a candidate, in the order that they were given in.
    """

    inputs: int
    turned: float
    findings: tuple[Finding, ...]
    classes: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> Finding:
        """The finding of a candidate."""
        return next(found for found in self.findings if found.name == name)

    def __str__(self) -> str:
        methods = list(self.findings[0].gains)
        head = ["symmetry", "|G|", "disagree", *methods, "verdict"]
        rows = [head]
        for found in self.findings:
            others = [d for g, d in found.disagreement.items() if g != _unit(found)]
            gains = [f"{g.gain:+.2f} ± {g.error:.2f}" for g in found.gains.values()]
            mean = sum(others) / max(1, len(others))
            rows.append([found.name, str(found.group.order), f"{mean:.2f}"])
            rows[-1] += [*gains, found.verdict]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, wide)).rstrip() for row in rows]
        notes = [
            f"{found.name}: {m.element} takes {self._called(m.source)} to "
            f"{self._called(m.target)} ({m.share:.0%}), so the task lacks it"
            for found in self.findings
            for m in found.moved
        ]
        title = (
            f"expected gain in accuracy, from {self.inputs} unlabelled inputs, "
            f"if {self.turned:.0%} come transformed"
        )
        return "\n".join([title, *lines, *notes])

    def _called(self, label: int) -> str:
        return self.classes[label] if self.classes else f"class {label}"


def _unit(found: Finding) -> str:
    return found.group.elements[found.group.identity]


@torch.no_grad()
def diagnose(
    model: TensorMap,
    x: Tensor,
    candidates: Mapping[str, tuple[Action, Action]],
    head: TensorMap | None = None,
    *,
    loss: TensorMap = neg_max_prob,
    net: TensorMap | None = None,
    of: str = "features",
    turned: float = 1.0,
    classes: tuple[str, ...] = (),
    chunk: int | None = None,
) -> Diagnosis:
    r"""Estimate without labels what symmetrizing a classifier would gain.

    The label of $x$ is taken to be the model's own answer $c$ on $x$, and that of $gx$
    to be $gc$. Where the model is as sure of another class at $gx$ as it is of
    untouched inputs, and takes that class back to $c$ at $g^{-1}$, the element carries
    one class to the other, and the label of $gx$ is that class. The expected gain is
    the agreement with these labels of the symmetrized model, less that of the model,
    over the orbits of all inputs.

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
            beyond 0 and 1.
        TypeError: for inputs that are no tensor, candidates that are no actions.

    Example:
        >>> import equinb as eq
        >>> G = eq.cyclic(2)
        >>> swap = eq.Permutation(G, [[0, 1], [1, 0]])
        >>> model = lambda x: x * torch.tensor([1.0, 0.4])
        >>> x = torch.tensor([[3.0, 2.0], [1.0, 4.0], [5.0, 1.0], [2.0, 9.0]])
        >>> found = diagnose(model, x, {"swap": (swap, swap)})
        >>> found["swap"].disagreement
        {'e': 0.0, 'r': 0.25}
    """
    _require(x, candidates, turned)
    ways: dict[str, Weighting] = {"equitune": Uniform(), "equizero": ArgMin(loss)}
    if net is not None:
        ways["lambda-equitune"] = Learned(net, of)
    findings = tuple(
        _examine(name, Equitune(model, *acts, head=head, chunk=chunk), x, ways, turned)
        for name, acts in candidates.items()
    )
    return Diagnosis(len(x), float(turned), findings, tuple(map(str, classes)))


def _examine(
    name: str, f: Equitune, x: Tensor, ways: Mapping[str, Weighting], turned: float
) -> Finding:
    """All that is found out about one candidate, from one pass over the views."""
    orbit = f.orbit(x)
    raw = _logits(orbit.outputs, x)
    back = orbit.aligned if f.head is None else _heads(f.head, orbit.aligned)
    G = orbit.group
    said = back.argmax(-1)  # (group, batch)
    differs = (said != said[G.identity]).double().mean(1)
    labels, moved = _labels(G, raw, said)
    # How likely each view of an input is to come.
    share = torch.full((G.order, 1), turned / G.order, dtype=torch.float64)
    share[G.identity] += 1 - turned
    plain = (share.to(said.device) * (said == labels)).sum(0)
    gains = {}
    for method, weighting in ways.items():
        orbit.scores, orbit.weights = weighting(orbit)
        y = weighting.combine(orbit)
        answer = (y if f.head is None else f.head(y)).argmax(-1)
        # The symmetrized model gives this answer, carried along, to every view.
        gained = (share.to(said.device) * (answer == labels)).sum(0) - plain
        error = float(gained.std()) / len(x) ** 0.5 if len(x) > 1 else float("inf")
        cost = float((answer != said[G.identity]).double().mean())
        gains[method] = Gain(float(gained.mean()), error, cost)
    bare = Equitune(f.encoder, f.act_in, f.act_out, chunk=f.chunk)
    acts = f.act_in, f.act_out
    return Finding(
        name,
        G,
        dict(zip(G.elements, differs.tolist(), strict=True)),
        {
            H.name: float(differs[[g for g in H.members if g != G.identity]].mean())
            for H in subgroups(G)[1:]
        },
        check_equivariance(f.encoder, *acts, x[:FEW]).error,
        check_equivariance(bare, *acts, x[:FEW]).error,
        gains,
        moved,
    )


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
    sure, first = raw.softmax(-1).max(-1)
    familiar = sure >= sure[G.identity].double().quantile(FAMILIAR)
    known = own.unique().tolist()
    # (element, class): the class that most of its inputs are surely taken for.
    goes: dict[tuple[int, int], tuple[int, float]] = {}
    for c in known:
        here = own == c
        for g in range(G.order):
            target = int(first[g, here].mode().values)
            found = (first[g, here] == target) & familiar[g, here]
            share = float(found.double().mean())
            if share > 0.5:
                goes[g, c] = target, share
    labels = own.repeat(G.order, 1)
    moved = []
    for (g, c), (target, share) in goes.items():
        here = own == c
        carried = int(said[g, here].mode().values)
        back = goes.get((int(G.inverses[g]), target), (None, 0.0))[0]
        if carried != c and back == c:
            labels[g, here] = carried
            moved.append(Moved(G.elements[g], c, target, share))
    return labels, tuple(moved)


def _heads(head: TensorMap, features: Tensor) -> Tensor:
    """`(|G|, B, classes)`: the head's answers to features of the same axes."""
    return head(features.flatten(0, 1)).unflatten(0, features.shape[:2])


def _logits(y: Tensor, x: Tensor) -> Tensor:
    """Outputs that are logits, or a sentence that says that they are not."""
    if y.ndim != 3 or y.shape[-1] < 2 or not bool(y.isfinite().all()):
        raise ValueError(
            f"diagnose needs finite logits ({len(x)}, classes), two classes or more; "
            f"got shape {tuple(y.shape[1:])}. Give the head that makes logits as head."
        )
    return y


def _require(
    x: Tensor, candidates: Mapping[str, tuple[Action, Action]], turned: float
) -> None:
    """Refuse what cannot be diagnosed, in one sentence."""
    if not isinstance(x, Tensor):
        raise TypeError(f"diagnose takes a torch tensor; got {type(x).__name__}.")
    if not x.ndim or not len(x):
        raise ValueError("diagnose needs at least one input; got none.")
    if not 0 <= turned <= 1:
        raise ValueError(f"turned is a share of inputs, from 0 to 1; got {turned}.")
    if not isinstance(candidates, Mapping):
        raise TypeError(
            "candidates maps a name to two actions, such as {'turns': (Rot90(G), "
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
