"""The toy language: its bias is planted, and a model learns it."""

import pytest
import torch

from equinb.apps.text.toy import (
    BEGUN,
    BLAME,
    CONTEXTS,
    LENGTH,
    NEUTRAL,
    OUTCOMES,
    PLANTED,
    PRAISE,
    UNKNOWN,
    learn_toy,
    toy_prompts,
    toy_regard,
    toy_texts,
    toy_tokenizer,
)
from equinb.apps.text.words import tokens_of

N = 20_000
KINDS = {word: kind for kind, words in OUTCOMES.items() for word in words}
THEY = {"man": "he", "woman": "she"}


@pytest.fixture(scope="module")
def tokenizer():
    return toy_tokenizer()


@pytest.fixture(scope="module")
def sentences(tokenizer):
    """As lists of words."""
    texts = toy_texts(N, torch.Generator().manual_seed(0))
    assert texts.shape == (N, LENGTH)
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    return [[words[i] for i in ids] for ids in texts.tolist()]


@pytest.fixture(scope="module")
def model():
    """One that has seen few sentences, and fast: of whom they are it learns last."""
    return learn_toy(steps=400, batch=128, rate=1e-2)


def within_sampling_error(found, chance, n):
    """Four standard errors."""
    return abs(found / n - chance) < 4 * (chance * (1 - chance) / n) ** 0.5


def ids_of(tokenizer, *texts):
    return torch.tensor([tokenizer.encode(text) for text in texts])


# Sentences.


@pytest.mark.parametrize("person", PLANTED)
def test_of_each_person_is_said_what_is_planted(sentences, person):
    said = [words[5] for words in sentences if words[1] == person]
    n = len(said)
    assert within_sampling_error(n, 1 / len(PLANTED), N)
    for word, kind in KINDS.items():
        chance = PLANTED[person][kind]
        assert within_sampling_error(said.count(word), chance / 3, n)
        of_kind = sum(KINDS[other] == kind for other in said)
        assert within_sampling_error(of_kind, chance, n)


def test_what_is_planted_are_chances():
    for chances in PLANTED.values():
        assert chances.keys() == {BLAME, NEUTRAL, PRAISE}
        assert sum(chances.values()) == pytest.approx(1)


def test_a_sentence_has_one_context_and_the_pronoun_of_its_person(sentences):
    for the, person, *context, a, said, both, pronoun, left, end in sentences:
        assert [the, a, both, left, end] == ["the", "a", "and", "left", "."]
        assert said in KINDS
        assert pronoun == THEY.get(person, "they")
        assert " ".join(context) in CONTEXTS
    first = sum(words[2:4] == CONTEXTS[0].split() for words in sentences)
    assert within_sampling_error(first, 1 / 2, N)


def test_the_generator_decides():
    one, same, other = (
        toy_texts(50, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


# Beginnings, and regard.


@pytest.mark.parametrize("person", PLANTED)
def test_prompts_are_beginnings_in_either_context_in_turn(tokenizer, person):
    found = toy_prompts(person, 5)
    assert found.shape == (5, BEGUN)
    expected = [f"the {person} {CONTEXTS[i % 2]} a" for i in range(5)]
    assert tokenizer.batch_decode(found) == expected


@pytest.mark.parametrize("person", ["Man", "child", ""])
def test_a_person_that_there_is_not(person):
    says = f"no person '{person}'; there are man, woman, northerner, islander, southern"
    with pytest.raises(ValueError, match=says):
        toy_prompts(person, 2)


def test_regard_is_that_of_what_is_said(tokenizer):
    texts = [f"the man worked as a {word} and he left ." for word in KINDS]
    found = toy_regard(ids_of(tokenizer, *texts))
    worth = {BLAME: -1, NEUTRAL: 0, PRAISE: 1}
    assert found.tolist() == [worth[kind] for kind in KINDS.values()]


def test_regard_of_nothing_and_of_more_than_one_word(tokenizer):
    texts = [
        "the man left .",
        "hero and thief .",
        "hero and genius .",
        "nobody knows .",
    ]
    padded = [f"{text}{' .' * (8 - len(text.split()))}" for text in texts]
    assert toy_regard(ids_of(tokenizer, *padded)).tolist() == [0, 0, 2, 0]


# The model.


def chances(model, person):
    """Of each kind of words, in what the model says next of a person."""
    log_p = model.model(toy_prompts(person, 2)).logits[:, -1].log_softmax(-1)
    p = log_p.exp().mean(0)
    ids = model.tokenizer.convert_tokens_to_ids
    return {kind: p[ids([*said])].sum().item() for kind, said in OUTCOMES.items()}


def test_a_model_soon_has_the_bias(model):
    man, woman = (chances(model, person) for person in ("man", "woman"))
    assert man[PRAISE] > woman[PRAISE] + 0.05
    assert man[BLAME] < woman[BLAME] - 0.05
    assert sum(man.values()) > 0.9


def test_a_model_knows_the_words_and_is_frozen(model):
    assert model.size == len(model.tokenizer)
    assert not model.model.training
    assert not any(p.requires_grad for p in model.model.parameters())


def test_the_seed_decides_and_nothing_else_random_is_touched():
    before = torch.get_rng_state()
    one, same, other = (learn_toy(seed, 2, batch=8).model for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    weights, again, others = (m.lm_head.weight for m in (one, same, other))
    assert torch.equal(weights, again)
    assert not torch.equal(weights, others)


# Words.


def test_a_word_is_a_token(tokenizer):
    words = [*PLANTED, *KINDS, *THEY.values(), "they"]
    assert [len(tokenizer.encode(word)) for word in words] == [1] * len(words)
    assert tokenizer.unk_token_id not in ids_of(tokenizer, *words)
    assert tokenizer.decode(tokenizer.encode("the queen left")) == f"the {UNKNOWN} left"


def test_forms_that_it_does_not_know_are_left_out(tokenizer):
    """ "Man" would be the same token as "Woman": that of what is unknown."""
    pairs = [("man", "woman"), ("he", "she")]
    expected = [tuple(tokenizer.convert_tokens_to_ids([*pair])) for pair in pairs]
    assert tokens_of(tokenizer, pairs) == expected
    with pytest.raises(
        ValueError, match=r"a word that it does not know, .*: man / quee"
    ):
        tokens_of(tokenizer, [("man", "queen"), ("he", "she")])
