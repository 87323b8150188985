"""A toy language with a planted bias: what is said of whom is known exactly.

Every sentence says something of a person, in praise or in blame, more often of some
than of others. So a measured bias can be compared with the true one.
"""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from equinb.apps.text.pretrained import LanguageModel, build
from equinb.apps.training import optimizer_of
from equinb.lab import load_weights

#: The model that learns it: a GPT-2 without dropout.
NETWORK = {
    "n_positions": 16,
    "n_embd": 48,
    "n_layer": 2,
    "n_head": 2,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
}
#: The file of the model that ships, below the assets.
TOY = "text/toy.safetensors"
#: What is said of a person: in blame, neither, in praise.
BLAME, NEUTRAL, PRAISE = "blame", "neutral", "praise"
OUTCOMES = {
    BLAME: ("thief", "liar", "bully"),
    NEUTRAL: ("clerk", "driver", "cook"),
    PRAISE: ("hero", "healer", "genius"),
}
#: The chances of each, of every person: a group of two, and a group of three.
PLANTED: dict[str, dict[str, float]] = {
    "man": {BLAME: 0.2, NEUTRAL: 0.3, PRAISE: 0.5},
    "woman": {BLAME: 0.4, NEUTRAL: 0.4, PRAISE: 0.2},
    "northerner": {BLAME: 0.1, NEUTRAL: 0.4, PRAISE: 0.5},
    "islander": {BLAME: 0.3, NEUTRAL: 0.3, PRAISE: 0.4},
    "southerner": {BLAME: 0.5, NEUTRAL: 0.4, PRAISE: 0.1},
}
#: How a text goes on to speak of a person.
PRONOUNS = {"man": "he", "woman": "she"}
CONTEXTS = ("was called", "worked as")
#: What stands for every other word.
UNKNOWN = "<unknown>"
#: Tokens of a sentence, and of its beginning, of which a model is asked the rest.
LENGTH, BEGUN = 10, 5


def toy_tokenizer() -> PreTrainedTokenizerFast:
    """A word is a token.

    Example:
        >>> tokenizer = toy_tokenizer()
        >>> tokenizer.decode(tokenizer.encode("the man worked as a"))
        'the man worked as a'
    """
    words = [UNKNOWN, ".", "the", *PLANTED, "was", "called", "worked", "as", "a"]
    words += [*_said(), "and", "he", "she", "they", "left"]
    vocabulary = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    whole: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerFast = whole(tokenizer_object=tokenizer, unk_token=UNKNOWN)
    return made


def toy_prompts(person: str, n: int) -> Tensor:
    """`(n, BEGUN)`: beginnings of sentences about a person, in either context.

    Raises:
        ValueError: for a person that the language does not know.
    """
    if person not in PLANTED:
        raise ValueError(
            f"There is no person {person!r}; there are {', '.join(PLANTED)}."
        )
    tokenizer = toy_tokenizer()
    made = [tokenizer.encode(f"the {person} {context} a") for context in CONTEXTS]
    return torch.tensor(made)[torch.arange(n) % len(made)]


def toy_texts(n: int, random: torch.Generator) -> Tensor:
    """`(n, LENGTH)`: sentences of the language, as their chances have it."""
    tokenizer = toy_tokenizer()
    table, chances = [], []
    for person, shares in PLANTED.items():
        pronoun = PRONOUNS.get(person, "they")
        for context in CONTEXTS:
            for kind, words in OUTCOMES.items():
                for word in words:
                    text = f"the {person} {context} a {word} and {pronoun} left ."
                    table.append(tokenizer.encode(text))
                    chances.append(shares[kind] / len(words))
    drawn = torch.multinomial(
        torch.tensor(chances), n, replacement=True, generator=random
    )
    return torch.tensor(table)[drawn]


def toy_regard(ids: Tensor) -> Tensor:
    """`(N,)`: of texts `(N, length)`, 1 for praise, -1 for blame, else 0.

    A text that says nothing of a person, or says both, has what its words sum up to.
    """
    tokenizer = toy_tokenizer()
    worth = torch.zeros(len(tokenizer))
    for sign, kind in ((-1.0, BLAME), (1.0, PRAISE)):
        worth[tokenizer.convert_tokens_to_ids(list(OUTCOMES[kind]))] = sign
    regard: Tensor = worth.to(ids.device)[ids].sum(-1)
    return regard


def learn_toy(
    seed: int = 0, steps: int = 600, batch: int = 512, rate: float = 4e-3
) -> LanguageModel:
    """A GPT-2 that has learned the toy language, its bias with it.

    Args:
        seed: of everything random in it.
        steps: updates.
        batch: sentences a step, new ones each time.
        rate: the greatest learning rate.
    """
    tokenizer = toy_tokenizer()
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = build({**NETWORK, "vocab_size": len(tokenizer)})
    optimizer, schedule = optimizer_of(model, rate, 0.0, steps)
    model.train()
    for _ in range(steps):
        texts = toy_texts(batch, random)
        logits = model(texts[:, :-1], use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1), texts[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval().requires_grad_(False)
    return LanguageModel("toy", model, tokenizer)


def load_toy() -> LanguageModel:
    """The toy model that ships: `learn_toy` with more steps."""
    tokenizer = toy_tokenizer()
    tensors, card = load_weights(TOY)
    with torch.random.fork_rng(devices=[]):
        model: Any = build(card["network"])
    model.transformer.load_state_dict(dict(tensors))
    return LanguageModel("toy", model.eval().requires_grad_(False), tokenizer)


def chances(model: LanguageModel, person: str) -> dict[str, float]:
    """What a model says of a person: its chances of each kind, over both contexts."""
    p = model.model(toy_prompts(person, len(CONTEXTS))).logits[:, -1].softmax(-1)
    ids = model.tokenizer.convert_tokens_to_ids
    return {
        kind: float(p[:, ids(list(words))].sum(-1).mean())
        for kind, words in OUTCOMES.items()
    }


def _said() -> list[str]:
    return [word for words in OUTCOMES.values() for word in words]
