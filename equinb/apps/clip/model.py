"""A CLIP with all that it needs: both towers, tokenizer and preprocessing.

Ours are of open_clip's own classes, so what serves them serves its published models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

#: The CLIPs that we train: the side of their images, the width of their features, and
#: the most tokens of a caption.
SIDE, WIDTH, CONTEXT = 32, 128, 16
TEXT: dict[str, Any] = {"context_length": CONTEXT, "width": 64, "heads": 2, "layers": 2}


class Tokenizer:
    """CLIP's own tokenizer, kept to the tokens that some captions need.

    A vocabulary of hundreds instead of 49,408 makes a small model small. Their order is
    kept, so the end of a caption still has the greatest id, as open_clip's text towers
    expect.

    Args:
        tokens: the ids that are kept, ascending; start and end of a text among them.

    Example:
        >>> tokenizer = Tokenizer.for_captions(["a dog.", "a cat."])
        >>> tokenizer(["a cat."])[0, :6]
        tensor([4, 1, 3, 0, 5, 0])
    """

    def __init__(self, tokens: Sequence[int] | Tensor) -> None:
        self.tokens = torch.as_tensor(tokens)
        self.whole = SimpleTokenizer(context_length=CONTEXT)

    @classmethod
    def for_captions(cls, captions: Sequence[str]) -> Tokenizer:
        """The tokenizer that has what these captions need, and no more."""
        whole = SimpleTokenizer(context_length=CONTEXT)
        ids = whole(list(captions)).unique()
        return cls(ids[ids > 0])  # 0 pads

    def __len__(self) -> int:
        return len(self.tokens)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """`(N, 16)`: the ids of texts, padded with 0.

        Raises:
            ValueError: for a text with a word that no caption had.
        """
        ids: Tensor = self.whole(list(texts))
        place = torch.searchsorted(self.tokens, ids).clamp_max(len(self) - 1)
        unknown = (self.tokens[place] != ids) & (ids > 0)
        if bool(unknown.any()):
            text = texts[int(unknown.nonzero()[0, 0])]
            raise ValueError(
                f"This model has never seen {self._unknown(text)!r} in a caption, so "
                f"it cannot read {text!r}: use words of its captions, or a published "
                'model such as load_clip("ViT-B-32").'
            )
        return torch.where(ids > 0, place, 0)

    def _unknown(self, text: str) -> str:
        """The first word of a text that has a token that no caption had."""
        known = set(self.tokens.tolist())
        words: list[str] = self.whole.pat.findall(self.whole.clean_fn(text))
        return next(
            word for word in words if not known.issuperset(self.whole.encode(word))
        )


@dataclass(frozen=True)
class Clip:
    """A CLIP and what goes with it.

    Attributes:
        name: what it is called.
        model: one of open_clip's, with both towers.
        tokenizer: from texts to ids `(N, words)`.
        preprocess: from a PIL image to a tensor `(3, side, side)`.
    """

    name: str
    model: nn.Module
    tokenizer: Callable[[list[str]], Tensor]
    preprocess: Callable[[Image.Image], Tensor]

    def encode(self, images: Tensor) -> Tensor:
        """`(N, d)`: the features of preprocessed images `(N, 3, side, side)`."""
        features: Tensor = self.model.encode_image(images)  # type: ignore[operator]
        return features

    def encode_unit(self, images: Tensor) -> Tensor:
        """`(N, d)`: the features, each scaled to length one."""
        return normalize(self.encode(images), dim=-1)

    @property
    def scale(self) -> float:
        """One over the temperature, learned with the towers; 100 for OpenAI's."""
        return float(self.model.logit_scale.detach().exp())  # type: ignore[operator]

    @torch.no_grad()
    def classifier(self, classes: Sequence[str], templates: Sequence[str]) -> Tensor:
        """`(classes, d)`: the mean of each class's captions, of length one.

        Args:
            classes: their names.
            templates: with a pair of braces where the name goes.
        """
        device = next(self.model.parameters()).device
        features = []
        for name in classes:
            ids = self.tokenizer([template.format(name) for template in templates])
            told = self.model.encode_text(ids.to(device))  # type: ignore[operator]
            features.append(normalize(told.float(), dim=-1).mean(0))
        return normalize(torch.stack(features), dim=-1)

    def to(self, device: str) -> Clip:
        """The same, its towers on a device."""
        self.model.to(device)
        return self


class Similarity(nn.Module):
    """The head of a CLIP: cosines of image features to texts, over a temperature.

    Args:
        text: `(classes, d)` of length one.
        scale: one over the temperature.

    Example:
        >>> Similarity(torch.eye(2), scale=100.0)(torch.tensor([[3.0, 4.0]]))
        tensor([[60.0000, 80.0000]])
    """

    text: Tensor

    def __init__(self, text: Tensor, scale: float) -> None:
        super().__init__()
        self.register_buffer("text", text)
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """`(N, classes)`: logits of features `(N, d)`, in float32 at least."""
        features = features if features.dtype == torch.float64 else features.float()
        unit = normalize(features, dim=-1)
        return self.scale * unit @ self.text.to(unit).T


def build(name: str, vision: Mapping[str, Any], tokenizer: Tokenizer) -> Clip:
    """An untrained CLIP for images of 32 by 32 pixels.

    Args:
        name: what it is called.
        vision: the image tower, as open_clip's `vision_cfg`.
        tokenizer: whose vocabulary its text tower has.
    """
    model = open_clip.CLIP(
        embed_dim=WIDTH,
        vision_cfg={"image_size": SIDE, **vision},
        text_cfg={"vocab_size": len(tokenizer), **TEXT},
    )
    return Clip(name, model, tokenizer, preprocessing(SIDE))


def preprocessing(side: int) -> Callable[[Image.Image], Tensor]:
    """Open_clip's preprocessing: resize, crop to a square, normalise."""
    transform: Callable[[Image.Image], Tensor]
    transform = open_clip.image_transform(side, is_train=False)
    return transform


def normalise(images: Tensor) -> Tensor:
    """Bytes `(N, 3, side, side)` as `preprocessing` leaves images of that side."""
    mean, std = (
        torch.tensor(value, device=images.device)[:, None, None]
        for value in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    return (images.float() / 255 - mean) / std


def pack(clip: Clip) -> dict[str, Tensor]:
    """The weights of one of our CLIPs as float16, and its vocabulary, for shipping."""
    assert isinstance(clip.tokenizer, Tokenizer)
    tensors = {
        name: t.detach().half().cpu() if t.is_floating_point() else t.cpu()
        for name, t in clip.model.state_dict().items()
    }
    return {**tensors, "tokens": clip.tokenizer.tokens}


def restore(
    name: str, vision: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Clip:
    """The CLIP that `pack` has packed, in eval mode and without gradients."""
    clip = build(name, vision, Tokenizer(tensors["tokens"]))
    weights = {
        key: t.float() if t.is_floating_point() else t
        for key, t in tensors.items()
        if key != "tokens"
    }
    clip.model.load_state_dict(weights)
    clip.model.eval().requires_grad_(False)
    return clip


def weights_name(name: str) -> str:
    """The file of a model that ships, below the assets."""
    return f"clip/{name}.safetensors"
