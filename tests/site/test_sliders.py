"""Figures with a slider, moved by keyboard, and what is left without scripts."""

from __future__ import annotations

import pytest
from book_pages import SITE, THEMES, toc_pages
from playwright.sync_api import Browser, BrowserContext

MARK = '<figure class="slider">'

# What lies below an element, and the colour of its letters.
LOOK = """e => {
  const ink = getComputedStyle(e).color;
  const clear = (e) => /, 0\\)$/.test(getComputedStyle(e).backgroundColor);
  while (e.parentElement && clear(e)) e = e.parentElement;
  return [getComputedStyle(e).backgroundColor, ink];
}"""


def pages_with_sliders() -> list[str]:
    """Names of the pages of the built site that hold one."""
    files = {name: SITE / f"{name}.html" for name in toc_pages()}
    return [name for name, f in files.items() if f.exists() and MARK in f.read_text()]


NAMES = pages_with_sliders()


def test_five_pages_and_the_first_have_a_slider() -> None:
    assert len(set(NAMES) - {"book/index"}) >= 5
    assert "book/index" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_sliders_move_by_keyboard(
    name: str, address: str, contexts: dict[tuple[str, str], BrowserContext]
) -> None:
    page = contexts["dark", "narrow"].new_page()
    page.goto(f"{address}{name}.html")
    for figure in page.locator("figure.slider").all():
        control, told = figure.locator("input"), figure.locator("output")
        frames = figure.locator("img").all()
        values = [frame.get_attribute("data-value") for frame in frames]
        assert [frame.is_visible() for frame in frames].count(True) == 1
        assert len(frames) > 1
        control.focus()
        for i, key in ((1, "ArrowRight"), (len(frames) - 1, "End"), (0, "Home")):
            page.keyboard.press(key)
            shown = [k for k, frame in enumerate(frames) if frame.is_visible()]
            assert shown == [i]
            assert told.inner_text() == values[i]
            assert control.get_attribute("aria-valuetext") == values[i]
    page.close()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", NAMES)
def test_sliders_lie_on_the_paper_of_their_page(
    name: str, theme: str, address: str, contexts: dict[tuple[str, str], BrowserContext]
) -> None:
    """Frames turn their own ink in the dark: on light paper they would be pale."""
    page = contexts[theme, "narrow"].new_page()
    page.goto(f"{address}{name}.html")
    text = page.locator(".bd-article p").first.evaluate(LOOK)
    for figure in page.locator("figure.slider").all():
        assert figure.evaluate(LOOK) == text
        assert figure.locator("label").evaluate(LOOK) == text
        paper, ink = figure.locator("figcaption").evaluate(LOOK)
        assert paper == text[0] != ink
    page.close()


@pytest.mark.parametrize("name", NAMES)
def test_without_scripts_the_first_frame_is_there(
    name: str, browser: Browser, address: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}{name}.html")
    for figure in page.locator("figure.slider").all():
        shown = [frame.is_visible() for frame in figure.locator("img").all()]
        assert shown[0]
        assert not any(shown[1:])
    context.close()
