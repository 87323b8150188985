"""Decoding that respects a swap of words: EquiLM, R-EquiLM, EquizeroLM, R-EquizeroLM.

And lambda-EquiLM, which lies between EquiLM and EquizeroLM.

A batch holds the orbit of every text: row `(g, b)` is text `b` as the element `g` puts
it. EquiLM is a processor of scores, which Hugging Face's own `generate` takes as well.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import accumulate
from math import exp
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor

from equinb.apps.text.words import Swap

#: From a step to standard Gumbel noise `(B, V)`, a number for each token of each text.
Noise = Callable[[int], Tensor]
#: From token ids `(N, length)` to a proxy loss `(N,)`.
Score = Callable[[Tensor], Tensor]
#: Two scores tie when they differ by no more than this times the largest of the orbit.
TIE = 1e-6
TINY = 1e-300


@dataclass(frozen=True)
class Sampling:
    """Which tokens may be drawn.

    Attributes:
        temperature: divides the logits.
        top_k: only the likeliest so many; with all that tie with the last of them.
        top_p: only the likeliest whose probabilities, of all tokens, sum to so much;
            ties as well.

    Raises:
        ValueError: for a temperature that is not positive, or a cut that keeps nothing.

    Example:
        >>> log_p = torch.tensor([[0.5, 0.2, 0.2, 0.1]]).log()
        >>> Sampling(top_k=2).cut(log_p).isfinite()
        tensor([[ True,  True,  True, False]])
    """

    temperature: float = 1.0
    top_k: int | None = 40
    top_p: float | None = None

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(
                f"The temperature is positive; got {self.temperature}. For the "
                "likeliest token give no noise."
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k keeps at least one token; got {self.top_k}.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is above 0 and at most 1; got {self.top_p}.")

    def log_p(self, scores: Tensor) -> Tensor:
        """`(B, V)`: log-probabilities in float64, of a model's logits."""
        return (scores.double() / self.temperature).log_softmax(-1)

    def cut(self, log_p: Tensor) -> Tensor:
        """`(B, V)`: log-probabilities, those that may not be drawn at minus infinity.

        A token is kept or not for its probability alone, so the cut commutes with every
        permutation of the vocabulary.
        """
        least = torch.full_like(log_p[:, :1], -torch.inf)
        if self.top_k is not None:
            count = min(self.top_k, log_p.shape[1])
            least = log_p.topk(count).values[:, -1:]
        if self.top_p is not None:
            ordered = log_p.sort(-1, descending=True).values
            before = ordered.exp().cumsum(-1) - ordered.exp()
            last = (before < self.top_p).sum(-1, keepdim=True) - 1
            least = torch.maximum(least, ordered.gather(-1, last.clamp_min(0)))
        return log_p.masked_fill(log_p < least, -torch.inf)


def gumbel(seed: int, texts: int, size: int) -> Noise:
    """Noise for a run: to add it to log-probabilities and take the greatest is to draw.

    Args:
        seed: of all of it; take another one for every batch of texts.
        texts: how many are written at once.
        size: of the vocabulary.
    """
    seeds = np.random.SeedSequence(seed).generate_state(2)

    def noise(step: int) -> Tensor:
        random = np.random.default_rng([*seeds, step])
        return torch.from_numpy(random.gumbel(size=(texts, size)))

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
        branches = self.sampling.log_p(scores).exp().unflatten(0, (order, -1))
        # Sorted, the sum does not depend on which branch comes first.
        mean = self.swap.on_logits.undo(branches).sort(0).values.mean(0)
        if self.relaxed:
            mean = self._relaxed(mean, branches[self.swap.group.identity])
        made = self.sampling.cut(mean.log())
        if self.noise is not None:
            step = input_ids.shape[1] - self.start
            made = made + _noise_of(self.noise, step, made)
        return self.swap.on_logits.orbit(made).flatten(0, 1)

    def _relaxed(self, mean: Tensor, as_it_is: Tensor) -> Tensor:
        general = self.swap.general.to(mean.device)
        rest = mean.masked_fill(general, 0)
        # A sum of what is left, not one less the others: it is never negative.
        left = as_it_is.masked_fill(general, 0).sum(-1, keepdim=True)
        share = rest / rest.sum(-1, keepdim=True).clamp_min(TINY)
        return torch.where(general, as_it_is, share * left)


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
    r"""Continue prompts by EquiLM, or by R-EquiLM; past an end of text as well.

    EquiLM commutes with the group if the noise is moved along: of $gx$ with the noise
    $gn$ it makes $g$ of what it makes of $x$ with $n$.

    Args:
        model: a causal language model of Hugging Face, in eval mode.
        prompts: `(B, length)`, token ids, of one length and without padding.
        swap: which words are swapped; `swap_of([], V)` for plain sampling.
        steps: how many tokens to write.
        sampling: which tokens may be drawn.
        noise: for drawing; None takes the likeliest token.
        relaxed: R-EquiLM.

    Returns:
        `(B, length + steps)`: the texts, as the identity puts them.

    Raises:
        ValueError: for prompts or noise of another shape, or a model in training mode.
    """
    _require_prompts(model, prompts)
    rows = swap.on_ids.orbit(prompts).flatten(0, 1)
    processor = EquiProcessor(swap, prompts.shape[1], sampling, noise, relaxed)
    made = _grow(model, rows, steps, processor, DynamicCache())
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
    seed: int = 0,
    temperature: float = 0.0,
) -> Tensor:
    r"""Continue prompts by EquizeroLM: chunk by chunk, the best branch's.

    Every branch continues its own text by so many tokens, with the same noise; each
    whole text is scored; the chunk of the least score, carried back, is appended to
    all. R-EquizeroLM is the same with fewer equality words: what is not swapped stays
    as it was drawn.

    With a temperature $\tau$ it is $\lambda$-EquiLM: the branch whose chunk is appended
    is drawn by importance weights $\lambda(gx) \propto \exp(-\text{score} / \tau)$.
    With $\tau = \infty$ and chunks of one token that is EquiLM: to draw a branch evenly
    and then its token is to draw from the mean of their distributions.

    It commutes with the group, the noise as it is: of $gx$ it makes $g$ of what it
    makes of $x$. Where an element leaves the text as it is, there is nothing to tell
    its branches apart, and one of them is drawn: then it does so in distribution.

    Args:
        model: a causal language model of Hugging Face with a cache of keys and values,
            in eval mode.
        prompts: `(B, length)`, token ids, of one length and without padding.
        swap: which words are swapped.
        steps: how many tokens to write.
        sampling: which tokens may be drawn.
        noise: for drawing; the same in every branch, so that a branch's text depends on
            $gx$ alone.
        score: the proxy loss of whole texts; the least is the best.
        chunk: tokens between two choices.
        seed: of the draws among branches.
        temperature: in the score's unit; 0 takes the best branch.

    Returns:
        `(B, length + steps)`: the texts, as the identity puts them.

    Raises:
        ValueError: for prompts, noise or scores of another shape, scores that are not
            finite, a negative temperature, or a model in training mode.
    """
    _require_prompts(model, prompts)
    if not temperature >= 0:
        raise ValueError(f"The temperature is 0 or above; got {temperature}.")
    order, start, cache = swap.group.order, prompts.shape[1], DynamicCache()
    draws = torch.Generator().manual_seed(seed)
    texts = prompts

    def drawn(input_ids: Tensor, scores: Tensor) -> Tensor:
        log_p = sampling.cut(sampling.log_p(scores)).unflatten(0, (order, -1))
        step = input_ids.shape[1] - start
        made: Tensor = log_p + _noise_of(noise, step, log_p[0])
        return made.flatten(0, 1)

    for done in range(0, steps, chunk):
        rows = swap.on_ids.orbit(texts).flatten(0, 1)
        made = _grow(model, rows, min(chunk, steps - done), drawn, cache)
        branches = made.unflatten(0, (order, -1))
        scores = _scores_of(score, made).unflatten(0, (order, -1))
        taken = choose(scores, branches, draws, temperature)
        chosen = branches[taken, torch.arange(len(taken))]
        texts = torch.cat([texts, _back(swap, taken, chosen)[:, texts.shape[1] :]], 1)
        # What each branch wrote for itself is forgotten; what came before it is kept.
        cache.crop(rows.shape[1] - 1 - cache.get_seq_length())
    return texts


def choose(
    scores: Tensor, branches: Tensor, draws: torch.Generator, temperature: float = 0.0
) -> Tensor:
    r"""`(B,)`: the branch of least score; of those that tie, that whose ids come first.

    With a temperature $\tau$ a branch is drawn, with the weights
    $\lambda_g \propto \exp(-\text{score}_g / \tau)$. Branches that are one text to the
    letter are drawn from, all alike. Otherwise the choice depends on the orbit alone,
    not on where it begins.

    Args:
        scores: `(|G|, B)`; they tie within `TIE`.
        branches: `(|G|, B, length)`, token ids.
        draws: one number is taken of it for each text.
        temperature: 0 takes the best.

    Example:
        >>> branches = torch.tensor([[[3, 1]], [[2, 9]], [[2, 8]]])
        >>> scores = torch.tensor([[0.0], [0.0], [0.0]])
        >>> choose(scores, branches, torch.Generator())
        tensor([2])
    """
    uniform = torch.rand(scores.shape[1], generator=draws).tolist()
    rows = zip(scores.T.tolist(), branches.movedim(0, 1).tolist(), uniform, strict=True)
    return torch.tensor([_choice(s, texts, u, temperature) for s, texts, u in rows])


def _choice(
    scores: Sequence[float],
    texts: list[list[int]],
    u: float,
    temperature: float,
) -> int:
    """The branch of one text for a number `u` in [0, 1)."""
    low = min(scores)
    if temperature > 0:
        weights = [exp((low - s) / temperature) for s in scores]
    else:
        edge = low + TIE * max(map(abs, scores))
        first = min(text for text, s in zip(texts, scores, strict=True) if s <= edge)
        weights = [float(text == first) for text in texts]
    # In the order of the ids, which is the same wherever the orbit begins.
    ordered = sorted(range(len(texts)), key=texts.__getitem__)
    reached = list(accumulate(weights[g] for g in ordered))
    return ordered[bisect_right(reached, u * reached[-1])]


def _back(swap: Swap, elements: Tensor, rows: Tensor) -> Tensor:
    """`(B, length)`: each row carried back from the branch of its element."""
    made = rows.clone()
    for g in elements.unique().tolist():
        mine = elements == g
        made[mine] = swap.on_ids(int(swap.group.inverses[g]), rows[mine])
    return made


def _grow(
    model: Any,
    rows: Tensor,
    steps: int,
    processor: Callable[[Tensor, Tensor], Tensor],
    cache: DynamicCache,
) -> Tensor:
    """Rows with the tokens of greatest processed score, one after the other."""
    # What the cache is called has changed with the versions of transformers.
    named = "cache" in signature(model.forward).parameters
    known = {"cache" if named else "past_key_values": cache, "use_cache": True}
    for _ in range(steps):
        fresh = rows[:, cache.get_seq_length() :]
        scores = model(fresh, **known).logits[:, -1]
        rows = torch.cat([rows, processor(rows, scores).argmax(-1, keepdim=True)], 1)
    return rows


def _noise_of(noise: Noise, step: int, like: Tensor) -> Tensor:
    made = noise(step)
    if made.shape != like.shape:
        raise ValueError(
            f"The noise has a number for each token of each text, shape "
            f"{tuple(like.shape)}; got {tuple(made.shape)}."
        )
    return made.to(like)


def _scores_of(score: Score, rows: Tensor) -> Tensor:
    made = score(rows)
    if made.shape != rows.shape[:1] or not bool(made.isfinite().all()):
        raise ValueError(
            f"The score gives one finite number a text, shape ({len(rows)},); got "
            f"shape {tuple(made.shape)}, or NaN or infinity."
        )
    return made


def _require_prompts(model: Any, prompts: Tensor) -> None:
    if prompts.ndim != 2 or not prompts.numel():
        raise ValueError(
            f"Prompts are token ids (B, length); got shape {tuple(prompts.shape)}."
        )
    if model.training:
        raise ValueError("The model is in training mode: call model.eval() first.")
