"""The models that ship: their names, and how they are loaded."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from equinb.apps.scan.model import Cell, Seq2Seq
from equinb.lab import load_weights

Task = Literal["add_jump", "around_right"]
TASKS: tuple[Task, ...] = get_args(Task)
SEEDS = (0, 1, 2)

#: The symmetry that the paper uses for each task.
SYMMETRY: dict[str, str] = {"add_jump": "Verb", "around_right": "Direction"}


def weights_name(task: str, kind: str, seed: int, batched: bool = True) -> str:
    """The file of a model, below the assets.

    Args:
        task: one of `TASKS`.
        kind: the recurrent cell.
        seed: of its training.
        batched: trained on many pairs a step, not on one as in the published code.
    """
    suffix = "" if batched else "-one-by-one"
    return f"scan/{task}-{kind.lower()}-seed{seed}{suffix}.safetensors"


def load_model(
    task: Task, kind: Cell = "LSTM", seed: int = 0, batched: bool = True
) -> Seq2Seq:
    """A pretrained model, in eval mode and without gradients.

    Args:
        task: what it was trained on.
        kind: the recurrent cell.
        seed: of its training.
        batched: see `weights_name`.

    Raises:
        FileNotFoundError: if no such model ships.
        ValueError: if its file is damaged.

    Example:
        >>> model = load_model("add_jump")
        >>> sum(p.numel() for p in model.parameters())
        234504
    """
    tensors, _ = load_weights(weights_name(task, kind, seed, batched))
    return restore(kind, tensors)


def pack(model: Seq2Seq) -> dict[str, Tensor]:
    """The weights of a model as float16, for shipping."""
    return {name: t.detach().half().cpu() for name, t in model.state_dict().items()}


def restore(kind: Cell, tensors: dict[str, Tensor]) -> Seq2Seq:
    """The model that `pack` has packed, in eval mode and without gradients."""
    model = Seq2Seq(kind)
    model.load_state_dict({name: t.float() for name, t in tensors.items()})
    return model.eval().requires_grad_(False)
