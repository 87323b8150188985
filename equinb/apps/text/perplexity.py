"""The experiment `text-perplexity`: how well models tell the next token of reviews.

    equinb run text-perplexity --preset quick   # the smallest, on a part
    equinb run text-perplexity --preset small   # those that ship, on all

Beside them stands an interpolated Kneser-Ney trigram of the same tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from equinb.apps.text.pretrained import SHIPPED, load_language_model, weights_name
from equinb.apps.text.reviews import reviews
from equinb.apps.text.trigram import KneserNey
from equinb.lab import Experiment, Job, Made, Report

TRIGRAM = "trigram"
#: Windows, or texts, at once.
CHUNK = 32


@dataclass(frozen=True)
class PerplexityOptions:
    """What a run can be told.

    Attributes:
        models: names that `load_language_model` knows.
        asked: how many tokens of each set a model is asked for; None for all.
    """

    models: tuple[str, ...] = SHIPPED
    asked: int | None = None


def jobs(options: PerplexityOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model, and one for a trigram of the tokens of the first."""
    by = [(model, "itself") for model in options.models]
    by += [(model, TRIGRAM) for model in options.models[:1]]
    # Nothing is random.
    return [Job(seeds[0], {"model": model, "by": how}) for model, how in by]


def work(options: PerplexityOptions, job: Job, device: str, report: Report) -> Made:
    """Ask a model, or a trigram of its tokens, for the next token of every review."""
    loaded = load_language_model(str(job.settings["model"])).to(device)
    told = {
        split: stream(split, loaded.tokenizer)[: options.asked]
        for split in ("validation", "test")
    }
    if job.settings["by"] == TRIGRAM:
        train = stream("training", loaded.tokenizer).numpy()
        counted = KneserNey(train, loaded.size)
        found = {split: counted.perplexity(ids.numpy()) for split, ids in told.items()}
    else:
        found = {split: perplexity(loaded.model, ids) for split, ids in told.items()}
    report(1)
    return Made([{"set": split, "perplexity": value} for split, value in found.items()])


@torch.no_grad()
def perplexity(model: Any, tokens: Tensor) -> float:
    """Of the tokens of a stream `(n,)`, each after at least half a window.

    The model reads windows of its whole length, each half over the one before, and is
    asked for the second half of each; the first window is asked for all but its first
    token.

    Raises:
        ValueError: for fewer tokens than a window has.
    """
    length = int(model.config.n_positions)
    half, device = length // 2, next(model.parameters()).device
    if len(tokens) < length:
        raise ValueError(
            f"A window has {length} tokens, and there are {len(tokens)}: give more."
        )
    windows = tokens.unfold(0, length, half)
    total, count = 0.0, 0
    for place, ids in enumerate(windows.split(CHUNK)):
        ids = ids.to(device)
        logits = model(ids[:, :-1], use_cache=False).logits.float()
        lost = cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        kept = torch.ones_like(lost, dtype=torch.bool)
        kept[1 if place == 0 else 0 :, : length - 1 - half] = False
        total += float(lost[kept].double().sum())
        count += int(kept.sum())
    return math.exp(total / count)


@cache
def stream(split: str, tokenizer: Any) -> Tensor:
    """`(n,)`: the tokens of all reviews of a split, an end of text before each."""
    texts = [tokenizer.bos_token + text for text, _ in reviews(split)]
    parts: list[Tensor] = []
    for first in range(0, len(texts), CHUNK):
        some = tokenizer(texts[first : first + CHUNK], return_attention_mask=False)
        parts.extend(torch.tensor(ids) for ids in some["input_ids"])
    return torch.cat(parts)


def reads(options: PerplexityOptions, seeds: Sequence[int]) -> Iterable[str]:
    """The shipped models that a run reads."""
    return sorted(
        f"assets/{weights_name(name)}" for name in options.models if name in SHIPPED
    )


EXPERIMENT = Experiment(
    name="text-perplexity",
    title="How well language models tell the next token of film reviews",
    presets={
        "quick": PerplexityOptions(SHIPPED[:1], 20_000),
        "small": PerplexityOptions(),
    },
    jobs=jobs,
    work=work,
    keys=("model", "by", "set"),
    value="perplexity",
    packages=("torch", "transformers", "tokenizers", "numpy"),
    reads=reads,
)
