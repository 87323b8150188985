"""The html as it lies: links, anchors, pictures, Colab buttons. No browser needed."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from book_pages import CONFIG, ROOT, SITE, soup, toc_pages
from bs4 import BeautifulSoup
from reference.terms import forms, pattern, terms

REPOSITORY = "https://github.com/equinb/equinb"
COLAB = "https://colab.research.google.com/github/equinb/equinb/blob/main/"

# The page for missing addresses is served at any depth: its links start here.
ROOTED = urlsplit(CONFIG["html"]["baseurl"]).path


@cache
def anchors(path: Path) -> frozenset[str]:
    return frozenset(str(tag["id"]) for tag in soup(path).find_all(id=True))


def html_files(site: Path) -> list[Path]:
    skipped = {"_static", "_sources"}
    files = [p for p in site.rglob("*.html") if not skipped & set(p.parts)]
    return sorted(files)


def test_every_page_of_the_contents_is_built(site: Path) -> None:
    assert [n for n in toc_pages() if not (site / f"{n}.html").exists()] == []


def test_the_site_was_built_from_these_notebooks(site: Path) -> None:
    """A page whose notebook has changed since is stale."""
    for name in toc_pages():
        source, built = ROOT / f"{name}.ipynb", site / "_sources" / f"{name}.ipynb"
        if source.exists():
            cells = [json.loads(p.read_text())["cells"] for p in (source, built)]
            texts = [
                [c["source"] for c in side if c["cell_type"] == "code"]
                for side in cells
            ]
            assert texts[0] == texts[1], f"{name} is stale: run `make book`"


def test_every_chapter_states_its_measured_time(site: Path) -> None:
    for name in toc_pages():
        if name.startswith("notebooks/"):
            badges = [
                b.get_text() for b in soup(site / f"{name}.html").select(".sd-badge")
            ]
            assert re.fullmatch(r"\d+ s", badges[0]), (name, badges)


def test_internal_links_and_anchors_resolve(site: Path) -> None:
    dead = []
    for page in html_files(site):
        for tag in soup(page).find_all(["a", "link", "script", "img"]):
            url = urlsplit(str(tag.get("href") or tag.get("src") or ""))
            if url.scheme or url.netloc or not (url.path or url.fragment):
                continue
            target = page if not url.path else page.parent / unquote(url.path)
            if url.path.startswith(ROOTED):
                target = site / unquote(url.path.removeprefix(ROOTED))
            target = target.resolve()
            missing = not target.is_file()
            if not missing and url.fragment and target.suffix == ".html":
                missing = unquote(url.fragment) not in anchors(target)
            if missing:
                dead.append(f"{page.relative_to(site)}: {tag.get('href')}")
    assert dead == []


def test_content_pictures_have_alt_text(site: Path) -> None:
    for name in toc_pages():
        article = soup(site / f"{name}.html").select_one("article")
        assert article is not None
        for image in article.select("img"):
            assert len(str(image.get("alt") or "")) > 10, f"{name}: {image}"
        for drawing in article.select('svg[role="img"]'):
            assert drawing.find("title"), f"{name}: a drawing has no title"


def test_figures_are_numbered_and_captioned(site: Path) -> None:
    for name in toc_pages():
        for figure in soup(site / f"{name}.html").select("article figure:not(.slider)"):
            if figure.find("img"):
                assert figure.select_one("figcaption .caption-number"), name
                assert figure.select_one("figcaption .caption-text"), name


@pytest.mark.parametrize("name", [n for n in toc_pages() if n.startswith("notebooks/")])
def test_colab_button_points_at_a_real_notebook(name: str, site: Path) -> None:
    links = [
        str(a["href"])
        for a in soup(site / f"{name}.html").find_all("a", href=True)
        if "colab.research.google.com" in str(a["href"])
    ]
    assert links == [f"{COLAB}{name}.ipynb"]
    assert (ROOT / f"{name}.ipynb").is_file()


def test_no_prose_page_names_the_repository() -> None:
    assert CONFIG["repository"]["url"] == REPOSITORY
    prose = [*(ROOT / "book").rglob("*.md"), *(ROOT / "book").rglob("*.py")]
    assert [p.name for p in prose if "github.com/equinb" in p.read_text()] == []


def test_no_warning_of_the_build_is_suppressed() -> None:
    assert CONFIG["sphinx"]["config"]["suppress_warnings"] == []


def test_no_page_asks_for_another_host(site: Path) -> None:
    """Links may leave; what a page loads may not."""
    outside = re.compile(r"^(https?:)?//")
    for page in html_files(site):
        loads = soup(page).find_all(["script", "img", "iframe", "source", "video"])
        loads += soup(page).find_all("link", rel=["stylesheet", "preload", "icon"])
        for tag in loads:
            url = str(tag.get("src") or tag.get("href") or "")
            assert not outside.match(url), f"{page.relative_to(SITE)}: {url}"


# What is no prose of its own: code, formulas, headings, quotations, tables, captions.
NOT_PROSE = (
    "pre, code, .math, h1, h2, h3, h4, blockquote, table, figcaption, script, svg, "
    ".cell_output, .admonition-title, .sd-badge, .headerlink"
)


@pytest.mark.parametrize("name", [n for n in toc_pages() if n.startswith("notebooks/")])
def test_the_first_use_of_a_term_leads_to_the_glossary(name: str, site: Path) -> None:
    names = terms((ROOT / "book" / "glossary.md").read_text(encoding="utf-8"))
    entries = {f"term-{re.sub(r'[^a-z0-9]+', '-', n.lower())}": n for n in names}
    # A copy: what is parsed is shared.
    article = BeautifulSoup(str(soup(site / f"{name}.html").article), "html.parser")
    for link in article.select("a[href*='glossary.html#term-']"):
        entry = str(link["href"]).split("#")[1].lower()
        link.replace_with(f" LINK {entries[entry]} ")
    for part in article.select(f"a, {NOT_PROSE}"):
        part.replace_with(" - ")
    known = {form.lower(): term for form, term in forms(names).items()}
    seen, late = set(), []
    for found in re.finditer(
        rf"(LINK )?({pattern(names)})", article.get_text(), re.IGNORECASE
    ):
        term = known[" ".join(found[2].lower().split())]
        if not found[1] and term not in seen:
            late.append(found[2])
        seen.add(term)
    assert late == []
    assert seen, "no term of the glossary is on the page"
