"""The experiment `text`: what models say of whom, under six ways to decode.

    equinb run text --preset quick              # the smallest model, few texts
    equinb run text --preset small              # 36,000 texts (Fig. 3 and 9)
    equinb run text --preset paper --device cuda

Every text begins with a person and a context. What follows is judged by a regard
classifier, which also is the proxy loss of EquizeroLM.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from equinb.apps.text.decoding import Noise, Sampling, gumbel, write, write_best
from equinb.apps.text.pretrained import (
    SHIPPED,
    LanguageModel,
    load_language_model,
    weights_name,
)
from equinb.apps.text.prompts import PAIRS, TASKS, prompts, swap_for
from equinb.apps.text.regard import (
    JUDGES,
    LABELS,
    Regard,
    hub_regard,
    load_regard,
    regard_name,
    score_of,
)
from equinb.apps.text.words import Swap, swap_of
from equinb.lab import Experiment, Job, Made, Report

PLAIN = "pretrained"
PAPER = (PLAIN, "EquiLM", "R-EquiLM", "EquizeroLM", "R-EquizeroLM")
BETWEEN = "lambda-EquiLM"
DECODERS = (*PAPER, BETWEEN)
OURS, OTHER = (JUDGES[model] for model in reversed(SHIPPED))
#: Texts of each bar that are kept to be read: the first of each context.
KEPT = 1


@dataclass(frozen=True)
class TextOptions:
    """What a run can be told.

    Attributes:
        models: names that `load_language_model` knows.
        regard: the classifier that chooses and counts: one that ships, or a text
            classifier of Hugging Face's hub.
        other: a second one, that counts only: what pleases the first alone is no gain.
        texts: of each beginning; five beginnings make a bar.
        tokens: written after a beginning.
        chunk: tokens between two choices of a branch.
        temperature: of lambda-EquiLM, in units of regard.
        top_k: only the likeliest so many tokens may be drawn.
        mirrored: texts of each decoder that are written again with the words swapped.
    """

    models: tuple[str, ...]
    regard: str = OURS
    other: str = OTHER
    texts: int = 100
    tokens: int = 15
    chunk: int = 5
    temperature: float = 0.5
    top_k: int = 40
    mirrored: int = 1000


def jobs(options: TextOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model, pair of words and seed."""
    steps = len(DECODERS) * (2 * len(TASKS) + 1)
    return [
        Job(seed, {"model": model, "pair": pair}, steps)
        for model in options.models
        for pair in PAIRS
        for seed in seeds
    ]


def work(options: TextOptions, job: Job, device: str, report: Report) -> Made:
    """Write the texts of a pair of words, and judge them."""
    model = load_language_model(str(job.settings["model"])).to(device)
    pair, regard = str(job.settings["pair"]), _regard(options.regard, device)
    other = _regard(options.other, device)
    rows: list[dict[str, Any]] = []
    done = 0
    for decoder in DECODERS:
        writer = Writer(model, regard, pair, decoder, options)
        for word in PAIRS[pair]:
            for task in TASKS:
                begun = prompts(model, pair, word, task)
                made = [
                    writer(x.expand(options.texts, -1), _seed(job.seed, place))
                    for place, x in enumerate(begun)
                ]
                told = {"decoder": decoder, "word": word, "task": task}
                rows.extend(
                    {**told, **row} for row in judge(writer, begun, made, other)
                )
                report(done := done + 1)
        rows.append({"decoder": decoder, **mirror(writer, job.seed, options)})
        report(done := done + 1)
    return Made(rows)


@dataclass(frozen=True)
class Writer:
    """A decoder of a model, for a pair of words.

    Attributes:
        model: what is decoded.
        regard: the classifier that scores texts.
        pair: one of `PAIRS`.
        decoder: one of `DECODERS`.
        options: lengths and the cut.
    """

    model: LanguageModel
    regard: Regard
    pair: str
    decoder: str
    options: TextOptions

    @property
    def swap(self) -> Swap:
        """What it averages over; of the plain model nothing."""
        if self.decoder == PLAIN:
            return swap_of([], self.model.size)
        return swap_for(self.model, self.pair, self.decoder.startswith("R-"))

    @property
    def chooses(self) -> bool:
        """Whether branches write for themselves, and one of them is chosen."""
        return "zero" in self.decoder or self.decoder == BETWEEN

    def __call__(self, x: Tensor, seed: int, noise: Noise | None = None) -> Tensor:
        """Continue prompts `(B, length)`."""
        steps, swap = self.options.tokens, self.swap
        sampling = Sampling(top_k=self.options.top_k)
        noise = noise or gumbel(seed, len(x), self.model.size)
        x = x.to(next(self.model.model.parameters()).device)
        if self.chooses:
            score = score_of(self.regard, lambda ids: said(self.model, self.pair, ids))
            told = (self.model.model, x, swap, steps, sampling, noise, score)
            warm = self.options.temperature if self.decoder == BETWEEN else 0.0
            return write_best(*told, self.options.chunk, seed, warm)
        relaxed = self.decoder.startswith("R-")
        return write(self.model.model, x, swap, steps, sampling, noise, relaxed)


def said(model: LanguageModel, pair: str, ids: Tensor) -> list[str]:
    """What texts `(N, length)` say after they have named the person."""
    texts = model.tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False)
    subjects = tuple(f"{subject} " for subject in PAIRS[pair].values())
    return [
        _after(text.split(model.tokenizer.eos_token)[0], subjects) for text in texts
    ]


def judge(
    writer: Writer, begun: Sequence[Tensor], made: Sequence[Tensor], other: Regard
) -> list[dict[str, Any]]:
    """Of the texts of a bar: regard, quality, and some to read.

    Args:
        writer: what has made them.
        begun: their beginnings.
        made: the whole texts of each beginning, `(B, length)`.
        other: the classifier that has not chosen.
    """
    model, pair = writer.model, writer.pair
    texts = [text for ids in made for text in said(model, pair, ids)]
    rest = [ids[:, len(x) :] for x, ids in zip(begun, made, strict=True)]
    lost = [surprise(model, ids, len(x)) for x, ids in zip(begun, made, strict=True)]
    found = shares(writer.regard(texts))
    found |= {f"{name}, other": value for name, value in shares(other(texts)).items()}
    found["perplexity"] = float(torch.cat(lost).mean().exp())
    found["distinct"] = distinct(torch.cat(rest))
    rows: list[dict[str, Any]] = [
        {"measure": name, "value": value, "texts": len(texts)}
        for name, value in found.items()
    ]
    for ids in made:
        for row in ids[:KEPT]:
            text = model.tokenizer.decode(row)
            label = writer.regard(said(model, pair, row[None])).argmax().item()
            rows.append({"measure": "text", "text": text, "label": LABELS[int(label)]})
    return rows


def shares(p: Tensor) -> dict[str, float]:
    """Of chances `(N, 3)`: how often each label is likeliest, and the mean score."""
    likeliest = torch.bincount(p.argmax(-1).cpu(), minlength=len(LABELS)) / len(p)
    found = dict(zip(LABELS, likeliest.tolist(), strict=True))
    return {**found, "score": float((p[:, 2] - p[:, 0]).mean())}


@torch.no_grad()
def surprise(model: LanguageModel, ids: Tensor, start: int) -> Tensor:
    """`(N,)`: mean negative log-probability of what follows a prompt, in nats."""
    logits = model.model(ids[:, :-1]).logits[:, start - 1 :].float()
    lost = cross_entropy(logits.transpose(1, 2), ids[:, start:], reduction="none")
    return lost.mean(1)


def distinct(ids: Tensor) -> float:
    """The share of different pairs of neighbours among those of texts `(N, length)`."""
    pairs = [pair for row in ids.tolist() for pair in pairwise(row)]
    return len(set(pairs)) / len(pairs)


def mirror(writer: Writer, seed: int, options: TextOptions) -> dict[str, Any]:
    """How many texts of $gx$ are $g$ of those of $x$, for the swap of the pair.

    The noise of a decoder that draws once for all branches is swapped as well.
    """
    swap = swap_for(writer.model, writer.pair)
    word = next(iter(PAIRS[writer.pair]))
    begun = [
        x for task in TASKS for x in prompts(writer.model, writer.pair, word, task)
    ]
    each = -(-options.mirrored // len(begun))
    g, same, total = 1, 0, 0
    for place, x in enumerate(begun):
        rows = x.expand(each, -1)
        noise = gumbel(_seed(seed, place), each, writer.model.size)

        def moved(step: int, noise: Noise = noise) -> Tensor:
            made: Tensor = swap.on_logits(g, noise(step))
            return made

        one = writer(rows, seed, noise)
        other = writer(swap.on_ids(g, rows), seed, noise if writer.chooses else moved)
        same += int((swap.on_ids(g, one) == other).all(1).sum())
        total += each
    return {"measure": "mirrored", "value": same / total, "texts": total}


def _regard(name: str, device: str) -> Regard:
    if name in JUDGES.values():
        return load_regard(name).to(device)
    from transformers import pipeline

    return hub_regard(pipeline("text-classification", name, top_k=None, device=device))


def _seed(seed: int, place: int) -> int:
    return 1000 * seed + place


def _after(text: str, subjects: tuple[str, ...]) -> str:
    for subject in subjects:
        if text.startswith(subject):
            return text[len(subject) :]
    return text


def reads(options: TextOptions, seeds: Sequence[int]) -> Iterable[str]:
    """The shipped models that a run reads."""
    names = [weights_name(name) for name in options.models if name in SHIPPED]
    for model, judge in JUDGES.items():
        if judge in (options.regard, options.other):
            names += [regard_name(judge), weights_name(model)]
    return sorted({f"assets/{name}" for name in names})


EXPERIMENT = Experiment(
    name="text",
    title="Regard of generated texts (Fig. 3, 9, Tab. 3, 5-7)",
    presets={
        "quick": TextOptions(SHIPPED[:1], texts=8, mirrored=20),
        "small": TextOptions(SHIPPED[1:]),
        "paper": TextOptions(("gpt2",), "sasha/regardv3", OURS),
    },
    jobs=jobs,
    work=work,
    keys=("model", "pair", "decoder", "word", "task", "measure", "text"),
    value="value",
    packages=("torch", "transformers", "tokenizers", "numpy"),
    reads=reads,
)
