"""Shipped weights: whole, listed, small, and refused when they are not."""

import shutil
import subprocess

import pytest
import torch

from equinb.lab import load_weights, save_weights
from equinb.lab.files import ASSETS

SHIPPED = sorted(
    p.relative_to(ASSETS).as_posix() for p in ASSETS.rglob("*.safetensors")
)


@pytest.fixture
def folder(tmp_path):
    tensors = {"b": torch.arange(4.0), "a": torch.ones(2, 3, dtype=torch.float16)}
    save_weights(
        "net/one.safetensors", tensors, {"seed": 1, "licence": "MIT"}, tmp_path
    )
    return tmp_path


def test_round_trip(folder):
    tensors, card = load_weights("net/one.safetensors", folder)
    assert card == {"seed": 1, "licence": "MIT"}
    assert torch.equal(tensors["b"], torch.arange(4.0))
    assert tensors["a"].dtype is torch.float16


def test_same_weights_same_bytes(folder):
    first = (folder / "SHA256SUMS").read_text()
    for _ in range(5):
        tensors, card = load_weights("net/one.safetensors", folder)
        save_weights("net/one.safetensors", tensors, card, folder)
    assert (folder / "SHA256SUMS").read_text() == first


def test_a_second_file_keeps_the_first(folder):
    save_weights("two.safetensors", {"c": torch.zeros(1)}, {}, folder)
    assert len((folder / "SHA256SUMS").read_text().splitlines()) == 2
    load_weights("net/one.safetensors", folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:20],
        lambda data: b"",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    ],
)
def test_damage_is_refused(folder, damage):
    path = folder / "net/one.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"one\.safetensors are damaged.*Restore"):
        load_weights("net/one.safetensors", folder)


def test_unlisted_and_missing_files_are_refused(folder):
    (folder / "SHA256SUMS").write_text("not a checksum\n")
    with pytest.raises(ValueError, match="not in SHA256SUMS"):
        load_weights("net/one.safetensors", folder)
    with pytest.raises(FileNotFoundError, match="two are missing: restore"):
        load_weights("two", folder)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_whole_and_finite(name):
    tensors, card = load_weights(name)
    assert all(bool(t.isfinite().all()) for t in tensors.values())
    assert card["licence"] == "MIT"


def test_the_list_is_complete_and_every_folder_has_a_card():
    lines = (ASSETS / "SHA256SUMS").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == SHIPPED
    for name in SHIPPED:
        assert (ASSETS / name).with_name("README.md").exists()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_reads_the_list():
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(command, cwd=ASSETS, check=True)
