"""One look for every figure: a colour and a marker a method, vector graphics.

Colours are Okabe and Ito's, told apart by every kind of colour vision. Figures have no
background of their own, so that the page's light or dark theme shows through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from torch import Tensor

from equinb.groups import FiniteGroup
from equinb.lab import mean_interval
from equinb.lattices import lattice, subgroups

#: Colour and marker of each method, the same in every chapter.
METHOD_STYLE: dict[str, dict[str, Any]] = {
    "pretrained": {"color": "#7F7F7F", "marker": "o"},
    "plain": {"color": "#7F7F7F", "marker": "o"},
    "equitune": {"color": "#0072B2", "marker": "s"},
    "equizero": {"color": "#D55E00", "marker": "^"},
    "lambda-equitune": {"color": "#009E73", "marker": "D"},
    "augmentation": {"color": "#CC79A7", "marker": "v"},
}


#: Above this share the ground of a number is so dark that the number is white.
DARK = 0.5

#: The variant of equizero whose proxy has the wrong sign, as published.
TURNED = "sign turned"


def method_style(name: str) -> dict[str, Any]:
    """The style of a method, or of a variant of it, "method, variant": dashed.

    The variant with its "sign turned" is dotted, its marker upside down.

    Example:
        >>> method_style("equizero, identity")["linestyle"]
        '--'
    """
    method, _, variant = name.partition(", ")
    style = {**METHOD_STYLE[method], "linestyle": "--" if variant else "-"}
    return style | {"linestyle": ":", "marker": "v"} if variant == TURNED else style


def use_style() -> None:
    """Set the look of all figures of a notebook: call it once, after the imports."""
    mpl.rcParams.update(
        {
            "axes.facecolor": "none",
            "axes.grid": True,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "figure.constrained_layout.use": True,
            "figure.facecolor": "none",
            # Narrow, with large letters: a phone shows a figure 345 pixels wide.
            "figure.figsize": (5.2, 3.0),
            "font.size": 12,
            "grid.alpha": 0.3,
            "image.cmap": "gray_r",
            "legend.frameon": False,
            "savefig.transparent": True,
            "svg.hashsalt": "equinb",
        }
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:  # outside a notebook
        return
    set_matplotlib_formats("svg", metadata={"Date": None})


def cayley_tables(*groups: FiniteGroup) -> None:
    """Cayley tables, two a row: row g, column h, coloured by the product gh."""
    rows = -(-len(groups) // 2)
    _, axes = plt.subplots(rows, 2, figsize=(5.2, 2.9 * rows), squeeze=False)
    for ax in axes.flat[len(groups) :]:
        ax.axis("off")
    for ax, G in zip(axes.flat, groups, strict=False):
        ax.imshow(G.table, cmap="viridis", vmin=0, vmax=max(G.order - 1, 1))
        names = [f"${name}$" if "(" not in name else name for name in G.elements]
        ax.set_xticks(range(G.order), names, rotation=90, fontsize=9)
        ax.set_yticks(range(G.order), names, fontsize=9)
        ax.set_title(G.name)
        ax.grid(False)


def subgroup_lattice(
    ax: Axes, rows: Sequence[Sequence[FiniteGroup]], values: Mapping[str, float]
) -> None:
    """A Hasse diagram: which subgroup lies in which, coloured by a share.

    Args:
        ax: where to draw.
        rows: all subgroups of a group as they are to stand beside each other, the
            smallest first.
        values: by the name of a subgroup, from 0 (pale) to 1 (dark).
    """
    place = {
        H.members: (x - (len(row) - 1) / 2, y)
        for y, row in enumerate(rows)
        for x, H in enumerate(row)
    }
    found = subgroups(rows[-1][0])
    for i, j in lattice(rows[-1][0]):
        ends = place[found[i].members], place[found[j].members]
        ax.plot(*zip(*ends, strict=True), color="0.6", lw=1, zorder=1)
    shade = mpl.colormaps["Blues"]
    for row in rows:
        for H in row:
            share = values[H.name]
            name = H.name.replace("<", r"\langle ").replace(">", r"\rangle")
            ax.text(
                *place[H.members],
                f"${name}$\n{share:.2f}",
                ha="center",
                va="center",
                size=10,
                color="white" if share > DARK else "black",
                bbox={"boxstyle": "round", "fc": shade(share), "ec": "0.5"},
            )
    wide = max(map(len, rows)) / 2
    ax.set(xlim=(-wide, wide), ylim=(-0.5, len(rows) - 0.5))
    ax.axis("off")


def image_row(
    images: Tensor | Sequence[Tensor], titles: Sequence[str], columns: int = 5
) -> None:
    """Images with a title each, in rows.

    Args:
        images: grey ones `(n, H, W)`, from 0 (the page) to 1 (ink), or coloured ones
            `(n, 3, H, W)`, bytes.
        titles: one a picture.
        columns: the most pictures in a row.
    """
    rows = -(-len(images) // columns)
    columns = min(columns, len(images))
    size = (1.05 * columns, 1.35 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    figure.set_layout_engine("constrained", w_pad=0.08)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        pixels = np.asarray(image)
        grey = pixels.ndim == 2
        pixels = pixels if grey else pixels.transpose(1, 2, 0)
        ax.imshow(pixels, vmin=0, vmax=1)
        # Coloured pictures keep their colours in the dark theme: a title for both.
        ax.set_title(title, fontsize=11, color="black" if grey else "0.5")


def panels(titles: Mapping[str, str], height: float) -> Iterator[tuple[str, Axes]]:
    """Axes one below the other, as a phone shows them best.

    Args:
        titles: of each, by a key of your own.
        height: of the whole, in inches.

    Yields:
        A key and its axes.
    """
    _, axes = plt.subplots(len(titles), figsize=(5.2, height), squeeze=False)
    for ax, (key, title) in zip(axes.flat, titles.items(), strict=True):
        ax.set_title(title)
        yield key, ax


def by_method(ax: Axes, table: pd.DataFrame) -> None:
    """A value of each method: a thin line a seed, and the mean with its interval.

    Args:
        ax: where to draw.
        table: a row a seed, a column a method.
    """
    for _, line in table.iterrows():
        ax.plot(range(len(line)), line, color="0.5", lw=1, alpha=0.7)
    for place, method in enumerate(table):
        mean, low, high = mean_interval(table[method])
        style = {**METHOD_STYLE[str(method)], "ms": 8, "capsize": 4}
        ax.errorbar(place, mean, [[mean - low], [high - mean]], **style)
    ax.set_xticks(range(table.shape[1]), [str(m) for m in table])
    ax.margins(x=0.15)


def course(ax: Axes, rows: pd.DataFrame, x: str, y: str) -> None:
    """The course of a value, a line a method: the mean over seeds and its interval.

    A method may be a variant, such as "equizero, identity"; its line is dashed.

    Args:
        ax: where to draw.
        rows: one row a (method, seed, `x`).
        x: the column along the axis.
        y: the column of the value.
    """
    for method, mine in rows.groupby("method", sort=False):
        table = mine.pivot(index="seed", columns=x, values=y)
        means, lows, highs = zip(
            *(mean_interval(table[at]) for at in table), strict=True
        )
        style = {**method_style(str(method)), "ms": 4, "lw": 1.2}
        ax.plot(table.columns, means, label=method, **style)
        ax.fill_between(table.columns, lows, highs, color=style["color"], alpha=0.12)


#: Of what is said of a person: kind, neither, unkind.
REGARD = ("#0072B2", "#BFBFBF", "#D55E00")


def regard_bars(ax: Axes, shares: pd.DataFrame) -> None:
    """Shares of what is said of persons, which sum to one; a bar a row.

    Args:
        ax: where to draw.
        shares: three columns, praise first and blame last; rows are named by their
            index.
    """
    left = np.zeros(len(shares))
    names = [
        ", ".join(name) if isinstance(name, tuple) else name for name in shares.index
    ]
    for part, colour in zip(shares, REGARD, strict=True):
        ax.barh(names, shares[part], left=left, color=colour, label=str(part))
        left = left + shares[part].to_numpy()
    ax.set_axisbelow(True)
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
