"""Shapes, upright: solids, knots and surfaces, bodies with a thorn, planar outlines.

Each is a function from random numbers to points that lie on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

#: From random numbers `(count, points, 2)` in [0, 1), and a source of more of them, to
#: points `(count, points, n)`: the surface or curve of a shape, upright.
Surface = Callable[[Tensor, torch.Generator], Tensor]

TAU = 2 * math.pi


def _stack(*coordinates: Tensor) -> Tensor:
    return torch.stack(torch.broadcast_tensors(*coordinates), -1)


# Solids, by their surface.


def box(t: Tensor, random: torch.Generator) -> Tensor:
    """A brick on its long side, all six faces."""
    sides = torch.tensor([1.5, 1.0, 0.6])
    axis = torch.randint(3, t.shape[:2], generator=random)
    end = torch.randint(2, t.shape[:2], generator=random) * 2.0 - 1
    p = 2 * torch.rand((*t.shape[:2], 3), generator=random) - 1
    p = torch.where(torch.arange(3) == axis[..., None], end[..., None], p)
    return p * sides


def cylinder(t: Tensor, random: torch.Generator) -> Tensor:
    """A column that stands, open at both ends."""
    a = TAU * t[..., 0]
    return _stack(0.6 * a.cos(), 0.6 * a.sin(), 3 * t[..., 1] - 1.5)


def cone(t: Tensor, random: torch.Generator) -> Tensor:
    """A cone that stands on its base, which is open."""
    a, r = TAU * t[..., 0], t[..., 1].sqrt()
    return _stack(r * a.cos(), r * a.sin(), 1.6 * (1 - r))


def step(t: Tensor, random: torch.Generator) -> Tensor:
    """Two bricks that make an L, seen from the side."""
    low = box(t, random) * torch.tensor([1.0, 0.8, 0.7])
    high = box(t, random) * torch.tensor([0.35, 0.8, 1.6])
    high = high + torch.tensor([-1.0, 0.0, 1.2])
    return torch.where(t[..., :1] < 0.5, low, high)


# Knots and rings.


def trefoil(t: Tensor, random: torch.Generator) -> Tensor:
    """The knot with three crossings, lying."""
    a = TAU * t[..., 0]
    flat = a.sin() + 2 * (2 * a).sin(), a.cos() - 2 * (2 * a).cos()
    return _stack(*flat, -(3 * a).sin())


def figure_eight(t: Tensor, random: torch.Generator) -> Tensor:
    """The knot with four crossings, lying."""
    a = TAU * t[..., 0]
    r = 2 + (2 * a).cos()
    return _stack(r * (3 * a).cos(), r * (3 * a).sin(), 1.5 * (4 * a).sin())


def crown(t: Tensor, random: torch.Generator) -> Tensor:
    """A ring that goes up and down twice: no knot."""
    a = TAU * t[..., 0]
    return _stack(a.cos(), 0.7 * a.sin(), 0.9 * (2 * a).cos())


def spring(t: Tensor, random: torch.Generator) -> Tensor:
    """A helix of two turns, standing."""
    a = 2 * TAU * t[..., 0]
    return _stack(0.8 * a.cos(), 0.8 * a.sin(), 2.4 * t[..., 0] - 1.2)


# Surfaces.


def saddle(t: Tensor, random: torch.Generator) -> Tensor:
    """Up along one axis, down along the other."""
    x, y = 2 * t[..., 0] - 1, 2 * t[..., 1] - 1
    return _stack(x, y, 1.2 * (x**2 - y**2))


def bowl(t: Tensor, random: torch.Generator) -> Tensor:
    """A paraboloid, open at the top."""
    a, r = TAU * t[..., 0], t[..., 1].sqrt()
    return _stack(r * a.cos(), r * a.sin(), 1.3 * r**2)


def torus(t: Tensor, random: torch.Generator) -> Tensor:
    """A tyre, lying."""
    a, b = TAU * t[..., 0], TAU * t[..., 1]
    r = 1 + 0.4 * b.cos()
    return _stack(r * a.cos(), r * a.sin(), 0.4 * b.sin())


def moebius(t: Tensor, random: torch.Generator) -> Tensor:
    """A Möbius strip, lying."""
    a, w = TAU * t[..., 0], 1.2 * (t[..., 1] - 0.5)
    r = 1 + w * (a / 2).cos()
    return _stack(r * a.cos(), r * a.sin(), w * (a / 2).sin())


SOLIDS: dict[str, Surface] = {
    "box": box,
    "cylinder": cylinder,
    "cone": cone,
    "step": step,
    "trefoil": trefoil,
    "figure-eight": figure_eight,
    "crown": crown,
    "spring": spring,
    "saddle": saddle,
    "bowl": bowl,
    "torus": torus,
    "moebius": moebius,
}


# Bodies with a thorn: the first point is its tip.


def _with_thorn(body: Surface) -> Surface:
    """A body and a thorn, which points up or up to 60 degrees aside."""

    def made(t: Tensor, random: torch.Generator) -> Tensor:
        points = body(t, random)
        up = 1 - 0.5 * torch.rand((len(t), 1), generator=random)
        a = TAU * torch.rand((len(t), 1), generator=random)
        aside = (1 - up**2).sqrt()
        length = 1.6 + 0.8 * torch.rand((len(t), 1), generator=random)
        tip = length[..., None] * _stack(aside * a.cos(), aside * a.sin(), up)
        # A quarter of the points lie along the thorn, and are thrown about it.
        thorn = tip * t[..., 1:] + 0.05 * torch.randn(points.shape, generator=random)
        few = torch.arange(t.shape[1])[:, None] % 4 == 0
        return torch.cat([tip, torch.where(few, thorn, points)], 1)

    return made


def egg(t: Tensor, random: torch.Generator) -> Tensor:
    """An ellipsoid that stands on its thick end."""
    a, z = TAU * t[..., 0], 2 * t[..., 1] - 1
    r = (1 - z**2).sqrt() * (0.7 - 0.2 * z)
    return _stack(r * a.cos(), r * a.sin(), 1.1 * z)


THORNS: dict[str, Surface] = {
    "egg": _with_thorn(egg),
    "box": _with_thorn(box),
    "torus": _with_thorn(torus),
}


# Outlines in the plane.


def _polygon(t: Tensor, corners: list[tuple[float, float]]) -> Tensor:
    """Points along a closed polygon, evenly by length."""
    start = torch.tensor(corners)
    sides = start.roll(-1, 0) - start
    ends = sides.norm(dim=1).cumsum(0)
    along = t[..., 0] * ends[-1]
    side = torch.searchsorted(ends, along.contiguous()).clamp_max(len(corners) - 1)
    left = (ends[side] - along) / sides.norm(dim=1)[side]
    points: Tensor = start[side] + (1 - left)[..., None] * sides[side]
    return points


def _letter(*corners: tuple[float, float]) -> Surface:
    return lambda t, random: _polygon(t, list(corners))


def heart(t: Tensor, random: torch.Generator) -> Tensor:
    """A heart, its point below."""
    a = TAU * t[..., 0]
    x = 1.15 * a.sin() ** 3
    y = 13 * a.cos() - 5 * (2 * a).cos() - 2 * (3 * a).cos() - (4 * a).cos()
    return _stack(x, y / 13)


def moon(t: Tensor, random: torch.Generator) -> Tensor:
    """A crescent, open to the right."""
    a = TAU * (t[..., 0] * 0.7 + 0.15)
    r = 1 - 0.5 * t[..., 1] * (1 + (a - math.pi).cos()) / 2
    return _stack(r * a.cos(), 1.2 * r * a.sin())


def snail(t: Tensor, random: torch.Generator) -> Tensor:
    """A spiral of two turns, its end to the right."""
    a = 2 * TAU * t[..., 0].sqrt()
    return _stack(a * a.cos(), a * a.sin()) / (2 * TAU)


PLANAR: dict[str, Surface] = {
    "arrow": _letter(
        (-0.15, -1), (0.15, -1), (0.15, 0.3), (0.5, 0.3), (0, 1), (-0.5, 0.3),
        (-0.15, 0.3),
    ),
    "L": _letter((-0.5, -1), (0.6, -1), (0.6, -0.6), (0, -0.6), (0, 1), (-0.5, 1)),
    "T": _letter(
        (-0.2, -1), (0.2, -1), (0.2, 0.6), (0.8, 0.6), (0.8, 1), (-0.8, 1), (-0.8, 0.6),
        (-0.2, 0.6),
    ),
    "C": _letter(
        (0.6, -1), (0.6, -0.6), (-0.2, -0.6), (-0.2, 0.6), (0.6, 0.6), (0.6, 1),
        (-0.6, 1), (-0.6, -1),
    ),
    "Z": _letter(
        (-0.7, -1), (0.7, -1), (0.7, -0.7), (-0.2, -0.7), (0.7, 0.7), (0.7, 1),
        (-0.7, 1), (-0.7, 0.7), (0.2, 0.7), (-0.7, -0.7),
    ),
    "F": _letter(
        (-0.5, -1), (-0.1, -1), (-0.1, -0.2), (0.4, -0.2), (0.4, 0.2), (-0.1, 0.2),
        (-0.1, 0.6), (0.6, 0.6), (0.6, 1), (-0.5, 1),
    ),
    "heart": heart,
    "moon": moon,
    "snail": snail,
}  # fmt: skip
