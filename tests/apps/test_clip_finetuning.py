"""Finetuning through the average: what changes, what does not, on one device or two."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import clip_ranks
import numpy as np
import pytest
import torch
from clip_cases import TURNS, fresh, glyphs, head, pixels, trained, weights_of
from torch.nn.functional import cross_entropy

import equinb as eq
from equinb import lab
from equinb.apps import clip
from equinb.apps.clip import few_shot, rates
from equinb.apps.clip.finetuning import ALONE, Turned, attention, turn
from equinb.apps.clip.pretrained import SIGNS
from equinb.apps.views.importance import LAMBDA
from equinb.equitune import Uniform
from equinb.lambda_equitune import Learned

HERE = Path(__file__).parent
METHODS = ("equitune", "equizero", LAMBDA, few_shot.AUGMENTATION)
EACH_METHOD = pytest.mark.parametrize("method", METHODS)
FEW = clip.Tuning(steps=3, batch=8, warm=1)
SECONDS = 300


def rule(method):
    if method == LAMBDA:
        torch.manual_seed(0)
        return Learned(clip.Importance(128).requires_grad_(False))
    return clip.zero_shot(head()).get(method)


def finetuned(method, tuning=FEW, seed=0, name="rot90", visit=lambda step: None):
    """A CLIP that a few steps have changed."""
    model = fresh()
    images = glyphs(40, seed=8, test=False)
    act = clip.action(name)
    clip.finetune(model, images, head(), act, rule(method), tuning, seed, visit)
    return model


@cache
def once(method):
    return finetuned(method)


# What images are drawn.


@pytest.mark.parametrize(("n", "draws"), [(10, 25), (10, 10), (10, 3), (3, 10)])
def test_every_image_is_drawn_once_before_any_is_drawn_again(n, draws):
    images = [(torch.full((1,), float(i)), i) for i in range(n)]
    drawn = Turned(images, 4, draws, torch.Generator().manual_seed(0))
    labels = [drawn[i][2] for i in range(len(drawn))]
    assert len(labels) == draws
    rounds = [labels[i : i + n] for i in range(0, draws, n)]
    for found in rounds:
        assert len(set(found)) == len(found)
    for found in rounds[: draws // n]:
        assert sorted(found) == list(range(n))
    assert all(drawn[i][0].item() == label for i, label in enumerate(labels))


def test_order_and_turns_are_random_and_the_generator_decides():
    images = [(torch.zeros(1), i) for i in range(1000)]

    def draw(seed):
        drawn = Turned(images, 4, 2000, torch.Generator().manual_seed(seed))
        return [drawn[i][1:] for i in range(2000)]

    assert draw(0) == draw(0) != draw(1)
    shown, labels = zip(*draw(0), strict=True)
    assert labels[:1000] != labels[1000:]
    assert list(labels[:1000]) != sorted(labels[:1000])
    counts = torch.tensor(shown).bincount()
    assert len(counts) == 4
    assert counts.min() > 400


@pytest.mark.parametrize("name", clip.GENERATORS)
def test_each_image_is_turned_by_its_own_element(name):
    act, x = clip.action(name), pixels(16)
    shown = torch.arange(16) % act.group.order
    slow = torch.cat(
        [act(int(g), image[None]) for g, image in zip(shown, x, strict=True)]
    )
    assert torch.equal(turn(act, x, shown), slow)


def test_alone_there_is_one_view():
    assert torch.equal(ALONE.orbit(pixels(3)), pixels(3)[None])


# What changes.


@EACH_METHOD
def test_the_image_tower_learns_and_all_else_stays(method):
    before, after = trained().model.state_dict(), once(method).model.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    learnt = {name for name, _ in trained().model.visual.named_parameters()}
    assert changed == {f"visual.{name}" for name in learnt}
    # So neither the texts, nor the temperature, nor the statistics of batches changed.
    assert any("running_mean" in key for key in before)
    assert once(method).scale == trained().scale


@EACH_METHOD
def test_afterwards_it_is_frozen_and_in_eval_mode(method):
    model = once(method).model
    assert not model.training
    assert not any(part.training for part in model.modules())
    assert not any(p.requires_grad for p in model.parameters())


@EACH_METHOD
def test_the_seed_decides(method):
    one, other = finetuned(method), finetuned(method, seed=1)
    assert torch.equal(weights_of(one.model), weights_of(once(method).model))
    assert not torch.equal(weights_of(other.model), weights_of(one.model))


def test_batches_are_those_of_the_generator():
    """Two steps, against plain loops: losses, rising rates, AdamW."""
    act, tuning = clip.action("rot90"), clip.Tuning(2, rate=1e-3, batch=6, warm=4)
    images, model = glyphs(40, seed=8, test=False), fresh()
    tower = model.model.visual.requires_grad_(True)
    optimizer = torch.optim.AdamW(tower.parameters(), weight_decay=0.0)
    random = torch.Generator().manual_seed(0)
    order = torch.randperm(40, generator=random)[:12]
    shown = torch.randint(4, (12,), generator=random)
    f = eq.Equitune(
        lambda x: head()(tower(x)), act, eq.Trivial(act.group)
    )  # the average is over logits
    for step in (0, 1):
        optimizer.param_groups[0]["lr"] = 1e-3 * (step + 1) / 4
        rows = range(6 * step, 6 * step + 6)
        pairs = [images[int(order[i])] for i in rows]
        x = torch.cat([act(int(shown[i]), pairs[i % 6][0][None]) for i in rows])
        loss = cross_entropy(f(x), torch.tensor([label for _, label in pairs]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = finetuned("equitune", tuning).model.visual
    with torch.no_grad():
        expected, ours = tower(pixels(8)), found(pixels(8))
        before = trained().encode(pixels(8))
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)
    assert (expected - before).abs().max() > 1e-2


def test_augmentation_learns_from_the_turned_images_as_they_are():
    """A method of one view: no average, and an answer a turn."""
    seen = []
    model = fresh()
    model.model.visual.register_forward_hook(lambda _, x, __: seen.append(len(x[0])))
    images, act = glyphs(40, seed=8, test=False), clip.action("rot90")
    clip.finetune(model, images, head(), act, None, FEW)
    clip.finetune(model, images, head(), act, Uniform(), FEW)
    assert seen == [8] * 3 + [32] * 3


@EACH_METHOD
def test_it_learns_what_it_is_shown(method):
    """Here, that every sign is called what the next one is called."""
    tuning = clip.Tuning(steps=25, rate=1e-3, batch=20, warm=5)
    known, act = glyphs(40, seed=8, test=False), clip.action("rot90")
    images = clip.Pictures(known.images, (known.labels + 1) % 100, known.transform)

    def loss(model):
        views = clip.encode_orbits(model, images, act)
        if method == few_shot.AUGMENTATION:
            logits = head()(views.features).flatten(0, 1)
            return cross_entropy(logits, views.labels.repeat(4))
        logits = clip.answer(rule(method), views, head(), "logits")
        return cross_entropy(logits, views.labels)

    model = fresh()
    clip.finetune(model, images, head(), act, rule(method), tuning)
    assert loss(model) < 0.7 * loss(trained())


def test_every_step_is_visited():
    steps = []
    finetuned("equitune", visit=steps.append)
    assert steps == [1, 2, 3]


@pytest.mark.parametrize("method", METHODS[:3])
@pytest.mark.parametrize("name", [*TURNS, "D4"])
def test_it_is_equivariant_after_finetuning(method, name):
    model, act = once(method), clip.action(name)

    def f(x):
        views = act.orbit(x)
        features = model.encode(views.flatten(0, 1)).unflatten(0, views.shape[:2])
        views = clip.Orbits(act.group, features, torch.zeros(len(x)))
        return clip.answer(rule(method), views, head(), "logits")

    assert eq.check_equivariance(f, act, eq.Trivial(act.group), pixels(8)).passed


def test_a_model_that_is_not_equivariant_is_found_out():
    class First(Uniform):
        """All weight on the upright view."""

        def forward(self, orbit):
            scores, weights = super().forward(orbit)
            only = torch.zeros_like(weights)
            only[0] = 1
            return scores, only

    images = glyphs(20, seed=8, test=False)
    assert few_shot.equivariance(trained(), Uniform(), head(), images) < 1e-5
    with pytest.raises(ArithmeticError, match="finetuned model is not equivariant"):
        few_shot.equivariance(trained(), First(), head(), images)


def test_half_precision_is_left_behind():
    """Finetuned in mixed precision, a model is none the less one of float32."""
    mixed = finetuned("equitune", replace(FEW, precision="mixed"))
    twin = fresh()
    twin.model.load_state_dict(mixed.model.state_dict())
    assert not torch.equal(weights_of(twin.model), weights_of(trained().model))
    assert torch.equal(mixed.encode(pixels(8)), twin.encode(pixels(8)))


@pytest.mark.parametrize("name", SIGNS)
def test_half_precision_learns_nearly_the_same(name):
    def learnt(precision):
        model = clip.load_clip(name)
        images, act = glyphs(40, seed=8, test=False), clip.action("rot90")
        tuning = replace(FEW, precision=precision)
        clip.finetune(model, images, head(), act, Uniform(), tuning)
        return model.encode(pixels(8))

    before = clip.load_clip(name).encode(pixels(8))
    whole, half = learnt("float32"), learnt("mixed")
    moved = (whole - before).norm()
    assert 0 < (half - whole).norm() < 0.3 * moved


def test_attention_is_of_another_kind_only_on_a_cpu_in_half_precision():
    assert torch.backends.cuda.flash_sdp_enabled()
    with attention("cpu", "mixed"):
        assert not torch.backends.cuda.flash_sdp_enabled()
    for device, precision in (("cpu", "float32"), ("cuda", "mixed")):
        with attention(device, precision):
            assert torch.backends.cuda.flash_sdp_enabled()


# The experiments.


def small(**options):
    config = few_shot.EXPERIMENT.config("quick")
    tuning = clip.Tuning(steps=4, batch=8, warm=2)
    return replace(config, tuning=tuning, images=60, looks=2, every=2, **options)


@pytest.fixture
def few_glyphs(monkeypatch):
    sets = {"train": (80, 1), "validation": (20, 2), "test": (40, 3)}
    monkeypatch.setattr("equinb.apps.clip.data.GLYPH_SETS", sets)


def test_the_experiment(few_glyphs, tmp_path, monkeypatch):
    short = partial(clip.learn_importance, steps=20)
    monkeypatch.setattr(few_shot, "learn_importance", short)
    rows, made = lab.run(
        few_shot.EXPERIMENT, config=small(), folder=tmp_path, progress=False
    )
    assert "assets/clip/glyph-resnet.safetensors" in made.sources
    assert set(rows["method"]) == set(METHODS)
    assert not rows.duplicated(list(few_shot.EXPERIMENT.keys)).any()
    test = rows[rows["set"] == "test"]
    assert set(test["steps"]) == {0, 2, 4}
    rules = {"pretrained", "pretrained, upright", "equitune", "equizero", LAMBDA}
    assert set(test["rule"]) == rules
    assert len(test) == 4 * 3 * 5
    # Before the first step all methods have one model, and one lambda.
    first = test[test["steps"] == 0].groupby("rule")["top1"].nunique()
    assert (first == 1).all()
    checks = rows[rows["set"] == "check"]
    assert set(checks["rule"]) == set(METHODS[:3])
    assert (checks["error"] < 1e-5).all()
    assert set(rows[rows["set"] == "validation"]["steps"]) == {4}


def test_a_method_that_is_none():
    with pytest.raises(ValueError, match="no method 'prompting'; there are: equitune"):
        few_shot.jobs(small(methods=("equitune", "prompting")), [0])


def test_rates(few_glyphs, tmp_path, monkeypatch):
    """Each rate is used; the default one is that of the other experiment."""
    short = partial(clip.learn_importance, steps=20)
    monkeypatch.setattr(few_shot, "learn_importance", short)
    options = small(methods=("equitune",))
    config = rates.RateOptions(**vars(options), rates=(1e-6, 1e-4, 1e-2))
    run = {"folder": tmp_path, "progress": False}
    rows, _ = lab.run(rates.EXPERIMENT, config=config, **run)
    assert not rows.duplicated(list(rates.EXPERIMENT.keys)).any()
    same = rows[rows["rate"] == options.tuning.rate].drop(columns="rate")
    plain, _ = lab.run(few_shot.EXPERIMENT, config=options, **run)
    assert same.reset_index(drop=True).equals(plain)
    last = rows[(rows["set"] == "test") & (rows["steps"] == 4)]
    assert last.groupby("rule")["top1"].nunique().max() == 3


# Several processes.


def files(root):
    return {p.relative_to(root): p for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    config = replace(
        few_shot.EXPERIMENT.config("quick"),
        tuning=clip.Tuning(2, batch=8, warm=1),
        images=60,
        every=100,
        methods=("equitune",),
    )
    run = {"config": config, "folder": folder, "progress": False}
    lab.run(few_shot.EXPERIMENT, seeds=[0, 1], **run)
    (place,) = folder.iterdir()
    return place


@pytest.fixture(scope="module")
def launched(alone, tmp_path_factory):
    """Two processes on the CPU, which go on with half of that run.

    What `accelerate` is told of precision is nothing to them: options decide.
    """
    folder = tmp_path_factory.mktemp("ranks")
    units = folder / "runs" / alone.name / "units"
    units.mkdir(parents=True)
    for path in alone.glob("units/*seed0*"):
        shutil.copy2(path, units)
    launch = (
        "launch --multi_gpu --num_processes 2 --num_machines 1 --dynamo_backend no "
    )
    launch += "--mixed_precision bf16 --main_process_port 0"
    run = "run clip-finetuning --preset quick --seeds 0-1 --images 60 --every 100 "
    run += "--methods equitune --tuning.steps 2 --tuning.batch 8 --tuning.warm 1"
    words = [*launch.split(), HERE / "clip_ranks.py", folder, *run.split()]
    done = subprocess.run(
        [Path(sys.executable).with_name("accelerate"), *words],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.fixture(scope="module")
def two(launched):
    """What each of two processes has, in the end."""
    paths = sorted(launched[0].glob("*.pt"))
    return [torch.load(path, weights_only=False) for path in paths]


@pytest.fixture(scope="module")
def one():
    """What one process by itself has."""
    return clip_ranks.everything()


def test_two_processes_have_the_whole_in_order(one, two):
    assert [made["processes"] for made in two] == [2, 2]
    assert clip_ranks.IMAGES % clip_ranks.BATCH == 3
    for made in two:
        assert made["labels"].tolist() == list(range(clip_ranks.IMAGES))
        torch.testing.assert_close(made["before"], one["before"], atol=1e-4, rtol=1e-4)


def test_two_processes_finetune_as_one_does(one, two):
    before = fresh().model.visual.state_dict()
    for made in two:
        torch.testing.assert_close(made["seen"], one["seen"], atol=1e-4, rtol=1e-4)
        for key, value in one["tower"].items():
            # Attention does not depend on its bias for keys: its gradient is rounding.
            if not key.endswith("k_proj.bias"):
                torch.testing.assert_close(made["tower"][key], value, atol=2e-5, rtol=0)
        assert torch.equal(made["text"], one["text"])
    moved = [(one["tower"][key] - before[key]).abs().max() for key in before]
    assert max(moved) > 2e-4
    for key, value in two[0]["tower"].items():
        assert torch.equal(two[1]["tower"][key], value)


def test_two_processes_run_an_experiment_as_one_does(alone, launched):
    """They go on with what was kept; the first alone writes."""
    folder, said = launched
    place = folder / "runs" / alone.name
    assert "seed0, kept" in said
    ours, theirs = files(place), files(alone)
    assert set(ours) == set(theirs)
    for name, path in ours.items():
        if "seed0" in name.name:
            assert path.stat().st_mtime_ns == theirs[name].stat().st_mtime_ns
    shared, made = lab.load_result(place.name, place)
    whole, _ = lab.load_result(place.name, alone)
    assert made.seeds == [0, 1]
    keys = [*few_shot.EXPERIMENT.keys, "seed"]
    assert shared[keys].equals(whole[keys])
    np.testing.assert_allclose(shared["top1"], whole["top1"], rtol=0)
    np.testing.assert_allclose(shared["error"], whole["error"], atol=1e-5)
