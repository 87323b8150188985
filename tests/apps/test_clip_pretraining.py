"""How our small CLIPs are trained: one image of each class a step, and what ships."""

import math
from dataclasses import replace
from functools import cache, partial
from itertools import islice, repeat

import pytest
import torch
from clip_cases import fresh, weights_of
from clip_folders import tiny_imagenet, told
from open_clip import ClipLoss
from torch.nn.functional import normalize

from equinb import lab
from equinb.apps import clip
from equinb.apps.clip import glyph_clips, pretraining, tiny_clips
from equinb.apps.clip import tiny_imagenet as photos
from equinb.apps.clip.model import normalise, pack, restore, weights_name
from equinb.apps.clip.pretraining import Course, PretrainingOptions, Recipe
from equinb.apps.clip.tiny_imagenet import tiny_images
from equinb.lab import Job

VISION = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 16}
RECIPE = Recipe(VISION, steps=4, rate=2e-3)
#: Eight signs that a CLIP tells apart soon.
FEW = torch.arange(0, 80, 10)
EACH_MODULE = pytest.mark.parametrize(
    ("module", "kind"), [(glyph_clips, "glyph"), (tiny_clips, "tiny")]
)


def batches(random):
    while True:
        yield clip.draw(FEW, random)


@cache
def split(name):
    random = torch.Generator().manual_seed(len(name))
    return clip.draw(FEW.repeat(5), random), torch.arange(8).repeat(5)


def course():
    names = tuple(clip.GLYPH_NAMES[i] for i in FEW)
    return Course("eight glyphs", names, clip.GLYPH_TEMPLATES, batches, split)


def quietly(step):
    pass


def trained(seed=0, recipe=RECIPE, **options):
    return pretraining.pretrain("toy", course(), seed, recipe, **options)


# Training.


def test_the_seed_decides():
    state = torch.get_rng_state()
    one, same, other = trained(), trained(), trained(seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights_of(one.model), weights_of(same.model))
    assert not torch.equal(weights_of(one.model), weights_of(other.model))


@pytest.mark.parametrize(
    "vision",
    [VISION, {"layers": 2, "width": 64, "head_width": 32, "patch_size": 8}],
)
def test_it_learns_what_it_is_shown(vision):
    """Eight images that are always the same."""
    still = clip.draw(FEW, torch.Generator().manual_seed(0))
    task = replace(
        course(),
        batches=lambda random: repeat(still),
        split=lambda name: (still, torch.arange(8)),
    )
    recipe = Recipe(vision, steps=50, rate=1e-3)
    made = pretraining.pretrain("toy", task, 0, recipe)
    assert task.accuracy(made, "test") > 0.8
    begun = pretraining.pretrain("toy", task, 0, replace(recipe, steps=1))
    assert task.accuracy(begun, "test") < 0.5


def test_steps_are_those_of_open_clips_loss():
    """One step, against plain code."""
    recipe = replace(RECIPE, steps=2, rate=1e-3)
    seen = {}

    def visit(step, made):
        seen[step] = {k: v.clone() for k, v in made.model.state_dict().items()}

    made = trained(recipe=recipe, visit=visit)
    captions = [[t.format(n) for n in course().classes] for t in course().templates]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        twin = pretraining.build("toy", VISION, made.tokenizer)
    model, random = twin.model.train(), torch.Generator().manual_seed(0)
    pixels = next(batches(random))
    template = int(torch.randint(len(captions), (1,), generator=random))
    text = normalize(model.encode_text(made.tokenizer(captions[template])), dim=-1)
    image = normalize(model.encode_image(normalise(pixels)), dim=-1)
    loss = ClipLoss()(image, text, model.logit_scale.exp())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    optimizer, _ = pretraining._optimizer(model, recipe)
    optimizer.step()
    away = [
        (value - seen[1][key]).abs().max()
        for key, value in model.state_dict().items()
        if value.is_floating_point()
    ]
    before = weights_of(twin.model)
    assert max(away) < 1e-4
    assert len(before) > 1e5


def test_only_matrices_decay():
    model = trained().model
    optimizer, _ = pretraining._optimizer(model, RECIPE)
    decayed, kept = optimizer.param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim > 1 for p in decayed["params"])
    assert any(p is model.logit_scale for p in kept["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len([*model.parameters()])


def test_the_rate_rises_then_falls():
    parameter = torch.nn.Linear(2, 2)
    recipe = replace(RECIPE, steps=100, warm=0.1)
    optimizer, schedule = pretraining._optimizer(parameter, recipe)
    rates = []
    for _ in range(100):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(recipe.rate)
    assert top == pytest.approx(10, abs=1)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.01 * recipe.rate


def test_the_scale_stops_where_that_of_clips_authors_does(monkeypatch):
    assert math.exp(pretraining.LOG_HOTTEST) == pytest.approx(100, abs=0.01)
    assert trained().scale > 10
    monkeypatch.setattr(pretraining, "LOG_HOTTEST", 2.0)
    assert math.exp(1.9) < trained().scale < math.exp(2.0) + 1e-4


def test_it_is_visited_after_every_step_in_eval_mode():
    seen = []
    made = trained(visit=lambda step, c: seen.append((step, c.model.training)))
    assert seen == [(step, False) for step in (1, 2, 3, 4)]
    assert not made.model.training
    assert not any(p.requires_grad for p in made.model.parameters())


# How it is judged.


def test_turned_accuracy_is_the_mean_over_four_turns():
    made = fresh()
    task = replace(
        glyph_clips.course(), split=lambda name: clip.sample(100, 6, name == "test")
    )
    images, labels = task.split("test")
    text = made.classifier(task.classes, task.templates)
    head = clip.Similarity(text, made.scale)
    hits = [
        (head(made.encode(x)).argmax(1) == labels).double().mean().item()
        for x in clip.action("rot90").orbit(normalise(images)).unbind(0)
    ]
    assert task.accuracy(made, "test") == pytest.approx(hits[0])
    turned = task.accuracy(made, "test", turned=True)
    assert turned == pytest.approx(sum(hits) / 4)
    assert len(set(hits)) > 1


def test_it_is_judged_in_pieces(monkeypatch):
    made = trained()
    whole = course().accuracy(made, "test", turned=True)
    monkeypatch.setattr(pretraining, "CHUNK", 7)
    assert course().accuracy(made, "test", turned=True) == whole


@pytest.mark.parametrize(
    ("steps", "seed", "ships"), [(4, 0, True), (2, 0, False), (4, 1, False)]
)
def test_only_the_whole_training_of_the_first_seed_ships(steps, seed, ships):
    job = Job(seed, {"model": "toy"}, steps)
    options = pretraining.PretrainingOptions(("toy",))
    made = pretraining.make(course, {"toy": RECIPE}, options, job, "cpu", quietly)
    assert bool(made.weights) == ships
    sets = [row["set"] for row in made.rows]
    assert sets == ["validation"] * steps + ["validation, shipped", "test, shipped"]
    assert all(0 <= row["upright"] <= 1 for row in made.rows)


def test_what_ships_is_judged_as_it_ships():
    job = Job(0, {"model": "toy"}, 4)
    options = pretraining.PretrainingOptions(("toy",))
    made = pretraining.make(course, {"toy": RECIPE}, options, job, "cpu", quietly)
    ((tensors, card),) = made.weights.values()
    assert list(made.weights) == [weights_name("toy")]
    again = restore("toy", card["vision"], tensors)
    rows = {row["set"]: row for row in made.rows}
    for name in "validation", "test":
        row = rows[f"{name}, shipped"]
        assert course().accuracy(again, name) == row["upright"]
        assert card["accuracy"][f"{name}, shipped"] == {
            "upright": row["upright"],
            "turned": row["turned"],
        }
    assert card["data"] == "eight glyphs"
    assert (card["seed"], card["steps"], card["rate"]) == (0, 4, 2e-3)
    expected = pack(trained())
    assert all(torch.equal(tensors[key], expected[key]) for key in expected)


# The experiments.


@EACH_MODULE
def test_there_is_a_job_a_model_and_seed(module, kind):
    names = [f"{kind}-resnet", f"{kind}-vit"]
    assert list(module.RECIPES) == names
    found = module.EXPERIMENT.jobs(module.EXPERIMENT.config("small"), [0, 3])
    assert [(job.settings["model"], job.seed) for job in found] == [
        (name, seed) for name in names for seed in (0, 3)
    ]
    assert found[0].steps == module.RECIPES[names[0]].steps
    quick = module.EXPERIMENT.jobs(module.EXPERIMENT.config("quick"), [0])
    assert quick[0].steps < found[0].steps / 10


@EACH_MODULE
def test_a_model_without_a_recipe(module, kind):
    says = f"no recipe for 'RN50'; there is one for {kind}-resnet, {kind}-vit"
    with pytest.raises(ValueError, match=says):
        module.EXPERIMENT.jobs(PretrainingOptions(("RN50",)), [0])


def test_there_is_a_recipe_for_every_model_that_ships():
    assert set(clip.SHIPPED) <= set(glyph_clips.RECIPES | tiny_clips.RECIPES)


def test_the_experiment_on_glyphs(tmp_path, monkeypatch):
    monkeypatch.setattr(glyph_clips, "LOOKED_AT", 100)
    config = PretrainingOptions(("glyph-resnet",), shorter=1500)
    run = partial(lab.run, glyph_clips.EXPERIMENT, config=config, progress=False)
    rows, made = run(folder=tmp_path)
    assert rows["set"].tolist() == [
        *("validation", "validation", "validation, shipped", "test, shipped"),
    ]
    assert made.weights == {}


def test_a_batch_of_glyphs_has_every_sign_once():
    made = next(glyph_clips.batches(torch.Generator().manual_seed(4)))
    drawn = clip.draw(torch.arange(100), torch.Generator().manual_seed(4))
    assert torch.equal(made, drawn)


def test_glyphs_to_look_at():
    sets = {name: glyph_clips.split(name) for name in ("validation", "test")}
    for images, labels in sets.values():
        assert len(images) == 2000
        assert labels.bincount().unique().tolist() == [20]
    test = clip.sample(2000, glyph_clips.SEED + 1, test=True)[0]
    assert torch.equal(sets["test"][0], test)


# Photographs.


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUINB_DATA", str(tmp_path))
    tiny_imagenet(tmp_path, ("bee", "cat", "dog"), each=402)
    monkeypatch.setattr(photos, "TRAIN", 401)
    tiny_images.cache_clear()
    yield tmp_path
    tiny_images.cache_clear()


def test_every_photograph_is_seen_once_before_any_is_seen_again(photographs):
    random = torch.Generator().manual_seed(0)
    two = islice(tiny_clips.batches(random), 800)
    places = []
    for images in two:
        classes, place = told(images)
        assert classes.tolist() == [0, 1, 2]
        places.append(place)
    first, second = torch.stack(places).split(400)
    for epoch in first, second:
        assert torch.equal(
            epoch.sort(0).values, torch.arange(400)[:, None].expand(-1, 3)
        )
    assert not torch.equal(first, second)
    # Each class in an order of its own.
    assert not torch.equal(first[:, 0], first[:, 1])


def test_a_photograph_is_cropped_and_never_turned_or_mirrored():
    """The red of an image grows to the right, its green downwards."""
    line = 8 * torch.arange(32)
    right, down = line.expand(32, 32), line[:, None].expand(32, 32)
    image = torch.stack([right, down, torch.zeros_like(right)]).to(torch.uint8)
    random = torch.Generator().manual_seed(0)
    made = tiny_clips.cropped(image.expand(400, -1, -1, -1), random)
    assert made.shape == (400, 3, 32, 32)
    assert made.dtype is torch.uint8
    red, green, blue = made.int().unbind(1)
    # Within rounding.
    assert (red - red[:, :1]).abs().max() <= 1
    assert (green - green[:, :, :1]).abs().max() <= 1
    assert (blue == 0).all()
    across, along = red[:, 0], green[:, :, 0]
    sides = []
    for colour in across, along:
        assert (colour.diff(dim=1) >= 0).all()
        # Between the second pixel and the last but one, so that no edge is in between.
        sides.append((colour[:, 29] - colour[:, 2]) / (27 * 8))
    # Squares, from the smallest to the whole, wherever they fit.
    assert (sides[0] - sides[1]).abs().max() < 0.02
    assert sides[0].min() == pytest.approx(tiny_clips.SMALLEST, abs=0.02)
    assert sides[0].max() == pytest.approx(1, abs=0.02)
    left, end = across[:, 0] / 8, across[:, -1] / 8
    assert (left >= -0.5).all()
    assert (end <= 31.5).all()
    assert left.max() > 10
    assert end.min() < 21


def test_the_course_of_photographs(photographs):
    task = tiny_clips.course()
    assert task.classes == ("bee", "cat", "dog")
    assert len(task.templates) == 80
    images, labels = task.split("test")
    assert torch.equal(told(images)[0], labels)


def test_the_experiment_on_photographs(photographs, tmp_path):
    config = PretrainingOptions(("tiny-vit",), shorter=3500)
    rows, made = lab.run(
        tiny_clips.EXPERIMENT, config=config, folder=tmp_path / "runs", progress=False
    )
    assert set(rows["set"]) == {"validation", "validation, shipped", "test, shipped"}
    assert made.weights == {}
