"""Deep Q-learning (sections 4.1 and 5.1.1 of the paper) in three environments.

    equinb run dqn --preset quick --seeds 0-4      # see equinb.apps.rl.experiment

States are `(batch, ...)`; Q-values are `(batch, actions)`, in units of return. What
needs stable-baselines3 is in `equinb.apps.rl.sb3` and loads with it alone.
"""

from equinb.apps.rl.agents import (
    METHODS,
    SEEDS,
    asymmetry,
    compare,
    effective_views,
    load_lambda,
    load_q_network,
    some,
    symmetrize,
)
from equinb.apps.rl.gridworld import GRIDWORLD, Gridworld
from equinb.apps.rl.rollouts import Rollout, evaluate, frames, rollout
from equinb.apps.rl.tasks import (
    ACROBOT,
    CARTPOLE,
    TASKS,
    Pretraining,
    Task,
    acrobot_actions,
    cartpole_actions,
    gridworld_actions,
)
from equinb.apps.rl.td import Transitions, fit_lambda, targets, td_error

__all__ = [
    "ACROBOT",
    "CARTPOLE",
    "GRIDWORLD",
    "METHODS",
    "SEEDS",
    "TASKS",
    "Gridworld",
    "Pretraining",
    "Rollout",
    "Task",
    "Transitions",
    "acrobot_actions",
    "asymmetry",
    "cartpole_actions",
    "compare",
    "effective_views",
    "evaluate",
    "fit_lambda",
    "frames",
    "gridworld_actions",
    "load_lambda",
    "load_q_network",
    "rollout",
    "some",
    "symmetrize",
    "targets",
    "td_error",
]
