"""Stage, build and serve the book: `python book/build.py stage|html|serve`.

The notebooks in notebooks/ hold no outputs. They are executed once, elsewhere, as
copies under _build/run/notebooks. `stage` lays a book source tree under _build/src:
the prose, with what its pages ask to be made (reference/), and those executed copies
under the docnames of their sources, so that links to the repository stay true. `html`
builds it with warnings as errors.
A staged file is written only when its content differs: an unchanged page is not
built again.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import reference
from reference.times import runtime

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "_build" / "run" / "notebooks"
STAGE = ROOT / "_build" / "src"
SITE = ROOT / "_build" / "html"


def executed(source: Path) -> bytes:
    """Return the executed copy of a notebook, marked so that it is not run again."""
    copy = RUN / source.name
    if not copy.exists():
        sys.exit(f"{copy} is missing: execute the notebooks first (`make notebooks`).")
    notebook = json.loads(copy.read_text(encoding="utf-8"))
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    if [c["source"] for c in notebook["cells"]] != [c["source"] for c in cells]:
        sys.exit(
            f"{source} has changed since it was executed: run it again "
            "(`make notebooks`)."
        )
    code = [c for c in notebook["cells"] if c["cell_type"] == "code" and c["source"]]
    if any(c["execution_count"] is None for c in code):
        sys.exit(f"{copy} was not executed to its end: run it again.")
    notebook["metadata"]["mystnb"] = {"execution_mode": "off"}
    badge, seconds = "{bdg-secondary}`CPU`", runtime(notebook["cells"])
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            measured = f"{{bdg-secondary}}`{seconds:.0f} s` {badge}"
            cell["source"] = text.replace(badge, measured, 1)
    return json.dumps(notebook, indent=1, ensure_ascii=False).encode()


def sources() -> Iterator[tuple[Path, bytes]]:
    """Yield every staged file: its path below the stage, and its content."""
    for name in ("_config.yml", "_toc.yml", "docutils.conf"):
        yield Path(name), (ROOT / name).read_bytes()
    for path in sorted((ROOT / "book").rglob("*")):
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            yield path.relative_to(ROOT), reference.fill(text, RUN).encode()
        elif path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(ROOT), path.read_bytes()
    for path, content in reference.files(RUN):
        yield Path("book") / path, content
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        yield path.relative_to(ROOT), executed(path)


def stage() -> None:
    """Bring _build/src up to date, touching only files whose content differs."""
    kept, written = set(), 0
    for relative, content in sources():
        target = STAGE / relative
        kept.add(target)
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            written += 1
    stale = [p for p in STAGE.rglob("*") if p.is_file() and p not in kept]
    for path in stale:
        path.unlink()
    print(f"staged {len(kept)} files: {written} written, {len(stale)} removed")


def html() -> None:
    """Build the staged book strictly, and say where it is."""
    stage()
    start = time.perf_counter()
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(STAGE)]
    command += ["--path-output", str(ROOT), "-W", "-n", "--keep-going", "-q"]
    if subprocess.run(command, cwd=STAGE, check=False).returncode:
        sys.exit("the site was not built: see the warnings above, each is an error")
    print(f"site built in {time.perf_counter() - start:.0f} s: {SITE / 'index.html'}")
    print("read it with `make serve` (or `python book/build.py serve`)")


def serve(port: int) -> None:
    """Serve the built site to this computer until interrupted."""
    if not (SITE / "index.html").exists():
        sys.exit("there is no site yet: build it first (`make book`).")
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(SITE)
    )
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        sys.exit(
            f"port {port} is taken: name another, for instance "
            f"`python book/build.py serve --port {port + 1}`."
        )
    with server:
        print(f"the book is at http://127.0.0.1:{server.server_port}/  (Ctrl-C ends)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Stage, build and serve the book.")
    parser.add_argument("command", choices=["stage", "html", "serve"])
    parser.add_argument("--port", type=int, default=8000, help="for serve")
    args = parser.parse_args()
    if args.command == "serve":
        serve(args.port)
    else:
        {"stage": stage, "html": html}[args.command]()


if __name__ == "__main__":
    main()
