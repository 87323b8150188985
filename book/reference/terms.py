"""Links from the first use of a term on a page to its entry in the glossary.

Pages are written in plain words: the links are made when the site is built. Words that
also have an everyday meaning are linked where the page itself asks for it, by
``{term}`view` ``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: Terms whose words also mean something else: "in order to", "a head start".
EVERYDAY = {"action", "cut", "frame", "group", "head", "order", "regard", "tie", "view"}
#: Other words for a term than its name and the name with an s.
FORMS = {
    r"$\lambda$-equitune": "lambda-equitune",
    "equivariance": "equivariant",
    "invariance": "invariant",
    "symmetries": "symmetry",
}
#: How such a form is written where a link has no formula in it.
SPELLING = {r"$\lambda$-equitune": "λ-equitune"}
ROLE = r"\{term\}`(?P<text>[^`<]+?)(?:\s*<(?P<target>[^`>]+)>)?`"
#: What is not prose: code, formulas, headings, quotations, tables, directives and
#: their options, other roles, links, HTML.
REST = r"""
    ^(?P<fence>`{3,})[\s\S]*?^(?P=fence)\s*$
    | ^(?:\#|>|\||:::|:[\w-]+:).*$
    | \$\$[\s\S]+?\$\$ | \$[^$]+\$
    | (?:\{[\w:-]+\})?(?P<tick>`+)[\s\S]+?(?P=tick)
    | \[[^\]]*\]\([^)]*\) | <[^>\n]+>
"""


def terms(glossary: str) -> list[str]:
    """The terms of a glossary in MyST, as they are written there."""
    block = re.findall(r"^:::\{glossary\}\n(.*?)^:::$", glossary, re.M | re.S)[0]
    return re.findall(r"^\S.*$", block, re.M)


def forms(names: list[str]) -> dict[str, str]:
    """The terms that are linked by themselves, by every form in which they occur."""
    own = [name for name in names if name not in EVERYDAY]
    found = {f"{name}{s}": name for name in own for s in ("", "s")}
    return found | {form: name for form, name in FORMS.items() if name in own}


def pattern(names: list[str]) -> str:
    """What finds a form of a term: the longest where several begin alike."""
    longest = sorted(forms(names), key=len, reverse=True)
    words = "|".join(re.escape(form).replace(r"\ ", r"\s+") for form in longest)
    return rf"(?<![\w-])(?:{words})(?![\w-])"


def linked(texts: list[str], names: list[str]) -> Iterator[str]:
    """Texts of a page, in order, with a link from the first use of every term.

    Args:
        texts: Markdown, as it is written.
        names: the terms of the glossary.

    Example:
        >>> list(linked(["Is it equivariant?", "Equivariant."], ["equivariant"]))
        ['Is it {term}`equivariant`?', 'Equivariant.']
    """
    known = {form.lower(): name for form, name in forms(names).items()}
    token = re.compile(
        rf"(?P<word>{pattern(names)})|(?P<role>{ROLE})|{REST}",
        re.VERBOSE | re.MULTILINE | re.IGNORECASE,
    )
    seen: set[str] = set()

    def told(found: re.Match[str]) -> str:
        if found["role"]:
            words, name = found["text"], found["target"] or found["text"]
        elif found["word"]:
            words = " ".join(found["word"].split())
            name = known[words.lower()]
        else:
            return found[0]
        if name in seen:
            return words
        seen.add(name)
        words = SPELLING.get(words, words)
        return f"{{term}}`{words}`" if words == name else f"{{term}}`{words} <{name}>`"

    for text in texts:
        yield token.sub(told, text)
