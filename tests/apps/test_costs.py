"""What symmetry costs: the methods, the clock, the count of memory, the experiment."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from clip_cases import fresh, pixels, trained
from torch import nn
from torch.nn.functional import normalize

from equinb import lab
from equinb.apps import clip as clips
from equinb.apps.clip.zero_shot import zero_shot
from equinb.apps.costs import clock, memory, rates
from equinb.apps.costs.clock import in_turn, median_interval, medians, seconds
from equinb.apps.costs.experiment import EXPERIMENT, WHOLE, CostsOptions, jobs, work
from equinb.apps.costs.memory import peak, weights
from equinb.apps.costs.methods import (
    CHUNKS,
    CLASSES,
    FAST,
    FLOAT32,
    KEEPING,
    LOOP,
    METHODS,
    SECOND,
    TTACH,
    WAYS,
    held,
    methods,
    passes,
    prepare,
    tower,
)
from equinb.apps.fewer.cost import operations
from equinb.apps.views.answers import PRETRAINED, answer
from equinb.apps.views.importance import LAMBDA, Importance
from equinb.lambda_equitune import Learned

TINY = CostsOptions(("glyph-resnet",), rounds=2)
BY_HAND = [LOOP, CHUNKS, TTACH]


def all_methods(name="glyph-resnet", way=FLOAT32, chunk=3):
    clip = prepare(fresh(name), WAYS[way])
    return clip, methods(clip, "cpu", chunk=chunk)


@pytest.fixture
def eager(monkeypatch):
    """Compilation without a compiler, and how often it was asked for."""
    asked, compiled = [], torch.compile

    def follow(module, **options):
        asked.append(options)
        return compiled(module, backend="eager", **options)

    monkeypatch.setattr(torch, "compile", follow)
    yield asked
    torch.compiler.reset()


# The methods.


def test_every_method_gives_logits():
    _, calls = all_methods()
    assert list(calls) == [*METHODS, *BY_HAND]
    for call in calls.values():
        logits = call(pixels(5))
        assert logits.shape == (5, CLASSES)
        assert logits.isfinite().all()


@pytest.mark.parametrize("method", [PRETRAINED, "equitune", "equizero", LAMBDA])
def test_what_is_timed_is_the_answer_of_the_method(method):
    """As the experiments on accuracy have it, with the same texts and lambda."""
    torch.manual_seed(0)
    text = normalize(torch.randn(CLASSES, width(trained())), dim=-1)
    head = clips.Similarity(text, trained().scale)
    net = Importance(text.shape[1]).requires_grad_(False)
    data = [(image, 0) for image in pixels(5)]
    views = clips.encode_orbits(trained(), data, clips.action("rot90"))
    rules = {**zero_shot(head), LAMBDA: Learned(net)}
    expected = head(trained().encode(pixels(5)))
    if method != PRETRAINED:
        expected = answer(rules[method], views, head, "logits")
    _, calls = all_methods()
    torch.testing.assert_close(calls[method](pixels(5)), expected)


def width(clip):
    return clip.encode(pixels(1)).shape[-1]


def test_a_second_encoder_of_the_same_weights_answers_alike():
    _, calls = all_methods()
    one, other = calls[LAMBDA](pixels(5)), calls[SECOND](pixels(5))
    torch.testing.assert_close(one, other)
    assert not torch.allclose(one, calls["equitune"](pixels(5)))


@pytest.mark.parametrize("method", [*METHODS[1:], *BY_HAND])
def test_all_turns_of_an_image_have_one_answer(method):
    _, calls = all_methods()
    call, images = calls[method], pixels(5)
    turned = call(images.rot90(1, (-2, -1)))
    torch.testing.assert_close(call(images), turned, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("method", BY_HAND)
@pytest.mark.parametrize("name", ["glyph-resnet", "glyph-vit"])
def test_loop_chunks_and_library_answer_as_equitune(name, method):
    _, calls = all_methods(name)
    images = pixels(5)
    expected = calls["equitune"](images)
    torch.testing.assert_close(calls[method](images), expected, atol=1e-3, rtol=1e-4)
    assert not torch.allclose(calls[PRETRAINED](images), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("method", "sizes"),
    [
        (PRETRAINED, [5]),
        ("equitune", [20]),
        (LAMBDA, [20]),
        (SECOND, [20]),  # and as many in the other tower
        (LOOP, [5] * 4),
        (TTACH, [5] * 4),
        (CHUNKS, [3] * 6 + [2]),
    ],
)
def test_images_in_each_pass(method, sizes):
    clip, calls = all_methods()
    seen = []
    tower(clip).register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    calls[method](pixels(5))
    assert seen == sizes
    assert passes(method) * 5 == sum(sizes) * (2 if method == SECOND else 1)


def test_no_method_keeps_a_gradient():
    _, calls = all_methods()
    images = pixels(3).clone().requires_grad_()
    assert not any(call(images).requires_grad for call in calls.values())


def test_weights_that_a_method_needs():
    clip, _ = all_methods()
    plain, lam, second = (held(clip, m) for m in (PRETRAINED, LAMBDA, SECOND))
    assert plain == held(clip, LOOP) == weights([tower(clip)])
    assert 0 < lam - plain < 0.1 * plain
    assert second - lam == plain


# Ways to compute.


def test_the_fast_way(eager):
    clip, calls = all_methods("glyph-resnet", FAST)
    assert list(calls) == list(WAYS[FAST].methods)
    assert eager == [{"dynamic": False}]
    kernels = [p for p in tower(clip).parameters() if p.ndim == 4 and p.shape[-1] > 1]
    assert all(p.dtype == torch.bfloat16 for p in tower(clip).parameters())
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    _, plain = all_methods("glyph-resnet")
    for name, call in calls.items():
        logits, expected = call(pixels(4)), plain[name](pixels(4))
        assert logits.dtype == torch.float32
        # Eight bits of each number are left, and temperatures multiply the rest.
        assert torch.corrcoef(torch.stack([logits, expected]).flatten(1))[0, 1] > 0.99


def test_float32_is_not_compiled(eager):
    clip, _ = all_methods()
    assert eager == []
    assert {p.dtype for p in tower(clip).parameters()} == {torch.float32}


def test_a_process_that_keeps_its_memory_says_so_once(monkeypatch):
    kept = []
    experiment = "equinb.apps.costs.experiment.keep_memory"
    monkeypatch.setattr(experiment, lambda: kept.append(True))
    for way in (FLOAT32, KEEPING):
        (job,) = jobs(replace(TINY, ways=(way,)), [0])
        made = work(TINY, job, "cpu", lambda step: None)
        assert {row["method"] for row in made.rows} == set(WAYS[way].methods)
    assert kept == [True]


def test_without_the_library_of_gnu_memory_cannot_be_kept(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    with pytest.raises(OSError, match="C library of GNU only"):
        memory.keep_memory()


# The clock.


def test_calls_take_turns_in_an_order_that_is_reversed():
    seen = []
    calls = {name: partial(seen.append, name) for name in "abc"}
    found = list(in_turn(calls, 3, times=2))
    assert seen == list("aabbccccbbaaaabbcc")
    assert [name for _, name, _ in found] == list("abccbaabc")
    assert [r for r, _, _ in found] == [0] * 3 + [1] * 3 + [2] * 3


def test_the_time_of_one_call(monkeypatch):
    ticks = iter([10.0, 16.0])
    monkeypatch.setattr(clock.time, "perf_counter", lambda: next(ticks))
    assert seconds(lambda: None, times=3) == 2


def test_the_interval_of_a_median_holds_it_as_often_as_it_says():
    random = np.random.default_rng(0)
    for n in (6, 9, 20):
        draws = random.exponential(size=(2000, n))
        _, low, high = np.array([median_interval(row) for row in draws]).T
        held = ((low <= np.log(2)) & (np.log(2) <= high)).mean()
        assert 0.94 < held < 0.99


def test_known_places_in_the_order():
    # Of 20 values the 6th and the 15th, as tables of the sign test have it.
    assert median_interval(range(1, 21)) == (10.5, 6, 15)


@pytest.mark.parametrize("values", [[1.0] * 5, [1.0] * 5 + [np.nan], [[1.0] * 6]])
def test_too_few_numbers_for_an_interval(values):
    with pytest.raises(ValueError, match="at least six finite numbers"):
        median_interval(values)


def test_medians_of_a_table():
    table = pd.DataFrame({"a": range(9), "b": range(9, 18)})
    found = medians(table)
    assert found.loc["b"].tolist() == [13, 10, 16]
    assert found.index.tolist() == ["a", "b"]


# Memory and rates.


def test_the_most_that_is_there_at_once():
    x = torch.zeros(10_000)

    def call():
        for _ in range(3):
            x.exp()  # goes before the next one comes
        return x.exp(), x.exp()

    assert peak(call) == 2 * x.nbytes


def test_memory_of_methods():
    _, calls = all_methods()
    images = pixels(32)
    made = {name: peak(partial(call, images)) for name, call in calls.items()}
    assert made[LAMBDA] <= 1.02 * made["equitune"]
    assert 2 * made[LOOP] < made["equitune"]
    assert made[CHUNKS] < made["equitune"]
    assert made[PRETRAINED] <= made[TTACH] < 1.7 * made[PRETRAINED]


def test_attention_is_counted_whole():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.zeros(1, 5, 8)
    tokens, attention = 5 * 2 * (4 * 8 * 8 + 2 * 8 * 16), 2 * 2 * 5 * 5 * 8
    assert operations(layer, x) == tokens + attention
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_rate_is_of_the_best_time(monkeypatch):
    times = iter([1.0, *[5.0] * 9, 2.0])  # the first is not counted
    monkeypatch.setattr(rates, "seconds", lambda *args: next(times))
    assert rates.matrix_rate("cpu", torch.float32, side=10) == 1000


# The experiment.


def test_rows_of_a_job():
    (job,) = jobs(TINY, [3])
    seen = []
    rows = pd.DataFrame(work(TINY, job, "cpu", seen.append).rows)
    names = WAYS[FLOAT32].methods
    assert seen == list(range(1, job.steps + 1))
    assert rows.groupby("round")["method"].apply(set).tolist() == [set(names)] * 2
    assert (rows["time_s"] > 0).all()
    assert (
        rows.groupby("method")[["weights_mb", "made_mb"]].nunique().eq(1).all(axis=None)
    )
    total = rows["weights_mb"] + rows["made_mb"]
    assert np.allclose(rows["memory_mb"], total)
    assert set(rows["device"]) == {f"CPU, {torch.get_num_threads()} threads"}


def test_units(monkeypatch):
    """Seconds for a whole test set, and the share of what the device could do."""
    name = "equinb.apps.costs.experiment"
    monkeypatch.setattr(f"{name}.matrix_rate", lambda device, dtype: 1000.0)
    monkeypatch.setattr(f"{name}.operations", lambda function, x: 30)
    ticks = ((0, method, 0.5) for method in WAYS[FLOAT32].methods)
    monkeypatch.setattr(f"{name}.in_turn", lambda *args: ticks)
    (job,) = jobs(TINY, [0])
    rows = {r["method"]: r for r in work(TINY, job, "cpu", lambda step: None).rows}
    assert {row["time_s"] for row in rows.values()} == {0.5 / 4 * WHOLE}
    assert rows[PRETRAINED]["share"] == 30 * 4 / 0.5 / 1000
    assert rows["equitune"]["share"] == 4 * rows[PRETRAINED]["share"]
    assert rows[SECOND]["share"] == 8 * rows[PRETRAINED]["share"]


def test_jobs_that_keep_memory_come_last():
    found = jobs(EXPERIMENT.config("small"), [0])
    keeps = [WAYS[job.settings["way"]].keeps for job in found]
    assert keeps == sorted(keeps)
    assert len(found) == 16


@pytest.mark.parametrize("preset", EXPERIMENT.presets)
def test_presets_have_the_models_of_the_paper(preset):
    config = EXPERIMENT.config(preset)
    assert set(config.models) <= {"RN50", "ViT-B-32"}
    assert set(config.ways) <= set(WAYS)
    assert preset == "quick" or (32 in config.batches and config.rounds >= 6)


def test_the_experiment(tmp_path, eager):
    config = replace(TINY, ways=(FLOAT32, FAST), batches=(1, 2))
    rows, made = lab.run(EXPERIMENT, config=config, folder=tmp_path, progress=False)
    count = len(WAYS[FLOAT32].methods) + len(WAYS[FAST].methods)
    assert len(rows) == 2 * 2 * count
    assert "assets/clip/glyph-resnet.safetensors" in made.sources
    assert {"apps/costs/methods.py", "apps/costs/clock.py"} <= set(made.sources)
    assert len(eager) == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu():
    (job,) = jobs(replace(TINY, ways=(FAST,)), [0])
    rows = work(TINY, job, "cuda", lambda step: None).rows
    assert all(row["made_mb"] > 0 for row in rows)
    assert {row["device"] for row in rows} == {torch.cuda.get_device_name()}
