"""The bar: it knows steps and seeds, and stands in nobody's way."""

import time

from equinb.lab.experiment import Job
from equinb.lab.progress import PAUSE, Progress, Ticker

JOBS = [Job(3, {"length": 10}, steps=10), Job(4, {"length": 10}, steps=10)]


def test_it_counts_the_steps_of_jobs_at_work(capsys, tmp_path):
    with Progress("walk", JOBS, tmp_path / "p", show=True) as bar:
        Ticker(bar.folder, JOBS[0])(5)
        time.sleep(2 * PAUSE + 0.1)
    err = capsys.readouterr().err
    assert "10-seed3 at 50%" in err
    assert "5.00/20.0" in err
    assert "0/2 jobs" in err


def test_a_finished_job_counts_in_full_and_has_a_line(capsys, tmp_path):
    with Progress("walk", JOBS, tmp_path / "p", show=None) as bar:
        bar.finished(JOBS[1], "7 s")
        bar.say("10-seed3 is done again: its code")
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "walk: 1/2 10-seed4, 7 s",
        "walk: 10-seed3 is done again: its code",
    ]
    assert err == ""


def test_silence(capsys, tmp_path):
    with Progress("walk", JOBS, tmp_path / "p", show=False) as bar:
        bar.finished(JOBS[0], "7 s")
    assert capsys.readouterr() == ("", "")


def test_ticks_are_rare(tmp_path):
    tick = Ticker(str(tmp_path), JOBS[0])
    for step in range(1, 10):
        tick(step)
    assert (tmp_path / "10-seed3").read_text() == "1"
    time.sleep(PAUSE + 0.05)
    tick(10)
    assert (tmp_path / "10-seed3").read_text() == "10"


def test_a_worker_that_does_not_see_the_folder_goes_on(tmp_path):
    tick = Ticker(str(tmp_path / "gone"), JOBS[0])
    tick(1)
    tick(2)
    Ticker(None, JOBS[0])(1)


def test_a_tick_in_the_middle_of_writing_is_no_error(tmp_path):
    with Progress("walk", JOBS, tmp_path / "p", show=True) as bar:
        (tmp_path / "p" / "10-seed3").write_text("")
        bar.finished(JOBS[1], "7 s")


def test_ticks_are_tidied_away_those_of_a_killed_run_too(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "10-seed3").write_text("10")
    with Progress("walk", JOBS, tmp_path / "p", show=False):
        assert not list((tmp_path / "p").iterdir())
    assert not (tmp_path / "p").exists()
