"""The shipped agents, the methods that make them symmetric, and what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from equinb import losses
from equinb.actions import Action
from equinb.apps.rl.rollouts import Rollout, rollout
from equinb.apps.rl.tasks import CARTPOLE, Task, find_task
from equinb.equitune import Equitune
from equinb.equizero import Equizero
from equinb.lab import load_weights
from equinb.lambda_equitune import LambdaEquitune
from equinb.symmetrized import Symmetrized, TensorMap

METHODS = ("pretrained", "equitune", "equizero", "lambda-equitune")
SEEDS = (0, 1, 2, 3, 4)


def symmetrize(
    q: TensorMap,
    state: Action,
    action: Action,
    method: str = "equizero",
    lam: TensorMap | None = None,
) -> TensorMap:
    r"""A Q function after one of the methods, "pretrained" for none.

    Equizero takes $g_* = argmax_g \max_a Q(gs, a)$ (section 4.1 of the paper).

    Args:
        q: from states `(B, ...)` to Q-values `(B, actions)`.
        state: how the group acts on states.
        action: how it acts on Q-values.
        method: one of `METHODS`.
        lam: for lambda-equitune, from views `(N, ...)` to log lambda `(N, 1)`.

    Raises:
        ValueError: for another method, or lambda-equitune without lambda.

    Example:
        >>> from equinb.apps.rl import cartpole_actions
        >>> q = symmetrize(load_q_network(), *cartpole_actions(), "equitune")
        >>> left, right = q(torch.zeros(1, 4))[0]
        >>> bool(left == right)
        True
    """
    if method == "pretrained":
        return q
    if method == "equitune":
        return Equitune(q, state, action)
    if method == "equizero":
        return Equizero(q, state, action, loss=losses.neg_max_q)
    if method != "lambda-equitune":
        raise ValueError(
            f"The method must be one of {', '.join(METHODS)}; got {method!r}."
        )
    if lam is None:
        raise ValueError(
            "lambda-equitune needs lam, a net from views to log lambda: load_lambda() "
            "has the shipped ones, fit_lambda() trains one."
        )
    return LambdaEquitune(q, state, action, lam, of="inputs")


def load_q_network(environment: str = CARTPOLE, seed: int = 0) -> nn.Sequential:
    """The pretrained Q network of a seed: plain torch, float32, ready to evaluate.

    Args:
        environment: a key of `TASKS`.
        seed: the seed it was pretrained with, 0 to 4.

    Returns:
        The network from states to Q-values. Stable-baselines3 is not needed.

    Raises:
        ValueError: for an environment or a seed without weights; for a damaged file.
        FileNotFoundError: if the file is missing.

    Example:
        >>> load_q_network(seed=3)(torch.zeros(7, 4)).shape
        torch.Size([7, 2])
    """
    tensors, _ = load_weights(weights_name(environment, seed))
    return relu_network(tensors, find_task(environment).shape)


def load_lambda(environment: str = CARTPOLE, seed: int = 0) -> nn.Sequential:
    """The lambda that was trained for a shipped agent: from views to log lambda.

    Args:
        environment: a key of `TASKS`.
        seed: the agent's, 0 to 4.

    Raises:
        ValueError, FileNotFoundError: as `load_q_network`.

    Example:
        >>> load_lambda(seed=3)(torch.zeros(7, 4)).shape
        torch.Size([7, 1])
    """
    tensors, _ = load_weights(weights_name(environment, seed, "lambda"))
    return relu_network(tensors, find_task(environment).shape)


def weights_name(environment: str, seed: int, part: str = "q") -> str:
    """The shipped file of an agent, below `equinb/assets`.

    Args:
        environment: a key of `TASKS`.
        seed: 0 to 4.
        part: "q" for the network, "lambda" for the lambda that goes with it.

    Raises:
        ValueError: for an environment or a seed without one.

    Example:
        >>> weights_name("CartPole-v1", 0)
        'dqn/cartpole-q-seed0.safetensors'
    """
    task = find_task(environment)
    if seed not in SEEDS:
        raise ValueError(f"There is no agent of seed {seed}; the seeds are {SEEDS}.")
    return f"dqn/{task.short}-{part}-seed{seed}.safetensors"


def relu_network(
    tensors: Mapping[str, Tensor], shape: tuple[int, ...] = (1,)
) -> nn.Sequential:
    """Linear layers with ReLU between them, from tensors named as in a Sequential.

    Args:
        tensors: "0.weight", "0.bias", "2.weight" and so on, of any float dtype.
        shape: of one state; pictures are flattened first.

    Returns:
        The network in float32, frozen.

    Example:
        >>> relu_network({"0.weight": torch.eye(2), "0.bias": torch.ones(2)})
        Sequential(
          (0): Linear(in_features=2, out_features=2, bias=True)
        )
    """
    layers: list[nn.Module] = []
    for i in sorted(int(name.split(".")[0]) for name in tensors if ".b" in name):
        width, inputs = tensors[f"{i}.weight"].shape
        layers += [nn.Linear(inputs, width), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return frozen(net if len(shape) == 1 else nn.Sequential(nn.Flatten(), *net))


def halves(net: nn.Sequential) -> dict[str, Tensor]:
    """The linear layers of a network as float16, numbered from zero, for shipping."""
    linear = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    return {
        f"{2 * i}.{name}": tensor.detach().half().cpu()
        for i, layer in enumerate(linear)
        for name, tensor in layer.state_dict().items()
    }


def frozen(net: nn.Sequential) -> nn.Sequential:
    """A network in eval mode that keeps no gradients."""
    return net.eval().requires_grad_(False)


def asymmetry(q: TensorMap, state: Action, action: Action, states: Tensor) -> float:
    """How far Q-values are from symmetric, measured by what decides between actions.

    Args:
        q: from states to Q-values.
        state: how the group acts on states.
        action: how it acts on Q-values.
        states: `(n, ...)`.

    Returns:
        The root mean square of the part of Q that equitune removes, divided by that
        of the difference of Q-values to their mean over actions. At 1 the fault is as
        large as what tells actions apart.

    Example:
        >>> from equinb.apps.rl import cartpole_actions
        >>> asymmetry(lambda s: s[:, :2] * 0 + 1, *cartpole_actions(), torch.rand(9, 4))
        0.0
    """
    with torch.no_grad():
        values = q(states)
        fault = (values - Equitune(q, state, action)(states)).square().mean()
        spread = (values - values.mean(-1, keepdim=True)).square().mean()
    return float((fault / spread).sqrt()) if fault else 0.0


def compare(
    q: TensorMap,
    lam: TensorMap,
    task: Task,
    episodes: int = 200,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Play under each method, from the same start states.

    Args:
        q: the pretrained Q function.
        lam: the lambda that goes with it.
        task: the environment and its symmetry.
        episodes: how many for each method.
        device: where `q` lives.

    Returns:
        One row a method: the mean and standard deviation of the return over episodes,
        the effective number of views (mean over states visited), and the `asymmetry`
        of the Q function in the states that the pretrained agent visits.

    Example:
        >>> from equinb.apps.rl import TASKS
        >>> rows = compare(load_q_network(), load_lambda(), TASKS[CARTPOLE], episodes=2)
        >>> rows[2]["method"], rows[2]["mean_return"] > 0
        ('equizero', True)
    """
    rows: list[dict[str, Any]] = []
    seen = torch.empty(0)
    for method in METHODS:
        f = symmetrize(q, task.state, task.action, method, lam)
        played = rollout(f, task.environment, episodes, device=device)
        mine = some(played, device)
        seen = mine if method == "pretrained" else seen
        rows.append(
            {
                "method": method,
                "episodes": episodes,
                "mean_return": float(played.returns.mean()),
                "std_return": float(played.returns.std(ddof=1)),
                "effective_views": effective_views(f, mine),
                "asymmetry": asymmetry(f, task.state, task.action, seen),
            }
        )
    return rows


def effective_views(f: TensorMap, states: Tensor) -> float:
    """How many views a Q function uses, mean over states: exp of the weights' entropy.

    Example:
        >>> effective_views(load_q_network(), torch.zeros(1, 4))
        1.0
    """
    if not isinstance(f, Symmetrized):
        return 1.0
    with torch.no_grad():
        _, orbit = f(states, return_orbit=True)
    return float(orbit.effective_views.mean())


def some(played: Rollout, device: str = "cpu", most: int = 2000) -> Tensor:
    """States that a rollout has visited, evenly spread; at least `most` if it can be.

    Args:
        played: the rollout.
        device: where they are put.
        most: every k-th state is taken, with the greatest k that leaves so many.
    """
    visited = played.visited
    return torch.as_tensor(visited[:: max(1, len(visited) // most)], device=device)
