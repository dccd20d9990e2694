"""Write generated text between marks in the documents."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
RESULTS_FOLDER = Path(__file__).parent / "results"


def section(name: str, document: Path = DOCUMENT) -> str:
    """Return the text between the marks of this name."""
    match = _between(name).search(document.read_text())
    if match is None:
        raise ValueError(f"{document.name} has no marks named {name}")
    return match[1].strip()


def write_document(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Replace the text between the marks of this name."""
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    new, count = _between(name).subn(lambda _: f"{start}\n\n{text}\n\n{end}", document.read_text())
    if not count:
        raise ValueError(f"{document.name} has no marks named {name}")
    document.write_text(new)


def _between(name: str) -> re.Pattern[str]:
    return re.compile(f"<!-- {name}: start -->(.*?)<!-- {name}: end -->", re.DOTALL)
