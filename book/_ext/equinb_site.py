"""Mends what the stock theme and extensions leave broken on a strict, offline page.

* sphinx-thebe declares a constant twice and points at other hosts: disconnected.
* Bibliography entries carry a deprecated ARIA role: they become list items.
* The line that unfolds a hidden cell is named otherwise than it reads: mended.
* Pictures made by a cell get the class that the dark theme understands.
* A picture without a text alternative is a warning, hence an error.
* Link previews name the site's address, and have a picture (sphinxext-opengraph).
* The page for a missing address is served at any depth: its links start at the root.
* Docstrings write mathematics and code as the notebooks do, `$gx$` and `name`;
  autodoc reads reStructuredText, so they are translated.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

logger = logging.getLogger(__name__)

MATHS = re.compile(r"(?<![\\$\w])\$([^$\n]+)\$(?![\w$])")
CODE = re.compile(r"(?<![`:\w])`([^`\n]+)`(?![`_])")
STALE_ROLE = 'role="doc-biblioentry"'
RELATIVE = re.compile(r'\b(href|src|action|data-content_root)="(?!#|/|\w+:)(?:\./)?')
STALE_LABEL = '<summary aria-label="Toggle hidden content">'


def use_dark_light(app: Sphinx, doctree: nodes.document) -> None:
    """Give every picture the class for both themes, and insist on its alt text."""
    for image in doctree.findall(nodes.image):
        if "dark-light" not in image["classes"]:
            image["classes"].append("dark-light")
        if not image.get("alt", "").strip():
            logger.warning(
                "a picture has no alt text; in a notebook set the cell metadata "
                '`mystnb: {"image": {"alt": ...}}`',
                location=image,
            )


def read_as_markdown(app: Sphinx, what: str, name: str, *rest: Any) -> None:
    """Turn `$gx$` and `name` in a docstring into the roles that autodoc reads."""
    lines: list[str] = rest[-1]
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[i] = MATHS.sub(r":math:`\1`", CODE.sub(r"``\1``", line))
    if what == "module":  # an indented block there is code
        for i in range(len(lines) - 1, 0, -1):
            if lines[i].startswith("    ") and not lines[i - 1].strip():
                lines[i:i] = ["::", ""]
    if what in ("attribute", "data", "property"):
        # An empty comment first, or napoleon takes "Text: more" for "type: meaning".
        lines[:0] = ["..", ""]


def skip_tuple_fields(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: Any
) -> bool | None:
    """The fields of a named tuple are told by its docstring, once."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def disconnect_thebe(app: Sphinx) -> None:
    """Jupyter Book loads sphinx-thebe always; leave it nothing to listen to."""
    for listeners in app.events.listeners.values():
        listeners[:] = [
            one for one in listeners if one.handler.__module__ != "sphinx_thebe"
        ]


def mend_page(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Drop what a page must not load, and mend its markup."""
    context["css_files"] = [
        css for css in context["css_files"] if "thebe" not in str(css.filename)
    ]
    if "body" in context:
        body = context["body"].replace(STALE_ROLE, 'role="listitem"')
        context["body"] = body.replace(STALE_LABEL, "<summary>")


def tell_previews_the_address(app: Sphinx, config: Config) -> None:
    """Link previews need whole addresses; the site's own is written down once."""
    config.ogp_site_url = config.html_baseurl


def root_missing_page(app: Sphinx, exception: Exception | None) -> None:
    """Let every link of the page for missing addresses start at the site's root."""
    page = Path(app.outdir, "404.html")
    if exception is None and page.exists():
        root = urlsplit(app.config.html_baseurl).path or "/"
        text = page.read_text(encoding="utf-8")
        page.write_text(RELATIVE.sub(rf'\1="{root}', text), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the handlers; the page handler runs after all others."""
    disconnect_thebe(app)
    app.connect("doctree-read", use_dark_light)
    app.connect("autodoc-process-docstring", read_as_markdown, priority=400)
    app.connect("autodoc-skip-member", skip_tuple_fields)
    app.connect("html-page-context", mend_page, priority=900)
    app.connect("config-inited", tell_previews_the_address)
    app.connect("build-finished", root_missing_page)
    stamp = zlib.crc32(Path(__file__).read_bytes())  # a change here rereads the book
    return {
        "env_version": stamp,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
