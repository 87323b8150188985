"""Pretrain a DQN with stable-baselines3, and look at it on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.dqn.policies import QNetwork
from torch import nn

from equinb.apps.rl.tasks import Pretraining
from equinb.apps.rl.td import Transitions


class Checkpoint(NamedTuple):
    """A DQN in the course of its training.

    Attributes:
        steps: of the environment, so far.
        q: the Q network, at work: copy it to keep it.
        target: the target network, at work.
        replay: what the agent has seen so far.
    """

    steps: int
    q: nn.Sequential
    target: nn.Sequential
    replay: Transitions


def pretrain(
    environment: str,
    seed: int,
    settings: Pretraining,
    visit: Callable[[Checkpoint], None],
    every: int = 10_000,
    report: Callable[[int], None] = lambda steps: None,
    device: str = "cpu",
) -> None:
    """Train a DQN of stable-baselines3 that knows nothing of symmetry.

    Args:
        environment: its name in gymnasium.
        seed: of the network, the replay, the exploration and the environment.
        settings: what differs from the library's defaults.
        visit: called with a `Checkpoint`; it must leave NumPy's global random state
            alone, which training draws from.
        every: how many steps of the environment lie between two visits.
        report: called with the number of steps done.
        device: where the networks live.
    """
    model = DQN(
        "MlpPolicy",
        environment,
        learning_rate=settings.learning_rate,
        policy_kwargs={"net_arch": [settings.width, settings.width]},
        buffer_size=settings.steps,
        seed=seed,
        device=device,
        **settings.more,
    )

    def step(_: dict[str, Any], __: dict[str, Any]) -> bool:
        steps = model.num_timesteps
        report(steps)
        if steps % every == 0:
            q, target = layers(model.q_net), layers(model.q_net_target)
            visit(Checkpoint(steps, q, target, _replay(model)))
        return True

    model.learn(settings.steps, step)


def layers(q: QNetwork) -> nn.Sequential:
    """The layers of a Q network, behind what flattens its states, if anything."""
    net: nn.Sequential = q.q_net
    flat = len(q.observation_space.shape or ()) == 1
    return net if flat else nn.Sequential(nn.Flatten(), net)


def _replay(model: DQN) -> Transitions:
    """What the replay buffer holds, as `ReplayBuffer.sample` would give it."""
    buffer = model.replay_buffer
    assert isinstance(buffer, ReplayBuffer)
    n = buffer.size()
    columns = (
        buffer.observations[:n, 0],
        buffer.actions[:n, 0, 0],
        buffer.rewards[:n, 0],
        buffer.next_observations[:n, 0],
        (buffer.dones * (1 - buffer.timeouts))[:n, 0],
    )
    return Transitions(*(torch.as_tensor(c, device=model.device) for c in columns))
