"""Every page in Chromium: light and dark, wide and narrow, quiet, local, accessible."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from book_pages import THEMES, WIDTHS, toc_pages
from playwright.sync_api import BrowserContext, Page

INDICES = ["genindex", "prf-prf", "py-modindex", "search"]
PAGES = [*toc_pages(), *INDICES, "404"]
SETTLE = 400  # ms after load: the theme and the menus finish by then

# Elements that stick out of the window and are in no box that scrolls. (The copy of a
# formula that screen readers read is clipped by MathJax, and meant to be.)
STICKING_OUT = """() => {
  const boxed = (e) => {
    for (let a = e; a && a !== document.body; a = a.parentElement) {
      const scrolls = ['auto', 'scroll'].includes(getComputedStyle(a).overflowX);
      if (scrolls && a.getBoundingClientRect().right <= innerWidth + 1) return true;
    }
    return false;
  };
  return [...document.querySelectorAll('.bd-article *')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .filter(e => !e.closest('mjx-assistive-mml') && !boxed(e))
    .map(e => e.outerHTML.slice(0, 120)).slice(0, 3);
}"""

# `preload` would fetch style sheets a second time; the first rule is off in some
# versions. The second takes most of the time, and no width changes a colour.
AXE_RUN = """contrast => axe.run({
  preload: false,
  resultTypes: ['violations'],
  rules: {
    'label-content-name-mismatch': { enabled: true },
    'color-contrast': { enabled: contrast },
  },
})"""

# Solutions, hidden cells and notes are a part of the page: all are opened.
OPEN = """() => {
  const all = (what) => document.querySelectorAll('.bd-article ' + what);
  all('.toggle-button-hidden').forEach(button => button.click());
  all('details').forEach(details => { details.open = true; });
}"""
SHUT = ".bd-article :is(.toggle-hidden, details:not([open]))"

# Text of the page as read, without code, where TeX is meant as TeX.
RAW_TEX = r"""() => {
  const article = document.querySelector('.bd-article') || document.body;
  const copy = article.cloneNode(true);
  copy.querySelectorAll('pre, code, script, mjx-container').forEach(e => e.remove());
  return (copy.textContent.match(/\\\(|\\\[|\$\$|\\begin\{/g) || []);
}"""


def listen(page: Page, address: str) -> list[str]:
    """Collect what a quiet page does not do."""
    faults: list[str] = []
    page.on(
        "console",
        lambda m: faults.append(f"console: {m.text}") if m.type == "error" else 0,
    )
    page.on("pageerror", lambda error: faults.append(f"page error: {error}"))
    page.on(
        "response",
        lambda r: faults.append(f"{r.status} {r.url}") if r.status >= 400 else 0,
    )
    local = (address, "data:", "blob:")
    page.on(
        "request",
        lambda r: 0 if r.url.startswith(local) else faults.append(f"leaves: {r.url}"),
    )
    return faults


def axe_faults(page: Page, contrast: bool) -> list[str]:
    """Serious and critical findings of axe-core, one line a rule."""
    page.evaluate(AXE_SCRIPT)
    found: dict[str, Any] = page.evaluate(AXE_RUN, contrast)
    return [
        f"{v['id']} x{len(v['nodes'])}: {v['nodes'][0]['html'][:160]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_page_is_quiet_typeset_narrow_and_accessible(
    name: str,
    theme: str,
    width: str,
    address: str,
    contexts: dict[tuple[str, str], BrowserContext],
) -> None:
    page = contexts[theme, width].new_page()
    faults = listen(page, address)
    page.goto(f"{address}{name}.html", wait_until="load")
    if page.locator(".math").count():
        # At the end of typesetting, no element marked as mathematics is bare.
        page.wait_for_function(
            "[...document.querySelectorAll('.bd-article .math')]"
            ".every(e => e.querySelector('mjx-container'))",
            timeout=15_000,
        )
    page.evaluate(OPEN)
    assert page.locator(SHUT).count() == 0
    # A reader scrolls; this loads the lazy pictures too.
    page.evaluate(
        "document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })"
    )
    page.wait_for_timeout(SETTLE)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert page.locator("mjx-merror").count() == 0, "TeX that does not parse"
    assert page.evaluate(RAW_TEX) == [], "TeX that was not typeset"
    broken = "[...document.images].filter(i => i.complete && !i.naturalWidth).length"
    assert page.evaluate(broken) == 0, "a picture did not load"
    page_width = page.evaluate("document.documentElement.scrollWidth")
    sticking = page.evaluate(STICKING_OUT)
    assert page_width <= WIDTHS[width], f"scrolls sideways: {sticking}"
    assert sticking == []
    contrast = width == "wide" or name == "book/index"
    assert axe_faults(page, contrast) == []
    assert faults == []
    page.close()


def test_search_finds_equizero(
    address: str, contexts: dict[tuple[str, str], BrowserContext]
) -> None:
    page = contexts["light", "wide"].new_page()
    faults = listen(page, address)
    page.goto(f"{address}search.html?q=equizero")
    for target in ("book/glossary", "book/api"):
        page.locator(f"#search-results a[href*='{target}']").first.wait_for()
    assert faults == []
    page.close()


def test_solution_opens_by_keyboard(
    address: str, contexts: dict[tuple[str, str], BrowserContext]
) -> None:
    page = contexts["light", "wide"].new_page()
    for name in toc_pages():
        page.goto(f"{address}{name}.html")
        solution = page.locator("div.solution.dropdown").first
        if solution.count():
            break
    else:
        pytest.fail("no page holds a solution")
    closed = solution.bounding_box()
    solution.locator("button.toggle-button").focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(SETTLE)
    opened = solution.bounding_box()
    assert closed is not None
    assert opened is not None
    assert opened["height"] > closed["height"]
    page.close()
