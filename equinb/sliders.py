"""A figure with a slider: frames drawn beforehand, shown one at a time.

It asks no other host for anything and loads no script: the few lines that it needs are
in the figure itself, so it moves on the site, in JupyterLab and in Colab alike. Without
scripts the first frame is a figure like any other. Keys move it as they do any slider.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from html import escape
from typing import TypeVar
from urllib.parse import quote

import matplotlib as mpl
import matplotlib.pyplot as plt

Value = TypeVar("Value")

#: What moving the slider does: one frame is shown, and its value is told.
MOVE = (
    "const frames = this.closest('figure').querySelectorAll('img');"
    "frames.forEach((frame, i) => frame.hidden = i != this.value);"
    "const told = frames[this.value].dataset.value;"
    "this.setAttribute('aria-valuetext', told);"
    "this.nextElementSibling.value = told"
)


class Slider:
    """The figure: what a notebook shows is its HTML.

    Attributes:
        html: of the whole.
    """

    def __init__(self, html: str) -> None:
        self.html = html

    def _repr_html_(self) -> str:
        return self.html


def slider(
    draw: Callable[[Value], str],
    values: Iterable[Value],
    label: str,
    caption: str,
    tell: Callable[[Value], str] = str,
) -> Slider:
    """A figure that a slider changes.

    Args:
        draw: draws a value into a new figure of matplotlib, and returns what is seen
            there: the text alternative of that frame.
        values: of the frames; the first is shown where there are no scripts.
        label: what the slider moves, with its unit.
        caption: what the figure is.
        tell: a value, as it stands beside the slider.

    Raises:
        ValueError: for no values, or a frame that says nothing.

    Example:
        >>> def draw(n):
        ...     plt.figure().gca().bar(range(n), range(n))
        ...     return f"{n} bars, each one higher than the last"
        >>> "2 bars" in slider(draw, (2, 3), "bars", "Bars.").html
        True
    """
    frames = [(tell(value), draw(value), _picture()) for value in values]
    if not frames:
        raise ValueError("A slider needs values to slide over; there are none.")
    if silent := [value for value, seen, _ in frames if not seen]:
        raise ValueError(
            f"The frame for {silent[0]} says nothing: let draw return what is seen."
        )
    pictures = "\n".join(
        f'<img class="dark-light drawn" alt="{escape(seen)}" '
        f'data-value="{escape(value)}" src="{picture}"{" hidden" if i else ""}>'
        for i, (value, seen, picture) in enumerate(frames)
    )
    first = escape(frames[0][0])
    return Slider(
        f'<figure class="slider">\n{pictures}\n<p><label>{escape(label)} '
        f'<input type="range" min="0" max="{len(frames) - 1}" value="0" '
        f'aria-valuetext="{first}" autocomplete="off" oninput="{MOVE}">'
        f"<output>{first}</output></label></p>\n"
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )


def _picture() -> str:
    """The current figure as the address of a picture, and close it."""
    drawn = io.StringIO()
    # Letters as letters: a tenth of the size of letters as outlines.
    with mpl.rc_context({"svg.fonttype": "none", "path.simplify_threshold": 0.5}):
        plt.savefig(drawn, format="svg", metadata={"Date": None})
    plt.close()
    svg = drawn.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(\d+\.\d\d)\d+", r"\1", re.sub(r"\s*\n\s*", " ", svg))
    return "data:image/svg+xml," + quote(svg, safe=" /:;=,.()'+-_!*?@$~")
