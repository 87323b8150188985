"""Answers from cached features: as the live methods, as ttach, and as published."""

from dataclasses import replace
from functools import cache

import pytest
import torch
import ttach
from clip_cases import head, made_up, orbits, pixels, trained, unit
from torch import nn

import equinb as eq
from equinb import lab
from equinb.apps import clip
from equinb.apps.clip import experiment
from equinb.equitune import Uniform
from equinb.lambda_equitune import Learned

N = 60
METHODS = ("equitune", "equizero", clip.LAMBDA)
EACH_METHOD = pytest.mark.parametrize("method", METHODS)
EACH_CUT = pytest.mark.parametrize("cut", clip.CUTS)
EACH_GROUP = pytest.mark.parametrize("name", clip.GENERATORS)
CLOSE = {"atol": 1e-3, "rtol": 1e-4}


@cache
def net(width=128):
    """A lambda that has learnt nothing, and is far from even."""
    torch.manual_seed(0)
    made = clip.Importance(width)
    with torch.no_grad():
        made.net[-1].weight *= 20
    return made.requires_grad_(False)


def weighting(method, similar=None):
    rules = clip.zero_shot(similar or head())
    return rules[method] if method in rules else Learned(net())


def alive(method, act):
    """The method of the package itself, on images."""
    trivial = eq.Trivial(act.group)
    parts = (trained().encode, act, trivial)
    if method == "equitune":
        return eq.Equitune(*parts, head=head())
    if method == "equizero":
        loss = eq.losses.neg_similarity(head().text)
        return eq.Equizero(*parts, loss=loss, of="features", head=head())
    return eq.LambdaEquitune(*parts, net(), head=head())


# As defined.


@EACH_GROUP
@EACH_METHOD
def test_averaged_features_are_the_live_methods(method, name):
    live = alive(method, clip.action(name))(pixels(N))
    found = clip.answer(weighting(method), orbits(N).of(name), head())
    torch.testing.assert_close(found, live, **CLOSE)


@EACH_METHOD
def test_the_weights_are_those_of_the_live_methods(method):
    _, live = alive(method, clip.action("D4"))(pixels(N), return_orbit=True)
    found = clip.weigh(weighting(method), orbits(N).of("D4"), head())
    torch.testing.assert_close(found.weights, live.weights, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(found.scores, live.scores, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found.weights.sum(0), torch.ones(N))


@EACH_CUT
@EACH_METHOD
def test_the_average_is_over_what_is_said(method, cut):
    """Against plain loops over the views."""
    views = orbits(N).of("rot90")
    weights = clip.weigh(weighting(method), views, head()).weights
    parts = {
        "features": lambda f: f,
        "logits": head(),
        "probabilities": lambda f: head()(f).softmax(-1),
    }
    after = {"features": head(), "logits": lambda y: y, "probabilities": torch.log}
    total = sum(
        w[:, None] * parts[cut](f) for w, f in zip(weights, views.features, strict=True)
    )
    found = clip.answer(weighting(method), views, head(), cut)
    torch.testing.assert_close(found, after[cut](total), **CLOSE)


@EACH_METHOD
def test_features_of_length_one_have_the_answer_of_averaged_logits(method):
    views = orbits(N).of("rot90")
    scaled = replace(views, features=unit(views.features))
    rule = weighting(method)
    by_features = clip.answer(rule, scaled, head()).argmax(1)
    by_logits = clip.answer(rule, views, head(), "logits").argmax(1)
    assert torch.equal(by_features, by_logits)


def test_where_the_average_is_taken_matters_to_equitune():
    views = orbits(N).of("rot90")
    answers = [
        clip.answer(Uniform(), views, head(), cut).argmax(1) for cut in clip.CUTS
    ]
    assert (answers[0] != answers[1]).any() or (answers[1] != answers[2]).any()
    assert (answers[0] != answers[2]).any()


@EACH_GROUP
def test_equizero_is_the_same_wherever_the_average_is_taken(name):
    views, rule = orbits(N).of(name), weighting("equizero")
    alone = clip.weigh(rule, views, head()).weights.amax(0) == 1
    assert alone.double().mean() > 0.9
    features, logits, probabilities = (
        clip.answer(rule, views, head(), cut)[alone] for cut in clip.CUTS
    )
    torch.testing.assert_close(logits, features, **CLOSE)
    torch.testing.assert_close(probabilities.exp(), features.softmax(-1))
    assert torch.equal(probabilities.argmax(1), features.argmax(1))


def test_equizero_takes_the_view_most_similar_to_any_text():
    views = orbits(N).of("rot90")
    cosines = unit(views.features) @ head().text.T
    best = cosines.amax(-1).argmax(0)
    expected = cosines[best, torch.arange(N)].argmax(1)
    assert torch.equal(
        clip.answer(weighting("equizero"), views, head()).argmax(1), expected
    )


def test_ties_of_equizero_are_averaged():
    views = made_up("half turn")
    same = replace(views, features=views.features[:1].expand(2, -1, -1))
    similar = clip.Similarity(torch.eye(4), 10.0)
    found = clip.weigh(weighting("equizero", similar), same, similar).weights
    assert torch.equal(found, torch.full((2, 7), 0.5))


def test_equitune_on_logits_is_ttach():
    """What a practitioner would use."""

    class Model(nn.Module):
        def forward(self, x):
            return head()(trained().encode(x))

    turns = ttach.Compose([ttach.Rotate90([0, 90, 180, 270])])
    theirs = ttach.ClassificationTTAWrapper(Model(), turns, merge_mode="mean")
    ours = clip.answer(Uniform(), orbits(N).of("rot90"), head(), "logits")
    torch.testing.assert_close(ours, theirs(pixels(N)), **CLOSE)


def test_ttach_mirrors_as_well():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)).requires_grad_(False)
    mirrors = {"hflip": ttach.HorizontalFlip(), "vflip": ttach.VerticalFlip()}
    for name, transform in mirrors.items():
        wrapped = ttach.ClassificationTTAWrapper(model, ttach.Compose([transform]))
        act = clip.action(name)
        ours = eq.Equitune(model, act, eq.Trivial(act.group))
        torch.testing.assert_close(ours(pixels(3)), wrapped(pixels(3)))


def test_an_unknown_cut():
    says = "average is over features, logits, probabilities; got 'text'"
    with pytest.raises(ValueError, match=says):
        clip.answer(Uniform(), made_up(), clip.Similarity(torch.eye(4), 1.0), "text")


# Turning the input changes no answer.


@EACH_CUT
@EACH_METHOD
@EACH_GROUP
def test_turning_the_input_changes_no_answer(name, method, cut):
    whole, rule = orbits(N), weighting(method)
    still = clip.answer(rule, whole.of(name), head(), cut)
    for h in range(clip.subgroup(name).order):
        turned = whole.of(name, torch.full((N,), h))
        again = clip.answer(rule, turned, head(), cut)
        torch.testing.assert_close(again, still, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", experiment.PUBLISHED)
@EACH_GROUP
def test_nor_that_of_the_published_methods_without_lambda(name, method):
    function, text = experiment.PUBLISHED[method], head().text
    still = function(orbits(N).of(name), text)
    for h in range(clip.subgroup(name).order):
        turned = orbits(N).of(name, torch.full((N,), h))
        torch.testing.assert_close(function(turned, text), still)


def test_it_changes_what_the_model_says_by_itself():
    turned = orbits(N).of("rot90")
    said = head()(turned.features).argmax(-1)
    assert (said != said[0]).double().mean() > 0.3


# As published.


def test_the_published_equitune_averages_probabilities_at_temperature_one():
    views, text = orbits(N).of("rot90"), head().text
    cool = clip.Similarity(text, 1.0)
    ours = clip.answer(Uniform(), views, cool, "probabilities")
    torch.testing.assert_close(clip.published_equitune(views, text).log(), ours)


def test_the_published_equizero_gives_what_no_view_gives():
    views, text = orbits(N).of("rot90"), head().text
    each = clip.Similarity(text, 1.0)(views.features).softmax(-1)
    found = clip.published_equizero(views, text)
    assert (found.sum(1) > 1 + 1e-4).all()
    assert ((each - found).abs().amax(-1) > 1e-4).all()
    # Yet its first choice is that of the view which is surest at temperature 1.
    surest = each.amax(-1).argmax(0)
    first = each[surest, torch.arange(N)].argmax(1)
    assert torch.equal(found.argmax(1), first)


def test_the_published_equizero_may_choose_another_view():
    """It prefers contrast; equizero, as defined, a text that is near."""
    near = [0.8, 0.6, 0.0]
    contrast = [-0.47, -0.47, 0.75]
    features = unit(torch.tensor([[near], [contrast]]))
    views = clip.Orbits(clip.subgroup("half turn"), features, torch.zeros(1))
    text = torch.eye(3)
    ours = clip.Similarity(text, 100.0)
    defined = clip.answer(clip.zero_shot(ours)["equizero"], views, ours)
    assert defined.argmax(1).tolist() == [0]
    assert clip.published_equizero(views, text).argmax(1).tolist() == [2]


def test_the_published_lambda_gives_another_answer_at_every_call():
    torch.manual_seed(0)
    net, views, text = clip.PublishedImportance(128), orbits(N).of("rot90"), head().text
    net.eval().requires_grad_(False)
    one, other = (clip.published_lambda(net, views, text) for _ in range(2))
    assert ((one - other).abs().amax(1) > 0).all()
    assert net(views.features).shape == (4, N, 1)


def test_the_published_lambda_sets_a_temperature_and_takes_no_vote_away():
    class Zero(nn.Module):
        def forward(self, features):
            return torch.zeros(*features.shape[:2], 1)

    views, text = orbits(N).of("rot90"), head().text
    even = clip.published_lambda(Zero(), views, text)
    torch.testing.assert_close(even, torch.full_like(even, 1 / len(text)))


# Rows.


@cache
def rows_of(name):
    views = orbits(N)
    shown = experiment.turns(N, clip.subgroup(name).order, seed=0)
    return experiment.try_all(trained(), head().text, views, name, shown), shown


@EACH_GROUP
def test_a_row_a_method_space_and_temperature(name):
    found, _ = rows_of(name)
    keys = [(r["method"], r["cut"], r["scale"]) for r in found]
    # Two methods in three spaces at two temperatures, two as published, three alone.
    assert len(keys) == len(set(keys)) == 2 * 3 * 2 + 2 + 3
    assert {r["group"] for r in found} == {name}


@EACH_GROUP
def test_accuracy_is_the_models_own_and_what_was_corrected(name):
    found, shown = rows_of(name)
    by = {(r["method"], r["cut"], r["scale"]): r for r in found}
    plain = by["pretrained", "", "CLIP's"]["top1"]
    for row in found:
        expected = plain + row["corrected"] - row["corrupted"]
        assert row["top1"] == pytest.approx(expected)
    act = clip.action(name)
    turned = torch.stack(
        [act(int(h), x[None])[0] for h, x in zip(shown, pixels(N), strict=True)]
    )
    labels = orbits(N).labels
    said = head()(trained().encode(turned)).argmax(1)
    assert plain == pytest.approx((said == labels).double().mean().item())
    said = head()(trained().encode(pixels(N))).argmax(1)
    upright = by["pretrained, upright", "", "CLIP's"]["top1"]
    assert upright == pytest.approx((said == labels).double().mean().item())
    most = by["any view", "", "CLIP's"]
    assert most["corrupted"] == 0
    choice = [r["top1"] for key, r in by.items() if key[0] == "equizero"]
    assert most["top1"] >= max(*choice, upright, plain)


def test_the_temperature_is_nothing_to_averaged_logits():
    for name in clip.GENERATORS:
        found, _ = rows_of(name)
        for cut in "features", "logits":
            top1 = {
                r["top1"] for r in found if (r["method"], r["cut"]) == ("equitune", cut)
            }
            assert len(top1) == 1


def test_turns_are_random_and_the_seed_decides():
    state = torch.get_rng_state()
    shown = experiment.turns(4000, 4, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(shown, experiment.turns(4000, 4, seed=1))
    assert not torch.equal(shown, experiment.turns(4000, 4, seed=2))
    assert shown.bincount().min() > 900


def test_the_experiment(tmp_path, monkeypatch):
    monkeypatch.setattr("equinb.apps.clip.data.GLYPH_SETS", {"test": (80, 3)})
    config = experiment.EXPERIMENT.config("quick")
    config = replace(config, models=("glyph-resnet",), every=2)
    rows, made = lab.run(
        experiment.EXPERIMENT,
        config=config,
        seeds=[0, 1],
        folder=tmp_path,
        progress=False,
    )
    assert len(rows) == 2 * 5 * 17
    keys = [*experiment.EXPERIMENT.keys, "seed"]
    assert not rows.duplicated(keys).any()
    assert "assets/clip/glyph-resnet.safetensors" in made.sources
    # The seeds are those of the turns: upright images are the same.
    upright = rows[rows["method"] == "pretrained, upright"]["top1"]
    assert upright.nunique() == 1
    assert upright.iloc[0] > 0.8
    plain = rows[(rows["method"] == "pretrained") & (rows["group"] == "rot90")]["top1"]
    assert plain.max() < 0.6


def test_what_a_model_is_tried_on():
    assert experiment.data_of("glyph-vit") == ("glyphs",)
    assert experiment.data_of("tiny-vit") == ("tiny-imagenet",)
    assert experiment.data_of("RN50") == ("cifar100", "imagenet-v2")
    assert experiment.data_of("RN50", ["cifar100"]) == ("cifar100",)
