"""Which files a result depends on, and one hash over what they do.

The hash of Python code is over its syntax tree without docstrings, so that comments,
layout and descriptions may change while a stored result stays current.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from equinb.lab.files import PACKAGE, sha256

#: Code that no row depends on: the lab itself, and the look of figures.
APART = ("lab/", "plots.py")


def sources_of(module: str, root: Path = PACKAGE) -> list[str]:
    """The files of the package that a module's results depend on: it and its imports.

    Args:
        module: a module of the package, by its full name.
        root: the folder of the package.

    Returns:
        Paths below `root`, sorted; what is `APART` is left out, and so is everything
        that other packages provide.

    Raises:
        ModuleNotFoundError: if the package has no such module.
        ValueError: for a relative import.

    Example:
        >>> sources_of("equinb.equitune")[:3]
        ['actions/base.py', 'actions/entries.py', 'actions/images.py']
    """
    first = _path(module, root)
    if first is None:
        raise ModuleNotFoundError(f"equinb has no module {module!r}.")
    found, left = set[str](), [first]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        tree = ast.parse((root / name).read_text(encoding="utf-8"))
        paths = [_path(imported, root) for imported in _imported(tree, root)]
        left += [path for path in paths if path and not path.startswith(APART)]
    # A package's list of names leads on to code, but decides nothing itself.
    return sorted(name for name in found if not name.endswith("__init__.py"))


def hash_sources(sources: Iterable[str], root: Path = PACKAGE) -> str:
    """One sha256 over the names of files of the package and what they say.

    Args:
        sources: paths below `root`, with forward slashes; their order does not matter.
        root: the folder of the package.

    Raises:
        FileNotFoundError: if one of them is missing.

    Example:
        >>> len(hash_sources(["groups.py", "losses.py"]))
        64
    """
    lines = []
    for name in sorted(set(sources)):
        try:
            data = (root / name).read_bytes()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"equinb/{name} is missing: restore it with git, or reinstall equinb."
            ) from error
        data = code_of(data).encode() if name.endswith(".py") else data
        lines.append(f"{sha256(data)}  {name}\n")
    return sha256("".join(lines).encode())


def code_of(source: bytes | str) -> str:
    """A text that is equal for two Python files if they differ in descriptions alone.

    Example:
        >>> code_of("x = 1  # one") == code_of("x=1")
        True
        >>> code_of("x = 1") == code_of("x = 2")
        False
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            # A body of a docstring alone is the same as `pass`.
            node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
    return _spell(tree)


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _spell(node: object) -> str:
    """A syntax tree as text, the same on every version of Python that parses it.

    Fields that are empty are left out: later versions have more of them.
    """
    if isinstance(node, ast.AST):
        fields = [(k, v) for k, v in ast.iter_fields(node) if v not in (None, [])]
        inner = ",".join(f"{key}={_spell(value)}" for key, value in fields)
        return f"{type(node).__name__}({inner})"
    if isinstance(node, list):
        return f"[{','.join(map(_spell, node))}]"
    return repr(node)


def _imported(tree: ast.Module, root: Path) -> Iterator[str]:
    """The full names that a module imports, wherever in its code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError("Relative imports are not followed: write equinb...")
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if _path(full, root) else node.module


def _path(module: str, root: Path) -> str | None:
    """The file of a module of the package, None if it is none."""
    package, *parts = module.split(".")
    if package != "equinb":
        return None
    path = "/".join(parts)
    for name in (f"{path}.py", f"{path}/__init__.py".removeprefix("/")):
        if (root / name).is_file():
            return name
    return None
