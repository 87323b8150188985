"""Byte-pair tokenizers small enough to ship inside the weights of their model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

#: What stands between texts; the last token, as in GPT-2.
END = "<|endoftext|>"
#: The characters that stand for the 256 bytes.
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


def learn_merges(texts: Iterable[str], size: int) -> Tensor:
    """`(n, 2)`: the pairs of tokens that byte-pair encoding merges, in order.

    Token 0 to 255 are the bytes; each merge makes the next, if it is new.

    Args:
        texts: to learn from.
        size: of the vocabulary, the end of text included.

    Raises:
        ValueError: if the texts are too few for so many tokens.

    Example:
        >>> learn_merges(["no no no"], 258)  # "n" and "o"
        tensor([[77, 78]], dtype=torch.int32)
    """
    tokenizer = _tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=size - 1, initial_alphabet=BYTES, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != size - 1:
        raise ValueError(
            f"These texts make no more than {tokenizer.get_vocab_size() + 1} tokens, "
            f"and the vocabulary is to have {size}: give more texts, or a smaller size."
        )
    vocabulary = tokenizer.get_vocab()
    pairs = json.loads(tokenizer.to_str())["model"]["merges"]
    rows = [[vocabulary[token] for token in pair] for pair in pairs]
    return torch.tensor(rows, dtype=torch.int32)


def tokenizer_of(merges: Tensor) -> PreTrainedTokenizerFast:
    """The tokenizer that `learn_merges` made, as Hugging Face's models have it.

    Args:
        merges: `(n, 2)`.

    Example:
        >>> tokenizer = tokenizer_of(learn_merges(["no no no"], 258))
        >>> tokenizer.encode("no!"), len(tokenizer)
        ([256, 0], 258)
    """
    tokens, pairs = {token: place for place, token in enumerate(BYTES)}, []
    names = list(BYTES)
    for left, right in merges.tolist():
        pairs.append((names[left], names[right]))
        both = names[left] + names[right]
        if both not in tokens:
            tokens[both] = len(tokens)
            names.append(both)
    tokenizer = _tokenizer(models.BPE(vocab=tokens, merges=pairs))
    tokenizer.add_special_tokens([END])
    whole: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerFast = whole(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END
    )
    return made


def _tokenizer(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
