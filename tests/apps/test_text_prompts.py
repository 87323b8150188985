"""Of whom a model is asked, and which words are swapped, on the smallest that ships."""

from itertools import product

import pytest
import torch

from equinb.apps.text.pretrained import SHIPPED, load_language_model
from equinb.apps.text.prompts import (
    GENERAL,
    PAIRS,
    PRONOUNS,
    TASKS,
    ids_of,
    prompts,
    swap_for,
)
from equinb.apps.text.toy import learn_toy

EACH_PAIR = pytest.mark.parametrize("pair", PAIRS)
EITHER = pytest.mark.parametrize("relaxed", [False, True])
#: A person by how a text speaks of them.
PEOPLE = {
    "man": "The man",
    "woman": "The woman",
    "black": "The Black person",
    "white": "The White person",
    "straight": "The straight person",
    "gay": "The gay person",
}


@pytest.fixture(scope="module")
def model():
    return load_language_model(SHIPPED[0])


@pytest.fixture(scope="module")
def texts(model):
    """By token: what it stands for."""
    return [model.tokenizer.decode([i]) for i in range(model.size)]


def forms(word):
    """As they stand in a text, or at its start."""
    capital = word[0].upper() + word[1:]
    return [f"{blank}{w}" for blank in (" ", "") for w in (word, capital)]


def swapped(pair, relaxed):
    """The pairs of words that are."""
    more = PRONOUNS if pair == "gender" and not relaxed else ()
    return [tuple(PAIRS[pair]), *more]


# Prompts.


@pytest.mark.parametrize("task", TASKS)
@EACH_PAIR
def test_prompts_are_five_sentences_begun(model, pair, task):
    for word in PAIRS[pair]:
        found = prompts(model, pair, word, task)
        texts = [model.tokenizer.decode(ids) for ids in found]
        assert texts == [f"{PEOPLE[word]} {how}" for how in TASKS[task]]
        assert len(set(texts)) == 5
        assert all(ids.ndim == 1 and ids.dtype == torch.int64 for ids in found)


@pytest.mark.parametrize("task", TASKS)
@EITHER
@EACH_PAIR
def test_a_swap_makes_the_prompts_of_one_those_of_the_other(model, pair, relaxed, task):
    swap = swap_for(model, pair, relaxed)
    one, other = (prompts(model, pair, word, task) for word in PAIRS[pair])
    for here, there in zip(one, other, strict=True):
        assert torch.equal(swap.on_ids(1, here[None])[0], there)
        assert torch.equal(swap.on_ids(1, there[None])[0], here)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("sex", "man", "respect"), "no pair 'sex'; there are gender, race, orientati"),
        (("gender", "gay", "respect"), "no word 'gay'; there are man, woman"),
        (("race", "Black", "respect"), "no word 'Black'; there are black, white"),
        (("race", "black", "work"), "no task 'work'; there are respect, occupation"),
        (("race", "gay", "work"), "no word 'gay'"),
    ],
)
def test_what_nobody_can_be_asked(model, asked, says):
    with pytest.raises(ValueError, match=says):
        prompts(model, *asked)


# Swaps.


@EITHER
@EACH_PAIR
def test_every_form_that_is_a_token_is_moved_to_its_like(model, texts, pair, relaxed):
    """And nothing else is."""
    there = {}
    for one, other in swapped(pair, relaxed):
        for here, back in zip(forms(one), forms(other), strict=True):
            if here in texts and back in texts:
                there |= {here: back, back: here}
    swap = swap_for(model, pair, relaxed)
    assert swap.group.order == 2
    moved = swap.on_ids(1, torch.arange(model.size)[None])[0]
    assert [texts[i] for i in moved] == [there.get(text, text) for text in texts]
    assert {texts[i] for i in swap.equality.nonzero()[:, 0]} == there.keys()
    # In the middle of a sentence, at least.
    assert all(f" {word}" in there for word in PAIRS[pair])


@pytest.mark.parametrize(
    ("pair", "relaxed", "words"),
    [
        ("gender", False, "man woman he she his her himself herself"),
        ("gender", True, "man woman"),
        ("race", False, "black white"),
        ("race", True, "black white"),
        ("orientation", False, "straight gay"),
        ("orientation", True, "straight gay"),
    ],
)
def test_pronouns_move_with_man_and_woman_only(model, texts, pair, relaxed, words):
    swap = swap_for(model, pair, relaxed)
    moved = {texts[i].strip().lower() for i in swap.equality.nonzero()[:, 0]}
    assert moved == {*words.split()}


@EACH_PAIR
def test_a_relaxed_model_leaves_pronouns_to_the_text(model, texts, pair):
    strict, relaxed = (swap_for(model, pair, relaxed) for relaxed in (False, True))
    assert not strict.general.any()
    found = {texts[i] for i in relaxed.general.nonzero()[:, 0]}
    expected = {form for word in GENERAL for form in forms(word) if form in texts}
    assert found == expected
    assert {form.strip().lower() for form in found} == {
        "he",
        "she",
        "his",
        "her",
        "him",
    }


@EITHER
@EACH_PAIR
def test_equality_and_general_words_are_disjoint(model, pair, relaxed):
    swap = swap_for(model, pair, relaxed)
    assert not (swap.equality & swap.general).any()
    assert swap.equality.shape == swap.general.shape == (model.size,)


@EITHER
def test_a_pair_that_there_is_not(model, relaxed):
    with pytest.raises(ValueError, match="no pair 'age'; there are gender, race, orie"):
        swap_for(model, "age", relaxed)


@pytest.mark.parametrize(("pair", "says"), [("gender", "his / her"), ("race", "black")])
def test_words_that_the_model_has_no_tokens_for(pair, says):
    toy = learn_toy(steps=2, batch=2)
    with pytest.raises(ValueError, match=f"Only single tokens can be swapped.*{says}"):
        swap_for(toy, pair)


def test_ids_are_those_of_every_form_once(model, texts):
    found = ids_of(model.tokenizer, ("he", "him", "he"))
    assert found == sorted(set(found))
    expected = {f for w, f in product(("he", "him"), texts) if f in forms(w)}
    assert {texts[i] for i in found} == expected
