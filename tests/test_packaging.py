"""The pins, the environments and the wheel say the same thing."""

import itertools
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = [
    Requirement(line)
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if not line.startswith("#")
]
PINS = {
    canonicalize_name(pin.name): pin
    for pin in PINNED
    if pin.marker is None or pin.marker.evaluate()
}
EXTRAS = PROJECT["optional-dependencies"]
WANTED = [
    Requirement(text)
    for text in itertools.chain(PROJECT["dependencies"], *EXTRAS.values())
    if not text.startswith("equinb")
]


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_every_dependency_has_a_pin_that_it_admits(wanted):
    (pin,) = PINS[canonicalize_name(wanted.name)].specifier
    assert pin.operator == "=="
    assert wanted.specifier.contains(pin.version)


def test_the_installed_versions_are_the_pins():
    for wanted in WANTED:
        (pin,) = PINS[canonicalize_name(wanted.name)].specifier
        assert version(wanted.name) == pin.version


def test_requirements_name_no_index():
    text = (ROOT / "requirements.txt").read_text()
    assert not re.search(r"://|--index|--find-links", text)


def test_conda_takes_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, installs = environment["dependencies"]
    assert python.removeprefix("python=") in PROJECT["requires-python"]
    assert pip == "pip"
    assert installs["pip"] == ["-r requirements.txt", "-e ."]


def test_the_core_asks_for_torch_and_numpy_alone():
    names = [Requirement(text).name for text in PROJECT["dependencies"]]
    assert names == ["numpy", "torch"]


def test_versions_agree():
    import equinb

    assert equinb.__version__ == PROJECT["version"] == version("equinb")


def test_repository_is_named_the_same_everywhere():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert PROJECT["urls"]["Repository"] == config["repository"]["url"]


def test_shipped_files_stay_small():
    assets = [p for p in (ROOT / "equinb" / "assets").rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in assets) < 50e6
    for chapter, most in {"dqn": 3e6, "scan": 7.5e6, "clip": 14e6, "cnn": 10e6}.items():
        mine = sum(p.stat().st_size for p in assets if chapter in p.parts)
        assert 0 < mine < most
