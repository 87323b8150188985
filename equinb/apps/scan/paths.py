"""Action sequences drawn as paths: what an agent that obeys would do.

Needs matplotlib, which the package's other modules do not.
"""

from __future__ import annotations

import math

from matplotlib.axes import Axes

#: How a step is drawn: an arrow's line width, colour and bow.
STEPS: dict[str, tuple[float, str, float]] = {
    "WALK": (1.2, "#7F7F7F", 0.0),
    "RUN": (3.0, "#0072B2", 0.0),
    "JUMP": (1.6, "#D55E00", -0.5),
}
#: Every step is longer than the last by this much, so that circles become spirals.
GROWTH = 0.12


def draw_path(ax: Axes, actions: str) -> None:
    """Draw actions as a path from the dot on; the first step goes up.

    A walk is a thin arrow, a run a thick one, a jump a bow, a look is a ring; the
    triangle says where the agent ends and which way it then faces.

    Args:
        ax: where to draw; its frame is taken away.
        actions: words of SCAN, with spaces.

    Raises:
        ValueError: for a word that is no action.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> _, ax = plt.subplots()
        >>> draw_path(ax, "TURN_LEFT JUMP TURN_LEFT JUMP")
        >>> plt.close()
    """
    x, y, heading, length, rings = 0.0, 0.0, 90.0, 1.0, 0
    ax.plot(x, y, "o", color="0.5", ms=7)
    for action in actions.split():
        if action in ("TURN_LEFT", "TURN_RIGHT"):
            heading += 90 if action == "TURN_LEFT" else -90
        elif action == "LOOK":
            rings += 1
            ax.plot(x, y, "o", mfc="none", mec="#009E73", ms=7 + 4 * rings)
        elif action in STEPS:
            width, colour, bow = STEPS[action]
            end = (
                x + length * math.cos(math.radians(heading)),
                y + length * math.sin(math.radians(heading)),
            )
            arrow = {
                "arrowstyle": "->",
                "lw": width,
                "color": colour,
                "connectionstyle": f"arc3,rad={bow}",
                "shrinkA": 0,
                "shrinkB": 0,
            }
            ax.annotate("", end, (x, y), arrowprops=arrow)
            ax.plot(*end, ".", color=colour, ms=2)
            (x, y), rings, length = end, 0, length + GROWTH
        else:
            raise ValueError(
                f"{action!r} is no action of SCAN: those are WALK, LOOK, RUN, JUMP, "
                "TURN_LEFT and TURN_RIGHT."
            )
    ax.plot(x, y, marker=(3, 0, heading - 90), color="0.5", ms=10)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.3)
    ax.axis("off")
