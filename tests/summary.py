"""Print the seconds of each stage, the tests of each report, and a line for all."""

import sys
from pathlib import Path
from xml.etree import ElementTree

#: The most minutes that parts of `make test` are meant to take on two cores.
MINUTES = {"notebooks": 20, "browser": 10, "the rest": 15, "all": 45}


def stages(folder: Path) -> None:
    """Print what the stages of `make test` took, and all together."""
    report = folder / "stages.txt"
    if report.exists():
        lines = [line.split() for line in report.read_text().splitlines()]
        took = {name: int(seconds) for name, seconds in lines}
        for name, seconds in took.items():
            print(f"{name:<10} {seconds:>19} s")
        rest = sum(s for name, s in took.items() if name not in MINUTES)
        took |= {"the rest": rest, "all": sum(took.values())}
        for name, most in MINUTES.items():
            if name in took:
                over = "" if took[name] <= 60 * most else "  MORE THAN IS MEANT"
                print(f"{name:<10} {took[name]:>19} s of {60 * most}{over}")


def main(folder: str) -> int:
    """Add up the JUnit reports of a folder; the exit status is 1 if a test failed."""
    stages(Path(folder))
    passed = failed = skipped = 0
    for report in sorted(Path(folder).glob("*.xml")):
        for suite in ElementTree.parse(report).iter("testsuite"):
            tests, skips = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
            wrong = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
            passed, skipped = passed + tests - skips - wrong, skipped + skips
            failed += wrong
            seconds = float(suite.attrib["time"])
            print(f"{report.stem:<10} {tests:>5} tests {seconds:>7.0f} s")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
