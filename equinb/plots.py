"""One look for every figure: a colour and a marker a method, vector graphics.

Colours are Okabe and Ito's, told apart by every kind of colour vision. Figures have no
background of their own, so that the page's light or dark theme shows through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from torch import Tensor

from equinb.groups import FiniteGroup

#: Colour and marker of each method, the same in every chapter.
METHOD_STYLE: dict[str, dict[str, Any]] = {
    "pretrained": {"color": "#7F7F7F", "marker": "o"},
    "equitune": {"color": "#0072B2", "marker": "s"},
    "equizero": {"color": "#D55E00", "marker": "^"},
    "lambda-equitune": {"color": "#009E73", "marker": "D"},
}


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
            "figure.figsize": (6.4, 3.2),
            "font.size": 11,
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
    """Cayley tables side by side: row g, column h, coloured by the product gh."""
    _, axes = plt.subplots(
        1, len(groups), figsize=(2.7 * len(groups), 3.0), squeeze=False
    )
    for ax, G in zip(axes[0], groups, strict=True):
        ax.imshow(G.table, cmap="viridis", vmin=0, vmax=max(G.order - 1, 1))
        names = [f"${name}$" if "(" not in name else name for name in G.elements]
        ax.set_xticks(range(G.order), names, rotation=90, fontsize=8)
        ax.set_yticks(range(G.order), names, fontsize=8)
        ax.set_title(G.name)
        ax.grid(False)


def image_row(
    images: Tensor | Sequence[Tensor], titles: Sequence[str], rows: int = 1
) -> None:
    """Images `(n, H, W)` with a title each, in one or more rows.

    Args:
        images: grey images, 0 (the page) to 1 (ink).
        titles: one a picture.
        rows: how many rows they are laid out in.
    """
    columns = -(-len(images) // rows)
    size = (min(1.15 * columns, 9.2), 1.45 * rows)
    _, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        ax.imshow(np.asarray(image), vmin=0, vmax=1)
        ax.set_title(title, fontsize=10)
