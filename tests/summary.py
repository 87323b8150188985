"""Print the tests and seconds of each stage, then one line that counts them all."""

import sys
from pathlib import Path
from xml.etree import ElementTree

passed = failed = skipped = 0
for report in sorted(Path(sys.argv[1]).glob("*.xml")):
    for suite in ElementTree.parse(report).iter("testsuite"):
        tests, skips = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
        wrong = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
        passed, skipped = passed + tests - skips - wrong, skipped + skips
        failed += wrong
        seconds = float(suite.attrib["time"])
        print(f"{report.stem:<10} {tests:>5} tests {seconds:>7.0f} s")
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed or not passed else 0)
