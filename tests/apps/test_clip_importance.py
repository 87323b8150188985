"""Lambda for images: what it learns, from whom, and that it then stays as it is."""

from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from clip_cases import head, made_up, orbits, trained

import equinb as eq
from equinb import lab
from equinb.apps import clip
from equinb.apps.clip import labels, published
from equinb.apps.views.importance import PUBLISHED, judge
from equinb.equitune import Uniform

LESSONS = {
    "labels": clip.by_labels,
    "equizero": lambda views, similar: clip.by_teacher(
        views, similar, clip.zero_shot(similar)["equizero"]
    ),
    "upright": clip.by_upright,
}
EACH_LESSON = pytest.mark.parametrize("who", LESSONS)
STEPS = 120


@cache
def train():
    """Features of glyphs in the fonts that a CLIP knows."""
    return orbits(600, seed=8, test=False).of("rot90")


@cache
def held_out():
    return orbits(300, seed=9, test=True).of("rot90")


def taught(who, views, seed=0, steps=STEPS, **options):
    lesson = LESSONS[who](views, head())
    return clip.learn_importance(views, lesson, seed, steps=steps, **options)


@cache
def learned(who):
    return taught(who, train())


def numbers(rule):
    return torch.cat([p.flatten() for p in rule.parameters()])


def accuracy(rule, views, cut="logits"):
    said = clip.answer(rule, views, head(), cut).argmax(1)
    return (said == views.labels).double().mean().item()


def relabelled(views):
    random = torch.Generator().manual_seed(0)
    order = torch.randperm(len(views), generator=random)
    return replace(views, labels=views.labels[order])


# The network.


@EACH_LESSON
def test_lambda_is_positive_and_normalised(who):
    found = clip.weigh(learned(who), held_out(), head())
    assert found.weights.shape == (4, 300)
    assert (found.weights > 0).all()
    torch.testing.assert_close(found.weights.sum(0), torch.ones(300))
    lam = found.scores.double().exp()
    torch.testing.assert_close(found.weights.double(), lam / lam.sum(0))


@pytest.mark.parametrize(
    ("hidden", "parameters"),
    [((), 129), ((32,), 128 * 32 + 32 + 33), (PUBLISHED, 12_900 + 10_100 + 101)],
)
def test_the_networks(hidden, parameters):
    net = clip.Importance(128, hidden)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert net(torch.randn(5, 128)).shape == (5,)


def test_the_published_network_is_the_default():
    assert [p.shape for p in clip.Importance(64).parameters()] == [
        p.shape for p in clip.Importance(64, (100, 100)).parameters()
    ]
    assert labels.NETWORKS["d-100-100-1"] == PUBLISHED == (100, 100)


def test_it_does_not_read_the_length_of_features():
    net, features = clip.Importance(128), torch.randn(5, 128)
    torch.testing.assert_close(net(features), net(features * 7))


def test_a_learned_symmetrization_is_equivariant():
    act, views = clip.action("rot90"), train()
    net = learned("labels").net
    f = eq.LambdaEquitune(
        trained().encode, act, eq.Trivial(act.group), net, head=head()
    )
    x = torch.randn((4, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    assert eq.check_equivariance(f, act, eq.Trivial(act.group), x).passed
    still = clip.answer(learned("labels"), views, head())
    shown = torch.arange(len(views)) % 4
    turned = orbits(600, seed=8, test=False).of("rot90", shown)
    again = clip.answer(learned("labels"), turned, head())
    torch.testing.assert_close(again, still, atol=1e-4, rtol=1e-4)


# What it learns.


def test_labels_teach_more_than_even_weights_give():
    even = accuracy(Uniform(), held_out())
    assert accuracy(learned("labels"), held_out()) > even + 0.1
    assert accuracy(learned("labels"), train()) > accuracy(Uniform(), train()) + 0.1


def test_images_known_to_be_upright_teach_which_view_is():
    found = clip.weigh(learned("upright"), held_out(), head()).weights
    before = clip.weigh(taught("upright", train(), steps=0), held_out(), head()).weights
    share = [(w.argmax(0) == 0).double().mean() for w in (before, found)]
    assert share[1] > 0.6
    assert share[1] > share[0] + 0.3


def test_equizero_teaches_its_choice():
    rule = clip.zero_shot(head())["equizero"]
    choice = clip.weigh(rule, held_out(), head()).weights.argmax(0)
    agree = [
        (clip.weigh(w, held_out(), head()).weights.argmax(0) == choice).double().mean()
        for w in (taught("equizero", train(), steps=0), learned("equizero"))
    ]
    assert agree[1] > agree[0] + 0.2


@pytest.mark.parametrize(
    ("who", "reads"), [("labels", True), ("equizero", False), ("upright", False)]
)
def test_who_reads_labels(who, reads):
    few = train().rows(torch.arange(200))
    one, other = (taught(who, v, steps=5) for v in (few, relabelled(few)))
    assert torch.equal(numbers(one), numbers(other)) == (not reads)


@pytest.mark.parametrize("cut", clip.CUTS)
def test_labels_teach_wherever_the_average_is_taken(cut):
    few = train().rows(torch.arange(200))
    lesson = clip.by_labels(few, head(), cut)
    rows = torch.arange(200)
    first, last = (
        lesson(clip.learn_importance(few, lesson, steps=steps), rows)
        for steps in (0, 60)
    )
    assert last < first


def test_labels_teach_by_the_cross_entropy_of_the_answer():
    few, rows = train(), torch.tensor([5, 3, 500])
    rule = learned("labels")
    answer = clip.answer(rule, few, head(), "logits").log_softmax(1)
    expected = -answer[rows, few.labels[rows]].mean()
    found = clip.by_labels(few, head())(rule, rows)
    torch.testing.assert_close(found, expected)


# That it stays.


@EACH_LESSON
def test_afterwards_it_is_frozen(who):
    assert not any(p.requires_grad for p in learned(who).parameters())
    weights = [clip.weigh(learned(who), held_out(), head()).weights for _ in range(2)]
    assert torch.equal(*weights)


@EACH_LESSON
def test_the_seed_decides(who):
    few = train().rows(torch.arange(150))
    state = torch.get_rng_state()
    one, same, other = (taught(who, few, seed, steps=5) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(numbers(one), numbers(same))
    assert not torch.equal(numbers(one), numbers(other))


def test_features_are_left_alone():
    few = train().rows(torch.arange(100))
    before = few.features.clone()
    taught("labels", few, steps=3)
    assert torch.equal(few.features, before)
    assert not few.features.requires_grad


def test_it_may_learn_from_fewer_images_than_a_batch():
    few = train().rows(torch.arange(3))
    assert torch.isfinite(numbers(taught("labels", few, steps=3))).all()


# As published.


def test_the_published_lambda_learns_as_the_seed_says(monkeypatch):
    monkeypatch.setattr(published, "STEPS", 20)
    state = torch.get_rng_state()
    one, same, other = (
        clip.learn_published(train(), head().text, seed) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(numbers(one), numbers(same))
    assert not torch.equal(numbers(one), numbers(other))
    assert not any(p.requires_grad for p in one.parameters())


def test_the_published_lambda_is_of_either_sign_and_not_normalised():
    torch.manual_seed(0)
    lam = clip.PublishedImportance(128)(train().features)
    assert lam.min() < 0 < lam.max()


# What is said of it.


def test_even_weights_are_four_views():
    found = judge(Uniform(), held_out(), head())
    assert found["views"] == pytest.approx(4)
    assert found["upright"] == 0
    assert found["top1"] == pytest.approx(accuracy(Uniform(), held_out()))


def test_a_choice_is_one_view():
    rule = clip.zero_shot(head())["equizero"]
    found = judge(rule, held_out(), head())
    weights = clip.weigh(rule, held_out(), head()).weights
    assert 1 <= found["views"] < 1.2
    alone = weights[0] > weights[1:].amax(0)
    assert found["upright"] == pytest.approx(alone.double().mean().item())


def test_shuffled_weights_are_those_of_other_images():
    rule = learned("labels")
    before = clip.weigh(rule, held_out(), head()).weights
    after = clip.weigh(clip.Shuffled(rule, 0), held_out(), head()).weights
    torch.testing.assert_close(after.sum(0), torch.ones(300))
    # Each image's weights are there, for another one and in another order.
    a, b = (w.sort(0).values.T for w in (before, after))
    assert torch.equal(a[a[:, 3].argsort()][:, 3], b[b[:, 3].argsort()][:, 3])
    kept = (before == after).all(0).double().mean()
    assert kept < 0.05
    assert accuracy(clip.Shuffled(rule, 0), held_out()) < accuracy(rule, held_out())
    again = clip.weigh(clip.Shuffled(rule, 0), held_out(), head()).weights
    assert torch.equal(after, again)


def test_shuffling_even_weights_changes_nothing():
    views = made_up()
    similar = clip.Similarity(torch.eye(4), 10.0)
    found = clip.answer(clip.Shuffled(Uniform(), 0), views, similar)
    torch.testing.assert_close(found, clip.answer(Uniform(), views, similar))


def test_the_experiment(tmp_path, monkeypatch):
    sets = {"train": (400, 1), "test": (200, 3)}
    monkeypatch.setattr("equinb.apps.clip.data.GLYPH_SETS", sets)
    short = partial(clip.learn_importance, steps=20)
    monkeypatch.setattr(labels, "learn_importance", short)
    monkeypatch.setattr(published, "STEPS", 20)
    config = labels.EXPERIMENT.config("quick")
    config = replace(config, models=("glyph-resnet",), images=(50, 200), every=2)
    rows, made = lab.run(
        labels.EXPERIMENT, config=config, folder=tmp_path, progress=False
    )
    assert "assets/clip/glyph-resnet.safetensors" in made.sources
    assert not rows.duplicated(list(labels.EXPERIMENT.keys)).any()
    # Whoever learnt from labels, or from images, says from how many.
    unlearned = {"equitune", "equizero", "pretrained", "pretrained, upright"}
    unlearned |= {"any view"}
    assert set(rows[rows["images"] == 0]["method"]) == unlearned
    assert (rows["top1"].between(0, 1)).all()
    every = (rows["images"] == 200) & (rows["network"] != "")
    several = rows[every].groupby("method")["network"].nunique()
    assert several[[clip.LAMBDA, labels.DISTILLED, labels.ORIENTATION]].tolist() == [
        *(3, 3, 3)
    ]
    few = rows[rows["images"] == 50]
    assert set(few["network"]) == {"d-100-100-1"}
    others = rows[rows["method"] == labels.OTHER_CLASSES]
    assert others["images"].between(80, 120).all()
    assert {labels.SHUFFLED, labels.PUBLISHED_LAMBDA} <= set(rows["method"])
    best = rows[rows["method"] == "any view"]["top1"].item()
    choices = rows[rows["method"].isin(["equizero", "pretrained, upright"])]
    assert (choices["top1"] <= best).all()
