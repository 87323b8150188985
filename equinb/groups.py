"""Finite groups as data: named elements, a Cayley table, and what follows from it."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class FiniteGroup:
    """A finite group $G$ (section 2 of the paper), given by its Cayley table.

    The axioms are checked when the group is built: a table that breaks one is refused.
    Two groups are equal when their tables are equal, whatever the names.

    Args:
        name: how the group is called, for instance `"C4"`.
        elements: one name an element; element `g` is the index into this tuple.
        table: `(|G|, |G|)` whole numbers; `table[g, h]` is the index of $gh$.
        parent: the group that this one is a subgroup of, if any.
        members: for a subgroup, the index in `parent` of each element.

    Raises:
        ValueError: if the table is not that of a group, or a name is missing or double.

    Example:
        >>> G = FiniteGroup("C2", ("e", "s"), [[0, 1], [1, 0]])
        >>> G.order, G.elements[G.product("s", "s")]
        (2, 'e')
    """

    name: str
    elements: tuple[str, ...]
    table: IntArray = field()
    parent: FiniteGroup | None = None
    members: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        failures = axiom_failures(self.table)
        if failures:
            raise ValueError(f"{self.name} is no group: {failures[0]}.")
        table = np.array(self.table, dtype=np.int64)
        table.flags.writeable = False
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "elements", tuple(map(str, self.elements)))
        if not len(set(self.elements)) == len(self.elements) == len(table):
            raise ValueError(
                f"{self.name} has {len(table)} elements and needs as many different "
                f"names; got {', '.join(self.elements[:8])}."
            )
        if self.parent is not None:
            m = np.array(self.members, dtype=np.int64)
            both = self.parent.table[np.ix_(m, m)]
            if len(m) != len(table) or not np.array_equal(both, m[table]):
                raise ValueError(
                    f"{self.name} is no subgroup of {self.parent.name} with these "
                    f"members: use {self.parent.name}'s subgroup(...)."
                )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FiniteGroup) and np.array_equal(
            self.table, other.table
        )

    def __hash__(self) -> int:
        return hash(self.table.tobytes())

    def __len__(self) -> int:
        return self.order

    def __repr__(self) -> str:
        shown = ", ".join(self.elements[:8]) + (", ..." if self.order > 8 else "")
        return f"{self.name}: {self.order} elements ({shown})"

    @property
    def order(self) -> int:
        """The number of elements $|G|$."""
        return len(self.table)

    @cached_property
    def identity(self) -> int:
        """The index of the identity $e$."""
        same = self.table == np.arange(self.order)
        return int(np.flatnonzero(same.all(axis=1))[0])

    @cached_property
    def inverses(self) -> IntArray:
        """`(|G|,)`: the index of $g^{-1}$ for every $g$."""
        inverses: IntArray = np.argmax(self.table == self.identity, axis=1)
        return inverses

    @property
    def is_abelian(self) -> bool:
        """Whether $gh = hg$ for all elements."""
        return bool(np.array_equal(self.table, self.table.T))

    def index(self, g: int | str) -> int:
        """The index of an element given by name or index.

        Raises:
            ValueError: if the group has no such element.
        """
        if isinstance(g, str) and g in self.elements:
            return self.elements.index(g)
        if hasattr(g, "__index__") and 0 <= operator.index(g) < self.order:
            return operator.index(g)
        raise ValueError(f"There is no element {g!r} in {self!r}.")

    def product(self, g: int | str, h: int | str) -> int:
        """The index of $gh$."""
        return int(self.table[self.index(g), self.index(h)])

    def inverse(self, g: int | str) -> int:
        """The index of $g^{-1}$."""
        return int(self.inverses[self.index(g)])

    def subgroup(self, *generators: int | str, name: str | None = None) -> FiniteGroup:
        """The smallest subgroup that holds the generators.

        Example:
            >>> dihedral(4).subgroup("r^2", "s")
            <r^2, s>: 4 elements (e, r^2, s, r^2 s)
        """
        found = {self.identity, *map(self.index, generators)}
        while True:
            grown = found | {int(self.table[g, h]) for g in found for h in found}
            if grown == found:
                break
            found = grown
        members = sorted(found)
        place = {g: i for i, g in enumerate(members)}
        table = [[place[int(self.table[g, h])] for h in members] for g in members]
        label = ", ".join(self.elements[self.index(g)] for g in generators) or "e"
        return FiniteGroup(
            name or f"<{label}>",
            tuple(self.elements[g] for g in members),
            np.array(table),
            parent=self,
            members=tuple(members),
        )


def axiom_failures(table: ArrayLike) -> list[str]:
    """What keeps a table from being that of a group, one sentence an axiom.

    Args:
        table: `(n, n)` whole numbers; entry `[g, h]` is the index of $gh$.

    Returns:
        The broken axioms in the order of section 2 of the paper (closure,
        associativity, identity, inverse); empty for a group.

    Example:
        >>> axiom_failures([[0, 1], [1, 1]])
        ['element 1 has no inverse']
    """
    t = np.asarray(table)
    n = len(t) if t.ndim else 0
    if t.ndim != 2 or t.shape != (n, n) or n == 0:
        return [f"its table must be square, with a row an element; got shape {t.shape}"]
    if not np.issubdtype(t.dtype, np.integer) or t.min() < 0 or t.max() >= n:
        return [f"its table must hold whole numbers from 0 to {n - 1} (closure)"]
    failures = []
    for g in range(n):
        # (gh)k against g(hk), all h and k at once.
        wrong = np.argwhere(t[t[g]] != t[g][t])
        if len(wrong):
            h, k = wrong[0]
            failures.append(f"({g}·{h})·{k} differs from {g}·({h}·{k}) (associativity)")
            break
    numbers = np.arange(n)
    left = (t == numbers).all(axis=1)
    right = (t == numbers[:, None]).all(axis=0)
    if not (left & right).any():
        return [*failures, "no element e satisfies eg = ge = g (identity)"]
    e = int(np.flatnonzero(left & right)[0])
    for g in range(n):
        if not ((t[g] == e) & (t[:, g] == e)).any():
            failures.append(f"element {g} has no inverse")
            break
    return failures


def cyclic(n: int) -> FiniteGroup:
    """The cyclic group $C_n$; element `k` is the `k`-fold turn `r^k`.

    Example:
        >>> cyclic(4)
        C4: 4 elements (e, r, r^2, r^3)
    """
    n = _whole(n, "cyclic")
    k = np.arange(n)
    return FiniteGroup(f"C{n}", _powers(n), (k[:, None] + k) % n)


def dihedral(n: int) -> FiniteGroup:
    """The dihedral group $D_n$ of order $2n$; element `k + n m` is $r^k s^m$.

    Example:
        >>> dihedral(4).is_abelian
        False
    """
    n = _whole(n, "dihedral")
    k, m = np.tile(np.arange(n), 2), np.repeat([0, 1], n)
    # s r = r^-1 s, so (r^k s^m)(r^l s^p) = r^(k ± l) s^(m + p).
    turns = (k[:, None] + np.where(m == 1, -1, 1)[:, None] * k) % n
    table = turns + n * ((m[:, None] + m) % 2)
    mirrored = ("s", *(f"{r} s" for r in _powers(n)[1:]))
    return FiniteGroup(f"D{n}", _powers(n) + mirrored, table)


def symmetric(n: int) -> FiniteGroup:
    """The symmetric group $S_n$, as composed functions: $(gh)(i) = g(h(i))$.

    Element `k` is the `k`-th of `itertools.permutations(range(n))`, named by cycles.

    Example:
        >>> symmetric(3).elements
        ('e', '(1 2)', '(0 1)', '(0 1 2)', '(0 2 1)', '(0 2)')
    """
    n = _whole(n, "symmetric")
    perms = list(itertools.permutations(range(n)))
    place = {p: i for i, p in enumerate(perms)}
    table = [[place[tuple(g[i] for i in h)] for h in perms] for g in perms]
    return FiniteGroup(f"S{n}", tuple(map(_cycles, perms)), np.array(table))


def direct_product(G: FiniteGroup, H: FiniteGroup) -> FiniteGroup:
    """The direct product $G x H$; element `g |H| + h` is the pair `(g, h)`.

    Example:
        >>> direct_product(cyclic(2), cyclic(2)).elements[3]
        '(r, r)'
    """
    n = H.order
    g, h = np.divmod(np.arange(G.order * n), n)
    table = G.table[g[:, None], g] * n + H.table[h[:, None], h]
    names = tuple(f"({a}, {b})" for a in G.elements for b in H.elements)
    return FiniteGroup(f"{G.name} x {H.name}", names, table)


def _whole(n: int, what: str) -> int:
    if not hasattr(n, "__index__") or n < 1:
        raise ValueError(f"{what}(n) needs a whole number n of at least 1; got {n!r}.")
    return operator.index(n)


def _powers(n: int) -> tuple[str, ...]:
    return tuple(("e", "r")[k] if k < 2 else f"r^{k}" for k in range(n))


def _cycles(p: Sequence[int]) -> str:
    """Cycle notation of a permutation, fixed points left out."""
    left, text = set(range(len(p))), ""
    while left:
        start = i = min(left)
        cycle = []
        while i in left:
            left.remove(i)
            cycle.append(i)
            i = p[i]
        if len(cycle) > 1:
            text += f"({' '.join(map(str, [start, *cycle[1:]]))})"
    return text or "e"
