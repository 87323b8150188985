"""Ask every address outside that the sources name whether it is still there.

    python tests/links.py [FILE ...]

Exit status: 0 when no address is dead, 1 when one is, 2 when nobody answered at all:
then the network is missing, and nothing is known about the links.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ["*.md", "*.py", "*.yml", "*.toml", "*.cff", "*.bib", ":!tests"]
ADDRESS = re.compile(r"https?://[^\s<>\"'`\\{}|^]+")
DOI = re.compile(r"^\s*doi\s*=\s*[{\"]([^}\"]+)", re.MULTILINE)
# Hosts that are this computer, or a name only: w3.org's are of XML vocabularies.
HERE = {"127.0.0.1", "localhost", "www.w3.org"}
AGENT = {"User-Agent": "Mozilla/5.0 (a link check of the book equinb)"}
# A server that answers so is there, but will not talk to a program.
SHY = {401, 403, 405, 406, 418, 429, 999}


def addresses(text: str) -> set[str]:
    """Return the addresses in a text, without the punctuation that follows them."""
    found = {f"https://doi.org/{doi}" for doi in DOI.findall(text)}
    for address in ADDRESS.findall(text):
        address = address.rstrip(".,;:!?*_")
        while address.endswith((")", "]")):
            closing = address[-1]
            if address.count(closing) <= address.count("(" if closing == ")" else "["):
                break
            address = address[:-1].rstrip(".,;:!?")
        found.add(address)
    return {a.split("#")[0] for a in found if urlsplit(a).hostname not in HERE}


def ask(address: str, timeout: float = 20, tries: int = 3) -> str:
    """Return `ok`, `shy STATUS`, `dead STATUS` or `silent: REASON` for an address."""
    verdict = ""
    for attempt in range(tries):
        if attempt:
            time.sleep(attempt)
        try:
            with urlopen(Request(address, headers=AGENT), timeout=timeout):
                return "ok"
        except HTTPError as error:
            if error.code in SHY:
                return f"shy {error.code}"
            verdict = f"dead {error.code}"
            if error.code < 500:
                return verdict
        except (OSError, HTTPException, ValueError) as error:
            verdict = f"silent: {getattr(error, 'reason', error)}"
    return verdict


def check(where: dict[str, list[str]], timeout: float = 20, tries: int = 3) -> int:
    """Ask every address, print what is wrong and where it stands, return the status."""
    with ThreadPoolExecutor(8) as pool:
        asked = pool.map(lambda address: ask(address, timeout, tries), where)
        verdicts = dict(zip(where, asked, strict=True))
    if where and all(v.startswith("silent") for v in verdicts.values()):
        print(f"no network: none of {len(where)} addresses answered, nothing is known")
        return 2
    wrong = {a: v for a, v in verdicts.items() if v.startswith(("dead", "silent"))}
    shy = [a for a, v in verdicts.items() if v.startswith("shy")]
    for address, verdict in wrong.items():
        print(f"{verdict}  {address}  in {', '.join(where[address])}")
    print(f"{len(where)} addresses: {len(wrong)} dead, {len(shy)} refuse programs")
    return 1 if wrong else 0


def collect(paths: Iterable[Path]) -> dict[str, list[str]]:
    """Return the files that name an address, for each address."""
    where = defaultdict(list)
    for path in paths:
        for address in addresses(path.read_text(encoding="utf-8")):
            where[address].append(path.name)
    return dict(sorted(where.items()))


def main(*files: str) -> int:
    """Check the files named, or every source that git knows."""
    if not files:
        listed = subprocess.run(
            ["git", "ls-files", *SOURCES],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        files = tuple(str(ROOT / name) for name in listed.stdout.splitlines())
    return check(collect(map(Path, files)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
