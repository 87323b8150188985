"""What a result depends on: found by imports, and hashed by what it does."""

import pytest

from equinb.lab.code import code_of, hash_sources, sources_of

CODE = '''
"""A module."""
import math

def f(x: int = 1) -> float:
    """A function."""
    return math.sqrt(x)  # a root

class C:
    """A class of no content."""
'''


@pytest.mark.parametrize(
    "same",
    [
        CODE.replace("A module.", "Another text."),
        CODE.replace('    """A function."""\n', ""),
        CODE.replace("  # a root", ""),
        CODE.replace("x: int = 1", "x:int=1"),
        CODE.replace('"""A class of no content."""', "pass"),
        CODE.replace("\n", "\r\n"),
    ],
)
def test_descriptions_and_layout_are_no_code(same):
    assert same != CODE
    assert code_of(same) == code_of(CODE)


@pytest.mark.parametrize(
    "other",
    [
        CODE.replace("sqrt", "cbrt"),
        CODE.replace("= 1", "= 2"),
        CODE.replace("= 1", "= 1.0"),
        CODE.replace("def f", "def g"),
        CODE.replace("return", "yield"),
        CODE + "f(2)\n",
        CODE.replace("import math", "import cmath as math"),
    ],
)
def test_code_is(other):
    assert code_of(other) != code_of(CODE)


@pytest.fixture
def package(tmp_path):
    files = {
        "__init__.py": "from equinb import every",
        "every.py": "",
        "a.py": "from equinb.b import x\nimport torch",
        "b.py": "def f():\n    from equinb.deep import c\n    import equinb.plots",
        "plots.py": "from equinb import every",
        "lab/__init__.py": "from equinb import every",
        "deep/__init__.py": "from equinb.deep.c import y\nfrom equinb.deep.d import z",
        "deep/c.py": "from equinb import lab",
        "deep/d.py": "from equinb.a import x",
        "alone.py": "",
        "whole.py": "import equinb as eq",
        "top.py": "from equinb import cyclic",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_imports_are_followed_within_the_package(package):
    found = ["a.py", "b.py", "deep/c.py"]
    assert sources_of("equinb.a", package) == found
    assert sources_of("equinb.deep", package) == [*found, "deep/d.py"]
    assert sources_of("equinb.alone", package) == ["alone.py"]
    assert sources_of("equinb.whole", package) == ["every.py", "whole.py"]
    assert sources_of("equinb.top", package) == ["every.py", "top.py"]


def test_relative_imports_are_refused(package):
    (package / "alone.py").write_text("from . import every")
    with pytest.raises(ValueError, match="Relative imports are not followed"):
        sources_of("equinb.alone", package)


def test_unknown_modules(package):
    for name in ("equinb.nothing", "torch.nn"):
        with pytest.raises(ModuleNotFoundError, match=f"no module '{name}'"):
            sources_of(name, package)


def test_the_hash_is_of_names_and_contents(package):
    (package / "weights.bin").write_bytes(b"\r\n")
    names = ["a.py", "weights.bin"]
    first = hash_sources(names, package)
    assert hash_sources(names[::-1] * 2, package) == first
    (package / "weights.bin").write_bytes(b"\n")
    assert hash_sources(names, package) != first
    with pytest.raises(FileNotFoundError, match=r"equinb/gone.py is missing: restore"):
        hash_sources(["gone.py"], package)
