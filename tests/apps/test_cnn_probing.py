"""Probes on frozen features, what tells beforehand, and the experiment."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import kendalltau
from torch.nn.functional import cross_entropy

from equinb import lab
from equinb.apps.cnn import (
    cifar100_cnns,
    experiment,
    glyph_cnns,
    pretraining,
    probing,
)
from equinb.apps.cnn.backbones import AlexNet, ResNet, frozen
from equinb.apps.cnn.diagnostics import (
    by_class,
    calibration_error,
    confusion,
    judge,
    judge_proxy,
    losses_of_views,
    rank_agreement,
)
from equinb.apps.cnn.probing import PROXIES, Probing, choices, learners, probe
from equinb.apps.views.answers import answer, weigh
from equinb.apps.views.importance import LAMBDA, by_labels, learn_importance
from equinb.apps.views.orbits import Orbits, subgroup
from equinb.equitune import Uniform

FEW = Probing(epochs=3, rate=1e-2, batch=16)
CLASSES, WIDTH, N = 3, 8, 60
EACH_METHOD = pytest.mark.parametrize("method", learners(WIDTH, 0))


def orbits(n=N, seed=0):
    """Features that know the class, and whose upright view knows it best.

    The last feature says whether a view is upright.
    """
    random = torch.Generator().manual_seed(seed)
    group = subgroup("rot90")
    labels = torch.arange(n) % CLASSES
    features = torch.randn((4, n, WIDTH), generator=random)
    strength = torch.tensor([6.0, 0.5, 0.5, 0.5])
    features[:, torch.arange(n), labels] += strength[:, None]
    features[..., -1] = torch.tensor([2.0, -2.0, -2.0, -2.0])[:, None]
    return Orbits(group, features, labels)


def head_of(seed=0):
    """A head that reads the first features as logits."""
    linear = torch.nn.Linear(WIDTH, CLASSES, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(CLASSES, WIDTH))
    return linear.requires_grad_(False)


# Probes.


@EACH_METHOD
def test_a_probe_learns_and_is_frozen(method):
    weighting = learners(WIDTH, 0)[method]
    known = orbits()

    def loss(head):
        views = weighting or Uniform()
        logits = answer(views, known, head, "logits")
        return cross_entropy(logits, known.labels)

    untrained = probing.new_probe(WIDTH, CLASSES, (), 0)
    head = probe(known, CLASSES, weighting, replace(FEW, epochs=10), alone=method)
    if method != "equizero, sign turned":  # it learns from the worst views
        assert loss(head) < 0.8 * loss(untrained)
    assert not any(p.requires_grad for p in head.parameters())
    if method == LAMBDA:
        assert not any(p.requires_grad for p in weighting.parameters())


def test_equitune_is_a_plain_probe_of_mean_features():
    """The average of logits of a linear probe is the logits of the average."""
    known = orbits()
    mean = replace(known, features=known.features.mean(0, keepdim=True).repeat(4, 1, 1))
    one = probe(known, CLASSES, Uniform(), FEW)
    other = probe(mean, CLASSES, None, FEW)
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-4, rtol=1e-3)


def test_a_step_is_that_of_adam_on_the_average():
    known = orbits(16)
    head = probing.new_probe(WIDTH, CLASSES, (), 0)
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    logits = head(known.features).mean(0)
    cross_entropy(logits, known.labels).backward()
    optimizer.step()
    found = probe(known, CLASSES, Uniform(), replace(FEW, epochs=1))
    for p, q in zip(found.parameters(), head.parameters(), strict=True):
        torch.testing.assert_close(p, q.detach(), atol=1e-6, rtol=1e-5)


def test_without_an_average_only_the_view_that_is_shown_counts():
    known = orbits()
    other = replace(known, features=known.features.clone())
    other.features[1:] += 100.0
    one, two = (probe(o, CLASSES, None, FEW) for o in (known, other))
    assert torch.equal(one[0].weight, two[0].weight)


def test_turns_are_drawn_anew_in_every_epoch():
    """Two epochs of augmentation, against a plain loop."""
    known = orbits(16)
    head = probing.new_probe(WIDTH, CLASSES, (), 0)
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    random = torch.Generator().manual_seed(0)
    turns = []
    for _ in range(2):
        rows = torch.randperm(16, generator=random)
        turns.append(torch.randint(4, (16,), generator=random))
        logits = head(known.features[turns[-1], rows])
        optimizer.zero_grad()
        cross_entropy(logits, known.labels[rows]).backward()
        optimizer.step()
    assert not torch.equal(*turns)
    few = replace(FEW, epochs=2)
    found = probe(known, CLASSES, None, few, alone=probing.AUGMENTATION)
    torch.testing.assert_close(found[0].weight, head[0].weight.detach())


def test_all_views_are_shown_by_themselves():
    known = orbits(16)
    every = replace(
        known,
        features=known.features.flatten(0, 1)[None],
        labels=known.labels.repeat(4),
        group=known.group.subgroup(),
    )
    few = replace(FEW, epochs=1, batch=64)
    one = probe(known, CLASSES, None, few, alone=probing.ALL_VIEWS)
    other = probe(every, CLASSES, None, few)
    torch.testing.assert_close(one[0].weight, other[0].weight)


def test_the_two_gradients_of_a_choice_differ():
    known = orbits()
    ways = learners(WIDTH, 0)
    one, other = (
        probe(known, CLASSES, ways[name], FEW) for name in ("equizero", probing.CHOSEN)
    )
    assert not torch.equal(one[0].weight, other[0].weight)


def test_what_is_frozen_stays():
    known, head = orbits(), head_of()
    learned = learn_importance(known, by_labels(known, head), steps=5)
    before = [p.clone() for p in learned.parameters()]
    probe(known, CLASSES, learned, FEW)
    assert all(
        torch.equal(p, q) for p, q in zip(before, learned.parameters(), strict=True)
    )


def test_the_seed_decides_and_all_methods_begin_alike():
    one = probing.new_probe(WIDTH, CLASSES, (5,), 3)
    assert torch.equal(
        one[0].weight, probing.new_probe(WIDTH, CLASSES, (5,), 3)[0].weight
    )
    assert [tuple(p.shape) for p in one.parameters()] == [(5, 8), (5,), (3, 5), (3,)]
    a, b, c = (probe(orbits(), CLASSES, Uniform(), FEW, seed) for seed in (0, 0, 1))
    assert torch.equal(a[0].weight, b[0].weight)
    assert not torch.equal(a[0].weight, c[0].weight)


def test_every_epoch_is_visited():
    epochs = []
    probe(orbits(), CLASSES, None, FEW, visit=lambda epoch, head: epochs.append(epoch))
    assert epochs == [1, 2, 3]


def test_proxies_choose_as_their_names_say():
    known, head = orbits(), head_of()
    p = head(known.features).softmax(-1).amax(-1)
    chosen = {
        name: weigh(rule, known, head).weights.argmax(0)
        for name, rule in choices().items()
        if name in PROXIES
    }
    assert torch.equal(chosen["equizero"], p.argmax(0))
    assert torch.equal(chosen["equizero, sign turned"], p.argmin(0))
    largest = head(known.features).amax(-1).argmax(0)
    assert torch.equal(chosen["equizero, max logit"], largest)


@pytest.mark.parametrize("tau", [1.0, 0.25])
def test_sharpened_weights_are_powers(tau):
    known, head = orbits(), head_of()
    learned = learn_importance(known, by_labels(known, head), steps=20)
    plain = weigh(learned, known, head).weights
    sharp = weigh(probing.Sharpened(learned, tau), known, head).weights
    power = plain ** (1 / tau)
    torch.testing.assert_close(sharp, power / power.sum(0), atol=1e-5, rtol=1e-4)


# What tells beforehand.


def test_rank_agreement_is_kendalls_tau():
    random = torch.Generator().manual_seed(0)
    one, other = torch.randn((2, 4, 20), generator=random)
    expected = [kendalltau(a, b).statistic for a, b in zip(one.T, other.T, strict=True)]
    torch.testing.assert_close(
        rank_agreement(one, other), torch.tensor(expected), check_dtype=False
    )
    assert not rank_agreement(torch.zeros(4, 2), torch.randn(4, 2)).any()


def test_losses_of_views():
    known, head = orbits(), head_of()
    found = losses_of_views(known, head)
    assert found.shape == (4, N)
    one = cross_entropy(head(known.features[2, 5]), known.labels[5])
    torch.testing.assert_close(found[2, 5], one)


def test_a_proxy_is_judged_by_a_slow_reference():
    known, head = orbits(), head_of()
    proxy = PROXIES["equizero"]
    found = judge_proxy(known, head, proxy) | judge(known, head, choices()["equizero"])
    loss = losses_of_views(known, head)
    p = head(known.features).softmax(-1).amax(-1)
    said = head(known.features).argmax(-1)
    regret = best = corrected = corrupted = 0.0
    for i in range(N):
        g = int(p[:, i].argmax())
        regret += float(loss[g, i] - loss[:, i].min()) / N
        best += (g == int(loss[:, i].argmin())) / N
        hit = bool(said[g, i] == known.labels[i])
        for h in range(4):
            right = bool(said[h, i] == known.labels[i])
            corrected += (hit and not right) / (4 * N)
            corrupted += (right and not hit) / (4 * N)
    expected = {"regret": regret, "best": best, "corrected": corrected}
    expected["corrupted"] = corrupted
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=1e-5)
    opposite = judge_proxy(known, head, PROXIES["equizero, sign turned"])
    assert opposite["agreement"] == pytest.approx(-found["agreement"])
    assert opposite["regret"] > found["regret"]


def test_calibration():
    random = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn((20_000, 3), generator=random)
    labels = torch.multinomial(logits.softmax(-1), 1, generator=random)[:, 0]
    assert calibration_error(logits, labels) < 0.02
    assert calibration_error(4 * logits, labels) > 0.1
    sure = torch.tensor([[50.0, 0.0]]).repeat(4, 1)
    assert calibration_error(sure, torch.tensor([0, 0, 0, 1])) == pytest.approx(0.25)


def test_accuracy_of_each_class():
    hits = torch.tensor([[True, False, True], [True, True, False]])
    found = by_class(hits, torch.tensor([0, 0, 1]), 2)
    assert found.tolist() == [0.75, 0.5]


def test_confusion_has_accuracy_on_its_diagonal():
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(30) % 3
    said = torch.randint(3, (4, 30), generator=random)
    table = confusion(said, labels, 3)
    torch.testing.assert_close(table.sum(1), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(table.diag(), by_class(said == labels, labels, 3))
    share = (said[:, labels == 1] == 2).double().mean()
    torch.testing.assert_close(table[1, 2], share)


# The experiments.


@pytest.fixture
def toy(monkeypatch):
    """A small network with random weights, and few digits."""

    def load(name):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return frozen(name, ResNet((8, 16), 1, 10, stride=2))

    experiment.features.cache_clear()
    monkeypatch.setattr(experiment, "load_backbone", load)
    yield
    experiment.features.cache_clear()


def run(tmp_path, **options):
    config = experiment.CnnOptions(
        ("toy",),
        ("digits",),
        Probing(epochs=2),
        images=(50, 200),
        **options,
    )
    rows, _ = lab.run(
        experiment.EXPERIMENT,
        seeds=[0, 1],
        config=config,
        folder=tmp_path,
        progress=False,
    )
    return rows


def test_the_experiment(toy, tmp_path):
    rows = run(tmp_path)
    keys = list(experiment.EXPERIMENT.keys)
    assert not rows.duplicated([*keys, "seed"]).any()
    probes = rows[rows["setting"] == "probe"]
    methods = {*learners(1, 0), "orientation classifier"}
    assert set(probes["method"]) == methods
    assert set(probes["mode"]) == {"eval", "train"}
    test = probes[(probes["set"] == "test") & (probes["method"] == probes["rule"])]
    assert len(test) == 2 * 2 * 2 * len(methods)
    assert set(test["epoch"]) == {1, 2}
    others = probes[probes["method"] != probes["rule"]]
    assert set(others["rule"]) == {"plain", "equitune", "equizero"}
    assert set(probes["set"]) == {"train", "validation", "test"}
    head = rows[rows["setting"] == "head"]
    assert set(head["mode"]) == {"eval"}
    assert {"pretrained", "pretrained, upright", "any view"} <= set(head["rule"])
    lessons = head[head["rule"] == LAMBDA]
    assert sorted(set(lessons["images"])) == [50, 200]
    weights = lessons[[f"weight {g}" for g in range(4)]].sum(axis=1)
    assert ((weights - 1).abs() < 1e-6).all()
    assert lessons["views"].between(1, 4 + 1e-6).all()
    tau = head[head["rule"] == f"{LAMBDA}, temperature 1.0"]
    best = lessons[lessons["images"] == 200]
    assert tau["top1"].tolist() == best["top1"].tolist()
    # The plain probe, on turned images, is what the head is by itself.
    plain = probes.query("method == 'plain' and epoch == 2 and mode == 'eval'")
    plain = plain[(plain["set"] == "test") & (plain["rule"] == "plain")]
    alone = head[head["rule"] == "pretrained"]
    assert plain["top1"].tolist() == alone["top1"].tolist()


def test_in_training_mode_features_depend_on_the_batch(toy):
    def features(mode, batch):
        reading = replace(experiment.READING, batch=batch)
        made = experiment.features("toy", "digits", "test", mode, "cpu", reading)
        return made.features

    torch.testing.assert_close(features("eval", 40), features("eval", 150))
    assert (features("train", 40) - features("train", 150)).abs().max() > 1e-2


def test_training_mode_is_left_out_where_it_changes_nothing(toy, tmp_path, monkeypatch):
    net = AlexNet((4, 4, 4, 4, 4), 8, 10)
    monkeypatch.setattr(experiment, "load_backbone", lambda name: frozen(name, net))
    rows = run(tmp_path)
    assert set(rows["mode"]) == {"eval"}


def test_a_mode_that_is_none():
    options = experiment.CnnOptions(("toy",), ("digits",), modes=("eval", "fit"))
    with pytest.raises(ValueError, match="no mode 'fit'; there are eval, train"):
        experiment.jobs(options, [0])


def test_pretraining(tmp_path, monkeypatch):
    """The recipes as they are, but for the number of steps: something is learnt."""
    short = {
        name: replace(recipe, steps=60) for name, recipe in glyph_cnns.RECIPES.items()
    }
    monkeypatch.setattr(glyph_cnns, "LOOKED_AT", 300)
    made_of = (glyph_cnns.course, short, {"small": 1})
    learn = pretraining.pretraining("cnn-glyphs", "Glyphs", *made_of)
    config = replace(learn.config("small"), precision="float32")
    run = {"config": config, "folder": tmp_path, "progress": False}
    rows, made = lab.run(learn, "small", **run)
    shipped = rows[rows["set"] == "validation, shipped"].set_index("model")
    assert shipped.loc["glyph-resnet", "upright"] > 0.025
    assert (shipped["turned"] < shipped["upright"] + 0.02).all()
    assert set(made.weights) == {f"cnn/{name}.safetensors" for name in short}
    (place,) = tmp_path.iterdir()
    tensors, card = lab.load_weights("cnn/glyph-resnet.safetensors", place)
    assert card["network"]["kind"] == "resnet"
    assert len(tensors["linear.bias"]) == card["classes"] == 100


def test_a_network_without_a_recipe():
    options = pretraining.PretrainingOptions(("vgg",))
    with pytest.raises(ValueError, match="no recipe for 'vgg'; there is one for glyph"):
        glyph_cnns.EXPERIMENT.jobs(options, [0])


def test_images_of_cifar100_are_moved_and_mirrored(monkeypatch):
    images = torch.randint(1, 256, (6, 3, 32, 32), dtype=torch.uint8)
    monkeypatch.setattr(
        cifar100_cnns, "cifar100", lambda split: (images, torch.arange(6))
    )
    random = torch.Generator().manual_seed(0)
    pixels, labels = next(cifar100_cnns.batches(6, random))
    assert sorted(labels.tolist()) == list(range(6))
    mirrored = 0
    for x, label in zip(pixels, labels, strict=True):
        wide = torch.nn.functional.pad(images[label], (4,) * 4)
        views = {
            (dy, dx, flip): wide[:, dy : dy + 32, dx : dx + 32].flip(-1)
            if flip
            else wide[:, dy : dy + 32, dx : dx + 32]
            for dy in range(9)
            for dx in range(9)
            for flip in (False, True)
        }
        (found,) = [key for key, view in views.items() if torch.equal(view, x)]
        mirrored += found[2]
    assert 0 < mirrored < 6
