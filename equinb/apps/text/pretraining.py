"""The experiment `text-reviews`: language models of film reviews.

    equinb run text-reviews --preset small --device cuda  # the two that ship

Models of GPT-2's architecture, trained from nothing, beside an interpolated Kneser-Ney
trigram of the same tokens. The reviews are read from the folder that `EQUINB_DATA`
names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from equinb.apps.text.pretrained import build, pack, restore, weights_name
from equinb.apps.text.reviews import reviews
from equinb.apps.text.tokens import learn_merges, tokenizer_of
from equinb.apps.text.trigram import KneserNey
from equinb.apps.training import jobs_of, optimizer_of
from equinb.lab import Experiment, Job, Made, Report

PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
TRIGRAM = "trigram"
#: Tokens in the vocabulary, and the longest text that a model reads.
SIZE, LENGTH = 6144, 256
#: How often a model is looked at on the way, and with how many tokens.
LOOKS, LOOKED_AT = 10, 100_000
#: Texts at once.
CHUNK = 32
#: Dropout in training, everywhere that GPT-2 has it.
DROPOUT = {"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}


@dataclass(frozen=True)
class Recipe:
    """How a language model is trained.

    Attributes:
        width: of its layers.
        layers: how many there are.
        heads: of attention, in each.
        steps: updates.
        rate: the greatest learning rate of AdamW; it rises, then falls as a cosine.
        decay: of weights that are matrices.
        batch: texts of `LENGTH` tokens a step.
        clip: the greatest norm of the gradient.
    """

    width: int
    layers: int
    heads: int
    steps: int = 16_000
    rate: float = 2e-3
    decay: float = 0.1
    batch: int = 64
    clip: float = 1.0

    def network(self, size: int) -> dict[str, Any]:
        """What `build` takes, for a vocabulary of so many tokens."""
        return {
            "vocab_size": size,
            "n_positions": LENGTH,
            "n_embd": self.width,
            "n_layer": self.layers,
            "n_head": self.heads,
            **DROPOUT,
        }


@dataclass(frozen=True)
class Count:
    """How a trigram is trained: it counts, once.

    Attributes:
        steps: one.
    """

    steps: int = 1


#: What is trained. The trigram takes no part in what ships.
RECIPES: dict[str, Recipe | Count] = {
    "reviews-tiny": Recipe(128, 2, 2),
    "reviews-small": Recipe(256, 4, 4),
    TRIGRAM: Count(),
}


@dataclass(frozen=True)
class PretrainingOptions:
    """What a run can be told.

    Attributes:
        models: names of recipes.
        shorter: divides the number of steps.
        size: of the vocabulary.
        precision: "float32", or "mixed" for half precision where that is safe.
        asked: how many tokens of the validation and test sets a model is asked for;
            None for all.
    """

    models: tuple[str, ...] = tuple(RECIPES)
    shorter: int = 1
    size: int = SIZE
    precision: str = "mixed"
    asked: int | None = None


def jobs(options: PretrainingOptions, seeds: Sequence[int]) -> list[Job]:
    """One job a model and seed; a trigram has no seed, and is counted once.

    Raises:
        ValueError: for a model without a recipe.
    """
    made = jobs_of(RECIPES, replace(options, shorter=1), seeds)
    return [
        replace(job, steps=max(1, job.steps // options.shorter))
        for job in made
        if job.settings["model"] != TRIGRAM or job.seed == seeds[0]
    ]


def work(options: PretrainingOptions, job: Job, device: str, report: Report) -> Made:
    """Train a model, and judge it as it ships: in half precision."""
    name, size = str(job.settings["model"]), options.size
    recipe = RECIPES[name]
    train = stream("training", size)
    rows: list[dict[str, Any]] = []
    if isinstance(recipe, Count):
        counted = KneserNey(train.numpy(), size)
        for split in "validation", "test":
            found = counted.perplexity(stream(split, size)[: options.asked].numpy())
            rows.append({"steps": 1, "set": split, "perplexity": found})
        return Made(rows)
    recipe, whole = replace(recipe, steps=job.steps), recipe

    def visit(step: int, model: nn.Module) -> None:
        report(step)
        if step % max(1, recipe.steps // LOOKS) == 0:
            some = stream("validation", size)[: options.asked][:LOOKED_AT]
            found = perplexity(model, some)
            rows.append({"steps": step, "set": "validation", "perplexity": found})

    model = pretrain(train, job.seed, recipe, size, device, options.precision, visit)
    network, merges = recipe.network(size), merges_of(size)
    tensors = pack(model, merges)
    shipped = restore(name, network, tensors).to(device).model
    for split in "validation", "test":
        found = perplexity(shipped, stream(split, size)[: options.asked])
        rows.append({"steps": recipe.steps, "set": f"{split}, shipped"})
        rows[-1]["perplexity"] = found
    card = {
        "data": "45,000 reviews of the Large Movie Review Dataset (Maas et al., 2011)",
        "seed": job.seed,
        **asdict(recipe),
        "network": network,
        "tokens": len(train),
        "perplexity": {row["set"]: row["perplexity"] for row in rows[-2:]},
        "versions": {name: version(name) for name in PACKAGES},
        "licence": "MIT",
    }
    ships = recipe == whole and job.seed == 0 and options == PretrainingOptions()
    return Made(rows, {weights_name(name): (tensors, card)} if ships else {})


def pretrain(
    tokens: Tensor,
    seed: int,
    recipe: Recipe,
    size: int = SIZE,
    device: str = "cpu",
    precision: str = "float32",
    visit: Callable[[int, nn.Module], None] = lambda step, model: None,
) -> Any:
    """A GPT-2, trained to tell the next token.

    Args:
        tokens: `(n,)`, what it reads: pieces of it, from anywhere.
        seed: of everything random in it.
        recipe: how it learns.
        size: of the vocabulary.
        device: where.
        precision: "float32" or "mixed".
        visit: called after every step, the model in eval mode.

    Raises:
        ValueError: for fewer tokens than one piece has.
    """
    if len(tokens) <= LENGTH:
        raise ValueError(
            f"A piece has {LENGTH} tokens, and there are {len(tokens)}: give more text."
        )
    # Dropout draws on the device, where the model is.
    torch.manual_seed(seed)
    model: Any = build(recipe.network(size))
    model.to(device)
    random = torch.Generator().manual_seed(seed)
    options = {"betas": (0.9, 0.98)}
    optimizer, schedule = optimizer_of(
        model, recipe.rate, recipe.decay, recipe.steps, **options
    )
    there, along = tokens.to(device), torch.arange(LENGTH + 1, device=device)
    half = torch.autocast(
        torch.device(device).type, torch.bfloat16, enabled=precision == "mixed"
    )
    for step in range(1, recipe.steps + 1):
        model.train()
        shape = (recipe.batch, 1)
        first = torch.randint(len(tokens) - LENGTH, shape, generator=random).to(device)
        pieces = there[first + along]
        with half:
            logits = model(pieces[:, :-1], use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1).float(), pieces[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        schedule.step()
        model.eval()
        visit(step, model)
    return model.requires_grad_(False)


@torch.no_grad()
def perplexity(model: Any, tokens: Tensor) -> float:
    """Of the tokens of a stream `(n,)`, each after at least half a window.

    The model reads windows of its whole length, each half over the one before, and is
    asked for the second half of each; the first window is asked for all but its first
    token.
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
        kept[1 if place == 0 else 0 :, : half - 1] = False
        total += float(lost[kept].double().sum())
        count += int(kept.sum())
    return float(torch.tensor(total / count).exp())


@cache
def merges_of(size: int) -> Tensor:
    """The merges of the tokenizer of the reviews that are for training."""
    return learn_merges([text for text, _ in reviews("training")], size)


@cache
def stream(split: str, size: int) -> Tensor:
    """`(n,)`: the tokens of all reviews of a split, an end of text before each."""
    tokenizer = tokenizer_of(merges_of(size))
    texts = [tokenizer.bos_token + text for text, _ in reviews(split)]
    parts: list[Tensor] = []
    for first in range(0, len(texts), CHUNK):
        some = tokenizer(texts[first : first + CHUNK], return_attention_mask=False)
        parts.extend(torch.tensor(ids) for ids in some["input_ids"])
    return torch.cat(parts)


EXPERIMENT = Experiment(
    name="text-reviews",
    title="Language models of film reviews, trained from nothing",
    presets={
        "quick": PretrainingOptions(("reviews-tiny", TRIGRAM), 400, 1024, asked=10_000),
        "small": PretrainingOptions(),
    },
    jobs=jobs,
    work=work,
    keys=("model", "set", "steps"),
    value="perplexity",
    packages=PACKAGES,
)
