"""The images that CNNs are tried on, from scikit-learn and from files."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from equinb.apps.cnn import data
from equinb.apps.cnn.data import SPLITS, load_task


@pytest.fixture(autouse=True)
def forget():
    for read in (data.cifar10, data.cifar10_lossless):
        read.cache_clear()
    yield
    for read in (data.cifar10, data.cifar10_lossless):
        read.cache_clear()


def test_digits_are_split_into_three():
    parts = [data.digits(split) for split in SPLITS]
    assert [len(labels) for _, labels in parts] == [1000, 197, 600]
    pixels = torch.cat([images for images, _ in parts])
    assert pixels.shape == (1797, 3, 32, 32)
    assert pixels.dtype == torch.uint8
    # None is in two of them.
    assert len(pixels.flatten(1).unique(dim=0)) == 1797
    for _, labels in parts:
        assert set(labels.tolist()) == set(range(10))


def test_digits_are_dark_on_light_and_upright():
    pixels, labels = data.digits("train")
    assert pixels[..., 0].float().mean() > 240
    ones = 255 - pixels[labels == 1].float().mean((0, 1))
    # A one is taller than it is wide.
    assert (ones.mean(1) > 20).sum() > (ones.mean(0) > 20).sum()


def test_images_are_preprocessed_as_they_are_read():
    images = load_task("digits").images("test", lambda pixels: pixels.float() / 2)
    pixels, labels = data.digits("test")
    x, label = images[3]
    assert torch.equal(x, pixels[3].float() / 2)
    assert label == labels[3]
    assert len(images) == 600


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Ten classes of a few images, as folders, each of one colour."""
    monkeypatch.setenv("EQUINB_DATA", str(tmp_path))
    for half, n in (("train", 3), ("test", 2)):
        for label, name in enumerate(data.CIFAR10_CLASSES):
            folder = tmp_path / "cifar10" / half / name
            folder.mkdir(parents=True)
            for i in range(n):
                colour = (20 * label, 10 * i, 200)
                Image.new("RGB", (32, 32), colour).save(folder / f"{i}.png")
    return tmp_path


def test_cifar10_as_folders(folders, monkeypatch):
    monkeypatch.setattr(data, "CIFAR10_TRAIN", 2)
    parts = {split: data.cifar10(split) for split in SPLITS}
    assert [len(parts[split][1]) for split in SPLITS] == [20, 10, 20]
    for pixels, labels in parts.values():
        assert torch.equal(pixels[:, 0, 0, 0], (20 * labels).to(torch.uint8))
        assert not torch.equal(labels, labels.sort().values)
        assert set(labels.tolist()) == set(range(10))
    # The first two of each class are to train on, the last is to validate.
    assert set(parts["train"][0][:, 1, 0, 0].tolist()) == {0, 10}
    assert set(parts["validation"][0][:, 1, 0, 0].tolist()) == {20}


def test_cifar10_as_torchvision_has_it(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    monkeypatch.setenv("EQUINB_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"damaged: get CIFAR10 \(163 MB"):
        data.cifar10("test")
    values = np.arange(4 * 3072).reshape(4, 3072) % 256
    batch = {"data": values.astype(np.uint8), "labels": [3, 1, 2, 0]}
    (folder / "test_batch").write_bytes(pickle.dumps(batch))
    names = {"label_names": list(data.CIFAR10_CLASSES)}
    (folder / "batches.meta").write_bytes(pickle.dumps(names))
    monkeypatch.setattr(data.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(data.CIFAR10, "_load_meta", lambda self: None)
    pixels, labels = data.cifar10("test")
    assert sorted(labels.tolist()) == [0, 1, 2, 3]
    place = batch["labels"].index(int(labels[0]))
    expected = torch.from_numpy(batch["data"][place].reshape(3, 32, 32))
    assert torch.equal(pixels[0], expected)


def test_lossless_images(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUINB_DATA", str(tmp_path))
    monkeypatch.setattr(data, "LOSSLESS_TRAIN", 4)
    random = np.random.default_rng(0)
    arrays = {f"x_{s}": random.integers(256, size=(6, 32, 32, 3)) for s in SPLITS[::2]}
    arrays = {key: value.astype(np.uint8) for key, value in arrays.items()}
    arrays |= {f"y_{s}": np.arange(6, dtype=np.uint8) for s in SPLITS[::2]}
    with pytest.raises(FileNotFoundError, match=r"cifar10-lossless.npz is missing"):
        data.cifar10_lossless("test")
    (tmp_path / "cifar10-lossless.npz").mkdir()  # a folder is no file
    with pytest.raises(FileNotFoundError, match=r"cifar10-lossless.npz is missing"):
        data.cifar10_lossless("test")
    (tmp_path / "cifar10-lossless.npz").rmdir()
    np.savez(tmp_path / "cifar10-lossless.npz", **arrays)
    sizes = [len(data.cifar10_lossless(split)[0]) for split in SPLITS]
    assert sizes == [4, 2, 6]
    pixels, labels = data.cifar10_lossless("validation")
    assert labels.tolist() == [4, 5]
    expected = torch.from_numpy(arrays["x_train"][4]).permute(2, 0, 1)
    assert torch.equal(pixels[0], expected)


def test_what_is_not_there(monkeypatch):
    monkeypatch.delenv("EQUINB_DATA", raising=False)
    with pytest.raises(ValueError, match="no task 'mnist'; there are digits, cifar10"):
        load_task("mnist")
    with pytest.raises(ValueError, match="no split 'dev'; there are train"):
        load_task("digits").split("dev")
    with pytest.raises(FileNotFoundError, match=r"CIFAR10 \(163 MB"):
        load_task("cifar10").images("test", torch.Tensor.float)
