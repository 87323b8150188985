"""What keeps the repository in order: link check, newest versions, seconds, papers."""

import http.server
import inspect
import re
import socket
import threading
import tomllib
from pathlib import Path
from typing import ClassVar

import jupytext
import latest
import links
import nbformat
import pytest
import summary
import test_notebooks
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()


class Answers(http.server.BaseHTTPRequestHandler):
    """`/404` answers 404, `/503-once` answers 503 and then 200."""

    seen: ClassVar[list[str]] = []

    def do_GET(self):
        self.seen.append(self.path)
        code = int(self.path[1:4])
        if self.path.endswith("-once") and self.seen.count(self.path) > 1:
            code = 200
        self.send_response(code)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{one.server_port}"
        one.shutdown()
        thread.join()


@pytest.fixture
def nobody():
    """An address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_addresses_end_where_the_sentence_goes_on():
    text = "See (https://a.org/b_(c)), https://d.org/e#f. `https://g.org`; [h](http://i.org)"
    assert links.addresses(text) == {
        "https://a.org/b_(c)",
        "https://d.org/e",
        "https://g.org",
        "http://i.org",
    }
    assert links.addresses(" doi = {10.1/x},") == {"https://doi.org/10.1/x"}
    assert links.addresses("http://127.0.0.1:8000/ is here") == set()


def test_a_dead_address_is_told_from_a_shy_and_a_tired_one(server, nobody, capsys):
    assert links.check({f"{server}/200": ["a.md"], f"{server}/403": ["a.md"]}) == 0
    assert links.check({f"{server}/503-once": ["a.md"]}) == 0
    assert "1 addresses: 0 dead" in capsys.readouterr().out
    assert links.check({f"{server}/200": ["a.md"], f"{server}/404": ["b.md"]}) == 1
    assert f"dead 404  {server}/404  in b.md" in capsys.readouterr().out
    assert links.check({f"{server}/200": ["a.md"], nobody: ["c.md"]}, 1, 1) == 1
    assert f"{nobody}  in c.md" in capsys.readouterr().out


def test_no_network_is_not_a_dead_address(nobody, capsys):
    assert links.check({nobody: ["a.md"], f"{nobody}/b": ["b.md"]}, 1, 1) == 2
    assert "no network" in capsys.readouterr().out


def test_sources_name_addresses():
    found = links.collect([ROOT / "README.md", *(ROOT / "book").glob("*.bib")])
    assert any(address.startswith("https://doi.org/") for address in found)


def test_versions_that_left_their_pins_are_listed():
    pinned = latest.pins("# pins\na-b==1.0\nc==2 ; sys_platform == 'nowhere'\nd==3\n")
    assert pinned == {"a-b": "1.0", "d": "3"}
    newest = {"a-b": "1.1", "d": "3", "e": "4", "equinb": "0"}
    told = [line.split() for line in latest.differences(pinned, newest)]
    assert told == [["a-b", "1.0", "1.1"], ["e", "-", "4"]]


def test_the_summary_counts_tests_and_seconds(tmp_path, capsys):
    suite = '<testsuite tests="{}" failures="{}" errors="0" skipped="1" time="2.5"/>'
    (tmp_path / "unit.xml").write_text(f"<all>{suite.format(5, 0)}</all>")
    (tmp_path / "stages.txt").write_text("lint 3\nnotebooks 61\nbrowser 20\n")
    assert summary.main(str(tmp_path)) == 0
    told = capsys.readouterr().out
    assert "4 passed, 0 failed, 1 skipped" in told
    assert re.search(r"^notebooks +61 s$", told, re.MULTILINE)
    assert re.search(r"^the rest +3 s of 900$", told, re.MULTILINE)
    assert re.search(r"^all +84 s of 2700$", told, re.MULTILINE)
    (tmp_path / "stages.txt").write_text("lint 3\nbrowser 601\n")
    assert summary.main(str(tmp_path)) == 0
    told = capsys.readouterr().out
    assert re.search(r"^browser +601 s of 600  MORE THAN", told, re.MULTILINE)
    (tmp_path / "unit.xml").write_text(f"<all>{suite.format(5, 2)}</all>")
    assert summary.main(str(tmp_path)) == 1


def test_there_is_a_workflow_for_each_duty():
    names = {path.stem for path in WORKFLOWS}
    assert names == {"test", "pages", "latest", "links"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_make_targets_alone(path):
    """What a workflow runs, a reader can run: a target of the Makefile."""
    flow = yaml.safe_load(path.read_text())
    steps = [step for job in flow["jobs"].values() for step in job["steps"]]
    runs = [step["run"] for step in steps if "run" in step]
    assert runs
    for line in runs:
        target = re.fullmatch(r"make ([a-z-]+)", line)
        assert target, line
        assert re.search(rf"^{target[1]}:", MAKEFILE, re.MULTILINE), line
    uses = [step["uses"] for step in steps if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", use) for use in uses)


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["repository-code"] == project["urls"]["Repository"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert f"## {project['version']}" in changes


def test_the_guide_for_a_chapter_names_what_exists():
    """CONTRIBUTING.md: every path is there, every make target too."""
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    code = re.findall(r"`([^`\n]+)`", guide)
    paths = [c for c in code if re.fullmatch(r"[\w.-]*/[\w./-]*|_\w+\.yml", c)]
    assert len(paths) > 8
    made = {"notebooks/NN_topic.py"}
    assert [p for p in paths if not (ROOT / p).exists() and p not in made] == []
    targets = set(re.findall(r"make ([a-z-]+)", guide))
    assert len(targets) > 3
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def skeleton(folder):
    """The page that CONTRIBUTING.md begins with, as a pair."""
    (text,) = re.findall(
        r"```python\n(# ---\n.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL
    )
    page = folder / "90_order.ipynb"
    page.with_suffix(".py").write_text(text)
    nbformat.write(jupytext.read(page.with_suffix(".py")), page)
    return page


PAGE_CHECKS = [
    check
    for name, check in vars(test_notebooks).items()
    if name.startswith("test_") and "path" in inspect.signature(check).parameters
]


@pytest.mark.parametrize("check", PAGE_CHECKS, ids=lambda check: check.__name__)
def test_the_page_of_the_guide_has_what_a_page_must_have(check, tmp_path):
    check(skeleton(tmp_path))


def test_the_page_of_the_guide_runs(tmp_path):
    cells = nbformat.read(skeleton(tmp_path), as_version=4).cells
    code = "\n".join(c.source for c in cells if c.cell_type == "code")
    exec(compile(code, "90_order", "exec"), {"__name__": "page"})
