"""CLIPs by name: those that ship, and those that open_clip knows."""

from __future__ import annotations

import logging

import open_clip

from equinb.apps.clip.model import Clip, restore, weights_name
from equinb.lab import load_weights

#: The CLIPs that ship, of printed signs and of photographs.
SIGNS = ("glyph-resnet", "glyph-vit")
SHIPPED = (*SIGNS, "tiny-resnet", "tiny-vit")
#: The models of the paper, as open_clip calls them; the size of each in half precision,
#: in megabytes.
PAPER = {"RN50": 256, "RN101": 292, "ViT-B-32": 354, "ViT-B-16": 351}


def load_clip(name: str, pretrained: str | None = "openai") -> Clip:
    """A pretrained CLIP, in eval mode and without gradients.

    Args:
        name: one of `SHIPPED`, which come with equinb, or any architecture of
            open_clip.
        pretrained: whose weights, for an architecture of open_clip; its
            `list_pretrained()` has the names. None for random ones.

    Raises:
        ValueError: for a name that neither has, or weights that open_clip has not.
        OSError: if the weights cannot be downloaded, or a shipped file is missing.

    Example:
        >>> clip = load_clip("glyph-vit")
        >>> clip.classifier(["digit one", "digit two"], ["a {}."]).shape
        torch.Size([2, 128])
    """
    if name in SHIPPED:
        tensors, card = load_weights(weights_name(name))
        return restore(name, card["vision"], tensors)
    if name not in open_clip.list_models():
        raise ValueError(
            f"There is no CLIP {name!r}: there are {', '.join(SHIPPED)}, and what "
            "open_clip.list_models() lists, such as ViT-B-32."
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained is not None and pretrained not in tags:
        raise ValueError(
            f"open_clip has no weights {pretrained!r} for {name}; it has "
            f"{', '.join(tags)}."
        )
    disabled = logging.root.manager.disable
    if pretrained is None:  # then it warns of what was asked for
        logging.disable(logging.WARNING)
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(
            name, pretrained=pretrained, force_quick_gelu=_quick(name, pretrained)
        )
    except (OSError, RuntimeError) as error:
        if pretrained is None:
            raise
        size = f", about {PAPER[name]} MB" if name in PAPER else ""
        raise OSError(
            f"The weights {pretrained!r} of {name}{size} could not be loaded: "
            "open_clip downloads them from huggingface.co on first use; go online and "
            f"call load_clip({name!r}) again."
        ) from error
    finally:
        logging.disable(disabled)
    model.eval().requires_grad_(False)
    return Clip(name, model, open_clip.get_tokenizer(name), preprocess)


def _quick(name: str, pretrained: str | None) -> bool:
    """Whether weights were trained with OpenAI's faster kind of GELU."""
    if pretrained is None:
        return False
    return bool(open_clip.get_pretrained_cfg(name, pretrained).get("quick_gelu"))
