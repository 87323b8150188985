"""Groups, actions, models and inputs that the tests share.

A case is a model's input and output with the group's action on each. Its inputs are
quarters of small whole numbers, so that symmetric ones are symmetric to the last bit.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

import equinb as eq

C2, C3, C4 = map(eq.cyclic, (2, 3, 4))
D4, S3, S4 = eq.dihedral(4), eq.symmetric(3), eq.symmetric(4)
C4_C2, C2_S3 = eq.direct_product(C4, C2), eq.direct_product(C2, S3)
GROUPS = {G.name: G for G in (C2, C3, C4, D4, S3, S4, C4_C2, C2_S3)}
DTYPES = (torch.float32, torch.float64)
BOUND = {torch.float32: 1e-5, torch.float64: 1e-9}
METHODS = ("equitune", "equizero", "lambda")
NEUTRAL = 2  # words that no element touches


def inverse_by_search(G, g):
    return next(h for h in range(G.order) if G.table[g, h] == G.table[0, 0])


def all_subgroups(G):
    """Every subgroup of our small groups has at most two generators."""
    pairs = itertools.combinations_with_replacement(range(G.order), 2)
    return {H.members: H for H in (G.subgroup(*pair) for pair in pairs)}.values()


def natural(n):
    return list(itertools.permutations(range(n)))


def points(G):
    """Where each element sends each point of the group's smallest natural set."""
    if G in (S3, S4):
        return np.array(natural(3 if G == S3 else 4))
    if G == D4:  # the corners of a square: r^k s^m sends i to k + (-1)^m i
        return np.array(
            [
                [(k + (-i if m else i)) % 4 for i in range(4)]
                for m in (0, 1)
                for k in range(4)
            ]
        )
    return np.array(G.table)  # the group itself, g h


def character(G):
    """A homomorphism to +1 and -1, not constant where the group has one."""
    if G == C4_C2:
        return np.repeat([1, -1, 1, -1], 2)
    if G == C2_S3:
        return np.repeat([1, -1], 6) * np.tile(character(S3), 2)
    if G == C3:
        return np.ones(3, dtype=int)
    if G == D4:
        return np.array([1, -1, 1, -1, 1, -1, 1, -1])
    p = points(G)
    return np.array([round(np.linalg.det(np.eye(p.shape[1])[row])) for row in p])


def permutation(G, dim=-1):
    return eq.Permutation(G, points(G), dim)


def signed(G):
    p = points(G)
    return eq.SignedPermutation(G, p, np.tile(character(G)[:, None], p.shape[1]))


def plane(G=D4):
    """D4 on the plane: r turns by 90 degrees, s mirrors the first axis."""
    perms = [[i ^ (g % 4 % 2) for i in range(2)] for g in range(8)]
    signs = []
    for g in range(8):
        # r^k s^m: first s, then k times (a, b) -> (-b, a), told by places.
        sign, place = np.array([-1, 1]) if g >= 4 else np.array([1, 1]), [0, 1]
        for _ in range(g % 4):
            sign = np.array(
                [s * (-1 if p == 1 else 1) for s, p in zip(sign, place, strict=True)]
            )
            place = [1 - p for p in place]
        signs.append(sign)
    return eq.SignedPermutation(G, perms, signs)


def permutation_matrices(G):
    p = points(G)
    R = np.zeros((*p.shape, p.shape[1]))
    for g, row in enumerate(p):
        R[g, row, np.arange(len(row))] = 1
    return R


def skewed(G):
    """Matrices that are far from orthogonal: the permutations in a skewed basis."""
    R = permutation_matrices(G)
    A = np.eye(R.shape[1]) + np.triu(np.full(R.shape[1:], 0.3), 1)
    return eq.Matrix(G, A @ R @ np.linalg.inv(A))


def words(G):
    """The points as token ids, and some neutral ids behind them."""
    p = points(G)
    still = np.tile(np.arange(NEUTRAL) + p.shape[1], (len(p), 1))
    return np.concatenate([p, still], axis=1)


@dataclass(frozen=True)
class Case:
    name: str
    act_in: eq.Action
    act_out: eq.Action
    shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    vocabulary: int = 0

    @property
    def group(self):
        return self.act_in.group

    def __repr__(self):
        return self.name

    def model(self, dtype, seed=0):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Model(self).to(dtype)

    def inputs(self, batch, dtype, seed=0, fixed_by=None):
        """A batch; with `fixed_by`, one that this element leaves as it is."""
        generator = torch.Generator().manual_seed(seed)
        if self.vocabulary:
            x = torch.randint(
                self.vocabulary, (batch, *self.shape), generator=generator
            )
            if fixed_by is not None:
                moved = self.act_in(fixed_by, x) != x
                x[moved] = self.vocabulary - 1
            return x
        x = torch.randint(-4, 5, (batch, *self.shape), generator=generator) / 4
        x = x.to(dtype)
        if fixed_by is None:
            return x
        powers = self.group.subgroup(fixed_by).members
        return torch.stack([self.act_in(g, x) for g in powers]).sum(0)


class Model(nn.Module):
    """A small net without any symmetry."""

    def __init__(self, case):
        super().__init__()
        self.out_shape = case.out_shape
        width = int(np.prod(case.shape))
        self.embedding = nn.Embedding(case.vocabulary, 3) if case.vocabulary else None
        first = nn.Linear(width * (3 if case.vocabulary else 1), 16)
        self.layers = nn.Sequential(
            first, nn.Tanh(), nn.Linear(16, int(np.prod(case.out_shape)))
        )

    def forward(self, x):
        x = x if self.embedding is None else self.embedding(x)
        return self.layers(x.flatten(1)).reshape(len(x), *self.out_shape)


def _vector_cases(G):
    n = points(G).shape[1]
    move, sign, skew = permutation(G), signed(G), skewed(G)
    same = eq.Trivial(G)
    token = eq.Relabel(G, words(G))
    logit = eq.Permutation(G, words(G))
    size = n + NEUTRAL
    return [
        Case("vector to class", move, same, (n,), (3,)),
        Case("vector to vector", move, move, (n,), (n,)),
        Case("signed to skewed", sign, skew, (n,), (n,)),
        Case("skewed to vector", skew, move, (n,), (n,)),
        Case("tokens to class", token, same, (4,), (3,), size),
        Case("tokens to logits", token, logit, (4,), (size,), size),
        Case(
            "rows to columns",
            permutation(G, dim=1),
            permutation(G, dim=2),
            (n, 2),
            (2, n),
        ),
    ]


def _image_cases(G):
    turn = eq.Rot90(G)
    return [
        Case("image to class", turn, eq.Trivial(G), (2, 4, 4), (3,)),
        Case("image to mask", turn, turn, (2, 5, 5), (2, 5, 5)),
    ]


COLOURS = eq.Product(eq.Rot90(C4), eq.Permutation(C2, [[0, 1], [1, 0]], dim=1))
CASES = {
    G.name: _vector_cases(G) + (_image_cases(G) if G in (C2, C4, D4) else [])
    for G in GROUPS.values()
}
CASES["C4 x C2"] += [
    Case("image and colours to class", COLOURS, eq.Trivial(C4_C2), (2, 4, 4), (3,)),
    Case("image and colours to mask", COLOURS, COLOURS, (2, 4, 4), (2, 4, 4)),
]
CASES["C2 x S3"] += [
    Case(
        "mirrored image of three colours",
        eq.Product(eq.Flip(C2), permutation(S3, dim=1)),
        eq.Product(eq.Flip(C2), permutation(S3, dim=1)),
        (3, 2, 4),
        (3, 2, 4),
    )
]
CASES["D4"] += [Case("image to force", eq.Rot90(D4), plane(), (1, 4, 4), (2,))]
ALL = [case for cases in CASES.values() for case in cases]


def loss(y):
    return eq.losses.entropy(2 * y.flatten(1))


class LambdaNet(nn.Module):
    """One number a view, of outputs of any shape."""

    def __init__(self, width, dtype=torch.float32, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.layers = nn.Sequential(nn.Linear(width, 8), nn.Tanh(), nn.Linear(8, 1))
        self.to(dtype)

    def forward(self, features):
        return 3 * self.layers(features.flatten(1))


def symmetrize(method, case, model, dtype=torch.float32, **options):
    """The case's model, symmetrized by one of the paper's three methods."""
    actions = (case.act_in, case.act_out)
    if method == "equitune":
        return eq.Equitune(model, *actions, **options)
    if method == "equizero":
        return eq.Equizero(model, *actions, loss=loss, **options)
    net = LambdaNet(int(np.prod(case.out_shape)), dtype)
    return eq.LambdaEquitune(model, *actions, net, **options)


def equivariance_error(f, act_in, act_out, x):
    """The greatest |f(gx) - g f(x)|, relative to the greatest |g^-1 M(gx)|.

    Written apart from `check_equivariance`, one element after the other.
    """
    with torch.no_grad():
        y, orbit = f(x, return_orbit=True)
        error = max(
            float((f(act_in(g, x)) - act_out(g, y)).abs().max())
            for g in range(act_in.group.order)
        )
        return error / float(orbit.aligned.abs().max())
