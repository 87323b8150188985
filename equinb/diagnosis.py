"""What `diagnose` reports: numbers for each candidate symmetry, and a table of them."""

from __future__ import annotations

from dataclasses import dataclass

from equinb.groups import FiniteGroup

#: Below this share of changed answers a model counts as symmetric already.
SYMMETRIC = 0.02
#: Below this share the untouched inputs are no pose that the model knows best.
KNOWN_BEST = 0.75
#: Classes that are named, at most, where an element moves them.
NAMED = 5


@dataclass(frozen=True)
class Gain:
    """What a method is expected to gain.

    Attributes:
        gain: the accuracy after symmetrizing, less that before, as a share of inputs.
        error: its standard error, from the spread over the inputs.
        kept: what the gain would be if no class had moved.
        cost: the share of untouched inputs whose answer the method changes.
    """

    gain: float
    error: float
    kept: float
    cost: float


@dataclass(frozen=True)
class Moved:
    """An element that carries a class to another one.

    Attributes:
        element: its name.
        source: the class of the untouched inputs.
        target: the class that the model takes them for once they are transformed.
        share: the probability that it gives to that class, a mean over the inputs.
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
        moved: classes that an element carries to others: the task lacks it.
        pose: of the views whose answer differs from that at $x$, the share of which a
            class that moved is the reason, or that the proxy loss likes less than $x$;
            near one half or below, the untouched inputs are no pose that the model
            knows best, and the estimate has no ground.
    """

    name: str
    group: FiniteGroup
    disagreement: dict[str, float]
    by_subgroup: dict[str, float]
    before: float
    after: float
    gains: dict[str, Gain]
    moved: tuple[Moved, ...]
    pose: float

    @property
    def changed(self) -> float:
        """The mean disagreement over the elements other than e."""
        e = self.group.elements[self.group.identity]
        others = [share for g, share in self.disagreement.items() if g != e]
        return sum(others) / max(1, len(others))

    @property
    def applies(self) -> bool:
        """Whether the model knows the untouched inputs best, as the estimate needs."""
        return self.changed < SYMMETRIC or self.pose >= KNOWN_BEST

    @property
    def best(self) -> str:
        """The method that is expected to gain most."""
        return max(self.gains, key=lambda method: self.gains[method].gain)

    @property
    def verdict(self) -> str:
        """What to do, in a few words."""
        best = self.gains[self.best]
        if self.changed < SYMMETRIC:
            return "has it already"
        if not self.applies:
            return "cannot say: no pose is known best"
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
        classes: what the classes are called, if they have names.
    """

    inputs: int
    turned: float
    findings: tuple[Finding, ...]
    classes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Finding:
        """The finding of a candidate.

        Raises:
            KeyError: if there is none of that name.
        """
        for found in self.findings:
            if found.name == name:
                return found
        raise KeyError(name)

    def __str__(self) -> str:
        methods = list(self.findings[0].gains)
        table = [["symmetry", "|G|", "changed", "pose", *methods, "verdict"]]
        for found in self.findings:
            row = [found.name, str(found.group.order)]
            row += [f"{found.changed:.2f}", f"{found.pose:.2f}"]
            row += [f"{g.gain:+.2f} ± {g.error:.2f}" for g in found.gains.values()]
            table.append([*row, found.verdict])
        wide = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, row, wide)).rstrip() for row in table]
        notes = [self._moves(found) for found in self.findings if found.moved]
        title = (
            f"Expected gain in accuracy, from {self.inputs} unlabelled inputs, if "
            f"{self.turned:.0%} come transformed:"
        )
        return "\n".join([title, *lines, *notes])

    def _moves(self, found: Finding) -> str:
        """Which classes the elements move, one line a candidate."""
        by_element: dict[str, list[str]] = {}
        for m in found.moved[:NAMED]:
            pair = f"{self._called(m.source)} to {self._called(m.target)}"
            by_element.setdefault(m.element, []).append(pair)
        parts = [f"{g} takes {', '.join(pairs)}" for g, pairs in by_element.items()]
        more = len(found.moved) - NAMED
        rest = f", and {more} more" if more > 0 else ""
        return f"{found.name}: {'; '.join(parts)}{rest}: the task seems to lack it."

    def _called(self, label: int) -> str:
        return self.classes[label] if self.classes else f"class {label}"
