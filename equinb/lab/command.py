"""What a run is called, and the command that makes it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from equinb.lab.experiment import Experiment
from equinb.lab.files import sha256

Config = TypeVar("Config")


def run_name(experiment: Experiment[Config], preset: str, config: Config) -> str:
    """The name of a result: that of the preset, and a mark if its options differ."""
    name = f"{experiment.name}-{preset}"
    if config == experiment.config(preset):
        return name
    options = json.dumps(experiment.options(config), sort_keys=True)
    return f"{name}-{sha256(options.encode())[:6]}"


def command_of(
    experiment: Experiment[Config],
    preset: str,
    seeds: Sequence[int],
    config: Config,
    device: str = "cpu",
) -> str:
    """The command that makes a result again."""
    command = f"equinb run {experiment.name} --preset {preset} --seeds {span(seeds)}"
    usual = _flat(experiment.options(experiment.config(preset)))
    for key, value in _flat(experiment.options(config)).items():
        if value != usual[key]:
            flag = key.replace("_", "-")
            if isinstance(value, bool):
                *outer, last = flag.split(".")
                named = ".".join([*outer, last if value else f"no-{last}"])
                command += f" --{named}"
            else:
                shown = value if isinstance(value, (list, tuple)) else [value]
                command += f" --{flag} {' '.join(map(str, shown))}"
    return command if device == "cpu" else f"{command} --device {device}"


def _flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of options as the command line names them, with a dot between."""
    flat = {}
    for key, value in options.items():
        inner = _flat(value) if isinstance(value, dict) else {"": value}
        flat.update({f"{key}.{k}".rstrip("."): v for k, v in inner.items()})
    return flat


def span(seeds: Sequence[int]) -> str:
    """Seeds as the command line writes them.

    Example:
        >>> span([0, 1, 2, 3]), span([0, 2])
        ('0-3', '0,2')
    """
    first, last = min(seeds), max(seeds)
    if len(seeds) > 1 and list(seeds) == list(range(first, last + 1)):
        return f"{first}-{last}"
    return ",".join(map(str, seeds))
