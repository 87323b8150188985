"""Methods whose cost is compared, on a CLIP with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import ttach
from torch import Tensor, nn
from torch.nn.functional import normalize

from equinb.actions import Trivial
from equinb.apps.clip.cost import CLASSES, GROUP, METHODS, SECOND, calls
from equinb.apps.clip.cost import _sides as sides
from equinb.apps.clip.model import Clip, Similarity
from equinb.apps.costs.memory import weights
from equinb.apps.views.answers import PRETRAINED
from equinb.apps.views.importance import LAMBDA, Importance
from equinb.apps.views.orbits import action
from equinb.equitune import Equitune

#: Equitune as one writes it by hand, a pass an element of the group; as the package has
#: it for a few views at once; and by a library for test-time augmentation.
LOOP, CHUNKS, TTACH = "equitune, a loop", "equitune, in chunks", "ttach"
#: From images `(N, 3, H, W)` to logits `(N, classes)`.
Method = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Way:
    """A way to compute, and the methods that are timed in it.

    Attributes:
        methods: their names.
        dtype: of the image tower's weights.
        channels_last: whether the channels of a pixel lie together in memory.
        compiled: whether the tower is compiled.
        keeps: whether the process keeps memory that it frees.
    """

    methods: tuple[str, ...] = (*METHODS, LOOP, CHUNKS, TTACH)
    dtype: torch.dtype = torch.float32
    channels_last: bool = False
    compiled: bool = False
    keeps: bool = False

    @property
    def layout(self) -> torch.memory_format:
        """How images and weights lie in memory."""
        return torch.channels_last if self.channels_last else torch.preserve_format


#: As a model comes; with a process that keeps its memory; and what is fast on a GPU.
FLOAT32, KEEPING, FAST = "float32", "float32, memory kept", "bfloat16, compiled"
WAYS = {
    FLOAT32: Way(),
    KEEPING: Way((PRETRAINED, "equitune", LAMBDA, LOOP), keeps=True),
    FAST: Way(
        (PRETRAINED, "equitune", "equizero", LAMBDA, LOOP),
        torch.bfloat16,
        channels_last=True,
        compiled=True,
    ),
}


@dataclass(frozen=True)
class Prepared(Clip):
    """A CLIP whose image tower computes in some way; images are brought there."""

    way: Way = WAYS[FLOAT32]

    def encode(self, images: Tensor) -> Tensor:
        """`(N, d)`: the features of preprocessed images `(N, 3, side, side)`."""
        way = self.way
        return super().encode(images.to(dtype=way.dtype, memory_format=way.layout))


class Logits(nn.Module):
    """From images to logits: a CLIP and its head as one module.

    Args:
        clip: its towers are not registered here.
        head: from features `(N, d)` to logits `(N, classes)`.
    """

    def __init__(self, clip: Clip, head: Similarity) -> None:
        super().__init__()
        self.clip, self.head = clip, head

    def forward(self, images: Tensor) -> Tensor:
        """`(N, classes)`, of preprocessed images `(N, 3, side, side)`."""
        logits: Tensor = self.head(self.clip.encode(images))
        return logits


def prepare(clip: Clip, way: Way) -> Prepared:
    """A CLIP that computes in some way, but for compilation.

    Args:
        clip: one that nobody else uses: its image tower is changed.
        way: how it is to compute.
    """
    tower(clip).to(way.dtype).to(memory_format=way.layout)
    return Prepared(clip.name, clip.model, clip.tokenizer, clip.preprocess, way)


def methods(
    clip: Prepared, device: str, seed: int = 0, chunk: int = 8
) -> dict[str, Method]:
    """The methods of a way to compute, all with the same texts and the same lambda.

    Args:
        clip: prepared, on the device; its tower is compiled here, if it is to be.
        device: where it is.
        seed: of texts and lambda.
        chunk: how many views at once `CHUNKS` gives to the tower.
    """
    found: dict[str, Method] = {}
    for name in clip.way.methods:
        torch.manual_seed(seed)
        if name in METHODS:
            found[name] = calls(clip, name, "float32", device)
        else:
            found[name] = torch.no_grad()(_averaged(clip, name, device, chunk))
    if clip.way.compiled:
        # Only now: what is called above is no batch that will come again.
        model: Any = clip.model
        model.visual = torch.compile(model.visual, dynamic=False)
    return found


def _averaged(clip: Clip, name: str, device: str, chunk: int) -> Method:
    """The mean of the logits of all views, in one of three ways."""
    act, side = action(GROUP), sides(clip)
    width = clip.encode(torch.zeros(1, 3, *side, device=device)).shape[-1]
    text = normalize(torch.randn(CLASSES, width, device=device), dim=-1)
    plain = Logits(clip, Similarity(text, clip.scale))

    def loop(images: Tensor) -> Tensor:
        return torch.stack([plain(act(g, images)) for g in act.group.elements]).mean(0)

    if name == LOOP:
        return loop
    if name == CHUNKS:
        return Equitune(plain, act, Trivial(act.group), chunk=chunk)
    turns = ttach.Compose([ttach.Rotate90([0, 90, 180, 270])])
    library: Method = ttach.ClassificationTTAWrapper(plain, turns, merge_mode="mean")
    return library


def passes(method: str) -> int:
    """How many passes of a tower over one image a method makes.

    Example:
        >>> passes("pretrained"), passes("equitune"), passes(SECOND)
        (1, 4, 8)
    """
    if method == PRETRAINED:
        return 1
    return action(GROUP).group.order * (2 if method == SECOND else 1)


def held(clip: Clip, method: str) -> int:
    """The bytes of the weights that a method needs: image towers, and lambda."""
    parts = [tower(clip)] * (2 if method == SECOND else 1)
    if method in (LAMBDA, SECOND):
        width: Any = tower(clip).output_dim
        parts.append(Importance(width))
    return weights(parts)


def tower(clip: Clip) -> nn.Module:
    """The image tower of a CLIP."""
    visual: nn.Module = clip.model.visual  # type: ignore[assignment]
    return visual
