"""Tokenizers, the trigram, the reviews, and the language models that ship."""

import math
import random
import re
from collections import Counter, defaultdict
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from text_folders import FILES, film_reviews, write_reviews
from tokenizers import ByteLevelBPETokenizer

from equinb.apps.text import pretraining, trigram
from equinb.apps.text.pretrained import (
    SHIPPED,
    build,
    load_language_model,
    pack,
    restore,
    weights_name,
)
from equinb.apps.text.reviews import SPLITS, reviews
from equinb.apps.text.tokens import BYTES, END, learn_merges, tokenizer_of
from equinb.apps.text.trigram import KneserNey
from equinb.apps.text.words import tokens_of
from equinb.lab import load_result, load_weights

TEXTS = [
    "The man saw the woman, and the woman saw the man.",
    "A man's man! Men and women; a woman's woman.",
    "Où est l'été? Là-bas, à côté des forêts où l'été est né.",
]
SIZE = 300
NETWORK = {
    **{"vocab_size": SIZE, "n_positions": 16},
    **{"n_embd": 16, "n_layer": 1, "n_head": 2},
}
EACH_SHIPPED = pytest.mark.parametrize("name", SHIPPED)
ENGLISH = (
    "I have seen this film three times, and I still think that it is one of the best "
    "of the year. The story is simple, but the acting is very good."
)


@pytest.fixture(scope="module")
def merges():
    return learn_merges(TEXTS, SIZE)


@pytest.fixture(scope="module")
def tokenizer(merges):
    return tokenizer_of(merges)


# Tokens.


@given(text=st.text())
def test_any_text_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("text", ["", " a  b ", "naïve 日本語 🎬\n\t'tis", " , .", END])
def test_texts_that_tokenizers_like_to_clean_up(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.fixture(scope="module")
def theirs():
    """As the package tokenizers trains one, whose end of text is its first token."""
    made = ByteLevelBPETokenizer()
    made.train_from_iterator(
        TEXTS, SIZE, min_frequency=0, show_progress=False, special_tokens=[END]
    )
    return made


@given(text=st.one_of(st.text(), st.text("the manwos'é,. ")))
def test_it_encodes_as_the_tokenizer_that_was_trained(tokenizer, theirs, text):
    assert tokenizer.encode(text) == [i - 1 for i in theirs.encode(text).ids]


def test_there_are_as_many_tokens_as_asked_for(tokenizer, merges):
    assert len(tokenizer) == SIZE
    assert merges.shape == (SIZE - 257, 2)
    assert len(tokenizer.encode(TEXTS[0])) < len(TEXTS[0]) / 2


def test_the_end_of_text_is_the_last_token(tokenizer):
    assert tokenizer.encode(END) == [SIZE - 1]
    assert tokenizer.encode(f"a{END}b") == [
        *tokenizer.encode("a"),
        SIZE - 1,
        *tokenizer.encode("b"),
    ]
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == SIZE - 1


def test_too_few_texts():
    with pytest.raises(ValueError, match=r"more than 259 tokens, .* to have 260: gi"):
        learn_merges(["no no no"], 260)
    assert len(learn_merges(["no no no"], 259)) == 2
    assert len(learn_merges([], 257)) == 0


def test_a_token_that_two_merges_make_keeps_one_id():
    a, b, c = (BYTES.index(letter) for letter in "abc")
    ab, bc, abc, abca = 256, 257, 258, 259
    rows = [(a, b), (b, c), (ab, c), (a, bc), (abc, a)]
    tokenizer = tokenizer_of(torch.tensor(rows))
    assert len(tokenizer) == 261
    assert tokenizer.encode("ab") == [ab]
    assert tokenizer.encode("bc") == [bc]
    assert tokenizer.encode("abc") == [abc]
    assert tokenizer.encode("abca") == [abca]
    assert tokenizer.decode([abc, abca]) == "abcabca"


def test_words_become_tokens(tokenizer):
    found = tokens_of(tokenizer, [("man", "woman")])
    forms = [tuple(tokenizer.decode([i]) for i in ids) for ids in found]
    assert (" man", " woman") in forms
    assert {tuple(form.strip().lower() for form in ids) for ids in forms} == {
        ("man", "woman")
    }


# The trigram.


def made_up(n, size=400, seed=0):
    """Tokens of which many are rare, each depending on the one before."""
    drawn = np.random.default_rng(seed).zipf(1.7, n + 1)
    return (drawn[1:] + 3 * drawn[:-1]) % size


def every(size, *before):
    """All trigrams after a context."""
    return np.array([[*before, token] for token in range(size)])


def slow_counts(tokens, order):
    """By length: how often n-grams were seen, or shorter ones after a new token."""
    grams = [tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1)]
    counts = {order: Counter(grams)}
    for n in range(order - 1, 0, -1):
        counts[n] = Counter(gram[1:] for gram in counts[n + 1])
    return counts


def textbook(counts):
    """The discounts of Chen and Goodman (1999), equation (26), at least 0.1.

    Where too few counts are seen to tell, one is taken as seen.
    """
    n = {i: max(1, seen) for i, seen in zip(range(1, 5), how_many(counts), strict=True)}
    y = n[1] / (n[1] + 2 * n[2])
    made = [i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)]
    return [min(max(0.1, off), i) for i, off in enumerate(made, 1)]


def how_many(counts):
    """Counts of 1, of 2, of 3 and of 4."""
    seen = Counter(counts)
    return [seen[i] for i in (1, 2, 3, 4)]


def discounts(counts):
    """What is taken off counts of 1, 2 and more."""
    return trigram._discounts(np.array(list(counts)))[1:].tolist()


def slow_kneser_ney(tokens, size, order):
    """With dictionaries, one n-gram at a time."""
    after = defaultdict(dict)
    off = {}
    for n, counts in slow_counts(tokens, order).items():
        off[n] = textbook(counts.values())
        for gram, count in counts.items():
            after[gram[:-1], n][gram[-1]] = count

    def probability(gram):
        if not gram:
            return 1 / size
        below = probability(gram[1:])
        seen = after.get((gram[:-1], len(gram)))
        if seen is None:
            return below
        less = {token: off[len(gram)][min(c, 3) - 1] for token, c in seen.items()}
        kept = seen.get(gram[-1], 0) - less.get(gram[-1], 0)
        return (kept + sum(less.values()) * below) / sum(seen.values())

    return probability


@pytest.mark.parametrize("order", [1, 2, 3])
def test_discounts_are_those_of_chen_and_goodman(order):
    counts = slow_counts(made_up(3000).tolist(), 3)[order].values()
    assert discounts(counts) == pytest.approx(textbook(counts))
    # None that is cut off, and none of counts that are not seen.
    assert all(0.1 < off < i for i, off in enumerate(discounts(counts), 1))
    assert min(how_many(counts)) > 0


def test_discounts_by_hand():
    """Counts of 5 and more are none of 4."""
    counts = [1] * 10 + [2] * 4 + [3] * 2 + [4] + [5] * 3 + [90]
    assert discounts(counts) == pytest.approx([5 / 9, 7 / 6, 17 / 9])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_are_those_of_plain_dictionaries(order):
    tokens = made_up(3000)
    slow = slow_kneser_ney(tokens.tolist(), 400, order)
    asked = np.random.default_rng(1).integers(400, size=(500, order))
    seen = np.lib.stride_tricks.sliding_window_view(tokens, order)[:500]
    for ngrams in asked, seen:
        found = KneserNey(tokens, 400, order).probability(ngrams)
        expected = [slow(tuple(gram)) for gram in ngrams.tolist()]
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def contexts(tokens, size):
    """Two tokens that were seen, that were seen apart, and that were not all seen."""
    pairs = set(pairwise(tokens.tolist()))
    known = sorted(set(tokens.tolist()))
    new = next(token for token in range(size) if token not in known)
    apart = next(pair for pair in product(known, known) if pair not in pairs)
    return {
        "seen": tuple(tokens[7:9].tolist()),
        "apart": apart,
        "half": (new, known[3]),
        "other half": (known[3], new),
        "unseen": (new, new),
    }


def test_probabilities_sum_to_one():
    tokens = made_up(3000)
    model = KneserNey(tokens, 400)
    for context in contexts(tokens, 400).values():
        found = model.probability(every(400, *context))
        assert found.sum() == pytest.approx(1, abs=1e-12)
        assert (found > 0).all()


@given(
    tokens=st.lists(st.integers(0, 4), min_size=3, max_size=30),
    context=st.tuples(st.integers(0, 4), st.integers(0, 4)),
)
def test_probabilities_sum_to_one_however_few_tokens_there_are(tokens, context):
    found = KneserNey(np.array(tokens), 5).probability(every(5, *context))
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert (found > 0).all()


def test_of_an_unseen_context_the_shorter_one_tells_all():
    tokens = made_up(3000)
    model, here = KneserNey(tokens, 400), contexts(tokens, 400)
    new, last = here["half"]
    other = next(t for t in tokens.tolist() if (t, last) not in pairwise(tokens))
    one, same = (model.probability(every(400, t, last)) for t in (new, other))
    np.testing.assert_array_equal(one, same)
    one, same = (model.probability(every(400, *here[k])) for k in ("unseen", "half"))
    assert not np.array_equal(one, same)
    # What was never seen is as likely as anything else that was not.
    unseen = np.setdiff1d(np.arange(400), tokens)
    assert np.ptp(one[unseen]) == 0
    assert one[unseen].max() < one[tokens].min()


def test_a_big_vocabulary():
    tokens = made_up(2000, 60) + 50_000
    model, slow = KneserNey(tokens, 50_257), slow_kneser_ney(tokens.tolist(), 50_257, 3)
    seen = np.lib.stride_tricks.sliding_window_view(tokens, 3)[:200]
    expected = [slow(tuple(gram)) for gram in seen.tolist()]
    np.testing.assert_allclose(model.probability(seen), expected, rtol=1e-10)
    found = model.probability(every(50_257, *tokens[:2]))
    assert found.sum() == pytest.approx(1)


def test_nobody_foretells_dice():
    train, test = np.random.default_rng(0).integers(6, size=(2, 20_000))
    assert 6 <= KneserNey(train, 6).perplexity(test) < 6.05


def test_what_has_structure_is_foretold_by_context():
    train, test = made_up(8000, 60), made_up(2000, 60, seed=1)
    one, two, three = (KneserNey(train, 60, n).perplexity(test) for n in (1, 2, 3))
    assert three < two < 0.7 * one < 0.7 * 60


def test_perplexity_is_of_every_token_with_a_whole_context():
    train, test = made_up(3000), made_up(50, seed=1)
    slow = slow_kneser_ney(train.tolist(), 400, 3)
    losses = [-math.log(slow(tuple(test[i : i + 3].tolist()))) for i in range(48)]
    found = KneserNey(train, 400).perplexity(test)
    assert found == pytest.approx(math.exp(sum(losses) / 48))


# The reviews.


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUINB_DATA", str(tmp_path))
    reviews.cache_clear()
    yield tmp_path
    reviews.cache_clear()


def test_splits_are_disjoint_and_all_there_is(folder):
    texts = film_reviews(folder, each=45)
    parts = {split: reviews(split) for split in SPLITS}
    sizes = {split: len(part) for split, part in parts.items()}
    assert sizes == {"training": 4 * 39, "validation": 4 * 3, "test": 4 * 3}
    together = [text for part in parts.values() for text, _ in part]
    assert sorted(together) == sorted(text for some in texts.values() for text in some)
    assert len(set(together)) == len(together)


def test_one_of_twenty_is_for_testing_and_the_next_for_validation(folder):
    texts = film_reviews(folder, each=45)
    for split, first in ("test", 0), ("validation", 1):
        places = first, first + 20, first + 40
        expected = [texts[name][i] for name in FILES for i in places]
        assert [text for text, _ in reviews(split)] == expected
    assert reviews("test")[0].text not in {r.text for r in reviews("training")}


def test_praise_is_what_the_file_says(folder):
    texts = film_reviews(folder)
    liked = {*texts["train_pos"], *texts["test_pos"]}
    for split in SPLITS:
        assert all(r.praise == (r.text in liked) for r in reviews(split))


def test_a_review_is_one_line_as_it_was_written(folder):
    odd = '"Bad", he said.<br /><br />\u00a0It\'s "só-só" \u2026  2/10 "'
    write_reviews(folder, {name: [odd] for name in FILES})
    assert {text for text, _ in reviews("test")} == {
        '"Bad", he said. It\'s "só-só" \u2026 2/10 "'
    }


@pytest.mark.parametrize(
    ("line", "parts"), [("7_7.txt", 1), ("7_7.txt\tGood.\t7", 3), ("", 0)]
)
@pytest.mark.parametrize("split", SPLITS)
def test_a_line_that_is_no_review(folder, split, line, parts):
    """In whatever split it is: here, in that for training."""
    film_reviews(folder)
    file = folder / "imdb" / "test_neg.tsv"
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[6] = line
    file.write_text("\n".join(lines), encoding="utf-8")
    says = f"Line 7 of {file} has {parts} parts, and a review has two: its name, a tab"
    with pytest.raises(ValueError, match=re.escape(says)):
        reviews(split)


def test_reviews_that_are_not_there(folder, monkeypatch):
    with pytest.raises(
        FileNotFoundError, match=r"imdb is missing: get the Large Movie"
    ):
        reviews("test")
    film_reviews(folder)
    (folder / "imdb" / "test_neg.tsv").unlink()
    missing = r"test_neg.tsv is missing: get the Large Movie .* a review a line: its"
    with pytest.raises(FileNotFoundError, match=missing):
        reviews("test")
    monkeypatch.delenv("EQUINB_DATA")
    with pytest.raises(
        FileNotFoundError, match="EQUINB_DATA is not set: get the Large"
    ):
        reviews("test")


def test_a_split_that_there_is_not():
    with pytest.raises(ValueError, match="no split 'train'; there are training, valid"):
        reviews("train")


# Language models by name.


def loss(language_model, text):
    """The mean over all tokens but the first."""
    ids = language_model.tokens(text)
    log_p = language_model.model(ids[None]).logits[0, :-1].log_softmax(-1)
    return -log_p.gather(-1, ids[1:, None]).mean().item()


@EACH_SHIPPED
def test_models_that_ship_know_english(name):
    made = load_language_model(name)
    assert made.size == len(made.tokenizer) == pretraining.SIZE
    words = ENGLISH.split()
    random.Random(0).shuffle(words)
    assert loss(made, ENGLISH) < math.log(made.size) - 5
    assert loss(made, ENGLISH) < loss(made, " ".join(words)) - 1


def test_the_larger_one_knows_more():
    tiny, small = (loss(load_language_model(name), ENGLISH) for name in SHIPPED)
    assert small < tiny


@EACH_SHIPPED
def test_models_that_ship_are_frozen(name):
    made = load_language_model(name)
    assert not made.model.training
    assert not any(p.requires_grad for p in made.model.parameters())
    assert {p.dtype for p in made.model.parameters()} == {torch.float32}
    ids = made.tokens(ENGLISH)
    assert made.tokenizer.decode(ids) == ENGLISH
    assert torch.equal(made.model(ids[None]).logits, made.model(ids[None]).logits)


def test_models_that_ship_have_one_tokenizer():
    one, other = (load_weights(weights_name(name))[0]["merges"] for name in SHIPPED)
    assert torch.equal(one, other)


@EACH_SHIPPED
def test_models_that_ship_tell_how_they_were_made(name):
    _, card = load_weights(weights_name(name))
    recipe = pretraining.RECIPES[name]
    assert card["network"] == recipe.network(pretraining.SIZE)
    assert card["steps"] == recipe.steps


def told():
    """The stored perplexities, by model, by whom and set."""
    rows, _ = load_result("text-perplexity-small")
    return rows.set_index(["model", "by", "set"])["perplexity"]


@EACH_SHIPPED
def test_models_that_ship_are_as_good_as_when_they_were_made(name):
    _, card = load_weights(weights_name(name))
    for split in "validation", "test":
        expected = card["perplexity"][f"{split}, shipped"]
        found = told()[name, "itself", split].item()
        assert found == pytest.approx(expected, rel=1e-3)


def test_the_larger_model_beats_the_trigram_by_far():
    """Both have one tokenizer, so one trigram is beside them."""
    found = told()
    ours = found["reviews-small", "itself", "test"].item()
    assert ours < 0.9 * found["reviews-tiny", "trigram", "test"].item()


def test_packed_and_restored(merges):
    torch.manual_seed(0)
    model = build(NETWORK).eval()
    packed = pack(model, merges)
    assert {t.dtype for t in packed.values()} == {torch.float16, torch.int32}
    made = restore("toy", NETWORK, packed)
    x = torch.arange(16)[None]
    torch.testing.assert_close(made.model(x).logits, model(x).logits, atol=1e-3, rtol=0)
    again = pack(made.model, merges)
    assert packed.keys() == again.keys()
    assert all(torch.equal(again[key], packed[key]) for key in packed)
    assert made.tokens("the man").tolist() == tokenizer_of(merges).encode("the man")


def test_the_merges_of_a_big_vocabulary_are_packed_as_they_are():
    merges = torch.tensor([[50_000, 70_000]], dtype=torch.int32)
    assert torch.equal(pack(build(NETWORK), merges)["merges"], merges)


def test_a_text_ends_with_the_last_token():
    config = build(NETWORK).config
    assert config.bos_token_id == config.eos_token_id == SIZE - 1


def test_no_network(monkeypatch, tmp_path):
    """As transformers itself fails: its cache is empty, and it may not look outside."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    name = "nobody/has-such-a-model"
    says = rf"{name} does not come with equinb \(reviews-tiny, reviews-small do\) and c"
    with pytest.raises(OSError, match=says) as failed:
        load_language_model(name)
    assert f"go online and call load_language_model('{name}')" in str(failed.value)
    assert isinstance(failed.value.__cause__, OSError)
