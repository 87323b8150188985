"""Execute notebooks with nbmake, as a reader would: from an empty folder elsewhere.

    python book/execute.py ENVIRONMENT REPORTS JOBS NOTEBOOK [NOTEBOOK ...]

As many at once as JOBS says, one thread each. The executed copies go to
`_build/run/notebooks`, with a record of what they ran on; the site is made from them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "_build" / "run" / "notebooks"


def main(environment: str, reports: str, jobs: str, *notebooks: str) -> int:
    """Execute each notebook once and return the exit status."""
    RUN.mkdir(parents=True, exist_ok=True)
    python = str(Path(environment, "bin", "python").absolute())
    record = [python, str(ROOT / "book" / "environment.py")]
    made = subprocess.run(record, check=True, capture_output=True).stdout
    (RUN / "environment.json").write_bytes(made)
    names = sorted(Path(notebook).name for notebook in notebooks)
    with tempfile.TemporaryDirectory(prefix="equinb-") as folder:
        for notebook in notebooks:
            shutil.copy(notebook, folder)
        command = [
            python,
            *("-m", "pytest", "-v", "-p", "no:cacheprovider"),
            *("-n", jobs, "--dist", "worksteal"),
            *("--nbmake", "--overwrite", "--nbmake-timeout=600"),
            *("--junitxml", str(Path(reports).absolute() / "notebooks.xml")),
            *("--durations", "0", *names),
        ]
        one = {**os.environ, "OMP_NUM_THREADS": "1"}
        status = subprocess.run(command, cwd=folder, env=one, check=False).returncode
        for name in names:
            shutil.copy(Path(folder, name), RUN)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
