"""Decoding that respects a swap of words: EquiLM, R-EquiLM, EquizeroLM, R-EquizeroLM.

A batch holds the orbit of every text: row `(g, b)` is text `b` as the element `g` puts
it. EquiLM is a processor of scores, and Hugging Face's own `generate` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList

from equinb.apps.text.words import Swap

#: From a step to standard Gumbel noise `(B, V)`, a number for each token of each text.
Noise = Callable[[int], Tensor]
#: From token ids `(N, length)` to a proxy loss `(N,)`.
Score = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Sampling:
    """Which tokens may be drawn.

    Attributes:
        temperature: divides the logits.
        top_k: only the likeliest so many; with all that tie with the last of them.
        top_p: only the likeliest whose probabilities sum to so much; ties as well.
    """

    temperature: float = 1.0
    top_k: int | None = 40
    top_p: float | None = None

    def cut(self, log_p: Tensor) -> Tensor:
        """`(B, V)`: log-probabilities, those that may not be drawn at minus infinity.

        A token is kept or not for its probability alone, so the cut commutes with every
        permutation of the vocabulary.
        """
        least = torch.full_like(log_p[:, :1], -torch.inf)
        ordered = log_p.sort(-1, descending=True).values
        if self.top_k is not None:
            least = ordered[:, min(self.top_k, log_p.shape[1]) - 1, None]
        if self.top_p is not None:
            before = ordered.exp().cumsum(-1) - ordered.exp()
            last = (before < self.top_p).sum(-1, keepdim=True) - 1
            least = torch.maximum(least, ordered.gather(-1, last.clamp_min(0)))
        return log_p.masked_fill(log_p < least, -torch.inf)


def gumbel(seed: int, texts: int, size: int) -> Noise:
    """Noise for a run: to add it to log-probabilities and take the greatest is to draw.

    Args:
        seed: of all of it.
        texts: how many are written at once.
        size: of the vocabulary.
    """

    def noise(step: int) -> Tensor:
        random = torch.Generator().manual_seed(seed * 1_000_003 + step)
        uniform = torch.rand((texts, size), generator=random, dtype=torch.float64)
        return -(-(uniform.clamp_min(1e-300)).log()).log()

    return noise


class EquiProcessor(LogitsProcessor):
    r"""Averages what the branches say, and draws one token for all of them.

    The distribution is $\frac{1}{|G|} \sum_g g^{-1} p(gx)$, eq. (1) for the next token.
    The token is drawn by Gumbel noise that is indexed by token, so that branches stay
    views of one text, and decoding commutes with the group, noise included. Give the
    scores to `generate(..., do_sample=False)`: it takes the greatest.

    Args:
        swap: which words are swapped.
        start: the length of the prompts.
        sampling: which tokens may be drawn.
        noise: for drawing; None takes the likeliest token.
        relaxed: R-EquiLM: general tokens have the probability that the text as it is
            gives them; equality and neutral tokens share the rest.
    """

    def __init__(
        self,
        swap: Swap,
        start: int,
        sampling: Sampling,
        noise: Noise | None,
        relaxed: bool = False,
    ) -> None:
        self.swap, self.start, self.sampling = swap, start, sampling
        self.noise, self.relaxed = noise, relaxed

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores `(|G| B, V)` in which each branch's greatest is the same token."""
        order = self.swap.group.order
        p = (scores.double() / self.sampling.temperature).softmax(-1)
        branches = p.unflatten(0, (order, -1))
        # Sorted, the sum does not depend on which branch comes first.
        mean = self.swap.on_logits.undo(branches).sort(0).values.mean(0)
        if self.relaxed:
            mean = self._relaxed(mean, branches[self.swap.group.identity])
        made = self.sampling.cut(mean.log())
        if self.noise is not None:
            made = made + self.noise(input_ids.shape[1] - self.start).to(made)
        return self.swap.on_logits.orbit(made).flatten(0, 1)

    def _relaxed(self, mean: Tensor, as_it_is: Tensor) -> Tensor:
        general = self.swap.general.to(mean.device)
        rest = mean.masked_fill(general, 0)
        left = 1 - as_it_is[:, general].sum(-1, keepdim=True)
        return torch.where(general, as_it_is, rest * left / rest.sum(-1, keepdim=True))


@torch.no_grad()
def write(
    model: Any,
    prompts: Tensor,
    swap: Swap,
    steps: int,
    sampling: Sampling,
    noise: Noise | None = None,
    relaxed: bool = False,
) -> Tensor:
    """Continue prompts by EquiLM, or by R-EquiLM.

    Args:
        model: a causal language model of Hugging Face, in eval mode.
        prompts: `(B, length)`, token ids.
        swap: which words are swapped; of the trivial group, for plain sampling.
        steps: how many tokens to write.
        sampling: which tokens may be drawn.
        noise: for drawing; None takes the likeliest token.
        relaxed: R-EquiLM.

    Returns:
        `(B, length + steps)`: the texts, as the identity writes them.
    """
    rows = swap.on_ids.orbit(prompts).flatten(0, 1)
    processor = EquiProcessor(swap, prompts.shape[1], sampling, noise, relaxed)
    made: Tensor = model.generate(
        rows,
        attention_mask=torch.ones_like(rows),
        max_new_tokens=steps,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        logits_processor=LogitsProcessorList([processor]),
    )
    branches: Tensor = made.unflatten(0, (swap.group.order, -1))
    return branches[swap.group.identity]


@torch.no_grad()
def write_best(
    model: Any,
    prompts: Tensor,
    swap: Swap,
    steps: int,
    sampling: Sampling,
    noise: Noise,
    score: Score,
    chunk: int = 5,
) -> Tensor:
    """Continue prompts by EquizeroLM: chunk by chunk, the best branch's.

    Every branch continues its own text by so many tokens, with the same noise; each
    whole text is scored; the chunk of the least score, carried back, is appended to
    all. R-EquizeroLM is the same with fewer equality words: what is not swapped stays
    as it was drawn.

    Args:
        model: a causal language model of Hugging Face, in eval mode.
        prompts: `(B, length)`, token ids.
        swap: which words are swapped.
        steps: how many tokens to write.
        sampling: which tokens may be drawn.
        noise: for drawing; the same in every branch, so that a branch's text depends on
            $gx$ alone.
        score: the proxy loss of whole texts; the least is the best.
        chunk: tokens between two choices.

    Returns:
        `(B, length + steps)`: the texts, as the identity writes them.
    """
    order = swap.group.order
    start, cache = prompts.shape[1], DynamicCache()
    texts = prompts
    for done in range(0, steps, chunk):
        rows = swap.on_ids.orbit(texts).flatten(0, 1)
        count = min(chunk, steps - done)
        made = _draw(model, rows, count, start, sampling, noise, cache)
        branches = made.unflatten(0, (order, -1))
        best = choose(score(made).unflatten(0, (order, -1)), branches)
        chosen = branches[best, torch.arange(len(best))]
        texts = torch.cat([texts, _back(swap, best, chosen)[:, texts.shape[1] :]], 1)
        # What each branch wrote for itself is forgotten; what came before it is kept.
        cache.crop(rows.shape[1] - 1 - cache.get_seq_length())
    return texts


def _back(swap: Swap, elements: Tensor, rows: Tensor) -> Tensor:
    """`(B, length)`: each row carried back from the branch of its element."""
    made = rows.clone()
    for g in elements.unique().tolist():
        mine = elements == g
        made[mine] = swap.on_ids(int(swap.group.inverses[g]), rows[mine])
    return made


def choose(scores: Tensor, branches: Tensor) -> Tensor:
    """`(B,)`: the branch of least score; of those that tie, that whose ids come first.

    Which one that is depends on the orbit alone, not on where it begins.

    Args:
        scores: `(|G|, B)`.
        branches: `(|G|, B, length)`, token ids.
    """
    chosen = []
    for s, rows in zip(scores.T.tolist(), branches.movedim(0, 1).tolist(), strict=True):
        best = min(s)
        chosen.append(min((row, g) for g, row in enumerate(rows) if s[g] == best)[1])
    return torch.tensor(chosen)


def _draw(
    model: Any,
    rows: Tensor,
    steps: int,
    start: int,
    sampling: Sampling,
    noise: Noise,
    cache: DynamicCache,
) -> Tensor:
    """Every row draws tokens for itself, all branches of a text with the same noise."""
    # Its name has changed in transformers 5.
    named = "cache" in signature(model.forward).parameters
    known = {"cache" if named else "past_key_values": cache, "use_cache": True}
    for step in range(rows.shape[1] - start, rows.shape[1] - start + steps):
        fresh = rows[:, cache.get_seq_length() :]
        scores = model(fresh, **known).logits[:, -1]
        log_p = (scores.double() / sampling.temperature).log_softmax(-1)
        shared = noise(step).to(log_p)
        made = sampling.cut(log_p) + shared.repeat(len(rows) // len(shared), 1)
        rows = torch.cat([rows, made.argmax(-1, keepdim=True)], 1)
    return rows
