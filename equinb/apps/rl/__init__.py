"""Deep Q-learning (sections 4.1 and 5.1.1 of the paper): CartPole and its mirror image.

    python -m equinb.apps.rl --seeds 0 1 2 3 4     # pretrain the shipped agents
    python -m equinb.apps.rl --evaluate            # make the stored result

States are `(batch, 4)`: cart position (m), cart velocity (m/s), pole angle (rad), pole
velocity (rad/s). Q-values are `(batch, actions)`, in units of return. What needs
stable-baselines3 is in `equinb.apps.rl.sb3` and loads with it alone.
"""

from equinb.apps.rl.agents import (
    METHODS,
    RESULT,
    SEEDS,
    cartpole_actions,
    compare,
    load_q_network,
    symmetrize,
)
from equinb.apps.rl.rollouts import (
    CARTPOLE,
    Rollout,
    cartpole_frames,
    evaluate,
    rollout,
)

__all__ = [
    "CARTPOLE",
    "METHODS",
    "RESULT",
    "SEEDS",
    "Rollout",
    "cartpole_actions",
    "cartpole_frames",
    "compare",
    "evaluate",
    "load_q_network",
    "rollout",
    "symmetrize",
]
