"""What readers and other sites see of a page: its weight, previews, print, search."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median
from urllib.parse import unquote, urlsplit

import pytest
from book_pages import CONFIG, soup, toc_pages, weight
from playwright.sync_api import BrowserContext

PAGES = toc_pages()
#: Bytes of a page with its pictures, without the theme.
WEIGHT = 1.5e6
BASE = CONFIG["html"]["baseurl"]


def test_the_median_page_is_light(site: Path) -> None:
    weights = {name: weight(site / f"{name}.html") for name in PAGES}
    assert median(weights.values()) <= WEIGHT, weights
    assert max(weights.values()) <= 4 * WEIGHT, weights


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_a_preview_and_lazy_pictures(name: str, site: Path) -> None:
    page = soup(site / f"{name}.html")
    told = {
        str(m["property"]): str(m["content"])
        for m in page.select("meta[property^='og:']")
    }
    assert told["og:title"]
    assert told["og:description"]
    assert told["og:url"].startswith(BASE)
    assert len(str(page.select_one("meta[name='description']")["content"])) > 40
    picture = told["og:image"]
    assert picture.startswith(BASE)
    assert (site / unquote(picture.removeprefix(BASE))).stat().st_size > 1000
    pictures = page.select(".bd-article img:not([src^='data:'])")
    assert all(picture.get("loading") == "lazy" for picture in pictures)


def test_the_page_for_a_missing_address_works_at_any_depth(
    address: str, contexts: dict[tuple[str, str], BrowserContext]
) -> None:
    page = contexts["dark", "narrow"].new_page()
    missed: list[str] = []
    page.on("response", lambda r: missed.append(r.url) if r.status >= 400 else None)
    page.goto(f"{address}no/such/page.html", wait_until="load")
    assert missed == [f"{address}no/such/page.html"]
    assert page.locator("h1").inner_text() == "There is no such page"
    links = page.locator(".bd-article a")
    where = [link.get_attribute("href") or "" for link in links.all()]
    assert len(where) >= 3
    assert all(link.startswith(urlsplit(BASE).path) for link in where)
    links.first.click()
    page.wait_for_url(re.compile(r"index\.html$"))
    page.close()


# Whether a solution is open, and how light the letters and the paper are, 0 to 255.
PRINTED = """() => {
  const light = (colour) => Math.max(...colour.match(/\\d+/g).slice(0, 3));
  const body = getComputedStyle(document.body);
  const parts = ':is(div.solution, details) > :not(.admonition-title, summary)';
  return {
    closed: [...document.querySelectorAll('.bd-article ' + parts)]
      .filter(e => !e.getClientRects().length).length,
    ink: light(getComputedStyle(document.querySelector('.bd-article p')).color),
    paper: light(body.backgroundColor),
  };
}"""


@pytest.mark.parametrize("name", PAGES)
def test_printed_a_page_is_its_article_with_solutions_open_on_light_paper(
    name: str, address: str, contexts: dict[tuple[str, str], BrowserContext]
) -> None:
    page = contexts["dark", "wide"].new_page()
    page.goto(f"{address}{name}.html")
    page.emulate_media(media="print")
    for part in (".bd-sidebar-primary", ".prev-next-footer", "button.toggle-button"):
        assert not any(e.is_visible() for e in page.locator(part).all()), part
    found = page.evaluate(PRINTED)
    assert found["closed"] == 0
    assert found["ink"] < 100 < 250 <= found["paper"]
    assert page.pdf().startswith(b"%PDF")
    page.emulate_media(media="screen")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.close()


def test_search_finds_the_terms_of_the_glossary(
    site: Path, address: str, contexts: dict[tuple[str, str], BrowserContext]
) -> None:
    found = soup(site / "book/glossary.html").select("dl.glossary dt")
    terms = [term.get_text().removesuffix("#").strip() for term in found]
    assert len(terms) > 30
    page = contexts["light", "wide"].new_page()
    page.goto(f"{address}search.html?q=equizero")
    page.locator("#search-results a").first.wait_for()
    search = """term => Search._performSearch(...Search._parseQuery(term))
        .map(result => result[0])"""
    missing = [t for t in terms if "book/glossary" not in page.evaluate(search, t)]
    page.close()
    assert missing == []
