"""Stored results: what is saved comes back, and what is damaged is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from equinb.lab import Provenance, load_result, mean_interval, save_result
from equinb.lab.code import hash_sources
from equinb.lab.files import PACKAGE, write_atomic
from equinb.lab.results import RESULTS

STORED = sorted(path.stem for path in RESULTS.glob("*.csv"))
ROWS = [{"seed": 0, "method": "a", "x": 0.1 + 0.2}, {"seed": 1, "method": "b", "x": 2}]


@pytest.fixture
def provenance():
    return Provenance.record(
        "make it", sources=["groups.py"], packages=["numpy"], seeds=np.arange(2)
    )


@pytest.fixture
def folder(tmp_path, provenance):
    save_result("trial", ROWS, provenance, tmp_path)
    return tmp_path


def test_round_trip_is_exact(folder, provenance):
    rows, loaded = load_result("trial", folder)
    pd.testing.assert_frame_equal(rows, pd.DataFrame(ROWS), check_exact=True)
    assert loaded == provenance
    assert loaded.seeds == [0, 1]
    assert sorted(path.name for path in folder.iterdir()) == ["trial.csv", "trial.json"]


def test_saving_again_replaces(folder, provenance):
    save_result("trial", ROWS[:1], provenance, folder)
    assert len(load_result("trial", folder).rows) == 1


def test_windows_line_ends_are_no_damage(folder):
    path = folder / "trial.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(load_result("trial", folder).rows) == 2


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [
        ("trial.csv", lambda data: data[:-3], "not the one of 2 rows"),
        ("trial.csv", lambda data: data.replace(b"2", b"3"), "run `make it`"),
        ("trial.json", lambda data: data[:40], "record trial.json is damaged"),
        ("trial.json", lambda data: b"{}", "record trial.json is damaged"),
        ("trial.json", lambda data: b"[]", "record trial.json is damaged"),
    ],
)
def test_damage_is_refused(folder, file, damage, says):
    path = folder / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=says):
        load_result("trial", folder)


def test_unknown_name_lists_the_known(folder):
    with pytest.raises(FileNotFoundError, match="there are: trial"):
        load_result("trail", folder)


def test_no_rows_are_not_stored(tmp_path, provenance):
    with pytest.raises(ValueError, match="has no rows"):
        save_result("trial", [], provenance, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_atomic(tmp_path / "a.txt", b"old")
    monkeypatch.setattr("equinb.lab.files.os.fsync", _disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def _disk_full(_):
    raise OSError(28, "No space left on device")


def test_a_changed_source_is_noticed(tmp_path, provenance, monkeypatch):
    assert provenance.is_current
    assert "unchanged since" in str(provenance)
    (tmp_path / "groups.py").write_text("# other code\n")
    # The hash as it would be in a package whose groups.py is another file.
    other = hash_sources(["groups.py"], tmp_path)
    monkeypatch.setattr("equinb.lab.provenance.hash_sources", lambda names: other)
    assert not provenance.is_current
    assert "CHANGED" in str(provenance)


def test_a_missing_source_is_noticed():
    kept = Provenance("make", {}, [], ["gone.py"], "0", {}, "cpu", "2025-01-01", 0.0)
    assert not kept.is_current


@pytest.mark.parametrize("name", STORED)
def test_stored_results_are_whole_and_current(name):
    rows, provenance = load_result(name)
    assert len(rows) > 0
    assert provenance.is_current, f"{name} is stale: run `{provenance.command}`."
    assert provenance.seeds
    assert {"python", "torch"} <= set(provenance.versions)


@pytest.mark.parametrize("name", STORED)
def test_stored_records_name_no_machine(name):
    record = (RESULTS / f"{name}.json").read_text()
    assert str(PACKAGE.parent) not in record
    assert not any(str(v).startswith("/") for v in json.loads(record).values())


def test_mean_interval_holds_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(3.0, 2.0, (2000, 5))
    intervals = [mean_interval(row) for row in draws]
    held = np.mean([low <= 3.0 <= high for _, low, high in intervals])
    # Three standard errors of a share of 0.95 in 2000 draws.
    assert abs(held - 0.95) < 0.015


@pytest.mark.parametrize("values", [[], [1.0], [[1.0, 2.0]], [1.0, np.nan]])
def test_mean_interval_refuses(values):
    with pytest.raises(ValueError, match="at least two finite numbers"):
        mean_interval(values)
