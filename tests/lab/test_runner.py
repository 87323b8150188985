"""Runs: the same rows however they are made, and nothing lost when they are not."""

import errno
import os
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from joblib.externals.loky import get_reusable_executor
from toy import TOY, hears

from equinb import lab
from equinb.apps import load_experiment
from equinb.lab import parallel, runner
from equinb.lab.command import command_of, span
from equinb.lab.provenance import Provenance

SEEDS = [0, 1, 2]


def run(folder, **options):
    options = {"seeds": SEEDS, "progress": False, **options}
    return lab.run(TOY, folder=folder, **options)


def logged(folder):
    """Options that make each job write its name to a file, and that file."""
    log = folder / "log.txt"
    log.touch()
    return replace(TOY.config("quick"), log=str(log)), log


def tables(place):
    return {path.name: path.read_bytes() for path in Path(place).rglob("*.csv")}


# What comes back.


def test_one_row_a_method_seed_and_setting(tmp_path):
    rows, made = run(tmp_path)
    assert list(rows.columns) == ["length", "seed", "method", "value"]
    assert len(rows.groupby(["length", "seed", "method"])) == len(rows) == 2 * 3 * 2
    assert rows["length"].tolist() == [10] * 6 + [20] * 6
    assert made.seeds == SEEDS
    assert made.command == "equinb run toy --preset quick --seeds 0-2"
    assert made.config["lengths"] == [10, 20]
    assert made.sources == ["lab/code.py", "lab/files.py", "lab/runner.py", "losses.py"]
    assert made.is_current


def test_rows_are_equal_bit_for_bit_whatever_the_number_of_workers(tmp_path):
    for workers in (1, 2, 3):
        run(tmp_path / str(workers), workers=workers)
    one, two, three = (tables(tmp_path / str(w)) for w in (1, 2, 3))
    assert len(one) == 7
    assert one == two == three


def test_jobs_run_on_one_thread_and_give_the_others_back(tmp_path):
    seen = []

    def work(options, job, device, report):
        seen.append(torch.get_num_threads())
        return lab.Made([{"method": "m", "value": 1.0}])

    torch.set_num_threads(2)
    lab.run(replace(TOY, work=work), folder=tmp_path, progress=False)
    assert seen == [1, 1]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_weights_come_with_the_rows(tmp_path):
    _, made = run(tmp_path, preset="small", seeds=[4])
    place = tmp_path / "toy-small"
    tensors, card = lab.load_weights("toy/5-seed4.safetensors", place)
    assert tensors["path"].shape == (5,)
    assert card == {"licence": "MIT"}
    assert list(made.weights) == ["toy/5-seed4.safetensors"]


def test_other_options_have_a_result_of_their_own(tmp_path):
    config = replace(TOY.config("quick"), lengths=(3,), weights=True)
    _, made = run(tmp_path, config=config)
    run(tmp_path)
    assert made.command.endswith("--seeds 0-2 --lengths 3 --weights")
    marked, plain = sorted((p.name for p in tmp_path.iterdir()), key=len, reverse=True)
    assert plain == "toy-quick"
    assert marked.startswith("toy-quick-")
    assert len(run(tmp_path, config=config).rows) == 6


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        ([0], "0"),
        ([0, 1, 2], "0-2"),
        ([2, 0], "2,0"),
        ([2, 0, 1], "2,0,1"),
        ([3, 4], "3-4"),
    ],
)
def test_spans(seeds, text):
    assert span(seeds) == text


# Going on.


def test_what_is_done_is_not_done_again(tmp_path):
    config, log = logged(tmp_path)
    run(tmp_path, config=config, seeds=[0])
    before = tables(tmp_path)
    run(tmp_path, config=config, seeds=[0, 1])
    assert sorted(log.read_text().split()) == [
        *("10-seed0", "10-seed1", "20-seed0", "20-seed1"),
    ]
    after = tables(tmp_path)
    units = [name for name in before if "seed" in name]
    assert units
    assert all(before[name] == after[name] for name in units)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_hear_ctrl_c(tmp_path, workers):
    """Else an idle one ends in a traceback; who started them ends them."""
    get_reusable_executor().shutdown()  # those of earlier tests
    options = {"seeds": SEEDS, "progress": False, "folder": tmp_path}
    rows, _ = lab.run(replace(TOY, work=hears), workers=workers, **options)
    assert set(rows["value"]) == {float(workers == 1)}
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_fails_loses_no_other(tmp_path, workers):
    config = replace(TOY.config("quick"), fails_at=1)
    failing = replace(TOY, presets={"quick": config})
    options = {"seeds": SEEDS, "folder": tmp_path, "progress": False}
    with pytest.raises(ValueError, match="Seed 1 fails"):
        lab.run(failing, workers=workers, **options)
    kept = sorted(path.stem for path in tmp_path.rglob("*-seed*.json"))
    assert kept == ["10-seed0", "10-seed2", "20-seed0", "20-seed2"]
    assert not (tmp_path / "toy-quick" / "toy-quick.csv").exists()


def test_more_seeds_keep_the_old_ones(tmp_path, capsys):
    run(tmp_path, seeds=[0, 1])
    run(tmp_path, seeds=[0, 1, 2], progress=None)
    assert capsys.readouterr().out.count("kept") == 4


def test_rows_keep_the_date_of_their_making(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "now", lambda: "2025-01-01T00:00:00+00:00")
    _, first = run(tmp_path)
    monkeypatch.undo()
    _, again = run(tmp_path)
    assert first.date == again.date == "2025-01-01T00:00:00+00:00"


def test_the_record_names_the_device(tmp_path):
    command = command_of(TOY, "quick", [0], TOY.config("quick"), "cuda")
    assert command == "equinb run toy --preset quick --seeds 0 --device cuda"


def test_the_command_names_options_of_options():
    training = load_experiment("scan-pretraining")
    config = training.config("quick")
    recipe = replace(config.recipe, pairs=640, decay=False)
    config = replace(config, recipe=recipe, cells=("RNN", "GRU"))
    assert command_of(training, "quick", [0, 1], config) == (
        "equinb run scan-pretraining --preset quick --seeds 0-1 "
        "--recipe.pairs 640 --recipe.no-decay --cells RNN GRU"
    )


def test_killed_at_every_write_a_run_ends_with_the_same_files(tmp_path):
    """A process that dies at its k-th file, for every k, and one that then goes on."""

    def files(folder):
        place = folder / "toy-small"
        found = {p.relative_to(place): p for p in place.rglob("*") if p.is_file()}
        dates = {p for p in found if p.suffix == ".json"}
        return {str(p): found[p].read_bytes() for p in found if p not in dates}

    run(tmp_path / "whole", preset="small")
    whole = files(tmp_path / "whole")
    writes = len(SEEDS) * 4 + 2  # weights, sums, rows, record; the whole and its record
    for k in range(1, writes + 1):
        folder = tmp_path / str(k)
        child = os.fork()
        if child == 0:
            left = iter(range(k - 1))
            replaced = Path.replace

            def die(path, target, left=left, replaced=replaced):
                if next(left, None) is None:
                    os._exit(9)
                return replaced(path, target)

            Path.replace = die
            run(folder, preset="small")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        run(folder, preset="small")
        assert files(folder) == whole


def test_other_code_on_a_worker_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "hash_sources", lambda names: "other")
    with pytest.raises(ValueError, match="The code has changed during the run"):
        run(tmp_path)
    assert not list(tmp_path.rglob("*.csv"))


def test_a_worker_that_is_killed(tmp_path):
    with pytest.raises(OSError, match=r"A worker was killed.*fewer --workers"):
        lab.run(
            replace(TOY, work=_dies),
            seeds=SEEDS,
            workers=2,
            folder=tmp_path,
            progress=False,
        )


def _dies(options, job, device, report):
    os.kill(os.getpid(), 9)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-4]), "is not the one of 2 rows"),
        (lambda p: p.with_suffix(".json").write_text("{"), "is damaged"),
        (lambda p: p.with_suffix(".json").unlink(), "only half is there"),
        (lambda p: p.unlink(), "only half is there"),
    ],
)
def test_a_damaged_unit_is_made_again(tmp_path, damage, says, capsys):
    config, log = logged(tmp_path)
    run(tmp_path, config=config)
    whole = tables(tmp_path)
    (unit,) = tmp_path.rglob("20-seed1.csv")
    damage(unit)
    log.write_text("")
    run(tmp_path, config=config, progress=None)
    assert log.read_text().split() == ["20-seed1"]
    assert tables(tmp_path) == whole
    assert says in " ".join(capsys.readouterr().out.split())


def test_damaged_weights_are_made_again(tmp_path, capsys):
    run(tmp_path, preset="small")
    place = tmp_path / "toy-small"
    path = place / "toy/5-seed1.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    run(tmp_path, preset="small", progress=None)
    assert path.read_bytes() == whole
    assert "5-seed1 is done again: its weights" in capsys.readouterr().out
    lab.load_weights("toy/5-seed1.safetensors", place)


def test_units_of_other_code_are_made_again(tmp_path, monkeypatch, capsys):
    run(tmp_path, seeds=[0])
    for place in ("provenance", "parallel"):
        monkeypatch.setattr(f"equinb.lab.{place}.hash_sources", lambda names: "other")
    _, made = run(tmp_path, seeds=[0], progress=None)
    assert made.code_hash == "other"
    assert "10-seed0 is done again: its code" in capsys.readouterr().out


def test_code_that_changes_during_a_run_is_not_claimed(tmp_path, monkeypatch):
    def work(options, job, device, report):
        monkeypatch.setattr("equinb.lab.provenance.hash_sources", lambda names: "later")
        return lab.Made([{"method": "m", "value": 1.0}])

    _, made = lab.run(replace(TOY, work=work), folder=tmp_path, progress=False)
    assert len(made.code_hash) == 64


# Several processes that share a job: `accelerate launch` tells each its rank.


def as_rank(monkeypatch, rank):
    monkeypatch.setenv("RANK", str(rank))


def left_in(folder):
    """What a run has left, apart from dates."""
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.suffix != ".json" and path.read_bytes()
        for path in paths
    }


def test_the_first_process_writes_what_one_would(tmp_path, monkeypatch):
    alone, _ = run(tmp_path / "alone", preset="small")
    as_rank(monkeypatch, 0)
    first, _ = run(tmp_path / "first", preset="small")
    assert first.equals(alone)
    assert left_in(tmp_path / "first") == left_in(tmp_path / "alone")


@pytest.mark.parametrize("rank", [1, 3])
def test_the_others_have_the_rows_and_leave_no_file(tmp_path, monkeypatch, rank):
    alone, made = run(tmp_path / "alone", preset="small")
    as_rank(monkeypatch, rank)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    rows, also = run(tmp_path / "other", preset="small")
    assert rows.equals(alone)
    assert also.weights == made.weights
    assert len(made.weights) == len(SEEDS)
    assert not left_in(tmp_path / "other")
    assert not list(scratch.iterdir())


def test_all_go_on_with_what_was_kept(tmp_path, monkeypatch):
    config, log = logged(tmp_path)
    runs = tmp_path / "runs"
    run(runs, config=config, seeds=[0])
    before = left_in(runs)
    log.write_text("")
    as_rank(monkeypatch, 1)
    rows, _ = run(runs, config=config, seeds=[0, 1])
    assert sorted(log.read_text().split()) == ["10-seed1", "20-seed1"]
    assert left_in(runs) == before
    as_rank(monkeypatch, 0)
    first, _ = run(runs, config=config, seeds=[0, 1])
    assert sorted(log.read_text().split()) == ["10-seed1"] * 2 + ["20-seed1"] * 2
    assert first.equals(rows)


def test_the_others_need_no_room_for_the_run(tmp_path, monkeypatch):
    """Where the first could not write, they can: hosts may not share a disk."""
    (tmp_path / "file").touch()
    as_rank(monkeypatch, 1)
    rows, _ = run(tmp_path / "file")
    assert len(rows) == 12
    as_rank(monkeypatch, 0)
    with pytest.raises(OSError, match="could not be stored in"):
        run(tmp_path / "file")


# What is refused.


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"preset": "huge"}, "no preset 'huge'; it has quick, small"),
        ({"seeds": []}, "at least one; got"),
        ({"seeds": [0, 0]}, "different whole numbers"),
        ({"seeds": [-1]}, "from 0 on"),
        ({"workers": 0}, "At least one worker is needed; got 0"),
        ({"device": "tpu"}, "There is no device 'tpu' here; there is .*cpu"),
        ({"config": replace(TOY.config("quick"), lengths=())}, "Nothing is asked for"),
        (
            {"config": replace(TOY.config("quick"), lengths=(3, 3))},
            "is asked for twice",
        ),
    ],
)
def test_run_refuses(tmp_path, options, says):
    with pytest.raises(ValueError, match=says):
        run(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_found_out_first(tmp_path):
    config, log = logged(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(
        OSError, match=r"could not be stored in .*name another --folder"
    ):
        run(tmp_path / "file", config=config)
    assert log.read_text() == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="Permission denied"):
        run(tmp_path)


def test_a_read_only_file_system(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OSError, match="Read-only file system"):
        run(tmp_path)


def test_a_full_disk_keeps_what_was_finished(tmp_path):
    """Real writes that fail half-way: the limit of a file's size stands in for room."""
    run(tmp_path, seeds=[0])
    before = tables(tmp_path)
    free = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, free[1]))
    try:
        with pytest.raises(OSError, match=r"seed1 could not be stored .* is kept"):
            run(tmp_path, seeds=[0, 1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, free)
    after = tables(tmp_path)
    assert {name: after[name] for name in before} == before
    parts = [p for p in tmp_path.rglob(".*") if p.is_file()]
    assert not parts
    rows, _ = run(tmp_path, seeds=[0, 1])
    assert len(rows) == 8


# Shipping and verifying.


@pytest.fixture
def assets(tmp_path):
    run(tmp_path / "runs", preset="small")
    folder = tmp_path / "assets"
    files = lab.ship("toy-small", tmp_path / "runs", folder)
    assert files[-1] == "results/toy-small.csv"
    return folder


def test_shipped_files_verify(assets):
    findings = lab.verify(assets)
    assert [f.ok for f in findings] == [True] * 4
    assert findings[-1].name == "results/toy-small.csv"
    assert "code unchanged" in findings[-1].note


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [
        ("toy/5-seed0.safetensors", lambda p: p.unlink(), "are missing"),
        ("toy/5-seed0.safetensors", lambda p: p.write_bytes(b""), "are damaged"),
        ("results/toy-small.csv", lambda p: p.unlink(), "only half is there"),
        ("results/toy-small.json", lambda p: p.unlink(), "only half is there"),
        ("results/toy-small.csv", lambda p: p.write_text("a\n1\n"), "restore both"),
        ("results/toy-small.json", lambda p: p.write_text("{}"), "is damaged"),
    ],
)
def test_verify_finds_damage(assets, file, damage, says):
    damage(assets / file)
    wrong = [f for f in lab.verify(assets) if not f.ok]
    assert len(wrong) >= 1
    assert any(says in f.note for f in wrong)


def test_verify_finds_a_stranger(assets):
    (assets / "toy/more.safetensors").write_bytes(b"x")
    (wrong,) = [f for f in lab.verify(assets) if not f.ok]
    assert wrong.name == "toy/more.safetensors"


def test_verify_finds_weights_of_another_run(assets):
    lab.save_weights("toy/5-seed0.safetensors", {"a": torch.ones(1)}, {}, assets)
    (wrong,) = [f for f in lab.verify(assets) if not f.ok]
    assert "5-seed0.safetensors is of another run: run `equinb run toy" in wrong.note


def test_verify_finds_changed_code(assets, monkeypatch):
    monkeypatch.setattr("equinb.lab.provenance.hash_sources", lambda names: "other")
    (wrong,) = [f for f in lab.verify(assets) if not f.ok]
    assert "its code has changed: run `equinb run toy --preset small" in wrong.note


def test_ship_refuses(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no stored result 'toy-small'"):
        lab.ship("toy-small", tmp_path, tmp_path / "assets")
    run(tmp_path, preset="small")
    path = tmp_path / "toy-small/toy/5-seed2.safetensors"
    whole = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="are damaged"):
        lab.ship("toy-small", tmp_path, tmp_path / "assets")
    path.unlink()
    with pytest.raises(ValueError, match="are damaged"):
        lab.ship("toy-small", tmp_path, tmp_path / "assets")
    assert not (tmp_path / "assets").exists()
    path.write_bytes(whole)
    monkeypatch.setattr("equinb.lab.provenance.hash_sources", lambda names: "other")
    with pytest.raises(ValueError, match="The code has changed since toy-small"):
        lab.ship("toy-small", tmp_path, tmp_path / "assets")


def test_merged_rows_read_back_exactly(tmp_path):
    rows, _ = run(tmp_path)
    again, _ = lab.load_result("toy-quick", tmp_path / "toy-quick")
    pd.testing.assert_frame_equal(rows, again, check_exact=True)


def test_a_record_without_weights_is_still_read():
    old = Provenance("make", {}, [0], [], "0", {}, "cpu", "2025-01-01", 0.0)
    assert old.weights == {}
