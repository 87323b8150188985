"""Regard classifiers: the lines they learn from, what they say, what GPT-2 said."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from equinb import lab
from equinb.apps.text import generations, judges, pretrained, regard
from equinb.apps.text.pretrained import SHIPPED, load_language_model
from equinb.apps.text.prompts import PAIRS, TASKS
from equinb.apps.text.regard import (
    CHUNK,
    JUDGES,
    LABELS,
    features,
    hub_regard,
    learn_regard,
    load_regard,
    new_regression,
    score_of,
)
from equinb.apps.text.regard_data import FILES, labelled
from equinb.lab import Job

EACH_JUDGE = pytest.mark.parametrize("name", JUDGES.values())
KIND = ["was known for his kindness.", "was regarded as a great teacher and a hero."]
UNKIND = ["was known for a brutal murder.", "was regarded as a liar and a thief."]
#: By label, words that make up lines.
WORDS = {
    -1: ["murder", "theft", "lies", "hate"],
    0: ["bread", "cars", "paper", "shoes"],
    1: ["courage", "charm", "wisdom", "love"],
}


@pytest.fixture(scope="module")
def tiny():
    return load_language_model(SHIPPED[0])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve lines of each label, in the files of the real data."""
    random = np.random.default_rng(0)
    lines = [
        f"{label}\tXYZ had {' '.join(random.choice(words, 3))} a{k} b{k} c{k} d{k}."
        for label, words in WORDS.items()
        for k in range(12)
    ]
    lines += ["2\tXYZ was many things.", lines[0], lines[0].upper()]
    (tmp_path / "regard").mkdir()
    for place, name in enumerate(FILES):
        text = "\n".join(lines[place :: len(FILES)]) + "\n"
        (tmp_path / "regard" / f"{name}.tsv").write_text(text)
    monkeypatch.setenv("EQUINB_DATA", str(tmp_path))
    return tmp_path / "regard"


# Lines.


def test_each_line_once_and_those_of_other_kinds_not(folder):
    lines = labelled()
    assert sorted(lines.labels.tolist()) == [0] * 12 + [1] * 12 + [2] * 12
    assert not any("XYZ" in text or "many things" in text for text in lines.texts)
    for text, label in zip(lines.texts, lines.labels, strict=True):
        assert any(word in text for word in WORDS[int(label) - 1])


def test_lines_that_are_nearly_the_same_are_kin(folder):
    lines = [
        "1\tXYZ was known for her work on the old bridge in the north.",
        "1\tXYZ was known for his work on the old bridge in the north.",
        "0\tXYZ sold bread.",
    ]
    for name in FILES:
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    one, two, three = labelled().kin
    assert one == two != three


def test_lines_that_are_not_there(folder, monkeypatch):
    (folder / "dev.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"dev.tsv is missing: get the regard"):
        labelled()
    monkeypatch.delenv("EQUINB_DATA")
    with pytest.raises(FileNotFoundError, match="EQUINB_DATA is not set: get the rega"):
        labelled()


# Classifiers.


@EACH_JUDGE
def test_judges_that_ship_tell_kind_from_unkind(name):
    p = load_regard(name)([*KIND, *UNKIND])
    assert p.shape == (4, len(LABELS))
    torch.testing.assert_close(p.sum(-1), torch.ones(4))
    score = p[:, 2] - p[:, 0]
    assert score[:2].mean() > score[2:].mean() + 0.5


@EACH_JUDGE
def test_a_text_is_judged_by_itself(name):
    judge, texts = load_regard(name), [*KIND, *UNKIND, "sold " + "bread, " * 20]
    alone = torch.cat([judge([text]) for text in texts])
    torch.testing.assert_close(judge(texts), alone)
    many = judge(texts * CHUNK)
    torch.testing.assert_close(many[-len(texts) :], alone)


def test_no_such_judge():
    with pytest.raises(FileNotFoundError, match="nobody"):
        load_regard("nobody")


def test_features_are_means_and_maxima(tiny):
    text = KIND[0]
    ids = tiny.tokens(f" {text}")[None]
    hidden = tiny.model.transformer(ids, output_hidden_states=True).hidden_states[1][0]
    expected = torch.cat([hidden.mean(0), hidden.amax(0)])
    torch.testing.assert_close(features(tiny, [text, "a"])[0], expected)


def test_learning_from_lines(tiny, folder):
    lines = labelled()
    judge = learn_regard(tiny, lines.texts, lines.labels.tolist())
    said = judge(lines.texts).argmax(-1).numpy()
    assert (said == lines.labels).mean() > 0.9


def test_one_layer_says_what_the_regression_says(tiny, folder):
    lines, asked = labelled(), [*KIND, *UNKIND]
    x = features(tiny, lines.texts).numpy()
    regression = new_regression(StandardScaler()).fit(x, lines.labels)
    expected = regression.predict_proba(features(tiny, asked).numpy())
    found = learn_regard(tiny, lines.texts, lines.labels.tolist())(asked)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_a_classifier_of_the_hub():
    seen = []

    def classify(texts):
        seen.extend(texts)
        chances = {"positive": 0.5, "other": 0.2, "negative": 0.1, "neutral": 0.2}
        return [[{"label": k, "score": v} for k, v in chances.items()] for _ in texts]

    p = hub_regard(classify)(KIND)
    torch.testing.assert_close(p, torch.tensor([[0.125, 0.25, 0.625]] * 2))
    assert seen == [f"XYZ {text}" for text in KIND]


def test_the_proxy_loss_is_blame_less_praise():
    p = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])
    score = score_of(lambda texts: p[: len(texts)], lambda ids: ["a"] * len(ids))
    torch.testing.assert_close(
        score(torch.zeros(2, 3)), torch.tensor([0.6, -1.0]).double()
    )


# Experiments.


def test_judges_are_compared(folder):
    options = judges.EXPERIMENT.config("quick")
    found, weights = {}, {}
    for job in judges.jobs(options, [0]):
        made = judges.work(options, job, "cpu", lambda done: None)
        rows = {row["measure"]: row["value"] for row in made.rows}
        found[job.settings["judge"]] = rows["accuracy"]
        assert rows["lines"] == 36
        weights |= made.weights
    assert found[judges.WORDS] > found[judges.MAJORITY] + 0.3
    assert found[SHIPPED[0]] > found[judges.MAJORITY]
    assert list(weights) == ["text/regard-tiny.safetensors"]


def test_kin_stay_in_one_fold(folder):
    """Labels that say nothing cannot be told from a line that is nearly the same."""
    random = np.random.default_rng(1)
    draw = ["".join(random.choice([*"abcdefgh"], 5)) for _ in range(400)]
    lines = []
    for place in range(30):
        some = " ".join(draw[10 * place : 10 * place + 10])
        label = random.choice([-1, 0, 1])
        lines += [f"{label}\tXYZ {some} {end}." for end in ("now", "then")]
    (folder / "train.tsv").write_text("\n".join(lines) + "\n")
    for name in {*FILES} - {"train"}:
        (folder / f"{name}.tsv").write_text("")
    job = Job(0, {"judge": judges.WORDS}, judges.FOLDS)
    made = judges.work(judges.JudgeOptions(), job, "cpu", lambda done: None)
    (accuracy,) = (r["value"] for r in made.rows if r["measure"] == "accuracy")
    assert accuracy < 0.6


def said_by_gpt2(folder):
    """Of each person and context, two made-up texts."""
    lines = [
        f"{subject} {context} {word}."
        for people in PAIRS.values()
        for subject in people.values()
        for contexts in TASKS.values()
        for context in contexts
        for word in ("love", "murder")
    ]
    (folder / "gpt2_generations.tsv").write_text("\n".join(lines) + "\n")


def test_texts_of_a_person_and_a_task(folder):
    said_by_gpt2(folder)
    for people in PAIRS.values():
        for subject in people.values():
            found = generations.generations(subject, "occupation")
            assert len(found) == 10
            assert found[:2] == ["worked as love.", "worked as murder."]


def test_quick_reads_the_first_texts(folder, tmp_path, monkeypatch):
    said_by_gpt2(folder)
    loaded = set()

    def load(name):
        loaded.add(f"assets/{name}")
        return lab.load_weights(name)

    for module in (pretrained, regard):
        monkeypatch.setattr(module, "load_weights", load)
    quick = generations.EXPERIMENT.config("quick")
    assert 0 < quick.most < 500
    rows, made = lab.run(
        generations.EXPERIMENT,
        config=replace(quick, most=2),
        folder=tmp_path / "runs",
        progress=False,
    )
    assert set(rows["judge"]) == set(JUDGES.values())
    assert (rows["texts"] == 2).all()
    assert generations.reads(quick, [0]) == sorted(loaded)
    assert loaded <= set(made.sources)


def test_what_gpt2_said_is_not_there(folder):
    with pytest.raises(
        FileNotFoundError,
        match=r"gpt2_generations.tsv is missing: get gpt2_generations",
    ):
        generations.generations("The man", "respect")


def test_what_gpt2_said_is_judged_without_lines_that_were_learned(folder):
    subjects = [s for people in PAIRS.values() for s in people.values()]
    lines = [
        f"{subject} {context} {word}."
        for subject in subjects
        for contexts in TASKS.values()
        for context in contexts
        for word in ("love", "murder")
    ]
    known = "was known for love and murder."
    (folder / "train.tsv").write_text(f"1\tXYZ {known}\n")
    lines.append(f"The man {known}")
    (folder / "gpt2_generations.tsv").write_text("\n".join(lines) + "\n")
    options = generations.EXPERIMENT.config("small")
    job = Job(0, {"judge": JUDGES[SHIPPED[0]]}, 2)
    rows = generations.work(options, job, "cpu", lambda done: None).rows
    by = {(row["word"], row["task"], row["measure"]): row for row in rows}
    assert len(by) == len(rows) == 6 * 2 * (len(LABELS) + 2)
    assert by["man", "respect", "left out"]["value"] == 1
    assert by["gay", "respect", "left out"]["value"] == 0
    assert {row["texts"] for row in rows} == {10}
    shares = [by["gay", "respect", label]["value"] for label in LABELS]
    assert sum(shares) == pytest.approx(1)
    # Nobody is named in what is judged, so all are judged alike.
    same = {by[word, "respect", "score"]["value"] for word in ("gay", "man", "black")}
    assert max(same) - min(same) < 1e-6
