"""Run pages with the newest versions that pyproject.toml allows, and say what is newer.

    python tests/latest.py ENVIRONMENT REPORTS NOTEBOOK [NOTEBOOK ...]

The environment holds the wheel and what it asked for, without the pins. Each notebook
runs in a folder of its own that holds nothing else. The last line counts them. With
`--colab`, the package is taken away before each page, and its first cell, which
believes that it is in Colab, must install it from this repository, as it does there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, distributions
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
#: What a kernel does first: it takes the package away, and looks like Colab.
STUB = """
import subprocess, sys, types
pip = [sys.executable, "-m", "pip", "uninstall", "-qy", "equinb"]
subprocess.run(pip, check=True, capture_output=True)
sys.modules["google.colab"] = types.ModuleType("colab")
"""


def pins(requirements: str) -> dict[str, str]:
    """Return the pinned version of each package that this platform installs."""
    found = {}
    for line in requirements.splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            if pin.marker is None or pin.marker.evaluate():
                (only,) = pin.specifier
                found[canonicalize_name(pin.name)] = only.version
    return found


def installed(environment: Path) -> dict[str, str]:
    """Return the version of each package in a virtual environment."""
    (folder,) = environment.glob("lib/python*/site-packages")
    found: dict[str, str] = {}
    one: Distribution
    for one in distributions(path=[str(folder)]):
        found[canonicalize_name(one.metadata["Name"])] = one.version
    return found


def differences(pinned: dict[str, str], newest: dict[str, str]) -> list[str]:
    """Return a line for each package whose version is not its pin."""
    return [
        f"{name:<28} {pinned.get(name, '-'):<16} {version}"
        for name, version in sorted(newest.items())
        if name != "equinb" and pinned.get(name) != version
    ]


def colab_environment(folder: Path) -> dict[str, str]:
    """Let a kernel look like Colab, and let git find this repository by its address."""
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "colab.py").write_text(STUB, encoding="utf-8")
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    url = config["repository"]["url"]
    return {
        **os.environ,
        "IPYTHONDIR": str(folder),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": url,
    }


def run(environment: Path, reports: Path, notebooks: list[Path], colab: bool) -> int:
    """Execute each notebook alone in an empty folder; return pytest's exit status."""
    with tempfile.TemporaryDirectory(prefix="equinb-latest-") as made:
        folder = Path(made)
        for notebook in notebooks:
            (folder / notebook.stem).mkdir()
            shutil.copy(notebook, folder / notebook.stem)
        command = [
            str(environment.absolute() / "bin" / "python"),
            *("-m", "pytest", "-v", "-p", "no:cacheprovider", "--nbmake"),
            *("--nbmake-timeout=600", "--durations", "0"),
            *("--junitxml", str(reports.absolute() / "latest" / "notebooks.xml")),
            *(notebook.stem for notebook in notebooks),
        ]
        env = colab_environment(folder / ".ipython") if colab else None
        return subprocess.run(command, cwd=folder, env=env, check=False).returncode


def main() -> int:
    """Read the command line, compare the versions, run the pages."""
    parser = argparse.ArgumentParser(description="Run pages with the newest versions.")
    parser.add_argument("environment", type=Path)
    parser.add_argument("reports", type=Path)
    parser.add_argument("notebooks", type=Path, nargs="+")
    parser.add_argument("--colab", action="store_true", help="run the first cell too")
    args = parser.parse_args()
    newest = installed(args.environment)
    pinned = pins((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    lines = differences(pinned, newest)
    print(f"{len(newest)} packages, {len(lines)} of them not at their pins")
    print("\n".join([f"{'package':<28} {'pinned':<16} newest allowed", *lines]))
    (args.reports / "latest").mkdir(parents=True, exist_ok=True)
    record = json.dumps(dict(sorted(newest.items())), indent=1)
    (args.reports / "latest" / "versions.json").write_text(record + "\n")
    return run(args.environment, args.reports, args.notebooks, args.colab)


if __name__ == "__main__":
    sys.exit(main())
