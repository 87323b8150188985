"""Links to the glossary, made when the site is built."""

import json
from pathlib import Path

import pytest
from reference.terms import EVERYDAY, FORMS, forms, linked, terms

ROOT = Path(__file__).resolve().parents[1]
NAMES = terms((ROOT / "book" / "glossary.md").read_text(encoding="utf-8"))


def link(text, names=NAMES):
    return "\n".join(linked(text.split("\n---\n"), names))


def test_the_terms_are_those_of_the_glossary():
    assert len(NAMES) > 50
    assert {"group", "lambda-equitune", "Cayley table", "R-EquiLM"} <= set(NAMES)
    assert set(NAMES) >= EVERYDAY
    assert set(FORMS.values()) <= set(NAMES)
    assert all("{" not in name and "`" not in name for name in NAMES)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("An orbit.", "An {term}`orbit`."),
        ("Two orbits. Orbit.", "Two {term}`orbits <orbit>`. Orbit."),
        ("Equitune, equitune", "{term}`Equitune <equitune>`, equitune"),
        ("By *equitune*'s mean", "By *{term}`equitune`*'s mean"),
        ("a proxy\nloss", "a {term}`proxy loss`"),
        ("the orbit record", "the {term}`orbit record`"),
        (r"with $\lambda$-equitune", "with {term}`λ-equitune <lambda-equitune>`"),
        ("canonical-lambda-equitune", "canonical-lambda-equitune"),
        ("equituned orbiting", "equituned orbiting"),
        ("its symmetries", "its {term}`symmetries <symmetry>`"),
        # In their own places, and only there:
        ("in order to", "in order to"),
        ("{term}`order` and {term}`order`", "{term}`order` and order"),
        ("{term}`turns <orbit>`, orbit", "{term}`turns <orbit>`, orbit"),
        ("orbit, {term}`turns <orbit>`", "{term}`orbit`, turns"),
        # One page is several cells:
        ("an orbit\n---\nan orbit", "an {term}`orbit`\nan orbit"),
    ],
)
def test_the_first_use_in_prose_is_linked(text, made):
    assert link(text) == made


@pytest.mark.parametrize(
    "kept",
    [
        "# Orbit",
        "> orbit",
        "| orbit |",
        "```\norbit\n```",
        "```{code} x\norbit `a`\n```",
        ":::{exercise} Orbit\n:label: orbit",
        "`orbit` {doc}`orbit`",
        "$orbit$ $$\norbit\n$$",
        "[the orbit](orbit.md)",
        "<a title='orbit'>",
    ],
)
def test_what_is_no_prose_is_left(kept):
    assert link(f"{kept}\norbit") == f"{kept}\n{{term}}`orbit`"


def test_to_link_again_changes_nothing():
    page = ROOT / "notebooks" / "02_one_operator.ipynb"
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    once = list(linked(texts, NAMES))
    assert sum(text.count("{term}`") for text in once) > 10
    assert list(linked(once, NAMES)) == once


def test_every_form_is_found():
    for form, name in forms(NAMES).items():
        assert f"<{name}>`" in link(form) or link(form) == f"{{term}}`{name}`"
