"""Methods whose cost is compared, on a CLIP with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import ttach
from open_clip.utils import to_2tuple
from torch import Tensor, nn
from torch.nn.functional import normalize

from equinb.actions import Trivial
from equinb.apps.clip.model import Clip, Similarity
from equinb.apps.clip.pretrained import SHIPPED, load_clip
from equinb.apps.clip.zero_shot import zero_shot
from equinb.apps.costs.memory import weights
from equinb.apps.views.answers import PRETRAINED, answer, weigh
from equinb.apps.views.importance import LAMBDA, Importance
from equinb.apps.views.orbits import Orbits, action
from equinb.equitune import Equitune
from equinb.lambda_equitune import Learned
from equinb.symmetrized import Weighting

#: As published, lambda is fed by an encoder of its own.
SECOND = f"{LAMBDA}, a second encoder"
METHODS = (PRETRAINED, "equitune", "equizero", LAMBDA, SECOND)
#: Equitune as one writes it by hand, a pass an element of the group; as the package has
#: it for a few views at once; and by a library for test-time augmentation.
LOOP, CHUNKS, TTACH = "equitune, a loop", "equitune, in chunks", "ttach"
GROUP = "rot90"
#: Texts that images are compared with.
CLASSES = 100
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

    It seeds the global generator of torch.

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
            found[name] = _weighted(clip, name, device)
        else:
            found[name] = _averaged(clip, name, device, chunk)
        found[name] = torch.no_grad()(found[name])
    if clip.way.compiled:
        # Only now: what is called above is no batch that will come again.
        model: Any = clip.model
        model.visual = torch.compile(model.visual, dynamic=False)
    return found


def _weighted(clip: Clip, name: str, device: str) -> Method:
    """By one pass over all views, whose features are then weighed."""
    act, head = action(GROUP), _head(clip, device)
    net = Importance(head.text.shape[1]).requires_grad_(False).to(device)
    rules: dict[str, Weighting] = {**zero_shot(head), LAMBDA: Learned(net)}
    second = untrained(clip.name, device) if name == SECOND else None

    def call(images: Tensor) -> Tensor:
        if name == PRETRAINED:
            made: Tensor = head(clip.encode(images).float())
            return made
        views = act.orbit(images)
        shape, flat = views.shape[:2], views.flatten(0, 1)
        features = clip.encode(flat).float().unflatten(0, shape)
        orbits = Orbits(act.group, features, torch.empty(0))
        if second is None:
            return answer(rules[name], orbits, head, "logits")
        read = second.encode(flat).float().unflatten(0, shape)
        orbit = weigh(rules[LAMBDA], replace(orbits, features=read), head)
        return rules[LAMBDA].combine(replace(orbit, aligned=head(features)))

    return call


def _averaged(clip: Clip, name: str, device: str, chunk: int) -> Method:
    """The mean of the logits of all views, in one of three ways."""
    act, plain = action(GROUP), Logits(clip, _head(clip, device))

    def loop(images: Tensor) -> Tensor:
        return torch.stack([plain(act(g, images)) for g in act.group.elements]).mean(0)

    if name == LOOP:
        return loop
    if name == CHUNKS:
        return Equitune(plain, act, Trivial(act.group), chunk=chunk)
    turns = ttach.Compose([ttach.Rotate90([0, 90, 180, 270])])
    library: Method = ttach.ClassificationTTAWrapper(plain, turns, merge_mode="mean")
    return library


@torch.no_grad()
def _head(clip: Clip, device: str) -> Similarity:
    width = clip.encode(torch.zeros(1, 3, *sides(clip), device=device)).shape[-1]
    text = torch.randn(CLASSES, width, device=device)
    return Similarity(normalize(text, dim=-1), clip.scale)


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


def untrained(name: str, device: str) -> Clip:
    """A CLIP of the paper with random weights, or one that ships."""
    return load_clip(name, "openai" if name in SHIPPED else None).to(device)


def sides(clip: Clip) -> tuple[int, int]:
    """Height and width of the images that a CLIP takes, in pixels."""
    visual: Any = tower(clip)
    height, width = to_2tuple(visual.image_size)
    return height, width
