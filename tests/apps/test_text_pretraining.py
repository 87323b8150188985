"""How our small language models are trained and judged."""

import math
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from clip_cases import weights_of
from text_folders import film_reviews, write_reviews

from equinb import lab
from equinb.apps.text import perplexity as judging
from equinb.apps.text import pretraining
from equinb.apps.text.perplexity import TRIGRAM, PerplexityOptions, perplexity, stream
from equinb.apps.text.pretrained import (
    SHIPPED,
    LanguageModel,
    build,
    pack,
    restore,
    weights_name,
)
from equinb.apps.text.pretraining import (
    EXPERIMENT,
    RECIPES,
    PretrainingOptions,
    Recipe,
    merges_of,
    pretrain,
    work,
)
from equinb.apps.text.reviews import reviews
from equinb.apps.text.tokens import tokenizer_of
from equinb.apps.text.trigram import KneserNey
from equinb.apps.training import optimizer_of
from equinb.lab import Job

SIZE, WINDOW = 12, 16
RECIPE = Recipe(32, 1, 2, steps=60, rate=5e-3, batch=8)
#: Ten tokens, over and over.
AGAIN = torch.arange(10).repeat(40)
#: The vocabulary of the made-up reviews.
WORDS = 300


@pytest.fixture
def short(monkeypatch):
    """Models read few tokens at once."""
    monkeypatch.setattr(pretraining, "LENGTH", WINDOW)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUINB_DATA", str(tmp_path))
    for made in reviews, merges_of, stream:
        made.cache_clear()
    yield tmp_path
    for made in reviews, merges_of, stream:
        made.cache_clear()


@pytest.fixture(scope="module")
def model():
    """Random weights, sharp enough that what comes before matters."""
    network = {"vocab_size": SIZE, "n_positions": WINDOW}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = build({**network, "n_embd": 16, "n_layer": 2, "n_head": 2}).eval()
        for p in made.requires_grad_(False).parameters():
            p.mul_(4)
    return made


def dice(n, seed=0):
    return torch.randint(SIZE, (n,), generator=torch.Generator().manual_seed(seed))


def tokens_in(split):
    """Of the made-up reviews, to a tokenizer that learned from them."""
    return stream(split, tokenizer_of(merges_of(WORDS)))


def quietly(step):
    pass


# Training.


def test_it_learns_what_comes_again_and_again(short):
    begun = pretrain(AGAIN, 0, replace(RECIPE, steps=1), SIZE)
    assert perplexity(begun, AGAIN) > 0.7 * SIZE
    made = pretrain(AGAIN, 0, RECIPE, SIZE)
    # The first token of the first window is not asked for; all others are known.
    assert perplexity(made, AGAIN) < 1.3


def test_the_seed_decides(short):
    recipe = replace(RECIPE, steps=3)
    one, same, other = (pretrain(AGAIN, seed, recipe, SIZE) for seed in (0, 0, 1))
    assert torch.equal(weights_of(one), weights_of(same))
    assert not torch.equal(weights_of(one), weights_of(other))


def test_what_is_random_elsewhere_is_left_alone(short):
    """Also by what is random in each step: dropout."""
    before = torch.get_rng_state()
    pretrain(AGAIN, 7, replace(RECIPE, steps=2), SIZE)
    assert torch.equal(torch.get_rng_state(), before)


def test_steps_are_those_of_plain_code(short):
    """Two of three, the gradient cut short."""
    recipe, seen = replace(RECIPE, steps=3, clip=0.05), {}

    def visit(step, model):
        seen[step] = weights_of(model)

    pretrain(dice(200), 0, recipe, SIZE, visit=visit)
    torch.manual_seed(0)
    model = build(recipe.network(SIZE)).train()
    optimizer, schedule = optimizer_of(model, 5e-3, 0.1, 3, betas=(0.9, 0.98))
    random = torch.Generator().manual_seed(0)
    for step in 1, 2:
        places = torch.randint(200 - WINDOW, (8, 1), generator=random)
        pieces = dice(200)[places + torch.arange(WINDOW + 1)]
        log_p = model(pieces[:, :-1]).logits.log_softmax(-1)
        loss = -log_p.gather(-1, pieces[:, 1:, None]).mean()
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        optimizer.step()
        schedule.step()
        assert norm > 0.05
        torch.testing.assert_close(weights_of(model), seen[step], atol=1e-6, rtol=0)


def test_it_is_visited_after_every_step_in_eval_mode(short):
    seen = []

    def visit(step, model):
        seen.append((step, model.training, weights_of(model)))

    made = pretrain(AGAIN, 0, replace(RECIPE, steps=4), SIZE, visit=visit)
    assert [row[:2] for row in seen] == [(step, False) for step in (1, 2, 3, 4)]
    assert torch.equal(seen[-1][2], weights_of(made))
    assert not torch.equal(seen[0][2], seen[1][2])
    assert not made.training
    assert not any(p.requires_grad for p in made.parameters())


def test_a_model_is_as_its_recipe_says(short):
    config = pretrain(AGAIN, 0, replace(RECIPE, steps=1), SIZE).config
    assert (config.n_embd, config.n_layer, config.n_head) == (32, 1, 2)
    assert (config.vocab_size, config.n_positions) == (SIZE, WINDOW)
    assert config.resid_pdrop == config.embd_pdrop == config.attn_pdrop == 0.1


def test_mixed_precision_learns_too(short):
    made = pretrain(AGAIN, 0, RECIPE, SIZE, precision="mixed")
    assert perplexity(made, AGAIN) < 1.3
    assert {p.dtype for p in made.parameters()} == {torch.float32}


def test_a_piece_may_lie_anywhere(short):
    """One more token than a window: there is one piece, with its next token."""
    made = pretrain(AGAIN[: WINDOW + 1], 0, RECIPE, SIZE)
    assert perplexity(made, AGAIN[:WINDOW]) < 1.3


def test_too_few_tokens_to_learn_from(short):
    with pytest.raises(
        ValueError, match="A piece has 16 tokens, and there are 16: giv"
    ):
        pretrain(AGAIN[:WINDOW], 0, RECIPE, SIZE)


# Perplexity.


def loss(model, before, token):
    return -model(before[None]).logits[0, -1].double().log_softmax(-1)[token].item()


def test_perplexity_of_one_window(model):
    tokens = dice(WINDOW)
    losses = [loss(model, tokens[:t], tokens[t]) for t in range(1, WINDOW)]
    expected = math.exp(sum(losses) / (WINDOW - 1))
    assert perplexity(model, tokens) == pytest.approx(expected, rel=1e-5)
    assert expected > SIZE


@pytest.mark.parametrize("tail", [0, 1, 7])
def test_every_token_counts_once_but_the_first_and_the_unfinished_tail(model, tail):
    """Each after at least half a window, as far as there is one."""
    half, whole = WINDOW // 2, 5 * WINDOW
    tokens = dice(whole + tail)
    losses = []
    for t in range(1, whole):
        start = max(0, (t // half - 1) * half)
        losses.append(loss(model, tokens[start:t], tokens[t]))
    expected = math.exp(sum(losses) / (whole - 1))
    assert perplexity(model, tokens) == pytest.approx(expected, rel=1e-5)


def test_perplexity_is_computed_in_pieces(model, monkeypatch):
    tokens = dice(20 * WINDOW)
    found = perplexity(model, tokens)
    for chunk in 1, 7, 1000:
        monkeypatch.setattr(judging, "CHUNK", chunk)
        assert perplexity(model, tokens) == pytest.approx(found, rel=1e-5)


def test_who_knows_nothing_has_the_perplexity_of_dice(model):
    blank = deepcopy(model)
    for p in blank.parameters():
        p.zero_()
    assert perplexity(blank, dice(100)) == pytest.approx(SIZE)


def test_too_few_tokens_to_judge_by(model):
    assert perplexity(model, dice(WINDOW)) > 1
    with pytest.raises(
        ValueError, match="A window has 16 tokens, and there are 15: gi"
    ):
        perplexity(model, dice(WINDOW - 1))


# The tokens of the reviews.


@pytest.mark.parametrize(("split", "n"), [("test", 8), ("training", 144)])
def test_the_stream_is_all_reviews_an_end_before_each(folder, split, n):
    film_reviews(folder)
    tokenizer = tokenizer_of(merges_of(WORDS))
    tokens = stream(split, tokenizer)
    texts = [text for text, _ in reviews(split)]
    assert tokenizer.decode(tokens) == "".join(f"<|endoftext|>{t}" for t in texts)
    assert int((tokens == WORDS - 1).sum()) == len(texts) == n
    assert tokens[0] == WORDS - 1
    assert tokens.max() < WORDS


def test_each_tokenizer_has_a_stream_of_its_own(folder):
    film_reviews(folder)
    coarse, fine = (tokenizer_of(merges_of(WORDS)[:n]) for n in (None, 10))
    assert len(stream("test", coarse)) < len(stream("test", fine))
    assert stream("test", fine).max() == len(fine) - 1 == 266
    assert stream("test", fine) is stream("test", fine)


def test_the_tokenizer_learns_from_what_is_for_training(folder):
    texts = film_reviews(folder)
    before = merges_of(WORDS)
    for made in reviews, merges_of, stream:
        made.cache_clear()
    for some in texts.values():
        some[0::20] = some[1::20] = ["zzz zzz zzz"] * 2
    write_reviews(folder, texts)
    assert torch.equal(merges_of(WORDS), before)
    assert "zzz" in reviews("test")[0].text


# Models beside a trigram.


@pytest.fixture
def judged(folder, monkeypatch):
    """A model of the tokens of made-up reviews, which one can load as "toy"."""
    film_reviews(folder)
    tokenizer = tokenizer_of(merges_of(WORDS))
    network = {"vocab_size": WORDS, "n_positions": WINDOW}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = build({**network, "n_embd": 16, "n_layer": 1, "n_head": 2}).eval()
    made = LanguageModel("toy", net.requires_grad_(False), tokenizer)
    monkeypatch.setattr(judging, "load_language_model", {"toy": made}.__getitem__)
    return made


def told(judged, by, asked=None):
    """The sets that a job told of, and the perplexity of each."""
    options = PerplexityOptions(("toy",), asked)
    seen = []
    made = judging.work(options, Job(0, {"model": "toy", "by": by}), "cpu", seen.append)
    assert seen == [1]
    assert made.weights == {}
    return [(row["set"], row["perplexity"]) for row in made.rows]


@pytest.mark.parametrize("asked", [None, 400])
def test_a_model_is_asked_for_the_tokens_of_its_own_tokenizer(judged, asked):
    sets = [(s, stream(s, judged.tokenizer)[:asked]) for s in ("validation", "test")]
    expected = [(split, perplexity(judged.model, ids)) for split, ids in sets]
    assert told(judged, "itself", asked) == expected
    assert len(stream("test", judged.tokenizer)) > 400


@pytest.mark.parametrize("asked", [None, 400])
def test_the_trigram_reads_the_same_tokens(judged, asked):
    """It learns from all there are for training, however few it is asked for."""
    counted = KneserNey(stream("training", judged.tokenizer).numpy(), WORDS)
    sets = [(s, stream(s, judged.tokenizer)[:asked]) for s in ("validation", "test")]
    expected = [(split, counted.perplexity(ids.numpy())) for split, ids in sets]
    found = told(judged, TRIGRAM, asked)
    assert found == expected
    # Which word comes is anybody's guess, but not how it goes on.
    assert all(1 < value < WORDS / 4 for _, value in found)


def test_beside_the_models_stands_one_trigram_and_no_seed_matters():
    found = judging.jobs(PerplexityOptions(("one", "two")), [3, 0])
    assert [(job.seed, *job.settings.values(), job.steps) for job in found] == [
        (3, "one", "itself", 1),
        (3, "two", "itself", 1),
        (3, "one", TRIGRAM, 1),
    ]
    assert found[0].settings.keys() == {"model", "by"}


def test_what_ships_is_read_and_recorded():
    options = PerplexityOptions(("gpt2", *SHIPPED[:1]))
    sources = judging.EXPERIMENT.sources(options, [0])
    read = [s for s in sources if s.startswith("assets")]
    assert read == ["assets/text/reviews-tiny.safetensors"]


def test_the_experiment_on_perplexity(folder, tmp_path):
    film_reviews(folder)
    rows, made = lab.run(judging.EXPERIMENT, folder=tmp_path / "runs", progress=False)
    found = [*zip(rows["model"], rows["by"], rows["set"], strict=True)]
    assert found == [
        ("reviews-tiny", "itself", "validation"),
        ("reviews-tiny", "itself", "test"),
        ("reviews-tiny", TRIGRAM, "validation"),
        ("reviews-tiny", TRIGRAM, "test"),
    ]
    # Who has seen such words tells them better than who knows English.
    assert (rows["perplexity"] > 1).all()
    by = rows.groupby("by")["perplexity"]
    assert by.max()[TRIGRAM] < by.min()["itself"]
    assert [*made.weights] == []


# Jobs, and what ships.


def test_one_job_a_recipe_and_seed():
    found = EXPERIMENT.jobs(PretrainingOptions(), [3, 0])
    assert [(job.settings, job.seed, job.steps) for job in found] == [
        ({"model": "reviews-tiny"}, 3, 16_000),
        ({"model": "reviews-tiny"}, 0, 16_000),
        ({"model": "reviews-small"}, 3, 16_000),
        ({"model": "reviews-small"}, 0, 16_000),
    ]


def test_a_model_without_a_recipe():
    says = "no recipe for 'gpt2'; there is one for reviews-tiny, reviews-small"
    with pytest.raises(ValueError, match=says):
        EXPERIMENT.jobs(PretrainingOptions(("gpt2",)), [0])


@pytest.fixture
def toys(folder, short, monkeypatch):
    """A recipe that is soon done, as if it were the one that ships."""
    film_reviews(folder)
    options = partial(PretrainingOptions, ("toy",), size=WORDS)
    toy = Recipe(16, 1, 2, steps=12, batch=4)
    monkeypatch.setattr(pretraining, "RECIPES", {"toy": toy})
    monkeypatch.setattr(pretraining, "PretrainingOptions", options)
    return options


@pytest.mark.parametrize(
    ("steps", "seed", "changes", "ships"),
    [
        (12, 0, {}, True),
        (6, 0, {"shorter": 2}, False),
        (12, 1, {}, False),
        (12, 0, {"asked": 500}, False),
    ],
)
def test_only_the_whole_training_of_the_first_seed_ships(
    toys, steps, seed, changes, ships
):
    job = Job(seed, {"model": "toy"}, steps)
    made = work(replace(toys(), **changes), job, "cpu", quietly)
    assert list(made.weights) == [weights_name("toy")] * ships
    assert [row["steps"] for row in made.rows] == [*range(1, steps + 1), steps, steps]
    sets = [row["set"] for row in made.rows]
    assert sets == ["validation"] * steps + ["validation, shipped", "test, shipped"]
    assert all(1 < row["perplexity"] < 2 * WORDS for row in made.rows)


def test_what_ships_is_judged_as_it_ships(toys):
    made = work(toys(), Job(0, {"model": "toy"}, 12), "cpu", quietly)
    ((tensors, card),) = made.weights.values()
    again = restore("toy", card["network"], tensors)
    rows = {row["set"]: row["perplexity"] for row in made.rows}
    for split in "validation", "test":
        found = perplexity(again.model, tokens_in(split))
        assert found == rows[f"{split}, shipped"]
        assert found == card["perplexity"][f"{split}, shipped"]
    assert len(again.tokenizer) == again.size == WORDS
    assert (card["seed"], card["steps"], card["width"]) == (0, 12, 16)
    assert card["tokens"] == len(tokens_in("training"))
    recipe = pretraining.RECIPES["toy"]
    trained = pretrain(tokens_in("training"), 0, recipe, WORDS, precision="mixed")
    expected = pack(trained, merges_of(WORDS))
    assert all(torch.equal(tensors[key], expected[key]) for key in expected)


def test_a_long_training_is_looked_at_ten_times(toys):
    seen = []
    job = Job(0, {"model": "toy"}, 40)
    made = work(toys(), job, "cpu", seen.append)
    assert seen == [*range(1, 41)]
    looks = [row["steps"] for row in made.rows if row["set"] == "validation"]
    assert looks == [*range(4, 41, 4)]


# The experiment.


def test_the_experiment(folder, tmp_path):
    film_reviews(folder)
    quick = EXPERIMENT.config("quick")
    config = replace(quick, size=WORDS, shorter=8000, precision="float32", asked=400)
    rows, made = lab.run(
        EXPERIMENT, config=config, folder=tmp_path / "runs", progress=False
    )
    found = [*zip(rows["model"], rows["set"], rows["steps"], strict=True)]
    assert found == [
        ("reviews-tiny", "validation", 1),
        ("reviews-tiny", "validation", 2),
        ("reviews-tiny", "validation, shipped", 2),
        ("reviews-tiny", "test, shipped", 2),
    ]
    assert rows["perplexity"].between(1, 2 * WORDS).all()
    assert made.weights == {}


def test_the_quick_preset_takes_few_steps():
    (job,) = EXPERIMENT.jobs(EXPERIMENT.config("quick"), [0])
    assert job.settings["model"] == "reviews-tiny"
    assert 0 < job.steps < RECIPES["reviews-tiny"].steps / 100
