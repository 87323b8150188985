"""The four architectures of the paper with random weights, one after the other.

Two images of 224 by 224 pixels, the second a quarter turn of the first, under rot90:
eight views pass an image tower once, four at a time, and all methods read them.
"""

import gc
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

import equinb as eq
from equinb.apps import clip
from equinb.apps.views.orbits import accelerator_for
from equinb.check import TOLERANCE
from equinb.lambda_equitune import Learned

#: Seconds of computing and megabytes at most, for building one and passing eight views.
#: Measured: 5 s for ViT-B-16 on one thread, 0.6 GB for the first of them.
SECONDS, MEGABYTES = 60, 1500
METHODS = ("equitune", "equizero", clip.LAMBDA)
EACH_MODEL = pytest.mark.parametrize("name", clip.PAPER)
WORDS = ("dog", "cat", "tree")


def shown(device="cpu"):
    """An image that has no symmetry, and its quarter turn."""
    random = torch.Generator().manual_seed(0)
    rough = torch.randn((1, 3, 7, 7), generator=random)
    image = interpolate(rough, size=224, mode="bilinear")
    return torch.cat([image, image.rot90(1, (-2, -1))]).to(device)


def random_clip(name):
    """With statistics of batches that let an image through to the end."""
    torch.manual_seed(0)
    model = clip.load_clip(name, pretrained=None)
    norms = [m for m in model.model.visual.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.fill_(1.0)  # of the last of a block, it begins at zero
        norm.momentum = 1.0
    if norms:
        model.model.visual.train()
        model.encode(shown())
    model.model.eval()
    return model


def rules(head, width, device="cpu"):
    torch.manual_seed(0)
    net = clip.Importance(width).requires_grad_(False).to(device)
    return {**clip.zero_shot(head), clip.LAMBDA: Learned(net)}


def answers(model, device="cpu"):
    """By method and space, what is said of an image and of its turn."""
    text = model.classifier(WORDS, ["a photo of a {}."])
    head = clip.Similarity(text, model.scale)
    images = [(x.cpu(), 0) for x in shown()]
    views = clip.encode_orbits(
        model, images, clip.action("rot90"), reading=clip.Reading(batch=1)
    )
    assert views.features.shape[:2] == (4, 2)
    return views, {
        (method, cut): clip.answer(rule, views, head, cut)
        for method, rule in rules(head, views.features.shape[-1], device).items()
        for cut in clip.CUTS
    }


class Peak:
    """The most memory of this process since the start, in megabytes."""

    file = Path("/proc/self/clear_refs")

    def __enter__(self):
        gc.collect()
        self.file.write_text("5")
        self.before = self.most()
        return self

    def __exit__(self, *_):
        self.megabytes = self.most() - self.before

    @staticmethod
    def most():
        lines = Path("/proc/self/status").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1000


@pytest.mark.skipif(not Peak.file.exists(), reason="peaks are read as Linux tells them")
@EACH_MODEL
def test_within_memory_and_time_and_equivariant(name, caplog):
    began = time.process_time()
    with Peak() as peak:
        model = random_clip(name)
        assert not any(p.requires_grad for p in model.model.parameters())
        # Random weights are what was asked for: nothing is missing.
        assert not caplog.records
        views, said = answers(model)
        picture = clip.Pictures(*clip.sample(1, seed=0), model.preprocess)
        assert picture[0][0].shape == (3, 224, 224)
        assert model.tokenizer(["a dog."]).shape == (1, 77)
        del model
        gc.collect()
    assert time.process_time() - began < SECONDS
    assert peak.megabytes < MEGABYTES
    alone = views.features[views.group.identity]
    assert (alone[0] - alone[1]).abs().max() > 1e-2 * alone.abs().max()
    assert {method for method, _ in said} == set(METHODS)
    for found in said.values():
        assert found.shape == (2, 3)
        error = (found[0] - found[1]).abs().max() / found.abs().max()
        assert error <= TOLERANCE[torch.float32]


# On a GPU, where there is one.

NEEDS_CUDA = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"
)


@pytest.mark.gpu
@NEEDS_CUDA
@EACH_MODEL
def test_cuda_agrees_with_cpu(name, monkeypatch):
    # By default a GPU convolves with fewer digits than float32 has.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    model = random_clip(name).to("cuda")
    torch.cuda.reset_peak_memory_stats()
    views, said = answers(model, "cuda")
    assert views.features.is_cuda
    assert torch.cuda.max_memory_allocated() < MEGABYTES * 1e6
    for found in said.values():
        error = (found[0] - found[1]).abs().max() / found.abs().max()
        assert error <= 10 * TOLERANCE[torch.float32]
    here = model.to("cpu").encode(shown())
    there = views.features[views.group.identity].cpu()
    torch.testing.assert_close(there, here, atol=1e-2, rtol=1e-2)


@pytest.mark.gpu
@NEEDS_CUDA
def test_cuda_finetunes_in_mixed_precision():
    model = clip.load_clip("glyph-resnet").to("cuda")
    head = clip.Similarity(
        model.classifier(clip.GLYPH_NAMES, clip.GLYPH_TEMPLATES), model.scale
    )
    pictures = clip.Pictures(*clip.sample(100, seed=0), model.preprocess)
    act = clip.action("rot90")
    rule = clip.zero_shot(head)["equitune"]
    tuning = clip.Tuning(steps=3, batch=8, warm=1, precision="mixed")
    before = model.encode(torch.zeros(1, 3, 32, 32, device="cuda"))
    clip.finetune(model, pictures, head, act, rule, tuning)
    after = model.encode(torch.zeros(1, 3, 32, 32, device="cuda"))
    assert after.isfinite().all()
    assert not torch.equal(before, after)
    reading = replace(clip.Reading(batch=8), precision="mixed")
    views = clip.encode_orbits(model, pictures, act, reading=reading)
    answer = clip.answer(rule, views, head, "logits")
    assert answer.dtype is torch.float32
    assert eq.losses.entropy(answer).isfinite().all()


@pytest.mark.gpu
@NEEDS_CUDA
def test_one_session_may_work_on_either_device():
    for device in ("cpu", "cuda", "cpu"):
        assert accelerator_for(device).device.type == device
