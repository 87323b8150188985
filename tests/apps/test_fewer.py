"""Accuracy against passes: routers that are equivariant, bounded, and counted."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import equinb as eq
from equinb.apps.fewer.cost import operations
from equinb.apps.fewer.experiment import (
    DISTILLED,
    EXPERIMENT,
    LABELLED,
    ORIENTATION,
    FewerOptions,
    jobs,
    lessons,
    reads,
    work,
)
from equinb.apps.fewer.routers import Look, Recipe, learn_router, new_router
from equinb.apps.fewer.subjects import load_subject
from equinb.apps.fewer.trials import Trial, judge, mean, scores_of
from equinb.apps.views.answers import PRETRAINED, UPRIGHT, weigh
from equinb.apps.views.importance import LAMBDA
from equinb.apps.views.orbits import Orbits, action
from equinb.lab import Job

RECIPE = Recipe(steps=60, spread=0.3)
FEW = FewerOptions(("cnn/glyph-resnet",), ("rot90",), (0.2,), RECIPE)
GROUPS = ("rot90", "D4")


@pytest.fixture(scope="module")
def digits():
    return load_subject("cnn/glyph-resnet", 16_000, 4)


@pytest.fixture(scope="module")
def rows():
    job = Job(0, {"model": "cnn/glyph-resnet"})
    return work(replace(FEW, every=4), job, "cpu", lambda step: None).rows


def of(rows, method, **settings):
    return [
        row
        for row in rows
        if row["method"] == method and settings.items() <= row.items()
    ]


def trial(subject, group="rot90", recipe=RECIPE, head=None):
    look = Look(recipe)
    net = learn_router(look(subject.train), action(group), recipe, 0)
    shape = subject.train_orbits.of(group).features.shape[:2]
    head = head or subject.head(group, torch.full(shape, 1 / shape[0]), 0)
    return Trial(subject, group, head, net, look)


# --- routers --------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize("side", [8, 16, 32])
def test_a_look_commutes_with_turns_and_mirrors(group, grey, side):
    x = torch.rand(3, 3, 32, 32)
    x[2] = 0.5  # of one colour
    look = Look(Recipe(side=side, grey=grey))
    assert eq.check_equivariance(look, action(group), action(group), x).passed
    small = look(x)[:2]
    assert small.shape == (2, 1 if grey else 3, side, side)
    torch.testing.assert_close(small.mean((1, 2, 3)), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(small.std((1, 2, 3), correction=0), torch.ones(2))


def test_a_look_needs_a_multiple_of_its_side():
    for side in (31, 8):
        with pytest.raises(ValueError, match=f"of a multiple of it; got {side}"):
            Look(Recipe(side=16))(torch.rand(1, 3, side, side))


@pytest.mark.parametrize("channels", [(), (4,), (4, 8)])
def test_new_routers(channels):
    recipe = Recipe(side=8, channels=channels, hidden=(5,))
    before = torch.random.get_rng_state()
    net = new_router(recipe, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    x = torch.rand(6, 1, 8, 8)
    assert net(x).shape == (6, 1)
    assert torch.equal(net(x), new_router(recipe, 3)(x))
    assert not torch.equal(net(x), new_router(recipe, 4)(x))


def test_a_router_learns_what_it_is_told():
    act = action("rot90")
    images = torch.rand(64, 3, 16, 16) * 0.2
    images[:, :, :8] += 0.8  # light above
    recipe = Recipe(side=8, hidden=(16,), steps=80, batch=32)
    small = Look(recipe)(images)
    net = learn_router(small, act, recipe, 0)
    assert scores_of(net, act, small).argmax(0).eq(0).all()
    told = torch.zeros(4, 64)
    told[2] = 1
    net = learn_router(small, act, recipe, 0, told)
    assert scores_of(net, act, small).argmax(0).eq(2).all()
    assert not any(p.requires_grad for p in net.parameters())
    again = learn_router(small, act, recipe, 0, told)
    assert torch.equal(scores_of(net, act, small), scores_of(again, act, small))


def test_by_labels_is_what_is_due_to_each_view(digits):
    full, head = digits.full("rot90", 0)
    told = lessons(digits, "rot90", full, head)
    assert list(told) == [DISTILLED, LABELLED, ORIENTATION]
    assert told[ORIENTATION] is None
    train = digits.train_orbits.of("rot90")
    weights = weigh(full, train, head).weights
    assert torch.equal(told[DISTILLED], weights)
    n = 7
    said = head(train.features[:, n]).softmax(-1)[:, train.labels[n]]
    due = weights[:, n] * said
    torch.testing.assert_close(told[LABELLED][:, n], due / due.sum())


# --- cost -----------------------------------------------------------------------------


def test_operations_are_those_of_products():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 2))
    found = operations(net, torch.zeros(5, 3, 8, 8))
    assert found == 5 * 2 * (64 * 4 * 27 + 256 * 2)


@pytest.mark.parametrize("group", GROUPS)
def test_the_cost_is_what_the_routed_model_does(digits, group):
    tried = trial(digits, group)
    images = digits.test[:40]
    scores = scores_of(tried.net, tried.act, tried.look(images))
    plain = operations(tried.plain, images)
    for how in ({"k": 1}, {"k": 3}, {"eps": 0.2}):
        f = tried.routed(**how)
        with torch.no_grad():
            route = f(images, return_orbit=True)[1]
        assert torch.equal(route.chosen, eq.routed.choose(scores, **how))
        assert route.encoded == int(route.passes.sum())
        counted = operations(f, images) / plain
        passes = mean(route.passes)
        assert counted == pytest.approx(passes + tried.router_share(), rel=1e-6)
    assert 0.05 < tried.router_share() < 0.3


# --- trials ---------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
def test_features_answer_as_the_model_does(digits, group):
    tried = trial(digits, group)
    images, test = digits.test, digits.test_orbits.of(group)
    scores = scores_of(tried.net, tried.act, tried.look(images))
    for how in ({"k": 1}, {"eps": 0.1}):
        with torch.no_grad():
            made = tried.routed(**how)(images).argmax(-1)
        chosen = eq.routed.choose(scores, **how)
        row = judge(scores, chosen, test, tried.head)
        assert row["top1"] == pytest.approx(mean(made == test.labels), abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("group", GROUPS)
def test_a_routed_network_is_equivariant(digits, group, dtype):
    act = action(group)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)).to(dtype)
    tried = trial(digits, group)
    images = digits.test[:30].to(dtype)
    images = torch.cat([images, act.orbit(images[:2]).mean(0)])  # and symmetric ones
    for how in ({"k": 1}, {"k": 2}, {"eps": 0.1}):
        net = new_router(RECIPE).to(dtype)
        f = eq.Routed(encoder, act, eq.Trivial(act.group), net, look=tried.look, **how)
        error = eq.check_equivariance(f, act, eq.Trivial(act.group), images).error
        assert error <= {torch.float32: 1e-5, torch.float64: 1e-10}[dtype]


def test_one_that_is_not_equivariant_is_refused(digits):
    tried = trial(digits)
    slanted = replace(tried, look=lambda x: tried.look(x) + torch.linspace(0, 3, 16))
    f = slanted.routed(k=1)
    with pytest.raises(ArithmeticError, match="not equivariant"):
        tried.error(f)


def test_the_certificate_of_an_answer():
    # Two classes and two views, on a head that passes logits on.
    group = eq.cyclic(2)
    sure, unsure = torch.tensor([4.0, 0.0]), torch.tensor([0.1, 0.0])
    features = torch.stack([torch.stack([sure, unsure]), -torch.stack([sure, unsure])])
    test = Orbits(group, features, torch.tensor([0, 0]))
    scores = torch.tensor([[0.8, 0.8], [0.2, 0.2]]).log()
    chosen = torch.tensor([[True, True], [False, False]])
    row = judge(scores, chosen, test, nn.Identity())
    assert row["left_out"] == pytest.approx(0.2)
    assert row["passes"] == 1
    assert row["certified"] == 0.5  # 0.8 of a margin of 0.96, but not of one of 0.05
    assert row["top1"] == 1
    p = features.softmax(-1)
    gap = (p[0] - (0.8 * p[0] + 0.2 * p[1])).abs().sum(-1) / 2
    assert row["variation"] == pytest.approx(mean(gap))
    assert row["excess"] < 0
    whole = judge(scores, torch.ones_like(chosen), test, nn.Identity())
    assert whole["variation"] == pytest.approx(0, abs=1e-7)
    assert whole["certified"] == 1


# --- rows -----------------------------------------------------------------------------


def test_rows_from_one_view_to_all(rows):
    for method in (DISTILLED, LABELLED, ORIENTATION):
        (one,) = of(rows, method, rule="k", at=1.0)
        (whole,) = of(rows, method, rule="k", at=4.0)
        assert one["passes"] == pytest.approx(1, abs=0.02)
        assert one["cost"] == pytest.approx(one["passes"] + one["router"])
        assert one["cost"] <= 1.3
        assert whole["left_out"] == pytest.approx(0, abs=1e-6)
        assert len(of(rows, method)) == 5
        costs = [row["cost"] for row in of(rows, method, rule="k")]
        assert costs == sorted(costs)
        for row in of(rows, method):
            assert row["error"] <= 1e-5
            assert row["excess"] <= 1e-5
            assert row["variation"] <= row["left_out"] + 1e-6
            assert row["counted"] == pytest.approx(row["cost"], rel=0.1)
            assert row["time"] > 0
        (adaptive,) = of(rows, method, rule="eps")
        assert adaptive["left_out"] <= 0.2
    assert of(rows, PRETRAINED)[0]["cost"] == 1
    assert of(rows, LAMBDA)[0]["cost"] == pytest.approx(4, abs=0.1)


def test_a_router_is_worth_its_cost(rows):
    one = of(rows, ORIENTATION, rule="k", at=1.0)[0]["top1"]
    assert one > of(rows, PRETRAINED)[0]["top1"] + 0.2
    assert one > of(rows, LAMBDA)[0]["top1"] - 0.1
    assert one <= of(rows, UPRIGHT)[0]["top1"] + 0.03


def test_jobs_and_what_they_read():
    options = EXPERIMENT.presets["quick"]
    made = jobs(options, [0, 1])
    assert len(made) == 8
    assert len({job.name for job in made}) == 8
    assert list(reads(options, [0])) == [
        "assets/clip/glyph-resnet.safetensors",
        "assets/clip/glyph-vit.safetensors",
        "assets/cnn/glyph-alexnet.safetensors",
        "assets/cnn/glyph-resnet.safetensors",
    ]
    sources = EXPERIMENT.sources(options, [0])
    assert {"routed.py", "apps/fewer/trials.py"} <= set(sources)
    assert EXPERIMENT.options(options)["router"]["hidden"] == [256, 32]


def test_a_subject_needs_a_chapter():
    with pytest.raises(ValueError, match="name a chapter, cnn or clip"):
        load_subject("rl/cartpole", 10, 1)


def test_photographs_are_read_without_loss(monkeypatch, tmp_path):
    # By the traces of compression a router tells which way a JPEG was up.
    monkeypatch.setenv("EQUINB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="cifar10-lossless"):
        load_subject("cnn/tiny-resnet", 10, 1)


def test_a_clip_keeps_its_head():
    subject = load_subject("clip/glyph-vit", 200, 100)
    head = subject.head("rot90", torch.ones(4, len(subject.train)) / 4, 0)
    assert head(torch.rand(2, 128)).shape == (2, 100)
    assert subject.classes == 100
    assert len(subject.train) == 200
    assert len(subject.test) == 40
