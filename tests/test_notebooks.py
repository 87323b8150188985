"""Every page: paired, without outputs, of the book's shape, its cells short."""

import re
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECTIONS = ["Goals", "Paper and here", "Pitfalls", "Recap", "Exercises", "What next"]

each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def prose(path):
    cells = read(path).cells
    return "\n".join(c.source for c in cells if c.cell_type == "markdown")


def code(path):
    return [c for c in read(path).cells if c.cell_type == "code"]


def lines(cell):
    return cell.source.strip().split("\n")


def test_there_are_pages():
    assert len(PAGES) >= 4
    assert [p.stem for p in PAGES] == [
        p.stem for p in sorted((ROOT / "notebooks").glob("*.py"))
    ]


@each_page
def test_pair_holds_the_same_cells(path):
    text = jupytext.read(path.with_suffix(".py"))
    book = read(path)

    def content(notebook):
        return [(c.cell_type, c.source, c.metadata) for c in notebook.cells]

    assert content(text) == content(book), (
        f"{path.name} differs from {path.stem}.py: run `make pair`"
    )
    assert text.metadata.kernelspec == book.metadata.kernelspec


@each_page
def test_no_outputs_are_stored(path):
    for cell in code(path):
        assert not cell.outputs
        assert cell.execution_count is None


@each_page
def test_cells_are_short(path):
    lengths = sorted(len(lines(cell)) for cell in code(path))
    assert lengths[len(lengths) // 2] <= 6
    assert lengths[int(0.9 * len(lengths))] <= 15
    assert lengths[-1] <= 25
    for cell in code(path):
        assert max(map(len, lines(cell))) <= 79, cell.source
        imports = [s for s in lines(cell) if re.match(r"(import|from) ", s)]
        assert len(imports) <= 6


@each_page
def test_sections_come_in_order(path):
    headings = re.findall(r"^## (.+)$", prose(path), re.MULTILINE)
    assert [h for h in headings if h in SECTIONS] == SECTIONS
    assert headings[0] == "Goals"


@each_page
def test_goals_and_recap_mirror_each_other(path):
    def items(section):
        body = prose(path).split(f"\n## {section}\n")[1].split("\n## ")[0]
        return re.findall(r"^- ", body, re.MULTILINE)

    assert 3 <= len(items("Goals")) <= 5
    assert len(items("Goals")) == len(items("Recap"))


@each_page
def test_exercises_have_executed_folded_solutions(path):
    text = prose(path)
    exercises = re.findall(r":::\{exercise\}.*\n:label: (\S+)", text)
    solutions = re.findall(r":::\{solution-start\} (\S+)\n:class: dropdown\n:::", text)
    assert len(exercises) >= 3
    assert exercises == solutions
    assert text.count(":::{solution-end}") == len(solutions)


@each_page
def test_badges_name_the_device_and_the_paper(path):
    assert re.search(r"\{bdg-secondary\}`(CPU|GPU)", prose(path))
    assert re.search(r"\{bdg-secondary\}`paper: ", prose(path))


@each_page
def test_figures_have_a_caption_and_an_alternative_text(path):
    for cell in code(path):
        draws = re.search(
            r"plt\.|plots\.(?!use_style|METHOD_STYLE|method_style)", cell.source
        )
        options = cell.metadata.get("mystnb", {})
        if "figure" in options:
            assert options["figure"]["name"].startswith("fig-")
            assert options["figure"]["caption"].endswith(".")
            assert options["image"]["alt"].endswith(".")
        # A frame of a slider returns its alternative text; the slider asks for it.
        frame = re.search(r"^def draw\(", cell.source, re.MULTILINE)
        assert not draws or frame or "figure" in options, cell.source


@each_page
def test_first_cell_installs_from_the_repository_in_colab_only(path):
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    url = config["repository"]["url"]
    assert code(path)[0].source == (
        "import sys\n\n"
        'if "google.colab" in sys.modules:\n'
        f'    package = "equinb[book] @ git+{url}"\n'
        '    get_ipython().run_line_magic("pip", f"install -q \'{package}\'")'
    )


@each_page
def test_no_number_is_typed_into_prose_as_a_result(path):
    """A percentage or an accuracy in prose would go stale: a cell prints it."""
    assert not re.findall(r"\d+(?:\.\d+)? ?%", prose(path))


@each_page
def test_nothing_is_left_to_be_filled_in(path):
    assert not re.findall(r"[A-Z]+-VERDICT|\bFINDING\b|\bTODO\b|XXX", prose(path))
    for cell in code(path):
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "A finding.")
        assert len(alt.split()) > 1
