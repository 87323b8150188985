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
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import reference
import yaml
from reference.pages import runtime
from reference.terms import linked, terms

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
    measured = f"{{bdg-secondary}}`{seconds:.0f} s` {badge}"
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
    prose = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    texts = ["".join(cell["source"]).replace(badge, measured, 1) for cell in prose]
    names = terms((ROOT / "book" / "glossary.md").read_text(encoding="utf-8"))
    for cell, text in zip(prose, linked(texts, names), strict=True):
        cell["source"] = text
    return json.dumps(notebook, indent=1, ensure_ascii=False).encode()


def sources() -> Iterator[tuple[Path, bytes]]:
    """Yield every staged file: its path below the stage, and its content."""
    # First the notebooks: all the rest reads them, and this says what is wrong.
    pages = sorted((ROOT / "notebooks").glob("*.ipynb"))
    made = {path.relative_to(ROOT): executed(path) for path in pages}
    yield from made.items()
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


def stage() -> list[Path]:
    """Bring _build/src up to date, and return the files whose content differed."""
    kept, written = set(), []
    for relative, content in sources():
        target = STAGE / relative
        kept.add(target)
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            written.append(target)
    stale = [p for p in STAGE.rglob("*") if p.is_file() and p not in kept]
    for path in stale:
        path.unlink()
    print(f"staged {len(kept)} files: {len(written)} written, {len(stale)} removed")
    return written


def html() -> None:
    """Build the staged book strictly, and say where it is."""
    written = stage()
    start = time.perf_counter()
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(STAGE)]
    command += ["--path-output", str(ROOT), "-W", "-n", "--keep-going", "-q"]
    # Where no page has changed, Sphinx copies no style sheet or picture either.
    if any(path.suffix not in {".md", ".ipynb"} for path in written):
        command.append("--all")
    if subprocess.run(command, cwd=STAGE, check=False).returncode:
        sys.exit("the site was not built: see the warnings above, each is an error")
    print(f"site built in {time.perf_counter() - start:.0f} s: {SITE / 'index.html'}")
    print("read it with `make serve` (or `python book/build.py serve`)")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site as it will be served: below its path, with its own 404 page."""

    def __init__(self, *args: Any, root: str, **kwargs: Any) -> None:
        """Files are looked up without the path of the site."""
        self.root = root
        super().__init__(*args, **kwargs)

    def send_head(self) -> BytesIO | BinaryIO | None:
        """Send the first page to who asks for less than the site's path."""
        if self.path.startswith(self.root):
            return super().send_head()
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", self.root)
        self.end_headers()
        return None

    def translate_path(self, path: str) -> str:
        """Drop the path of the site."""
        return super().translate_path("/" + path.removeprefix(self.root))

    def send_error(self, code: int, *args: Any, **kwargs: Any) -> None:
        """Answer with the site's page for what is not there."""
        page = Path(self.directory, "404.html")
        if code != HTTPStatus.NOT_FOUND or not page.exists():
            super().send_error(code, *args, **kwargs)
            return
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(page.read_bytes())


def serve(site: Path, port: int) -> None:
    """Serve the built site to this computer until interrupted."""
    if not (site / "index.html").exists():
        sys.exit("there is no site yet: build it first (`make book`).")
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    root = urlsplit(config["html"]["baseurl"]).path
    handler = functools.partial(Handler, directory=str(site), root=root)
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        sys.exit(
            f"port {port} is taken: name another, for instance "
            f"`python book/build.py serve --port {port + 1}`."
        )
    with server:
        address = f"http://127.0.0.1:{server.server_port}{root}"
        print(f"the book is at {address}  (Ctrl-C ends)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Stage, build and serve the book.")
    parser.add_argument("command", choices=["stage", "html", "serve"])
    parser.add_argument("--port", type=int, default=8000, help="for serve")
    parser.add_argument("--site", type=Path, default=SITE, help="for serve: the folder")
    args = parser.parse_args()
    if args.command == "serve":
        serve(args.site, args.port)
    else:
        {"stage": stage, "html": html}[args.command]()


if __name__ == "__main__":
    main()
