"""The command `equinb` as a user meets it, in a process of its own where it matters."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from equinb import cli, lab
from equinb.apps import EXPERIMENTS, load_experiment

sys.path.insert(0, str(Path(__file__).parent / "lab"))
from toy import TOY

EQUINB = str(Path(sys.executable).with_name("equinb"))
QUICK = ["run", "dqn", "--preset", "quick", "--episodes", "20"]


def equinb(*words, cwd=None, **options):
    """Run the command, and return what came of it."""
    return subprocess.run(
        [EQUINB, *words], capture_output=True, text=True, cwd=cwd, **options
    )


def called(capsys, *words):
    """Call the command in this process: its exit status, output and errors."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def tables(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.csv")}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A quick run of two environments that nobody disturbs."""
    folder = tmp_path_factory.mktemp("quick")
    lab.run(load_experiment("dqn"), "quick", [0, 1, 2], **options(folder))
    return folder


def options(folder, **more):
    config = replace(load_experiment("dqn").config("quick"), episodes=20)
    return {"folder": folder, "config": config, "progress": False, **more}


# What is there.


def test_list_names_every_experiment(capsys):
    code, out, _ = called(capsys, "list")
    assert code == 0
    for name in EXPERIMENTS:
        presets = ", ".join(load_experiment(name).presets)
        assert presets.startswith("quick, ")
        assert re.search(rf"^{name} .*\({presets}\)", out, re.MULTILINE)


def test_help_tells_the_options_of_an_experiment():
    done = equinb("run", "dqn", "--help")
    assert done.returncode == 0
    for word in ("--preset", "--seeds", "--workers", "--dask", "--episodes"):
        assert word in done.stdout


def test_help_of_the_whole():
    done = equinb("--help")
    for word in ("list", "run", "show", "verify"):
        assert word in done.stdout


def test_as_a_module_it_is_the_same_command(capsys):
    """For `accelerate launch -m equinb`."""

    def module(*words):
        command = [sys.executable, "-m", "equinb", *words]
        return subprocess.run(command, capture_output=True, text=True)

    done = module("show", "dqn", "--shipped")
    assert done.returncode == 0, done.stderr
    assert done.stdout == called(capsys, "show", "dqn", "--shipped")[1]
    wrong = module("run", "nope")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("equinb: There is no experiment 'nope'")


# Running.


def test_a_run_is_stored_and_shown(tmp_path):
    words = [*QUICK, "--environments", "CartPole-v1", "--seeds", "0-1"]
    done = equinb(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1/2 CartPole-v1-seed0" in done.stdout
    (path,) = tmp_path.glob("runs/*/dqn-quick-*.csv")
    assert done.stdout.splitlines()[-1] == str(path.relative_to(tmp_path))
    again = equinb(*words, cwd=tmp_path)
    assert "2/2 CartPole-v1-seed1, kept" in again.stdout


def test_workers_change_nothing(quick, tmp_path):
    run = options(tmp_path, workers=2)
    lab.run(load_experiment("dqn"), "quick", [0, 1, 2], **run)
    assert len(tables(quick)) == 10
    assert tables(tmp_path) == tables(quick)


def test_of_several_processes_the_first_alone_ships(capsys, monkeypatch, tmp_path):
    """The others have no run to ship: `accelerate launch` tells each its rank."""
    shipped = []
    monkeypatch.setattr(lab, "ship", lambda *names: shipped.append(names) or [])
    words = [*QUICK, "--environments", "CartPole-v1", "--ship"]
    for rank, times in (("1", 0), ("0", 1)):
        monkeypatch.setenv("RANK", rank)
        code, _, err = called(capsys, *words, "--folder", str(tmp_path))
        assert code == 0, err
        assert len(shipped) == times


def start(*words):
    """The command in a process group of its own."""
    return subprocess.Popen(
        [EQUINB, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that works in the background hands down an ignored Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def units(folder):
    return len(list(folder.rglob("units/*.json")))


def wait_for_units(process, folder, count):
    """Wait until so many jobs are kept."""
    while process.poll() is None and units(folder) < count:
        time.sleep(0.005)


def test_killed_five_times_a_run_ends_with_the_same_rows(quick, tmp_path):
    """kill -9 at random moments, of the command and all that it has started."""
    words = [*QUICK, "--seeds", "0-2", "--folder", str(tmp_path)]
    moment = random.Random(0)
    for workers in ("1", "2", "1", "2", "1"):
        process = start(*words, "--workers", workers)
        wait_for_units(process, tmp_path, units(tmp_path) + 1)
        time.sleep(moment.uniform(0, 0.2))
        assert process.poll() is None, "the run was over before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert not list(tmp_path.glob("dqn-*/dqn-*.json"))
    kept = units(tmp_path)
    done = equinb(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(", kept") == kept >= 5
    assert tables(tmp_path) == tables(quick)
    assert not [p for p in tmp_path.rglob(".*") if p.is_file()]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_interrupted_it_says_how_to_go_on(tmp_path, workers):
    words = [*QUICK, "--seeds", "0-4", "--folder", str(tmp_path), "--workers", workers]
    process = start(*words)
    wait_for_units(process, tmp_path, 1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; what was finished is kept, and the same command" in err
    assert "Traceback" not in err
    kept = units(tmp_path)
    assert 1 <= kept < 15
    assert equinb(*words).stdout.count(", kept") == kept


# A real cluster: a scheduler and two workers, each a process, on loopback.


def cluster(workers=2, threads=1):
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=threads,
        processes=True,
        host="127.0.0.1",
        dashboard_address=":0",
    )


@pytest.fixture(scope="module")
def scheduler():
    with cluster() as running:
        yield running.scheduler_address


def test_a_dask_cluster_gives_the_same_rows(quick, scheduler, tmp_path):
    run = options(tmp_path, dask=scheduler)
    lab.run(load_experiment("dqn"), "quick", [0, 1, 2], **run)
    assert tables(tmp_path) == tables(quick)


def test_both_workers_of_the_cluster_are_asked(scheduler, tmp_path):
    from distributed import Client

    def executed():
        with Client(scheduler, set_as_default=False) as client:
            return client.run(lambda dask_worker: dask_worker.state.executed_count)

    before = executed()
    words = [*QUICK, "--seeds", "0-1", "--folder", str(tmp_path)]
    done = equinb(*words, "--dask", scheduler)
    assert done.returncode == 0, done.stderr
    after = executed()
    assert len(after) == 2
    assert all(after[worker] > before[worker] for worker in after)


def test_a_worker_of_several_threads_does_one_job_at_a_time(tmp_path):
    """Random states belong to the process: jobs side by side in it would mix them."""
    config = replace(TOY.config("quick"), uses_global_state=True)
    run = {"seeds": [0, 1, 2, 3], "config": config, "progress": False}
    alone, _ = lab.run(TOY, folder=tmp_path / "alone", **run)
    with cluster(workers=1, threads=4) as running:
        run["dask"] = running.scheduler_address
        together, _ = lab.run(TOY, folder=tmp_path / "dask", **run)
    assert together.equals(alone)


def test_a_cluster_without_workers(tmp_path):
    says = "has no workers: start some with `dask worker"
    with cluster(workers=0) as running, pytest.raises(OSError, match=says):
        lab.run(TOY, folder=tmp_path, dask=running.scheduler_address, progress=False)


def test_no_cluster_there(capsys, tmp_path):
    words = [*QUICK, "--folder", str(tmp_path), "--dask", "tcp://127.0.0.1:9"]
    code, _, err = called(capsys, *words)
    assert code == 1
    assert "There is no Dask scheduler at tcp://127.0.0.1:9: start one" in err


# Showing and verifying.


def test_show_sums_up_the_books_own(capsys):
    code, out, _ = called(capsys, "show", "dqn", "--preset", "small")
    assert code == 0
    assert "mean over 5 seeds [95 % interval]" in out
    assert re.search(r"100000 +\S+ \[", out)
    assert "from the book" in out
    assert "equinb run dqn --preset small --seeds 0-4" in out


def test_show_every_row(capsys):
    _, out, _ = called(capsys, "show", "dqn", "--preset", "small", "--rows")
    rows, _ = lab.load_result("dqn-small")
    assert sum("lambda-equitune" in line for line in out.splitlines()) == len(rows) / 4


def test_show_tells_all_methods_on_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = called(capsys, "show", "dqn")
    for method in ("pretrained", "equitune", "equizero", "lambda-equitune"):
        assert method in out
    assert "..." not in out


def test_show_prefers_your_own_last_run(capsys, tmp_path):
    words = ["dqn", "--folder", str(tmp_path)]
    one = ["--environments", "CartPole-v1", "--episodes", "5"]
    assert called(capsys, "run", *words, *one)[0] == 0
    (place,) = tmp_path.iterdir()
    _, out, _ = called(capsys, "show", *words)
    assert f"from {place}" in out
    assert "mean over 1 seeds" in out
    _, out, _ = called(capsys, "show", place.name, "--folder", str(tmp_path))
    assert f"from {place}" in out
    _, out, _ = called(capsys, "show", *words, "--shipped")
    assert "from the book" in out


@pytest.mark.parametrize(
    ("result", "experiment"),
    [
        *((name, name) for name in EXPERIMENTS),
        *((f"{name}-small", name) for name in EXPERIMENTS),
        ("scan-quick-1a2b3c", "scan"),
        ("clip-glyphs-quick-1a2b3c", "clip-glyphs"),
        ("clip-glyphsmall", "clip"),
        ("clipper", "clipper"),
        ("clipper-small", "clipper"),
        ("nope-small", "nope"),
    ],
)
def test_a_result_belongs_to_the_experiment_of_the_longest_name(result, experiment):
    assert cli._experiment_of(result) == experiment


def test_show_takes_no_run_of_an_experiment_whose_name_goes_on(capsys, tmp_path):
    """The last run is of scan-rates; that is none of scan."""
    for name in ("scan-quick", "scan-rates-quick"):
        place = tmp_path / name
        place.mkdir()
        (place / f"{name}.json").write_text("{}")
        os.utime(place / f"{name}.json", ns=(0, 10**9 * len(name)))
    for name in ("scan", "scan-rates"):
        code, _, err = called(capsys, "show", name, "--folder", str(tmp_path))
        assert code == 1
        assert f"{name}-quick" in err
        assert (name == "scan-rates") == ("rates" in err)


def test_the_books_own_files_verify(capsys):
    code, out, _ = called(capsys, "verify")
    assert code == 0, out
    assert re.search(r"^\d+ files verified, 0 wrong$", out, re.MULTILINE)


def test_verify_fails_loudly(capsys, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"x")
    code, out, _ = called(capsys, "verify", "--folder", str(tmp_path))
    assert code == 1
    assert "WRONG a.safetensors: The weights a.safetensors are damaged" in out
    code, out, _ = called(capsys, "verify", "--folder", str(tmp_path / "empty"))
    assert code == 1
    assert "0 files verified" in out


# One clear sentence.


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "nope"], "There is no experiment 'nope'; there are: dqn"),
        (["show", "nope"], "There is no experiment 'nope'"),
        (["run", "dqn", "--seeds", "0-x"], "Seeds are whole numbers such as 3, 0-4"),
        (["run", "dqn", "--seeds", "3-1"], "at least one; got"),
        (["run", "dqn", "--seeds", "9"], "There is no agent of seed 9"),
        (["run", "dqn", "--episodes", "1"], "At least two episodes"),
        (["run", "dqn", "--workers", "0"], "At least one worker"),
        (["run", "dqn", "--environments", "Pong"], "no agents for 'Pong'; there are"),
        (["run", "dqn", "--folder", "/dev/null/x"], "could not be stored in"),
        (["run", "dqn", "--environments"], "Nothing is asked for"),
        (["run", "dqn", "--seeds", "0-"], "Seeds are whole numbers"),
        (["run", "dqn", "--device", "mps"], "There is no device 'mps' here"),
        (["show", "dqn", "--preset", "quick"], "no stored result 'dqn-quick'"),
    ],
)
def test_bad_input_gives_one_sentence(capsys, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    code, _, err = called(capsys, *words)
    assert code == 1
    assert says in err
    assert err.startswith("equinb: ")
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [["run"], ["run", "dqn", "--preset", "huge"], ["nonsense"], []],
)
def test_unknown_words_are_refused(words):
    done = equinb(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_without_the_extra_it_says_what_to_install():
    code = "import sys; sys.modules['tyro'] = None\nfrom equinb import cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'equinb[lab]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_chapters_packages_it_says_what_to_install():
    code = (
        "import sys; sys.modules['gymnasium'] = None; from equinb import cli; "
        "cli.main(sys.argv[1:])"
    )
    for words, status in ((["run", "dqn"], 1), (["list"], 0)):
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == status
        assert "pip install 'equinb[book]'" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_missing_weights_are_named(capsys, tmp_path, monkeypatch):
    def reads(options, seeds):
        return ["assets/dqn/gone.safetensors"]

    experiment = replace(load_experiment("dqn"), reads=reads)
    monkeypatch.setattr("equinb.cli.load_experiment", lambda name: experiment)
    code, _, err = called(capsys, *QUICK, "--folder", str(tmp_path))
    assert code == 1
    assert "equinb/assets/dqn/gone.safetensors is missing: restore it with git" in err
    assert len(err.strip().splitlines()) == 1
