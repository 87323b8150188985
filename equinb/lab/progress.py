"""One bar for all jobs of a run, wherever they work: it counts their steps.

A job ticks into a small file of its own; the bar reads those files. So it works for
processes of one machine, and does no harm where a worker does not see the folder.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

from equinb.lab.experiment import Job

#: Seconds between two looks at the files, and between two ticks of a job.
PAUSE = 0.3


class Ticker:
    """What a job reports its steps to.

    Args:
        folder: where the bar looks; None for no bar.
        job: the job.
    """

    def __init__(self, folder: str | None, job: Job) -> None:
        self._path = None if folder is None else Path(folder, job.name)
        self._last = 0.0

    def __call__(self, done: int) -> None:
        """Say how many steps are done; most calls cost next to nothing."""
        now = time.monotonic()
        if self._path is None or now - self._last < PAUSE:
            return
        self._last = now
        try:
            self._path.write_text(str(int(done)))
        except OSError:  # a worker on another machine: the bar goes by whole jobs
            self._path = None


class Progress:
    """A bar over the steps of all jobs, and a line for each that is finished.

    Args:
        title: what is running.
        jobs: all jobs of the run.
        folder: where the ticks go; made at the start, removed at the end.
        show: draw the bar; None for only where there is a terminal.

    Attributes:
        folder: what `Ticker` is to be given.
    """

    def __init__(
        self, title: str, jobs: Sequence[Job], folder: Path, show: bool | None
    ) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._done: set[str] = set()
        self._title = title
        self._quiet = show is False
        disable = None if show is None else not show
        total = sum(job.steps for job in jobs)
        self._bar = tqdm(total=total, unit=" steps", unit_scale=True, disable=disable)
        self.folder = str(folder.absolute())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Progress:
        # A run that was killed may have left its ticks.
        shutil.rmtree(self.folder, ignore_errors=True)
        Path(self.folder).mkdir(parents=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._bar.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def finished(self, job: Job, how: str) -> None:
        """Count a job as done and print a line about it."""
        self._done.add(job.name)
        self.say(f"{len(self._done)}/{len(self._jobs)} {job.name}, {how}")
        self._draw()

    def say(self, line: str) -> None:
        """Print a line beside the bar."""
        if not self._quiet:
            self._bar.write(f"{self._title}: {line}")

    def _watch(self) -> None:
        while not self._stop.wait(PAUSE):
            self._draw()

    def _draw(self) -> None:
        steps, running = 0, []
        for name, job in self._jobs.items():
            ticks = job.steps if name in self._done else self._ticks(job)
            steps += ticks
            if name not in self._done and ticks:
                running.append(f"{job.name} at {ticks / job.steps:.0%}")
        self._bar.n = steps
        jobs = f"{len(self._done)}/{len(self._jobs)} jobs"
        self._bar.set_description(f"{self._title}, {jobs}", refresh=False)
        self._bar.set_postfix_str(", ".join(running[:4]))

    def _ticks(self, job: Job) -> int:
        try:
            return min(int(Path(self.folder, job.name).read_text()), job.steps)
        except (OSError, ValueError):  # not begun, or in the middle of a tick
            return 0
