"""Serve any DQN of stable-baselines3 with a symmetry, behind its own `predict`."""

from __future__ import annotations

import copy
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.dqn.policies import QNetwork
from torch import nn

from equinb.actions import Action, Permutation
from equinb.apps.rl.agents import symmetrize
from equinb.apps.rl.sb3 import layers
from equinb.equizero import TIE_TOLERANCE, ArgMin, Equizero
from equinb.losses import neg_max_q
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
        self._shape = model.observation_space.shape
        self._moves = _moves(q, self._shape)

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
        if deterministic and self._moves and np.shape(observation) == self._shape:
            index, sign = self._moves
            entries = np.asarray(observation, dtype=np.float32).reshape(-1)
            views = torch.from_numpy(entries[index] * sign)
            with torch.inference_mode():
                action = best_entry(self.q, views.to(self._model.device))
            if action is not None:
                return np.asarray(action), state
        x, batched = self._model.policy.obs_to_tensor(observation)
        if not isinstance(x, torch.Tensor):
            raise TypeError("A symmetrized DQN takes arrays, no dictionaries of them.")
        x = x.float() if x.is_floating_point() else x  # as the model's own policy
        with torch.inference_mode():
            actions = greedy(self.q, x)
        if not deterministic and self._coin.random() < self._model.exploration_rate:
            actions = np.array([self._model.action_space.sample() for _ in actions])
        return actions if batched else actions[0], state


def greedy(q: TensorMap, x: torch.Tensor) -> NDArray[Any]:
    r"""The greedy actions of a Q function: `q(x).argmax(-1)`, sooner for one state.

    Equizero's greedy action is the one best entry of all views, carried back: where no
    two views tie, nothing need be weighed. For a single state that is less work than
    the average; where views tie, and for batches, the average is made.

    Args:
        q: from states `(B, ...)` to Q-values `(B, actions)`.
        x: states `(B, ...)`.

    Returns:
        `(B,)`, the actions.

    Example:
        >>> from equinb.apps.rl import cartpole_actions, load_q_network, symmetrize
        >>> q = symmetrize(load_q_network(), *cartpole_actions(), "equizero")
        >>> x = torch.tensor([[0.1, -0.2, 0.05, 0.3]])
        >>> greedy(q, x) == q(x).argmax(-1).numpy()
        array([ True])
    """
    if len(x) == 1 and _follows_greatest_q(q):
        action = best_entry(q, cast(Equizero, q).act_in.orbit(x)[:, 0])
        if action is not None:
            return np.array([action])
    actions: NDArray[Any] = q(x).argmax(-1).cpu().numpy()
    return actions


def best_entry(q: TensorMap, views: torch.Tensor) -> int | None:
    """The action of the greatest entry over all views of one state, carried back.

    Args:
        q: equizero by the greatest Q.
        views: `(|G|, ...)`.

    Returns:
        The action; None where views tie, so that the average must decide, or where
        something is not a number.
    """
    f = cast(Equizero, q)
    answers = f.encoder(views)
    values, promise = answers.tolist(), answers.amax(-1).tolist()
    best, tolerance = max(promise), TIE_TOLERANCE.get(answers.dtype, 0.0)
    # A little wider than a tie, since rounding differs: the average decides there.
    near = best - 1.1 * tolerance * max(map(abs, promise))
    if sum(p < near for p in promise) != len(promise) - 1:
        return None
    g = promise.index(best)
    back = f.act_out.group.inverses[g]
    return int(cast(Permutation, f.act_out).perms[back, values[g].index(best)])


def _follows_greatest_q(q: TensorMap) -> bool:
    """Whether the greatest Q decides, and the group only moves actions about."""
    return (
        isinstance(q, Equizero)
        and isinstance(q.weighting, ArgMin)
        and q.head is None
        and q.weighting.of == "outputs"
        and q.weighting.loss is neg_max_q
        and q.weighting.tolerance is None
        and type(q.act_out) is Permutation
    )


def _moves(
    q: TensorMap, shape: tuple[int, ...] | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """The views of one state as one gather, if the group moves entries or their signs.

    Returns:
        Place and sign of each entry of each view, `(|G|, *shape)`; None if the group
        does something else, or if `best_entry` does not serve this Q function.
    """
    if not _follows_greatest_q(q) or not shape:
        return None
    act, n = cast(Equizero, q).act_in, int(np.prod(shape))
    numbered = torch.arange(1, n + 1, dtype=torch.float64).view(1, *shape)
    try:
        views = act.orbit(numbered)[:, 0].numpy()
        index, sign = abs(views).astype(np.int64) - 1, np.sign(views)
        x = torch.rand(1, *shape, dtype=torch.float64)
        same = np.array_equal(x.numpy().reshape(-1)[index] * sign, act.orbit(x)[:, 0])
    except (TypeError, ValueError, IndexError):  # an action on something else
        return None
    return (index, sign.astype(np.float32)) if same else None


def symmetrize_dqn(
    model: DQN,
    state: Action,
    action: Action,
    method: str = "equizero",
    lam: TensorMap | None = None,
) -> SymmetrizedDQN:
    """Symmetrize any DQN of stable-baselines3, and leave the model as it is.

    Args:
        model: the DQN; its network is copied, so later training does not carry over.
        state: how the group acts on the observations.
        action: how it acts on the Q-values.
        method: one of `equinb.apps.rl.METHODS`.
        lam: for lambda-equitune, from views of the observation to log lambda.

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
    q = symmetrize(_copy(model.q_net), state, action, method, lam)
    # Two of them, since a single state may take a shorter way.
    x = np.stack([np.asarray(model.observation_space.sample())] * 2)
    try:
        SymmetrizedDQN(model, q).predict(x)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"The actions do not fit this DQN, from {model.observation_space} to "
            f"{model.action_space}: {error}"
        ) from error
    return SymmetrizedDQN(model, q)


def _copy(q: QNetwork) -> nn.Module:
    """The network alone, where all that comes before it is to flatten the state."""
    space = q.observation_space
    plain = isinstance(space, gymnasium.spaces.Box) and not is_image_space(space)
    if plain and isinstance(q.features_extractor, FlattenExtractor):
        return copy.deepcopy(layers(q)).eval().requires_grad_(False)
    return copy.deepcopy(q).eval().requires_grad_(False)
