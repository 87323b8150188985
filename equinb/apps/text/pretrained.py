"""Causal language models by name: those that ship, and any of Hugging Face's hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
)

from equinb.apps.text.tokens import tokenizer_of
from equinb.lab import load_weights

#: Language models that ship, of film reviews; the first is the smallest.
SHIPPED = ("reviews-tiny", "reviews-small")


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model, in eval mode and without gradients.

    Attributes:
        name: what it is called.
        model: of Hugging Face.
        tokenizer: of Hugging Face.
    """

    name: str
    model: Any
    tokenizer: Any

    @property
    def size(self) -> int:
        """How many tokens the model knows."""
        return int(self.model.config.vocab_size)

    def tokens(self, text: str) -> Tensor:
        """`(length,)`: the ids of a text."""
        return torch.tensor(self.tokenizer.encode(text, add_special_tokens=False))

    def to(self, device: str) -> LanguageModel:
        """The same on a device."""
        self.model.to(device)
        return self


def load_language_model(name: str) -> LanguageModel:
    """A language model by name.

    Args:
        name: one of `SHIPPED`, which come with equinb; or of Hugging Face's hub, such
            as "gpt2", which transformers downloads.

    Raises:
        OSError: if it does not come with equinb and cannot be downloaded.
    """
    if name in SHIPPED:
        tensors, card = load_weights(weights_name(name))
        return restore(name, card["network"], tensors)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model: Any = AutoModelForCausalLM.from_pretrained(name, use_safetensors=True)
    except OSError as error:
        raise OSError(
            f"{name} does not come with equinb ({', '.join(SHIPPED)} do) and could not "
            "be loaded: transformers downloads models from huggingface.co on first "
            f"use; go online and call load_language_model({name!r}) again."
        ) from error
    return LanguageModel(name, model.eval().requires_grad_(False), tokenizer)


def weights_name(name: str) -> str:
    """The file of a language model that ships, below the assets."""
    return f"text/{name}.safetensors"


def build(network: Mapping[str, Any]) -> GPT2LMHeadModel:
    """A GPT-2 with random weights.

    Args:
        network: arguments of transformers' `GPT2Config`.
    """
    last = network["vocab_size"] - 1
    return GPT2LMHeadModel(GPT2Config(**network, bos_token_id=last, eos_token_id=last))


def pack(model: GPT2LMHeadModel, merges: Tensor) -> dict[str, Tensor]:
    """The weights of a model in half precision, with those of its tokenizer."""
    # The last layer is the first one, transposed.
    kept = {k: v.half() for k, v in model.transformer.state_dict().items()}
    return {**kept, "merges": merges.int()}


def restore(
    name: str, network: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> LanguageModel:
    """A language model with the weights that `pack` made."""
    with torch.random.fork_rng(devices=[]):
        model: Any = build(network)
    weights = {key: value for key, value in tensors.items() if key != "merges"}
    model.transformer.load_state_dict(weights)
    model.eval().requires_grad_(False)
    return LanguageModel(name, model, tokenizer_of(tensors["merges"]))
