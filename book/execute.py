"""Execute notebooks with nbmake, as a reader would: from a folder that holds only them.

    python book/execute.py ENVIRONMENT REPORTS NOTEBOOK [NOTEBOOK ...]

The copies under `_build/run/notebooks` keep their outputs; the site is made from them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(environment: str, reports: str, *notebooks: str) -> int:
    """Copy the notebooks, execute each once, and return the exit status."""
    folder = ROOT / "_build" / "run" / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    current = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    for stale in folder.iterdir():
        if stale.name not in current:
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    for notebook in notebooks:
        shutil.copy(notebook, folder)
    command = [
        str(Path(environment, "bin", "python").absolute()),
        "-m",
        "pytest",
        *("-v", "--nbmake", "--overwrite", "--nbmake-timeout=600"),
        *("-p", "no:cacheprovider", "--rootdir", str(folder), "-c", os.devnull),
        *("--junitxml", str(Path(reports).absolute() / "notebooks.xml")),
        *("--durations", "0"),
        *sorted(Path(notebook).name for notebook in notebooks),
    ]
    return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
