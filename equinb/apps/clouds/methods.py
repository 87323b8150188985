"""The methods on clouds of points: the operators, and how their parts are learned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from equinb import canonical as can
from equinb.actions import Matrix, Trivial
from equinb.apps.clouds.data import Clouds, Task, turned
from equinb.apps.clouds.network import seeded
from equinb.equitune import Equitune
from equinb.frames import Frame, LearnedFrame, pca_frame
from equinb.groups import FiniteGroup, cyclic
from equinb.lambda_equitune import LambdaEquitune
from equinb.losses import neg_max_prob

#: Methods over a finite subgroup: the rotations of a cube, or of an octagon.
FINITE = ("equitune", "lambda-equitune")
#: Where offsets may come from.
OFFSETS = ("fixed", "random", "learned")
#: How sharply the most confident pose is preferred where nothing is learned.
SHARPNESS = 100.0
#: The width of the network that gives lambda.
LAMBDA_WIDTH = 32
#: What is refused: next to nothing.
LEAST = 1e-9
#: How many rotations offsets are chosen from, where they are to be spread.
CANDIDATES = 1000


@dataclass(frozen=True)
class Way:
    """A way to make a model equivariant.

    Attributes:
        method: "plain", "canonical" (views alike), "canonical-lambda" (weighted),
            "canonical-equizero" (the pose in which a classifier is most confident), or
            one of `FINITE`.
        frame: "pca", or "learned": by Gram-Schmidt on learned vectors.
        offsets: one of `OFFSETS`.
        k: how many offsets.
        undo: whether an offset is undone on the output; not so as eq. (5) is printed.
    """

    method: str
    frame: str = "pca"
    offsets: str = "fixed"
    k: int = 1
    undo: bool = True

    @property
    def weighted(self) -> bool:
        """Whether there is a lambda."""
        return "lambda" in self.method


@dataclass(frozen=True)
class Learning:
    """How something is learned.

    Attributes:
        steps: of Adam, whose rate falls as a cosine.
        batch: clouds a step.
        rate: the first learning rate.
    """

    steps: int
    batch: int = 16
    rate: float = 5e-3


@lru_cache
def spread(k: int, n: int = 3) -> Tensor:
    """`(k, n, n)`, float64: rotations, each as far as can be from those before it.

    The first is the identity. Distances are those between poses, signs of axes apart,
    since a frame by principal axes gives all signs. In three dimensions the six orders
    of the axes come first: with the signs they are the rotations of a cube.

    Example:
        >>> spread(6).shape
        torch.Size([6, 3, 3])
    """
    if n == 2:
        # The halves of the half turn, the quarters, and so on: 0, 1/2, 1/4, 3/4, ...
        turns = [int(f"{i:05b}"[::-1], 2) / 32 for i in range(k)]
        return torch.stack([plane_rotation(math.pi * turn) for turn in turns])
    random = torch.Generator().manual_seed(0)
    rest = can.random_rotations(CANDIDATES, n, random)
    candidates = torch.cat([can.cube_rotations(), rest])
    chosen = [candidates[0]]
    near = _likeness(candidates, chosen[0])
    while len(chosen) < k:
        # Rotations of the cube first, as long as one is new.
        pool = near[:24] if bool((near[:24] < 2.9).any()) else near
        chosen.append(candidates[int(pool.argmin())])
        near = torch.maximum(near, _likeness(candidates, chosen[-1]))
    return torch.stack(chosen)


def plane_rotation(angle: float) -> Tensor:
    """`(2, 2)`, float64: the rotation of the plane by an angle in radians."""
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)


def _likeness(rotations: Tensor, one: Tensor) -> Tensor:
    """`(N,)`: the greatest trace of $q^{-1} r s$ over signs s; n if it is one pose."""
    n = one.shape[-1]
    signs = torch.tensor(list(product((1.0, -1.0), repeat=n)), dtype=one.dtype)
    diagonal = (one.mT @ rotations).diagonal(dim1=-2, dim2=-1)
    return (diagonal @ signs[signs.prod(1) > 0].T).amax(-1)


def offsets(kind: str, k: int, n: int, seed: int) -> Tensor | nn.Module | None:
    """Offsets of a kind: "fixed" ones are spread, "learned" ones begin there.

    Raises:
        ValueError: for another kind.
    """
    if kind not in OFFSETS:
        raise ValueError(
            f"Offsets are {', '.join(OFFSETS)}; there are none that are {kind!r}."
        )
    if kind == "random":
        return can.random_rotations(k, n, torch.Generator().manual_seed(seed))
    return can.LearnedOffsets(spread(k, n)) if kind == "learned" else spread(k, n)


def operator(
    model: nn.Module,
    task: Task,
    way: Way,
    seed: int,
) -> nn.Module:
    """A model made equivariant, its parts not yet learned.

    Args:
        model: from clouds to numbers.
        task: what it is asked.
        way: in which way.
        seed: of first weights and random offsets.
    """
    net: nn.Module | None = None
    of = "inputs"
    if way.weighted:
        net = seeded(seed, task.n, 1, width=LAMBDA_WIDTH).to(device_of(model))
    if way.method == "canonical-equizero":
        net, of = Confidence(), "features"
    if way.method in FINITE:
        act = finite_action(task.n)
        out = act if task.vector else Trivial(act.group)
        if net is None:
            return Equitune(model, act, out)
        return LambdaEquitune(model, act, out, net, of="inputs")
    if way.method == "plain":
        return model
    return can.CanonicalLambda(
        model,
        frame_of(way.frame, task.n, seed),
        can.rotate,
        can.rotate if task.vector else can.keep,
        net,
        offsets(way.offsets, way.k, task.n, seed),
        way.undo,
        of,
    ).to(device_of(model))


class Confidence(nn.Module):
    """The greatest probability of a view, times `SHARPNESS`: a lambda of no labels.

    Its softmax over views is close to the argmin of `neg_max_prob`, which is equizero.
    """

    def forward(self, logits: Tensor) -> Tensor:
        """`(N,)` from `(N, classes)`."""
        return -SHARPNESS * neg_max_prob(logits)


def finite_action(n: int) -> Matrix:
    """The rotations of a cube, or of an octagon, on vectors along the last axis."""
    if n == 2:
        turns = [plane_rotation(math.pi * i / 4) for i in range(8)]
        return Matrix(cyclic(8), torch.stack(turns).numpy())
    matrices = can.cube_rotations()
    products = matrices[:, None] @ matrices
    gaps = (products[:, :, None] - matrices).abs().amax((-2, -1))
    names = ("e", *(f"o{i}" for i in range(1, len(matrices))))
    return Matrix(FiniteGroup("O", names, gaps.argmin(-1).numpy()), matrices.numpy())


def frame_of(name: str, n: int, seed: int) -> Frame:
    """A frame by name, "pca" or "learned", its first weights those of a seed.

    Among a million clouds some have axes that are nearly undetermined; they are not
    refused here, but count as what they are: clouds whose frame may be wrong.
    """
    if name == "pca":
        return partial(pca_frame, least_gap=LEAST)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LearnedFrame(n, least=LEAST)


def device_of(model: nn.Module) -> torch.device:
    """Where a model is."""
    return next(model.parameters()).device


def learn(
    function: nn.Module,
    parameters: list[nn.Parameter],
    task: Task,
    clouds: Clouds,
    seed: int,
    learning: Learning,
) -> None:
    """Fit some parameters of a function to turned clouds, each step turned anew.

    Args:
        function: from clouds to numbers: a model, made equivariant or not.
        parameters: what is learned; the rest stays.
        task: what is asked.
        clouds: upright; their targets are the labels that learning takes.
        seed: of the order and of the turns.
        learning: how.
    """
    if not parameters:
        return
    random = torch.Generator().manual_seed(seed)
    optimizer = Adam(parameters, learning.rate)
    schedule = CosineAnnealingLR(optimizer, learning.steps)
    device = str(parameters[0].device)
    for _ in range(learning.steps):
        rows = torch.randint(len(clouds), (learning.batch,), generator=random)
        few = turned(clouds.rows(rows), task, random).to(device)
        loss = task.loss(function(few.x), few.target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def answer(function: nn.Module, x: Tensor, at_once: int = 250) -> Tensor:
    """What a function makes of many clouds, some at once."""
    return torch.cat([function(few) for few in x.split(at_once)])
