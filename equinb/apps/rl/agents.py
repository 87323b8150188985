"""The shipped agents, the symmetry of their task, and how the methods compare."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from torch import nn

from equinb import losses
from equinb.actions import Action, Permutation, SignedPermutation
from equinb.apps.rl.rollouts import CARTPOLE, START_SEED, evaluate
from equinb.equitune import Equitune
from equinb.equizero import Equizero
from equinb.groups import cyclic
from equinb.lab import Provenance, load_weights, save_result
from equinb.symmetrized import TensorMap

METHODS = ("pretrained", "equitune", "equizero")
SEEDS = (0, 1, 2, 3, 4)
#: Where the shipped weights of each environment are, below `equinb/assets`.
SHIPPED = {CARTPOLE: "dqn/cartpole-seed{seed}.safetensors"}
#: Section 5.1.1, but for the width: stable-baselines3 leaves it at 64.
PRETRAINING = {CARTPOLE: {"steps": 100_000, "learning_rate": 1e-4, "width": 256}}
#: The name of the stored result, and the code that determines its rows.
RESULT = "dqn-cartpole-small"
SOURCES = (
    "actions/base.py",
    "actions/entries.py",
    "apps/rl/agents.py",
    "apps/rl/rollouts.py",
    "equitune.py",
    "equizero.py",
    "groups.py",
    "losses.py",
    "symmetrized.py",
)


def cartpole_actions() -> tuple[Action, Action]:
    """The mirror symmetry of CartPole: negate the state, swap left and right.

    Returns:
        How C2 acts on states `(B, 4)` and on Q-values `(B, 2)` (section 4.1 of the
        paper, after van der Pol et al. 2020).

    Example:
        >>> import torch
        >>> state, action = cartpole_actions()
        >>> action("r", torch.tensor([[0.2, 0.8]]))
        tensor([[0.8000, 0.2000]])
    """
    G = cyclic(2)
    state = SignedPermutation(G, None, [[1, 1, 1, 1], [-1, -1, -1, -1]])
    return state, Permutation(G, [[0, 1], [1, 0]])


def symmetrize(
    q: TensorMap, state: Action, action: Action, method: str = "equizero"
) -> TensorMap:
    r"""A Q function after one of the three methods, "pretrained" for none.

    Equizero takes $g_* = argmax_g \max_a Q(gs, a)$ (section 4.1 of the paper).

    Args:
        q: from states `(B, ...)` to Q-values `(B, actions)`.
        state: how the group acts on states.
        action: how it acts on Q-values.
        method: one of `METHODS`.

    Raises:
        ValueError: for another method.

    Example:
        >>> import torch
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
    raise ValueError(f"The method must be one of {', '.join(METHODS)}; got {method!r}.")


def load_q_network(environment: str = CARTPOLE, seed: int = 0) -> nn.Sequential:
    """The pretrained Q network of a seed: plain torch, float32, ready to evaluate.

    Args:
        environment: a key of `SHIPPED`.
        seed: the seed it was pretrained with, 0 to 4.

    Returns:
        The network from states to Q-values. Stable-baselines3 is not needed.

    Raises:
        ValueError: for an environment or a seed without weights; for a damaged file.
        FileNotFoundError: if the file is missing.

    Example:
        >>> import torch
        >>> load_q_network(seed=3)(torch.zeros(7, 4)).shape
        torch.Size([7, 2])
    """
    tensors, _ = load_weights(weights_name(environment, seed))
    layers: list[nn.Module] = []
    for i in sorted(
        int(name.removesuffix(".bias")) for name in tensors if ".b" in name
    ):
        width, inputs = tensors[f"{i}.weight"].shape
        layers += [nn.Linear(inputs, width), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return net.eval().requires_grad_(False)


def compare(
    environment: str = CARTPOLE,
    seeds: Sequence[int] = SEEDS,
    episodes: int = 200,
    methods: Sequence[str] = METHODS,
) -> list[dict[str, Any]]:
    """Evaluate the shipped agents under each method, on the same start states.

    Returns:
        One row a (seed, method): the mean and the standard deviation of the return
        over episodes.

    Example:
        >>> row = compare(seeds=[0], episodes=2, methods=["equizero"])[0]
        >>> row["seed"], row["method"], row["mean_return"] > 0
        (0, 'equizero', True)
    """
    state, action = cartpole_actions()
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        pretrained = load_q_network(environment, seed)
        for method in methods:
            q = symmetrize(pretrained, state, action, method)
            returns = evaluate(q, environment, episodes)
            rows.append(
                {
                    "environment": environment,
                    "seed": seed,
                    "method": method,
                    "episodes": episodes,
                    "mean_return": float(returns.mean()),
                    "std_return": float(returns.std(ddof=1)),
                }
            )
    return rows


def make_result(episodes: int = 200) -> None:
    """Evaluate all shipped agents and store the result `dqn-cartpole-small`."""
    began = time.perf_counter()
    rows = compare(CARTPOLE, SEEDS, episodes)
    provenance = Provenance.record(
        "python -m equinb.apps.rl --evaluate",
        sources=[
            *SOURCES,
            *(f"assets/{weights_name(CARTPOLE, seed)}" for seed in SEEDS),
        ],
        packages=["torch", "numpy", "gymnasium"],
        config={
            "episodes": episodes,
            "start_seed": START_SEED,
            **PRETRAINING[CARTPOLE],
        },
        seeds=SEEDS,
        wall_time=time.perf_counter() - began,
    )
    print(f"stored {save_result(RESULT, rows, provenance).name}: {len(rows)} rows")


def weights_name(environment: str, seed: int) -> str:
    """The shipped file of an agent, below `equinb/assets`.

    Raises:
        ValueError: for an environment or a seed without one.

    Example:
        >>> weights_name("CartPole-v1", 0)
        'dqn/cartpole-seed0.safetensors'
    """
    if environment not in SHIPPED:
        raise ValueError(
            f"There are no agents for {environment!r}; there are some for "
            f"{', '.join(SHIPPED)}."
        )
    if seed not in SEEDS:
        raise ValueError(f"There is no agent of seed {seed}; the seeds are {SEEDS}.")
    return SHIPPED[environment].format(seed=seed)
