"""What `import equinb` loads: torch, numpy, and nothing that they do not load."""

import json
import subprocess
import sys
from pathlib import Path

import equinb as eq

LOADED = """
import json, sys
{statement}
names = {{name.partition(".")[0] for name in sys.modules}}
print(json.dumps(sorted(names - set(sys.stdlib_module_names))))
"""


def loaded(statement):
    code = LOADED.format(statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_torch_and_numpy_are_all_that_loads():
    more = loaded("import equinb") - loaded("import numpy, torch")
    assert more == {"equinb"}


def test_applications_and_the_lab_load_on_demand():
    code = (
        "import sys, equinb; print([m for m in sys.modules if m.startswith('equinb.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    for part in ("apps", "lab", "plots"):
        assert f"equinb.{part}" not in done.stdout


def test_all_that_is_named_is_there():
    assert eq.__all__ == sorted(eq.__all__)
    for name in eq.__all__:
        assert getattr(eq, name).__doc__
    for method in (eq.Equitune, eq.Equizero, eq.LambdaEquitune):
        assert issubclass(method, eq.Symmetrized)
    source = Path(eq.__file__).parent
    for file in ("equitune", "equizero", "lambda_equitune"):
        assert (source / f"{file}.py").exists()
