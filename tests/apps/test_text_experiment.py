"""The experiment on generated texts, and the paper's own path with random weights."""

from dataclasses import replace

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

from equinb import lab
from equinb.apps.text import experiment, pretrained, regard
from equinb.apps.text.decoding import Sampling, gumbel, write
from equinb.apps.text.experiment import (
    BETWEEN,
    DECODERS,
    EXPERIMENT,
    PAPER,
    TextOptions,
    Writer,
    distinct,
    said,
    shares,
    surprise,
)
from equinb.apps.text.pretrained import SHIPPED, load_language_model
from equinb.apps.text.prompts import PAIRS, TASKS, prompts
from equinb.apps.text.regard import LABELS, hub_regard, load_regard
from equinb.lab import Job

EXACT = ("EquiLM", "EquizeroLM", "lambda-EquiLM")
FEW = TextOptions(SHIPPED[:1], tokens=6, chunk=3)
SHORT = {"texts": 1, "tokens": 6, "chunk": 3, "mirrored": 10}
TWO = ("gender", "race")
QUICK = replace(EXPERIMENT.config("quick"), **SHORT)


@pytest.fixture(scope="module")
def tiny():
    return load_language_model(SHIPPED[0])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short quick run: its rows, their manifest, the weights that it loaded."""
    loaded = set()

    def load(name):
        loaded.add(f"assets/{name}")
        return lab.load_weights(name)

    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "PAIRS", {pair: PAIRS[pair] for pair in TWO})
        for module in (pretrained, regard):
            patch.setattr(module, "load_weights", load)
        rows, made = lab.run(EXPERIMENT, config=QUICK, folder=folder, progress=False)
    return rows.astype(object).where(rows.notna(), None), made, loaded


@pytest.fixture
def rows(run):
    """Of one pair of words."""
    return run[0][run[0]["pair"] == "gender"].to_dict("records")


def test_weights_that_are_read_are_told(run):
    _, made, loaded = run
    assert experiment.reads(QUICK, [0]) == sorted(loaded)
    assert loaded <= set(made.sources)


def test_a_row_for_each_decoder_word_task_and_measure(rows):
    measured = [row for row in rows if row["measure"] != "text"]
    keys = {
        (row["decoder"], row["word"], row["task"], row["measure"]) for row in measured
    }
    assert len(keys) == len(measured)
    bars = len(DECODERS) * 2 * len(TASKS)
    assert len(measured) == bars * (2 * (len(LABELS) + 1) + 2) + len(DECODERS)
    assert len(rows) - len(measured) == bars * 5


def test_shares_sum_to_one(rows):
    for end in ("", ", other"):
        names = [f"{label}{end}" for label in LABELS]
        total = sum(row["value"] for row in rows if row["measure"] in names)
        assert total == pytest.approx(len(DECODERS) * 2 * len(TASKS))


def test_mirrored_to_the_letter(run):
    mirrored = run[0][run[0]["measure"] == "mirrored"]
    mirrored = mirrored.set_index(["decoder", "pair"])["value"]
    assert len(mirrored) == len(DECODERS) * len(TWO)
    assert all((mirrored[decoder] == 1).all() for decoder in EXACT)
    assert mirrored["pretrained"].mean() < 0.9


def test_texts_that_are_kept_name_the_person(rows):
    for row in rows:
        if row["measure"] == "text":
            assert row["text"].startswith(PAIRS["gender"][row["word"]])
            assert row["label"] in LABELS


@pytest.mark.parametrize("decoder", DECODERS)
def test_what_each_decoder_swaps(tiny, decoder):
    swap = Writer(tiny, load_regard("regard-tiny"), "gender", decoder, FEW).swap
    man, woman, he, she = (
        tiny.tokens(word).item() for word in (" man", " woman", " he", " she")
    )
    assert swap.group.order == (1 if decoder == "pretrained" else 2)
    if decoder == "pretrained":
        return
    assert swap.on_ids(1, torch.tensor([man, woman])).tolist() == [woman, man]
    relaxed = decoder.startswith("R-")
    as_it_is, swapped = [he, she], [she, he]
    moved = swap.on_ids(1, torch.tensor([he, she])).tolist()
    assert moved == (as_it_is if relaxed else swapped)
    assert swap.general[[he, she]].all() == relaxed


def test_equilm_and_its_relaxed_form(tiny):
    x = tiny.tokens("The woman said that").expand(32, -1)
    judge, noise = load_regard("regard-tiny"), gumbel(7, 32, tiny.size)
    for decoder in ("pretrained", "EquiLM", "R-EquiLM"):
        writer = Writer(tiny, judge, "gender", decoder, FEW)
        told = (tiny.model, x, writer.swap, FEW.tokens, Sampling(), noise)
        found = writer(x, 7)
        relaxed = decoder == "R-EquiLM"
        assert torch.equal(found, write(*told, relaxed=relaxed))
        assert torch.equal(found, write(*told)) != relaxed


def test_another_seed_writes_other_texts(run, monkeypatch):
    monkeypatch.setattr(experiment, "DECODERS", ("pretrained",))
    job = Job(1, {"model": SHIPPED[0], "pair": "gender"}, 1)
    made = experiment.work(QUICK, job, "cpu", lambda done: None).rows
    one = {row["text"] for row in made if row["measure"] == "text"}
    other = set(run[0].loc[run[0]["decoder"] == "pretrained", "text"])
    assert len(one - other) > 10


def test_two_judges_count(tiny):
    """The second has no say in what is written, and its counts are its own."""

    def always(place):
        return lambda texts: torch.eye(3)[[place] * len(texts)]

    writer = Writer(tiny, always(0), "gender", "pretrained", FEW)
    x = prompts(tiny, "gender", "man", "respect")[:2]
    made = [writer(some[None], 0) for some in x]
    rows = experiment.judge(writer, x, made, always(2))
    found = {row["measure"]: row["value"] for row in rows if row["measure"] != "text"}
    assert (found["negative"], found["positive"], found["score"]) == (1, 0, -1)
    assert found["negative, other"] == 0
    assert (found["positive, other"], found["score, other"]) == (1, 1)
    assert [row["label"] for row in rows if row["measure"] == "text"] == [
        "negative"
    ] * 2


def test_the_temperature_of_lambda_equilm(tiny):
    """Cold it is EquizeroLM, warm it is not; the other decoders have none."""
    judge, x = load_regard("regard-tiny"), prompts(tiny, "gender", "man", "respect")[0]
    rows = x.expand(8, -1)

    def texts(decoder, temperature):
        told = replace(FEW, temperature=temperature)
        return Writer(tiny, judge, "gender", decoder, told)(rows, 0)

    best = texts("EquizeroLM", 100.0)
    assert torch.equal(best, texts("EquizeroLM", 0.0))
    assert torch.equal(best, texts(BETWEEN, 1e-6))
    assert not torch.equal(best, texts(BETWEEN, 100.0))


def test_what_pleases_the_judge(tiny):
    """EquizeroLM writes what the judge likes, whichever that is."""
    x = prompts(tiny, "gender", "man", "respect")[0].expand(16, -1)

    def liked(sign):
        def judge(texts):
            p = torch.tensor([[0.0, len(text), 0.0] for text in texts])
            p[:, 2 if sign > 0 else 0] = p[:, 1]
            return p / 1000

        made = Writer(tiny, judge, "gender", "EquizeroLM", FEW)(x, 0)
        return sum(map(len, said(tiny, "gender", made)))

    assert liked(1) > liked(-1) + 16


def test_what_is_said_is_what_follows_the_person(tiny):
    texts = ["The man was a cook.", "The woman was a cook.", "He was a cook."]
    ids = [tiny.tokens(text) for text in texts]
    found = [said(tiny, "gender", row[None])[0] for row in ids]
    assert found == ["was a cook.", "was a cook.", "He was a cook."]
    ended = tiny.tokens(f"The man was{tiny.tokenizer.eos_token}The film")
    assert said(tiny, "gender", ended[None]) == ["was"]


def test_surprise_is_of_what_follows_the_prompt(tiny):
    ids = tiny.tokens("The man was known for his films.")[None]
    log_p = tiny.model(ids).logits.log_softmax(-1)[0]
    each = [-float(log_p[k - 1, ids[0, k]]) for k in range(5, ids.shape[1])]
    assert float(surprise(tiny, ids, 5)) == pytest.approx(sum(each) / len(each), 1e-4)


def test_distinct_pairs():
    assert distinct(torch.tensor([[1, 2, 3], [1, 2, 4]])) == 3 / 4
    assert distinct(torch.tensor([[1, 1, 1, 1]])) == 1 / 3


def test_shares_by_hand():
    p = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    found = shares(p)
    assert [found[label] for label in LABELS] == [0.5, 0.0, 0.5]
    assert found["score"] == pytest.approx(0.2)


@pytest.mark.parametrize("preset", EXPERIMENT.presets)
def test_presets_make_the_bars_of_the_paper(preset):
    options = EXPERIMENT.config(preset)
    made = experiment.jobs(options, [0])
    assert [job.settings["pair"] for job in made] == list(PAIRS)
    if preset != "quick":
        assert options.texts * 5 == 500
        assert options.tokens == 15
        assert options.chunk == 5
        assert len(made) * 2 * 2 * len(PAPER) * 500 == 30_000
        assert options.mirrored >= 1000


# The paper's path: GPT-2's class, a byte-pair tokenizer in files, the hub's judge.


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A folder as the hub's, with random weights."""
    folder = tmp_path_factory.mktemp("gpt2")
    corpus = [
        f"{subject} {context} a kind cook. He said his film, she said her film."
        for people in PAIRS.values()
        for subject in people.values()
        for contexts in TASKS.values()
        for context in contexts
    ]
    names = "man woman black white straight gay Black White"
    corpus += [f" {names} he she his her himself herself him"] * 20
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(corpus, 600, special_tokens=["<|endoftext|>"])
    trained.save_model(str(folder))
    tokenizer = GPT2TokenizerFast(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt")
    )
    tokenizer.save_pretrained(folder)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=64,
        n_embd=48,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config)
        for p in model.parameters():
            p.data.mul_(3)
    model.save_pretrained(folder)
    return str(folder)


def test_the_path_of_the_paper(gpt2, monkeypatch):
    judge = load_regard("regard-tiny")

    def classify(texts):
        return [
            [{"label": label, "score": s} for label, s in zip(LABELS, p, strict=True)]
            for p in judge(texts).tolist()
        ]

    named = []

    def pipeline(task, name, **rest):
        named.append((task, name, rest["top_k"]))
        return classify

    monkeypatch.setattr("transformers.pipeline", pipeline)
    options = replace(EXPERIMENT.config("paper"), models=(gpt2,), **SHORT)
    rows = []
    for job in experiment.jobs(options, [0]):
        rows += experiment.work(options, job, "cpu", lambda done: None).rows
    assert named == [("text-classification", "sasha/regardv3", None)] * len(PAIRS)
    mirrored = {}
    for row in rows:
        if row["measure"] == "mirrored":
            mirrored.setdefault(row["decoder"], []).append(row["value"])
    assert set(mirrored) == set(DECODERS)
    assert all(mirrored[decoder] == [1, 1, 1] for decoder in EXACT)
    assert max(mirrored["pretrained"]) < 0.5
    model = load_language_model(gpt2)
    assert isinstance(model.model, GPT2LMHeadModel)
    assert not model.model.training
    x = prompts(model, "gender", "man", "respect")[0]
    assert model.tokenizer.decode(x) == "The man was known for"
    p = hub_regard(classify)(["was kind."])
    torch.testing.assert_close(p, judge(["XYZ was kind."]))
