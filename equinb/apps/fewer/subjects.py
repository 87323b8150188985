"""The models that are tried: each with its task, its full lambda-equitune and its data.

A subject is named by its chapter and its model, such as "clip/glyph-vit".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from equinb.apps.clip.data import load_data, part
from equinb.apps.clip.experiment import data_of
from equinb.apps.clip.model import Similarity
from equinb.apps.clip.pretrained import load_clip
from equinb.apps.cnn.backbones import PHOTOGRAPHS, load_backbone
from equinb.apps.cnn.data import load_task
from equinb.apps.cnn.probing import Probing, new_lambda, probe
from equinb.apps.views.importance import by_labels, learn_importance
from equinb.apps.views.orbits import SQUARE, Encoder, Labelled, Orbits, encode_orbits
from equinb.lambda_equitune import Learned

CHAPTERS = ("cnn", "clip")
#: Photographs without the traces of compression: a router that reads pixels tells by
#: these which way a JPEG was up, and looks far better than it is.
LOSSLESS = "cifar10-lossless"


@dataclass(frozen=True)
class Subject:
    """A frozen model, the images of a task, and the features of all their views.

    Attributes:
        name: its chapter and its model.
        encoder: of the frozen model.
        train: `(N, 3, side, side)`, preprocessed upright images to learn from.
        test: `(M, 3, side, side)`, those to be tried on.
        train_orbits: features of all turns and mirrors of the first.
        test_orbits: and of the second.
        text: `(classes, d)` of a CLIP; None for a CNN, whose head has to be learned.
        scale: one over the CLIP's temperature.
    """

    name: str
    encoder: Encoder
    train: Tensor
    test: Tensor
    train_orbits: Orbits
    test_orbits: Orbits
    text: Tensor | None = None
    scale: float = 1.0

    def full(self, group: str, seed: int) -> tuple[Learned, nn.Module]:
        """Lambda-equitune as the chapter learns it from labels, and its head.

        Args:
            group: one of `GENERATORS`.
            seed: of all that is learned.
        """
        orbits = self.train_orbits.of(group)
        if self.text is not None:
            head = Similarity(self.text, self.scale)
            return learn_importance(orbits, by_labels(orbits, head), seed), head
        learned = new_lambda(orbits.features.shape[-1], seed)
        return learned, probe(orbits, self.classes, learned, self.probing, seed)

    def head(self, group: str, weights: Tensor, seed: int) -> nn.Module:
        """The head that goes with some weights of the training images' views.

        A CLIP's is there. A CNN's is learned, as in its chapter, through the average
        that it is to serve: as it is linear, from averaged features.

        Args:
            group: one of `GENERATORS`.
            weights: `(|G|, N)`.
            seed: of the head.
        """
        if self.text is not None:
            return Similarity(self.text, self.scale)
        orbits = self.train_orbits.of(group)
        averaged = (weights[..., None] * orbits.features).sum(0, keepdim=True)
        alone = replace(orbits, group=SQUARE.group.subgroup("e"), features=averaged)
        return probe(alone, self.classes, None, self.probing, seed)

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.train_orbits.labels.max()) + 1

    @property
    def probing(self) -> Probing:
        """How a CNN's head is learned, as in the experiment `cnn`."""
        few = self.name.split("/")[1] not in PHOTOGRAPHS
        return Probing(rate=1e-2) if few else Probing()


@lru_cache(maxsize=1)
def load_subject(name: str, images: int, every: int, device: str = "cpu") -> Subject:
    """A subject by name, its views encoded once in a process.

    Args:
        name: such as "cnn/glyph-resnet" or "clip/glyph-vit".
        images: about how many training images are read, at most.
        every: one of so many test images is tried.
        device: where tensors live.

    Raises:
        ValueError: for another chapter.
        FileNotFoundError: if the images do not lie where `EQUINB_DATA` says.
    """
    chapter, _, model = name.partition("/")
    if chapter == "cnn":
        backbone = load_backbone(model).to(device)
        task = load_task(LOSSLESS if model in PHOTOGRAPHS else "digits")
        sets = [task.images(split, backbone.preprocess) for split in ("train", "test")]
        return _subject(name, backbone, sets, images, every)
    if chapter == "clip":
        clip, data = load_clip(model).to(device), load_data(data_of(model)[0])
        shown = [data.split(split, clip.preprocess) for split in ("train", "test")]
        text = clip.classifier(data.classes, data.templates)
        found = _subject(name, clip, shown, images, every)
        return replace(found, text=text, scale=clip.scale)
    raise ValueError(
        f"There is no subject {name!r}: name a chapter, {' or '.join(CHAPTERS)}, and a "
        "model, such as clip/glyph-vit."
    )


def _subject(
    name: str, encoder: Encoder, sets: Sequence[Labelled], images: int, every: int
) -> Subject:
    train, test = sets
    whole = len(train)  # type: ignore[arg-type]
    device = next(encoder.model.parameters()).device
    read = []
    for data, rows in (
        (train, part(train, -(-whole // images))),
        (test, part(test, every)),
    ):
        pixels = torch.stack([data[i][0] for i in rows]).to(device)
        read.append((pixels, encode_orbits(encoder, data, SQUARE, rows)))
    (seen, learned), (shown, tried) = read
    return Subject(name, encoder, seen, shown, learned, tried)
