"""What each method costs on CLIP: the same answers, timed."""

from dataclasses import replace

import pytest
import torch
from clip_cases import pixels, trained
from torch import nn
from torch.nn.functional import normalize

from equinb import lab
from equinb.apps import clip
from equinb.apps.clip import cost as costs
from equinb.apps.clip.cost import (
    CLASSES,
    EXPERIMENT,
    METHODS,
    SECOND,
    CostOptions,
    calls,
    cost,
    jobs,
    work,
)
from equinb.apps.clip.zero_shot import zero_shot
from equinb.apps.views.answers import PRETRAINED, answer
from equinb.apps.views.importance import LAMBDA, Importance
from equinb.lab import Job
from equinb.lambda_equitune import Learned

FEW = CostOptions(("glyph-resnet",), batches=2, batch=3, precision="float32")
EACH_METHOD = pytest.mark.parametrize("method", METHODS)


def call_of(method, seed=0):
    """A method on the shipped CLIP, its texts and its lambda from a seed."""
    torch.manual_seed(seed)
    return calls(trained(), method, "float32", "cpu")


def parts(seed=0):
    """The head and lambda that `call_of` draws."""
    torch.manual_seed(seed)
    width = trained().encode(pixels(1)).shape[-1]
    text = normalize(torch.randn(CLASSES, width), dim=-1)
    head = clip.Similarity(text, trained().scale)
    return head, Learned(Importance(width).requires_grad_(False))


def views_of(images):
    """Features of all views, as the experiments on accuracy have them."""
    data = [(image, 0) for image in images]
    return clip.encode_orbits(trained(), data, clip.action("rot90"))


@pytest.fixture
def passes():
    """Each pass through an image tower: through which, and of how many images."""
    seen = []

    def count(module, inputs, made):
        if isinstance(module, type(trained().model.visual)):
            seen.append((module, len(inputs[0])))

    handle = nn.modules.module.register_module_forward_hook(count)
    yield seen
    handle.remove()


# What is timed.


@EACH_METHOD
def test_every_method_gives_logits(method):
    logits = call_of(method)(pixels(5))
    assert logits.shape == (5, CLASSES)
    assert logits.isfinite().all()
    assert not logits.requires_grad


def test_the_model_by_itself():
    head, _ = parts()
    expected = head(trained().encode(pixels(5)))
    torch.testing.assert_close(call_of(PRETRAINED)(pixels(5)), expected)


@pytest.mark.parametrize("method", ["equitune", "equizero", LAMBDA])
def test_what_is_timed_is_the_answer_of_the_method(method):
    head, learned = parts()
    weighting = {**zero_shot(head), LAMBDA: learned}[method]
    expected = answer(weighting, views_of(pixels(5)), head, "logits")
    torch.testing.assert_close(call_of(method)(pixels(5)), expected)


def test_a_second_encoder_of_the_same_weights_answers_alike():
    one, other = call_of(LAMBDA)(pixels(5)), call_of(SECOND)(pixels(5))
    torch.testing.assert_close(one, other)
    assert not torch.allclose(one, call_of("equitune")(pixels(5)))


@pytest.mark.parametrize("method", ["equitune", "equizero", LAMBDA, SECOND])
def test_all_turns_of_an_image_have_one_answer(method):
    call, images = call_of(method), pixels(5)
    turned = call(images.rot90(1, (-2, -1)))
    torch.testing.assert_close(call(images), turned, atol=1e-3, rtol=1e-4)


@EACH_METHOD
def test_images_through_the_tower(method, passes):
    call, images = call_of(method), pixels(5)
    passes.clear()
    call(images)
    towers, views = zip(*passes, strict=True)
    assert towers[0] is trained().model.visual
    assert views == {PRETRAINED: (5,), SECOND: (20, 20)}.get(method, (20,))
    assert len(set(towers)) == len(views)


# How it is timed.


@pytest.mark.parametrize(("times", "first"), [(2, 1), (20, 2)])
def test_a_tenth_as_many_calls_come_first(times, first):
    seen = []
    seconds, memory = cost(lambda: seen.append(None), times, "cpu")
    assert len(seen) == first + times
    assert 0 < seconds < 1
    assert memory is None


def test_one_row_a_method():
    seen = []
    made = work(
        FEW, Job(0, {"model": "glyph-resnet"}, len(METHODS)), "cpu", seen.append
    )
    assert [row["method"] for row in made.rows] == list(METHODS)
    assert all(row["time_s"] > 0 for row in made.rows)
    # Memory is known on a GPU only.
    assert {tuple(row) for row in made.rows} == {("method", "time_s")}
    assert seen == [1, 2, 3, 4, 5]
    assert made.weights == {}


def test_the_time_is_for_a_whole_test_set(monkeypatch):
    monkeypatch.setattr(costs, "cost", lambda call, times, device: (0.75, None))
    made = work(FEW, Job(0, {"model": "glyph-resnet"}, 5), "cpu", lambda step: None)
    assert {row["time_s"] for row in made.rows} == {0.75 / 3 * 10_000}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_there_is_memory():
    job = Job(0, {"model": "glyph-resnet"}, len(METHODS))
    rows = work(FEW, job, "cuda", lambda step: None).rows
    assert all(row["memory_mb"] > 0 for row in rows)


# The experiment.


def test_one_job_a_model_and_seed():
    found = jobs(EXPERIMENT.config("small"), [0, 2])
    assert [(job.settings["model"], job.seed) for job in found] == [
        ("RN50", 0),
        ("RN50", 2),
        ("ViT-B-32", 0),
        ("ViT-B-32", 2),
    ]
    assert {job.steps for job in found} == {len(METHODS)}


def test_the_experiment(tmp_path):
    config = replace(EXPERIMENT.config("quick"), batches=1, batch=2)
    rows, _ = lab.run(EXPERIMENT, config=config, folder=tmp_path, progress=False)
    assert rows["method"].tolist() == list(METHODS)
    assert (rows["time_s"] > 0).all()
    assert "memory_mb" not in rows
