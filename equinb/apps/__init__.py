"""The applications, one file or folder a chapter. Each loads what it needs, when used.

`views` is no chapter: those on images share it.

A chapter's experiments are listed here by name; the module named has an `EXPERIMENT`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equinb.lab import Experiment

EXPERIMENTS = {
    "dqn": "equinb.apps.rl.experiment",
    "scan": "equinb.apps.scan.experiment",
    "scan-finetuning": "equinb.apps.scan.few_shot",
    "scan-importance": "equinb.apps.scan.labels",
    "scan-pretraining": "equinb.apps.scan.pretraining",
    "scan-rates": "equinb.apps.scan.rates",
    "clip": "equinb.apps.clip.experiment",
    "clip-finetuning": "equinb.apps.clip.few_shot",
    "clip-rates": "equinb.apps.clip.rates",
    "cnn": "equinb.apps.cnn.experiment",
    "cnn-glyphs": "equinb.apps.cnn.glyph_cnns",
    "cnn-tiny": "equinb.apps.cnn.tiny_cnns",
    "cnn-cifar100": "equinb.apps.cnn.cifar100_cnns",
    "cnn-public": "equinb.apps.cnn.public",
    "cnn-lossless": "equinb.apps.cnn.lossless",
    "clip-glyphs": "equinb.apps.clip.glyph_clips",
    "clip-importance": "equinb.apps.clip.labels",
    "clip-tiny": "equinb.apps.clip.tiny_clips",
    "clouds": "equinb.apps.clouds.experiment",
    "clouds-pretraining": "equinb.apps.clouds.pretraining",
    "symmetries": "equinb.apps.symmetries.experiment",
    "fewer": "equinb.apps.fewer.experiment",
    "costs": "equinb.apps.costs.experiment",
    "text": "equinb.apps.text.experiment",
    "text-perplexity": "equinb.apps.text.perplexity",
    "text-regard": "equinb.apps.text.judges",
    "text-generations": "equinb.apps.text.generations",
    "text-toy": "equinb.apps.text.toy_model",
    "text-reviews": "equinb.apps.text.pretraining",
}


def load_experiment(name: str) -> "Experiment[Any]":
    """The experiment of that name.

    Raises:
        ValueError: if there is none.
        ModuleNotFoundError: if a package that its chapter needs is not installed.

    Example:
        >>> sorted(load_experiment("dqn").presets)
        ['paper', 'quick', 'small']
    """
    if name not in EXPERIMENTS:
        raise ValueError(
            f"There is no experiment {name!r}; there are: {', '.join(EXPERIMENTS)}."
        )
    try:
        experiment: Experiment[Any] = import_module(EXPERIMENTS[name]).EXPERIMENT
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"The experiment {name} needs more ({error}): pip install 'equinb[book]'."
        ) from error
    return experiment
