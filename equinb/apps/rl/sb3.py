"""DQNs of stable-baselines3: pretraining one, and serving one with a symmetry."""

from __future__ import annotations

import copy
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from torch import nn

from equinb.actions import Action
from equinb.apps.rl.agents import (
    PRETRAINING,
    load_q_network,
    symmetrize,
    weights_name,
)
from equinb.apps.rl.rollouts import evaluate
from equinb.lab import load_weights, save_weights
from equinb.symmetrized import TensorMap


class SymmetrizedDQN:
    """A DQN of stable-baselines3 behind a symmetrized Q function.

    It has the `predict` of stable-baselines3's models, so `evaluate_policy` takes it.
    Made by `symmetrize_dqn`.

    Attributes:
        q: the symmetrized Q function, on a copy of the model's network.
    """

    def __init__(self, model: DQN, q: TensorMap) -> None:
        self.q = q
        self._model = model
        self._coin = np.random.default_rng(model.seed)

    def predict(
        self,
        observation: NDArray[Any],
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """The greedy action of each observation.

        Args:
            observation: one observation, or a batch of them.
            state: handed back; a Q function has no memory.
            episode_start: not used, as in a DQN.
            deterministic: if not, explore at random as often as the model does.

        Returns:
            The actions, `()` or `(B,)`, and `state`.
        """
        x, batched = self._model.policy.obs_to_tensor(observation)
        if not isinstance(x, torch.Tensor):
            raise TypeError("A symmetrized DQN takes arrays, no dictionaries of them.")
        with torch.no_grad():
            actions: NDArray[Any] = self.q(x).argmax(-1).cpu().numpy()
        if not deterministic and self._coin.random() < self._model.exploration_rate:
            actions = np.array([self._model.action_space.sample() for _ in actions])
        return actions if batched else actions[0], state


def symmetrize_dqn(
    model: DQN, state: Action, action: Action, method: str = "equizero"
) -> SymmetrizedDQN:
    """Symmetrize any DQN of stable-baselines3, and leave the model as it is.

    Args:
        model: the DQN; its network is copied, so later training does not carry over.
        state: how the group acts on the observations.
        action: how it acts on the Q-values.
        method: one of `equinb.apps.rl.METHODS`.

    Raises:
        TypeError: if the model is no DQN.
        ValueError: if the actions do not fit its observations or Q-values.

    Example:
        >>> from equinb.apps.rl import cartpole_actions
        >>> model = DQN("MlpPolicy", "CartPole-v1", buffer_size=1, device="cpu")
        >>> agent = symmetrize_dqn(model, *cartpole_actions())
        >>> agent.predict(np.zeros((5, 4), dtype=np.float32))[0].shape
        (5,)
    """
    if not isinstance(model, DQN):
        raise TypeError(
            "symmetrize_dqn takes a DQN of stable-baselines3; got "
            f"{type(model).__name__}, which has no Q-values to symmetrize."
        )
    q = symmetrize(copy.deepcopy(model.q_net).eval(), state, action, method)
    x = np.asarray(model.observation_space.sample())[None]
    try:
        SymmetrizedDQN(model, q).predict(x)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"The actions do not fit this DQN, from {model.observation_space} to "
            f"{model.action_space}: {error}"
        ) from error
    return SymmetrizedDQN(model, q)


def pretrain(environment: str, seed: int) -> tuple[nn.Sequential, dict[str, Any]]:
    """Train a DQN with the settings of `PRETRAINING`, printing its progress.

    Args:
        environment: a key of `PRETRAINING`.
        seed: of the network, the replay, the exploration and the environment.

    Returns:
        The Q network and its card: the settings and versions that made it.
    """
    settings = PRETRAINING[environment]
    steps, width = int(settings["steps"]), int(settings["width"])
    model = DQN(
        "MlpPolicy",
        environment,
        learning_rate=settings["learning_rate"],
        policy_kwargs={"net_arch": [width, width]},
        seed=seed,
        device="cpu",
    )

    def report(_: dict[str, Any], __: dict[str, Any]) -> bool:
        if model.num_timesteps % (steps // 10) == 0:
            last = [episode["r"] for episode in model.ep_info_buffer or ()]
            print(
                f"{environment}, seed {seed}: {model.num_timesteps:,} of {steps:,} "
                f"steps, return of the last {len(last)} episodes {np.mean(last):.0f}",
                flush=True,
            )
        return True

    model.learn(steps, report)
    packages = ("stable-baselines3", "gymnasium", "torch")
    card = {
        "algorithm": "DQN (stable-baselines3), its defaults but for what is named",
        "environment": environment,
        "seed": seed,
        **settings,
        "versions": {name: version(name) for name in packages},
        "licence": "MIT",
    }
    network: nn.Sequential = model.q_net.q_net
    return network, card


def ship(environment: str, seed: int) -> None:
    """Pretrain one agent and store its Q network in float16, if it is not there yet."""
    name = weights_name(environment, seed)
    try:
        load_weights(name)
    except (FileNotFoundError, ValueError):
        q, card = pretrain(environment, seed)
        save_weights(name, {k: v.half() for k, v in q.state_dict().items()}, card)
        exact = evaluate(q, environment).mean()
        shipped = evaluate(load_q_network(environment, seed), environment).mean()
        print(f"{name}: return {exact:.1f}, in float16 {shipped:.1f}", flush=True)
    else:
        print(f"{name}: is there and whole, skipped", flush=True)
