"""The built site on a local port, and one Chromium to read it with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from book_pages import ROOT, SITE, THEMES, WIDTHS
from playwright.sync_api import Browser, BrowserContext, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]


@pytest.fixture(scope="session")
def site() -> Path:
    """Return the folder of the built site."""
    if not (SITE / "index.html").exists():
        pytest.fail(f"there is no site at {SITE}: build it first (`make book`).")
    return SITE


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Serve the site on a free port of this computer, as `make serve` does."""
    command = [sys.executable, str(ROOT / "book" / "build.py"), "serve"]
    command += ["--port", "0", "--site", str(site)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        said = re.search(r"http://\S+", server.stdout.readline())
        assert said, "`make serve` did not say where the book is"
        yield said[0]
        server.terminate()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the Chromium named by EQUINB_CHROMIUM, or the one on the path."""
    binary = os.environ.get("EQUINB_CHROMIUM") or shutil.which("chromium")
    if binary is None:
        pytest.fail(
            "there is no chromium: install it (`apt-get install chromium`) "
            "or name one in EQUINB_CHROMIUM."
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def contexts(browser: Browser) -> Iterator[dict[tuple[str, str], BrowserContext]]:
    """One browser context for each theme and width."""
    made = {}
    for theme in THEMES:
        for width, pixels in WIDTHS.items():
            context = browser.new_context(
                viewport={"width": pixels, "height": 900}, color_scheme=theme
            )
            context.add_init_script(
                f"localStorage.setItem('mode', '{theme}');"
                f"localStorage.setItem('theme', '{theme}');"
            )
            made[theme, width] = context
    yield made
    for context in made.values():
        context.close()
