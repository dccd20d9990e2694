"""Write the figures of a full run into docs/guarantees.md: `python -m tests.figures REPORT…`, of `pytest --junitxml`.

A second report is of tests that had failed in the first and were mended: what it says of a test counts.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from tests.local.test_hostile_names import NAMES
from tests.workflow.test_interleavings import EXAMPLES, STORIES

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "guarantees.md"
FIGURES = ROOT / "docs" / "guarantees.json"
LOAD = ROOT / "bench" / "load.json"
_MARKED = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- /figures -->)", re.DOTALL)


def main(reports: list[Path]) -> None:
    """Read the reports, keep their figures, and show them."""
    figures = read(reports)
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    DOCUMENT.write_text(_MARKED.sub(lambda _: table(figures), DOCUMENT.read_text()))


def read(reports: list[Path]) -> dict[str, float]:
    """Count what was tried and passed, by what it tried.

    Raises:
        SystemExit: Something has failed, so there is nothing to boast of.
    """
    suites = [next(ElementTree.parse(each).getroot().iter("testsuite")) for each in reports]
    cases = {
        (case.attrib["classname"], case.attrib["name"]): case for suite in suites for case in suite.iter("testcase")
    }
    if failed := sum(any(case.find(kind) is not None for kind in ("failure", "error")) for case in cases.values()):
        sys.exit(f"{failed} tests have failed: no figures were written.")
    load = json.loads(LOAD.read_text())
    files = Counter(classname for classname, _ in cases)
    return {
        "tests": sum(case.find("skipped") is None for case in cases.values()),
        "again": sum(int(suite.attrib["tests"]) for suite in suites[1:]),
        "seconds": round(float(suites[0].attrib["time"])),
        "interleavings": EXAMPLES * STORIES,
        "faults": files["tests.workflow.test_faults"],
        "names": len(NAMES),
        **{name: load[name] for name in ("lost", "doubled", "wrong")},
        "uploads": load["uploads"]["count"],
    }


def table(figures: dict[str, float]) -> str:
    """The figures as a person reads them."""
    rows = {
        "tests that passed": f"{figures['tests']:,}",
        "of these mended, and run again": f"{figures['again']:,}",
        "seconds": f"{figures['seconds']:,}",
        "interleaved stories": f"{figures['interleavings']:,}",
        "tests of faults, each of many": f"{figures['faults']:,}",
        "hostile names": f"{figures['names']:,}",
        "uploads at once, in the last `make load`": f"{figures['uploads']:,}",
        "of these lost, doubled, wrong": f"{figures['lost']}, {figures['doubled']}, {figures['wrong']}",
    }
    return "\n| what | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows.items()) + "\n"


if __name__ == "__main__":
    main([Path(each) for each in sys.argv[1:]])
