"""Shipped weights: safetensors, verified by sha256 before a single number is read.

The checksums are in `assets/SHA256SUMS`; `sha256sum -c SHA256SUMS` reads them as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from equinb.lab.files import ASSETS, sha256, write_atomic

SUMS = "SHA256SUMS"


def save_weights(
    name: str,
    tensors: Mapping[str, Tensor],
    card: Mapping[str, Any],
    folder: Path = ASSETS,
) -> Path:
    """Write weights and enter their checksum.

    Args:
        name: the path below `folder`, with forward slashes.
        tensors: the weights, by name, in the dtype to be stored.
        card: what made them, as JSON values.
        folder: the folder that holds `SHA256SUMS`.

    Returns:
        The path of the file.
    """
    return store_weights(name, pack_weights(tensors, card), folder)


def pack_weights(tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> bytes:
    """The content of a file of weights: equal bytes for equal weights and card."""
    whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    # One entry: safetensors writes several in random order, and the checksum with it.
    return save(whole, {"card": json.dumps(card, sort_keys=True)})


def store_weights(name: str, data: bytes, folder: Path = ASSETS) -> Path:
    """Write what `pack_weights` made, and enter its checksum."""
    path = write_atomic(folder / name, data)
    sums = read_sums(folder) | {name: sha256(data)}
    text = "".join(f"{sums[key]}  {key}\n" for key in sorted(sums))
    write_atomic(folder / SUMS, text.encode())
    return path


def load_weights(
    name: str, folder: Path = ASSETS
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of a file whose checksum is right, and their card.

    Args:
        name: the path below `folder`, with forward slashes.
        folder: the folder that holds `SHA256SUMS`.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is not the file that `SHA256SUMS` lists.

    Example:
        >>> tensors, card = load_weights("dqn/cartpole-q-seed0.safetensors")
        >>> tensors["0.weight"].shape, card["environment"]
        (torch.Size([256, 4]), 'CartPole-v1')
    """
    try:
        data = (folder / name).read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"The weights {name} are missing: restore them with git or reinstall "
            "equinb, or make them with the command on their model card."
        ) from error
    if read_sums(folder).get(name) != sha256(data):
        raise ValueError(
            f"The weights {name} are damaged: their sha256 is not in {SUMS}. "
            "Restore them with git or reinstall equinb, or make them again with the "
            "command on their model card."
        )
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return load(data), json.loads(header["__metadata__"]["card"])


def read_sums(folder: Path = ASSETS) -> dict[str, str]:
    """The checksum of every file that `SHA256SUMS` lists, by name."""
    path = folder / SUMS
    lines = (
        path.read_text(encoding="utf-8", errors="replace").splitlines()
        if path.exists()
        else []
    )
    pairs = (line.split(maxsplit=1) for line in lines)
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}
