"""Words that a group swaps, and decoding that commutes with it."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from equinb.apps.text.decoding import (
    EquiProcessor,
    Sampling,
    choose,
    gumbel,
    write,
    write_best,
)
from equinb.apps.text.words import swap_of, tokens_of

SIZE = 40
SWAPS = {
    "order 2": swap_of([[(1, 2), (3, 4)]], SIZE, general=(5, 6)),
    "order 3": swap_of([[(1, 2, 3), (7, 8, 9)]], SIZE, general=(5,)),
    "2 x 3": swap_of([[(1, 2)], [(7, 8, 9)]], SIZE),
}
EACH_SWAP = pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
FREE = Sampling(top_k=None)
SAMPLINGS = {"all": FREE, "top k": Sampling(top_k=8), "top p": Sampling(1.3, None, 0.8)}
EACH_SAMPLING = pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)


@pytest.fixture(scope="module")
def model():
    """A small GPT-2 with random weights, sharp enough that words matter."""
    config = GPT2Config(vocab_size=SIZE, n_positions=64, n_embd=32, n_layer=2, n_head=2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = GPT2LMHeadModel(config).eval().requires_grad_(False)
        for p in made.parameters():
            p.mul_(4)
    return made


def prompts(n=12, length=5, seed=0):
    return torch.randint(
        SIZE, (n, length), generator=torch.Generator().manual_seed(seed)
    )


def permuted(swap, g, noise):
    return lambda step: swap.on_logits(g, noise(step))


# Words.


@EACH_SWAP
def test_ids_and_logits_are_moved_alike(swap):
    for g in range(swap.group.order):
        moved = swap.on_ids(g, torch.arange(SIZE)[None])[0]
        one = torch.eye(SIZE)
        assert torch.equal(swap.on_logits(g, one).argmax(-1), moved)
    kept = torch.arange(SIZE)[~swap.equality]
    views = swap.on_ids.orbit(torch.arange(SIZE)[None])[:, 0]
    assert (views[:, kept] == kept).all()
    assert (views[:, swap.equality] != torch.arange(SIZE)[swap.equality]).any(0).all()
    assert not (swap.equality & swap.general).any()


@pytest.mark.parametrize(
    ("tuples", "general", "reason"),
    [
        ([[(1, 2), (2, 3)]], (), "Token 2 is in two tuples"),
        ([[(1, 2)]], (1,), "Token 1 is in two tuples, or in a tuple and among"),
        ([[(1, 2), (3, 4, 5)]], (), r"got lengths \[2, 3\]"),
        ([[(1, SIZE)]], (), f"There are {SIZE} tokens; token {SIZE} is none"),
        ([[]], (), "at least one; got lengths"),
    ],
)
def test_what_is_no_partition(tuples, general, reason):
    with pytest.raises(ValueError, match=reason):
        swap_of(tuples, SIZE, general)


def test_one_list_for_each_group():
    with pytest.raises(TypeError, match="one list for each group: swap_of"):
        swap_of([(1, 2)], SIZE)


def test_without_tuples_the_group_is_trivial():
    none = swap_of([], SIZE)
    assert none.group.order == 1
    assert not none.equality.any()


class Letters:
    """A tokenizer in which a word, with its blank, is one token if it is listed."""

    words = (" man", " woman", "man", "woman", " Man", " Woman", "Man")

    def encode(self, text, add_special_tokens):
        if text in self.words:
            return [self.words.index(text)]
        return [len(self.words)] * 2


def test_words_become_tokens_in_every_form_that_all_have():
    found = tokens_of(Letters(), [("man", "woman")])
    assert found == [(0, 1), (4, 5), (2, 3)]
    with pytest.raises(ValueError, match="one token: man / queen, king / queen"):
        tokens_of(Letters(), [("man", "queen"), ("man", "woman"), ("king", "queen")])
    with pytest.raises(ValueError, match="man / woman and woman / man share a word"):
        tokens_of(Letters(), [("man", "woman"), ("woman", "man")])


# Drawing.


def test_noise_draws_from_the_distribution():
    p = torch.tensor([0.5, 0.3, 0.15, 0.05])
    drawn = (p.log() + gumbel(0, 40_000, 4)(0)).argmax(-1).bincount() / 40_000
    torch.testing.assert_close(drawn, p, atol=0.01, rtol=0)
    assert torch.equal(gumbel(3, 2, 4)(5), gumbel(3, 2, 4)(5))
    assert not torch.equal(gumbel(3, 2, 4)(5), gumbel(3, 2, 4)(6))
    assert not torch.equal(gumbel(3, 2, 4)(5), gumbel(2**32 + 3, 2, 4)(5))


def test_cuts_keep_what_ties():
    log_p = torch.tensor([[0.4, 0.2, 0.2, 0.1, 0.1]]).log()

    def kept(**options):
        return Sampling(**{"top_k": None, **options}).cut(log_p).isfinite()[0].tolist()

    assert kept(top_k=1) == [True, False, False, False, False]
    assert kept(top_k=2) == [True, True, True, False, False]
    assert kept(top_k=9) == [True] * 5
    assert kept(top_p=0.3) == [True, False, False, False, False]
    assert kept(top_p=0.5) == [True, True, True, False, False]
    assert kept(top_p=1.0) == [True] * 5
    assert kept(top_k=4, top_p=0.5) == [True, True, True, False, False]


# EquiLM.


def test_scores_are_the_mean_of_the_branches_carried_back(model):
    swap, x = SWAPS["order 3"], prompts(4)
    rows = swap.on_ids.orbit(x).flatten(0, 1)
    scores = model(rows).logits[:, -1]
    found = EquiProcessor(swap, 5, FREE, None)(rows, scores).unflatten(0, (3, 4))
    p = scores.double().softmax(-1).unflatten(0, (3, 4))
    for b in range(4):
        for token in range(SIZE):
            views = swap.on_ids.orbit(torch.tensor([[token]]))[:, 0, 0]
            mean = sum(p[g, b, views[g]] for g in range(3)) / 3
            torch.testing.assert_close(found[0, b, token].exp(), mean)
            for g in range(3):
                torch.testing.assert_close(found[g, b, views[g]], found[0, b, token])


@EACH_SWAP
@EACH_SAMPLING
def test_decoding_commutes_with_the_group(model, swap, sampling):
    x, noise = prompts(), gumbel(0, 12, SIZE)
    made = write(model, x, swap, 10, sampling, noise)
    assert made.shape == (12, 15)
    assert torch.equal(made[:, :5], x)
    for g in range(1, swap.group.order):
        other = write(
            model, swap.on_ids(g, x), swap, 10, sampling, permuted(swap, g, noise)
        )
        assert torch.equal(other, swap.on_ids(g, made))


def test_plain_sampling_is_no_mirror(model):
    swap, none = SWAPS["order 2"], swap_of([], SIZE)
    x, noise = prompts(), gumbel(0, 12, SIZE)
    made = write(model, x, none, 10, FREE, noise)
    other = write(model, swap.on_ids(1, x), none, 10, FREE, permuted(swap, 1, noise))
    assert not torch.equal(other, swap.on_ids(1, made))


def test_plain_sampling_is_that_of_the_model(model):
    """Greedy, against Hugging Face; and the frequencies of the first token."""
    none, x = swap_of([], SIZE), prompts(3)
    plain = model.generate(
        x,
        attention_mask=torch.ones_like(x),
        max_new_tokens=8,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=None,
    )
    assert torch.equal(write(model, x, none, 8, FREE), plain)
    many = x[:1].expand(20_000, -1)
    drawn = write(model, many, none, 1, FREE, gumbel(1, 20_000, SIZE))[:, -1]
    p = model(x[:1]).logits[0, -1].softmax(-1)
    shares = drawn.bincount(minlength=SIZE) / 20_000
    torch.testing.assert_close(shares, p, atol=0.012, rtol=0)


def test_what_is_drawn_has_the_distribution_that_is_cut(model):
    swap, x = SWAPS["order 2"], prompts(1).expand(20_000, -1)
    sampling = Sampling(1.7, top_k=5)
    drawn = write(model, x, swap, 1, sampling, gumbel(4, 20_000, SIZE))[:, -1]
    rows = swap.on_ids.orbit(x[:1]).flatten(0, 1)
    p = (model(rows).logits[:, -1].double() / 1.7).softmax(-1)[:, None]
    mean = swap.on_logits.undo(p).mean(0)[0]
    mean[mean < mean.topk(5).values[-1]] = 0
    shares = drawn.bincount(minlength=SIZE) / 20_000
    torch.testing.assert_close(
        shares, mean / mean.sum(), atol=0.012, rtol=0, check_dtype=False
    )


def test_writing_relaxed_is_step_by_step_what_the_processor_says(model):
    swap, x = SWAPS["order 2"], prompts(4)
    noise = gumbel(5, 4, SIZE)
    text = x
    for _ in range(6):
        rows = swap.on_ids.orbit(text).flatten(0, 1)
        scores = model(rows).logits[:, -1]
        processor = EquiProcessor(swap, 5, FREE, noise, relaxed=True)
        token = processor(rows, scores)[:4].argmax(-1, keepdim=True)
        text = torch.cat([text, token], 1)
    assert torch.equal(write(model, x, swap, 6, FREE, noise, relaxed=True), text)


def test_relaxed_where_general_tokens_have_all_but_everything():
    swap = SWAPS["order 2"]
    scores = torch.zeros((2, SIZE))
    scores[:, 5] = 45.0
    rows = torch.zeros((2, 5), dtype=torch.long)
    found = EquiProcessor(swap, 5, Sampling(0.3, None), None, relaxed=True)(
        rows, scores
    )
    assert not found.isnan().any()
    assert (found.argmax(-1) == 5).all()


def test_the_processor_serves_generate(model):
    swap, x = SWAPS["order 2"], prompts(4)
    rows = swap.on_ids.orbit(x).flatten(0, 1)
    noise = gumbel(6, 4, SIZE)
    made = model.generate(
        rows,
        attention_mask=torch.ones_like(rows),
        max_new_tokens=6,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        logits_processor=[EquiProcessor(swap, 5, FREE, noise)],
    )
    assert torch.equal(made[:4], write(model, x, swap, 6, FREE, noise))
    assert torch.equal(made[4:], swap.on_ids(1, made[:4]))


def test_relaxed_leaves_general_tokens_to_the_text_as_it_is(model):
    swap, x = SWAPS["order 2"], prompts(4)
    rows = swap.on_ids.orbit(x).flatten(0, 1)
    scores = model(rows).logits[:, -1]
    found = EquiProcessor(swap, 5, FREE, None, relaxed=True)(rows, scores)[:4].exp()
    strict = EquiProcessor(swap, 5, FREE, None)(rows, scores)[:4].exp()
    p = scores[:4].double().softmax(-1)
    torch.testing.assert_close(found.sum(-1), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(found[:, swap.general], p[:, swap.general])
    rest = ~swap.general
    ratio = found[:, rest] / strict[:, rest]
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))


# EquizeroLM.


def liking(rows):
    """A proxy loss that reads the whole text, and differs between branches."""
    weight = torch.linspace(0, 1, SIZE, dtype=torch.float64) ** 2
    place = torch.arange(1, rows.shape[1] + 1, dtype=torch.float64)
    return (weight[rows] * place).sum(-1)


def slow(model, x, swap, steps, sampling, noise, score, chunk):
    """Without a cache, one text and one branch at a time."""
    texts = []
    for b in range(len(x)):
        text = x[b]
        for done in range(0, steps, chunk):
            found = []
            for g in range(swap.group.order):
                row = swap.on_ids(g, text[None])[0]
                for step in range(done, min(done + chunk, steps)):
                    log_p = model(row[None]).logits[:, -1].double()
                    log_p = (log_p / sampling.temperature).log_softmax(-1)
                    drawn = sampling.cut(log_p)[0] + noise(step)[b]
                    row = torch.cat([row, drawn.argmax()[None]])
                found.append((float(score(row[None])), row.tolist(), g))
            _, row, g = min(found)
            text = swap.on_ids(int(swap.group.inverses[g]), torch.tensor([row]))[0]
        texts.append(text)
    return torch.stack(texts)


@EACH_SWAP
@pytest.mark.parametrize("chunk", [1, 3, 5])
def test_the_best_branch_against_a_slow_reference(model, swap, chunk):
    x, noise = prompts(4), gumbel(2, 4, SIZE)
    x[:, 0], x[:, 1] = 1, 7  # no text is its own mirror, so nothing is drawn by lot
    rest = (swap, 7, Sampling(1.3, 8, 0.9), noise, liking, chunk)
    assert torch.equal(write_best(model, x, *rest), slow(model, x, *rest))


@EACH_SWAP
def test_choosing_the_best_commutes_with_the_group(model, swap):
    """All branches share their noise, so it is not moved here.

    A prompt that some element leaves as it is has no mirror of its own: it would have
    to be answered in two ways. So each has a word of every tuple.
    """
    x, noise = prompts(), gumbel(0, 12, SIZE)
    x[:, 0], x[:, 1] = 1, 7
    made = write_best(model, x, swap, 10, FREE, noise, liking)
    for g in range(1, swap.group.order):
        other = write_best(model, swap.on_ids(g, x), swap, 10, FREE, noise, liking)
        assert torch.equal(other, swap.on_ids(g, made))


def test_where_there_is_no_mirror_both_texts_are_as_likely(model):
    """A neutral prompt: the words that are swapped come in equal shares."""
    swap, n = SWAPS["order 2"], 4000
    x = torch.full((1, 5), 20).expand(n, -1)
    noise = gumbel(7, n, SIZE)
    made = write_best(model, x, swap, 1, FREE, noise, liking, chunk=1, seed=1)[:, -1]
    plain = write(model, x, swap_of([], SIZE), 1, FREE, noise)[:, -1]
    for one, other in ((1, 2), (3, 4)):
        either = int(((made == one) | (made == other)).sum())
        assert either > 50
        share = int((made == one).sum()) / either
        assert abs(share - 0.5) < 4 * 0.5 / either**0.5
    skewed = [int((plain == token).sum()) for token in (1, 2, 3, 4)]
    assert max(skewed) > 1.5 * min(skewed)


def test_the_cache_is_used(model, monkeypatch):
    seen = []
    forward = model.forward

    def counted(ids, *rest, cache=None, **options):
        seen.append(ids.shape[1])
        return forward(ids, *rest, cache=cache, **options)

    monkeypatch.setattr(model, "forward", counted)
    swap = SWAPS["order 2"]
    write_best(model, prompts(2), swap, 6, FREE, gumbel(0, 2, SIZE), liking, chunk=3)
    # The prompt once, then a token at a time; the second chunk reads the first anew.
    assert seen == [5, 1, 1, 4, 1, 1]


DRAWS = torch.Generator()


def test_of_branches_that_tie_the_first_in_order_of_ids_is_taken():
    branches = torch.tensor([[[3, 1]], [[2, 9]], [[2, 8]]])
    assert choose(torch.tensor([[0.0], [0.0], [0.0]]), branches, DRAWS).tolist() == [2]
    assert choose(torch.tensor([[0.0], [0.5], [1.0]]), branches, DRAWS).tolist() == [0]
    near = torch.tensor([[1.0], [1.0 + 1e-7], [1.0 - 1e-7]])
    assert choose(near, branches, DRAWS).tolist() == [2]
    # The same branch, wherever the orbit begins.
    assert choose(torch.zeros(3, 1), branches.roll(1, 0), DRAWS).tolist() == [0]


# lambda-EquiLM, between the two.


@pytest.mark.parametrize("temperature", [0.3, 2.0, torch.inf])
def test_a_branch_is_drawn_by_its_weight(temperature):
    n, scores = 20_000, torch.tensor([0.9, 0.1, 0.4])
    branches = torch.tensor([[3, 1], [2, 9], [2, 8]])
    rows = scores[:, None].expand(-1, n), branches[:, None].expand(-1, n, -1)
    drawn = choose(*rows, torch.Generator().manual_seed(0), temperature)
    weights = (-scores / temperature).softmax(0)
    torch.testing.assert_close(drawn.bincount() / n, weights, atol=0.012, rtol=0)
    # The same branches, wherever the orbit begins.
    rolled = [row.roll(1, 0) for row in rows]
    again = choose(*rolled, torch.Generator().manual_seed(0), temperature)
    assert torch.equal(again, (drawn + 1) % 3)


@EACH_SWAP
@pytest.mark.parametrize("temperature", [0.5, torch.inf])
def test_drawing_a_branch_commutes_with_the_group(model, swap, temperature):
    x, noise = prompts(), gumbel(0, 12, SIZE)
    x[:, 0], x[:, 1] = 1, 7
    rest = (swap, 10, FREE, noise, liking, 3, 8, temperature)
    made = write_best(model, x, *rest)
    for g in range(1, swap.group.order):
        other = write_best(model, swap.on_ids(g, x), *rest)
        assert torch.equal(other, swap.on_ids(g, made))
    assert not torch.equal(made, write_best(model, x, *rest[:-1]))


def test_a_low_temperature_takes_the_best(model):
    swap, x, noise = SWAPS["2 x 3"], prompts(), gumbel(0, 12, SIZE)
    x[:, 0], x[:, 1] = 1, 7
    rest = (swap, 10, FREE, noise, liking, 3, 8)
    cold = write_best(model, x, *rest, temperature=1e-9)
    assert torch.equal(cold, write_best(model, x, *rest))


def test_even_weights_token_by_token_have_the_distribution_of_equilm(model):
    swap, x = SWAPS["order 2"], prompts(1).expand(20_000, -1)
    noise = gumbel(4, 20_000, SIZE)
    made = write_best(
        model, x, swap, 1, FREE, noise, liking, chunk=1, temperature=torch.inf
    )
    rows = swap.on_ids.orbit(x[:1]).flatten(0, 1)
    p = model(rows).logits[:, -1].double().softmax(-1)[:, None]
    mean = swap.on_logits.undo(p).mean(0)[0]
    shares = made[:, -1].bincount(minlength=SIZE) / 20_000
    torch.testing.assert_close(shares.double(), mean, atol=0.012, rtol=0)
    assert (p[0, 0] - mean).abs().max() > 0.024


@pytest.mark.parametrize("temperature", [-1.0, float("nan")])
def test_a_temperature_below_nothing(model, temperature):
    x, noise = prompts(2), gumbel(0, 2, SIZE)
    rest = (SWAPS["order 2"], 2, FREE, noise, liking)
    with pytest.raises(
        ValueError, match=f"temperature is 0 or above; got {temperature}"
    ):
        write_best(model, x, *rest, temperature=temperature)


# Bad input.


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"temperature": 0.0}, "temperature is positive; got 0.0. For the likeliest"),
        ({"top_k": 0}, "top_k keeps at least one token; got 0"),
        ({"top_p": 90}, "top_p is above 0 and at most 1; got 90"),
    ],
)
def test_sampling_that_is_none(options, reason):
    with pytest.raises(ValueError, match=reason):
        Sampling(**options)


def test_what_has_another_shape(model):
    swap, x = SWAPS["order 2"], prompts(4)
    noise = gumbel(0, 4, SIZE)
    with pytest.raises(ValueError, match=r"\(B, length\); got shape \(5,\)"):
        write(model, x[0], swap, 2, FREE)
    with pytest.raises(ValueError, match=r"shape \(4, 40\); got \(2, 40\)"):
        write(model, x, swap, 2, FREE, gumbel(0, 2, SIZE))
    with pytest.raises(ValueError, match=r"shape \(4, 40\); got \(8, 40\)"):
        write_best(model, x, swap, 2, FREE, gumbel(0, 8, SIZE), liking)
    with pytest.raises(ValueError, match=r"shape \(8,\); got shape \(8, 1\)"):
        write_best(model, x, swap, 2, FREE, noise, lambda rows: liking(rows)[:, None])
    with pytest.raises(ValueError, match="or NaN or infinity"):
        write_best(model, x, swap, 2, FREE, noise, lambda rows: liking(rows) / 0)
