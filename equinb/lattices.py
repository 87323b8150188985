"""All subgroups of a small group, and which lies in which.

The wider a group, the more a symmetrized model gives up: its subgroups are what else to
try.
"""

from __future__ import annotations

from equinb.groups import FiniteGroup


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
