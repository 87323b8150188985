"""The features of all views of a data set, computed once.

A turned image has the same views as the upright one, in another order. So one pass over
the eight views of each image answers for every subgroup of the turns and mirrors of a
square, and for every turned copy of the data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from equinb.actions import Action, Rot90
from equinb.groups import FiniteGroup, dihedral

#: Pairs of a preprocessed image `(3, H, W)` and a label.
Labelled = Dataset[tuple[Tensor, int]]

#: All turns and mirrors of a square image.
SQUARE = Rot90(dihedral(4))
#: The symmetries that are tried, by what generates them. The published code calls the
#: half turn "flip".
GENERATORS: dict[str, tuple[str, ...]] = {
    "rot90": ("r",),
    "hflip": ("s",),
    "vflip": ("r^2 s",),
    "half turn": ("r^2",),
    "D4": ("r", "s"),
}


def subgroup(name: str) -> FiniteGroup:
    """One of `GENERATORS`, as a subgroup of D4.

    Raises:
        ValueError: for another name.

    Example:
        >>> subgroup("vflip").elements
        ('e', 'r^2 s')
    """
    if name not in GENERATORS:
        raise ValueError(
            f"There is no symmetry {name!r} here; there are {', '.join(GENERATORS)}."
        )
    return SQUARE.group.subgroup(*GENERATORS[name], name=name)


def action(name: str) -> Action:
    """How one of `GENERATORS` acts on images."""
    return SQUARE.restrict(subgroup(name))


@dataclass(frozen=True)
class Reading:
    """How images are read and passed through a model.

    Attributes:
        batch: images at once, each with all its views.
        workers: processes that read and preprocess images.
        precision: "float32", or "mixed" for half precision where that is safe; features
            and similarities are in float32.
    """

    batch: int = 250
    workers: int = 0
    precision: str = "float32"


READING = Reading()


class Encoder(Protocol):
    """A model that makes features of images, such as a CLIP or the body of a CNN."""

    @property
    def model(self) -> nn.Module:
        """Its networks, on some device."""

    def encode(self, images: Tensor) -> Tensor:
        """`(N, d)`: the features of preprocessed images `(N, 3, H, W)`."""


@dataclass(frozen=True)
class Orbits:
    """What a model makes of the views of the images of a data set.

    Attributes:
        group: whose views there are.
        features: `(|G|, N, d)`, of the views $gx$ of the upright images $x$.
        labels: `(N,)`.
    """

    group: FiniteGroup
    features: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: Tensor) -> Orbits:
        """Those of some images, `(M,)`."""
        features = self.features[:, rows.to(self.features.device)]
        return Orbits(self.group, features, self.labels[rows.cpu()])

    def of(self, name: str, shown: Tensor | None = None) -> Orbits:
        """The orbits of turned images under a subgroup.

        Args:
            name: one of `GENERATORS`.
            shown: `(N,)`, the element of that subgroup which has turned each image;
                None for upright ones.

        Returns:
            Features of $g h x$, where h is what has turned x; no pass of the model.

        Raises:
            ValueError: if there are no features of these views.
        """
        small = subgroup(name)
        missing = [g for g in small.elements if g not in self.group.elements]
        if missing:
            raise ValueError(
                f"The view {missing[0]!r} is not among those of {self.group.name}: "
                "encode the orbits of D4."
            )
        here = torch.tensor([self.group.index(g) for g in small.elements])
        every = torch.arange(len(self))
        turned = here[:1] if shown is None else here[shown]
        table = torch.from_numpy(np.array(self.group.table))
        place = table[here[:, None], turned].expand(-1, len(self))
        features = self.features[place.to(self.features.device), every]
        return Orbits(small, features, self.labels)


@torch.no_grad()
def encode_orbits(
    encoder: Encoder,
    data: Labelled,
    act: Action = SQUARE,
    rows: Sequence[int] | None = None,
    reading: Reading = READING,
) -> Orbits:
    """Pass every view of every image through the image tower, once.

    Under `accelerate launch` every process takes its part of each batch, and has the
    whole in the end.

    Args:
        encoder: in eval mode.
        data: pairs of a preprocessed image and a label.
        act: how the group acts on preprocessed images.
        rows: of these images only.
        reading: batches, processes and precision.

    Returns:
        Features as the tower makes them, not scaled to length one.
    """
    device = next(encoder.model.parameters()).device
    accelerator = accelerator_for(device)
    part = data if rows is None else Subset(data, rows)
    # A generator of its own: to read images must not move the global random state.
    loader = DataLoader(
        part,
        reading.batch,
        num_workers=reading.workers,
        generator=torch.Generator(),
    )
    features, labels = [], []
    for images, target in accelerator.prepare(loader):
        views = act.orbit(images.to(device))
        with autocast(device, reading.precision):
            made = encoder.encode(views.flatten(0, 1))
        # The images lead, for the processes' parts to be put together.
        whole = made.float().unflatten(0, views.shape[:2]).transpose(0, 1)
        whole, target = accelerator.gather_for_metrics((whole, target))
        features.append(whole.transpose(0, 1))
        labels.append(target.cpu())
    return Orbits(act.group, torch.cat(features, 1), torch.cat(labels))


def accelerator_for(device: torch.device | str) -> Accelerator:
    """What shares the work among the processes that `accelerate launch` has started.

    Args:
        device: where models are: of these, each process takes its own.
    """
    return Accelerator(
        cpu=torch.device(device).type == "cpu",
        mixed_precision="no",  # whatever the launcher's default: see autocast
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )


def autocast(device: torch.device | str, precision: str) -> torch.autocast:
    """A context in which models compute in the precision that is named.

    Args:
        device: where they are.
        precision: "float32", or "mixed": bfloat16 where that is safe.

    Raises:
        ValueError: for another precision.
    """
    if precision not in ("float32", "mixed"):
        raise ValueError(f'The precision is "float32" or "mixed"; got {precision!r}.')
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=precision == "mixed")
