"""Networks for small images, cut where transfer cuts them, and their names."""

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from equinb.apps.clip.glyphs import sample
from equinb.apps.cnn import backbones
from equinb.apps.cnn.backbones import load_backbone, pack, restore
from equinb.apps.cnn.networks import AlexNet, Halved, ResNet, public_resnet
from equinb.lab import save_weights

RESNET = {"kind": "resnet", "widths": (8, 16), "blocks": 2}
ALEXNET = {"kind": "alexnet", "widths": (8, 8, 8, 8, 8), "hidden": 16}
EACH_NETWORK = pytest.mark.parametrize("network", [RESNET, ALEXNET])


def images(n=4, side=32, seed=0):
    return torch.randn(
        (n, 3, side, side), generator=torch.Generator().manual_seed(seed)
    )


@EACH_NETWORK
def test_the_head_reads_the_features(network):
    net = backbones.build(network, 7).eval()
    x = images()
    assert net(x).shape == (4, 7)
    assert torch.equal(net.head(net.features(x)), net(x))
    width = 16 if network is RESNET else 16 * 8
    assert net.features(x).shape == (4, width)


@pytest.mark.parametrize(("stride", "side"), [(1, 8), (2, 4)])
def test_each_later_stage_halves_the_image(stride, side):
    net = ResNet((4, 8, 16), 1, 10, stride=stride)
    seen = []
    net.layer3.register_forward_hook(lambda _, __, y: seen.append(y.shape[-2:]))
    net(images(1))
    assert seen == [(side, side)]


def test_halved():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    y = Halved(3)(x)
    assert y.shape == (1, 4, 2, 2)
    # One channel of zeros before, two after.
    assert torch.equal(y[0, 1], torch.tensor([[0.0, 2.0], [8.0, 10.0]]))
    assert not y[0, [0, 2, 3]].any()


@pytest.mark.parametrize("blocks", [3, 9])
def test_public_networks_are_of_any_depth_and_need_no_counts(blocks):
    theirs = ResNet((16, 32, 64), blocks, 10, plain=True).eval()
    state = theirs.state_dict()
    kept = {key: value for key, value in state.items() if "num_batches" not in key}
    assert len(kept) < len(state)
    x = images()
    assert torch.equal(public_resnet(kept).eval()(x), theirs(x))
    assert len(public_resnet(kept).layer2) == blocks


@EACH_NETWORK
def test_packed_and_restored(network):
    net = backbones.build(network, 7)
    net(images())  # so that there are batch statistics
    packed = pack(net.eval())
    half = [value.dtype for value in packed.values() if value.is_floating_point()]
    assert set(half) == {torch.float16}
    found = restore(network, 7, packed).eval()
    assert next(found.parameters()).dtype == torch.float32
    torch.testing.assert_close(found(images()), net(images()), atol=2e-2, rtol=2e-2)
    assert pack(found).keys() == packed.keys()
    assert all(torch.equal(pack(found)[key], packed[key]) for key in packed)


@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
def test_networks_of_torchvision_are_cut_before_their_head(name):
    backbone = backbones.torchvision_backbone(name, getattr(models, name)(weights=None))
    pixels = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    x = backbone.preprocess(pixels)
    assert x.shape == (2, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(backbone.head(backbone.encode(x)), backbone.model(x))
    assert not any(p.requires_grad for p in backbone.model.parameters())
    assert not backbone.model.training


def test_preprocessing_commutes_with_turns():
    backbone = backbones.frozen("toy", AlexNet((8, 8, 8, 8, 8), 16, 3))
    pixels = torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8)
    one = backbone.preprocess(pixels.rot90(1, (-2, -1)))
    other = backbone.preprocess(pixels).rot90(1, (-2, -1))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_normalised_bytes_are_about_zero_and_one():
    pixels = torch.randint(256, (8, 3, 32, 32), dtype=torch.uint8)
    x = backbones.normalise(pixels)
    assert x.mean().abs() < 0.5
    assert 0.8 < x.std() < 1.6
    white = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    expected = [(1 - m) / s for m, s in zip(backbones.MEAN, backbones.STD, strict=True)]
    torch.testing.assert_close(
        backbones.normalise(white).flatten(), torch.tensor(expected)
    )


@pytest.mark.parametrize("name", backbones.SIGNS)
def test_the_networks_of_signs_know_signs_and_not_turned_ones(name):
    backbone = load_backbone(name)
    pixels, labels = sample(400, seed=77, test=True)
    x = backbone.preprocess(pixels)
    views = torch.stack([x.rot90(g, (-2, -1)) for g in range(4)])
    logits = backbone.head(backbone.encode(views.flatten(0, 1)))
    hits = logits.argmax(-1).view(4, -1) == labels
    assert hits[0].double().mean() > 0.95
    assert hits[1:].double().mean() < 0.2


def test_what_a_run_makes_is_read_from_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    how = "cifar100-resnet is not in runs/cnn-cifar100-paper: make it .* `equinb run "
    with pytest.raises(FileNotFoundError, match=f"{how}cnn-cifar100 --preset paper`"):
        load_backbone("cifar100-resnet")
    net = backbones.build(RESNET, 5)
    card = {"network": RESNET, "classes": 5}
    place = tmp_path / "runs" / "cnn-cifar100-paper"
    save_weights("cnn/cifar100-resnet.safetensors", pack(net), card, place)
    assert load_backbone("cifar100-resnet").model(images(2)).shape == (2, 5)


def test_there_are_two_kinds_of_network():
    with pytest.raises(ValueError, match="There is no kind 'vgg'; there are resnet"):
        backbones.build({"kind": "vgg"}, 5)


def test_public_ones_are_read_from_the_folder(tmp_path, monkeypatch):
    net = ResNet((16, 32, 64), 3, 10, plain=True).eval()
    (tmp_path / "resnet-cifar10").mkdir()
    state = {k: v for k, v in net.state_dict().items() if "num_batches" not in k}
    save_file(state, tmp_path / "resnet-cifar10" / "resnet20.safetensors")
    monkeypatch.setenv("EQUINB_DATA", str(tmp_path))
    found = load_backbone("resnet20")
    assert torch.equal(found.encode(images()), net.features(images()))
    assert not found.model.training
    with pytest.raises(
        FileNotFoundError, match=r"resnet56.safetensors is missing: get"
    ):
        load_backbone("resnet56")


def test_a_cnn_that_is_not_there(monkeypatch):
    monkeypatch.delenv("EQUINB_DATA", raising=False)
    with pytest.raises(ValueError, match="no CNN 'vgg'; there are glyph-resnet"):
        load_backbone("vgg")
    with pytest.raises(FileNotFoundError, match="EQUINB_DATA is not set: get the Res"):
        load_backbone("resnet20")


def test_a_download_that_fails(monkeypatch):
    def refuse(weights):
        raise OSError("no route")

    monkeypatch.setattr(models, "resnet18", refuse)
    with pytest.raises(OSError, match="resnet18, 45 MB, could not be loaded"):
        load_backbone("resnet18")
