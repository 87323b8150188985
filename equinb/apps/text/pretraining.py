"""The experiment `text-reviews`: language models of film reviews.

    equinb run text-reviews --preset small --device cuda  # the two that ship

They have GPT-2's architecture and are trained from nothing. The reviews are read from
the folder that `EQUINB_DATA` names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from equinb.apps.text.perplexity import perplexity, stream
from equinb.apps.text.pretrained import build, pack, restore, weights_name
from equinb.apps.text.reviews import reviews
from equinb.apps.text.tokens import learn_merges, tokenizer_of
from equinb.apps.training import jobs_of, optimizer_of
from equinb.lab import Experiment, Job, Made, Report

PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
#: Tokens in the vocabulary, and the longest text that a model reads.
SIZE, LENGTH = 6144, 256
#: How often a model is looked at on the way, and with how many tokens.
LOOKS, LOOKED_AT = 10, 100_000
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


RECIPES = {
    "reviews-tiny": Recipe(128, 2, 2),
    "reviews-small": Recipe(256, 4, 4),
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


def work(options: PretrainingOptions, job: Job, device: str, report: Report) -> Made:
    """Train a model, and judge it as it ships: in half precision."""
    name, size = str(job.settings["model"]), options.size
    recipe = replace(RECIPES[name], steps=job.steps)
    merges = merges_of(size)
    tokenizer = tokenizer_of(merges)
    train, validation, test = (
        stream(split, tokenizer) for split in ("training", "validation", "test")
    )
    rows: list[dict[str, Any]] = []

    def visit(step: int, model: nn.Module) -> None:
        report(step)
        if step % max(1, recipe.steps // LOOKS) == 0:
            found = perplexity(model, validation[: options.asked][:LOOKED_AT])
            rows.append({"steps": step, "set": "validation", "perplexity": found})

    model = pretrain(train, job.seed, recipe, size, device, options.precision, visit)
    network = recipe.network(size)
    tensors = pack(model, merges)
    shipped = restore(name, network, tensors).to(device).model
    for split, told in ("validation", validation), ("test", test):
        rows.append({"steps": recipe.steps, "set": f"{split}, shipped"})
        rows[-1]["perplexity"] = perplexity(shipped, told[: options.asked])
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
    ships = job.seed == 0 and options == PretrainingOptions()
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
    place = torch.device(device)
    devices = [place] if place.type == "cuda" else []
    # Dropout draws on the device, where the model is.
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        return _pretrain(tokens, seed, recipe, size, place, precision, visit)


def _pretrain(
    tokens: Tensor,
    seed: int,
    recipe: Recipe,
    size: int,
    device: torch.device,
    precision: str,
    visit: Callable[[int, nn.Module], None],
) -> Any:
    model: Any = build(recipe.network(size))
    model.to(device)
    random = torch.Generator().manual_seed(seed)
    options = {"betas": (0.9, 0.98)}
    optimizer, schedule = optimizer_of(
        model, recipe.rate, recipe.decay, recipe.steps, **options
    )
    there, along = tokens.to(device), torch.arange(LENGTH + 1, device=device)
    half = torch.autocast(device.type, torch.bfloat16, enabled=precision == "mixed")
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


@cache
def merges_of(size: int) -> Tensor:
    """The merges of the tokenizer of the reviews that are for training."""
    return learn_merges([text for text, _ in reviews("training")], size)


EXPERIMENT = Experiment(
    name="text-reviews",
    title="Language models of film reviews, trained from nothing",
    presets={
        "quick": PretrainingOptions(("reviews-tiny",), 400, 1024, asked=10_000),
        "small": PretrainingOptions(),
    },
    jobs=partial(jobs_of, RECIPES),
    work=work,
    keys=("model", "set", "steps"),
    value="perplexity",
    packages=PACKAGES,
)
