"""The files of the web page refer to each other correctly."""

import re
from pathlib import PurePosixPath

from tests.conftest import ROOT

WEB = ROOT / "web"
_STATIC_IMPORT = re.compile(r"^(?:import|export) (?:[^;']* from )?'(\./[^']+)';", re.MULTILINE)
_PRELOAD = re.compile(r'<link rel="modulepreload" href="{{page}}([^"]+)">')
_DYNAMIC_IMPORT = re.compile(r"\bimport\('\./([^']+)'\)")


def modules_of(name: str) -> set[str]:
    """Return the names of a module and of all modules that it imports statically."""
    names = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module not in names:
            names.add(module)
            imports = _STATIC_IMPORT.findall((WEB / module).read_text())
            waiting += [str(PurePosixPath(module).parent / path) for path in imports]
    return names


def test_the_browser_loads_all_modules_at_once():
    """index.html preloads exactly what is imported: first the gallery, then the workbench, each in one round trip."""
    first, later = (
        _PRELOAD.findall(part) for part in (WEB / "index.html").read_text().split('<template id="workbench">')
    )
    gallery = set().union(*map(modules_of, _DYNAMIC_IMPORT.findall((WEB / "start.js").read_text())))
    assert sorted(first) == sorted(gallery)
    assert sorted(later) == sorted(modules_of("workbench.js") - gallery)


def test_every_file_is_used():
    """index.html or a module names each file of the page."""
    texts = "\n".join(path.read_text() for path in WEB.rglob("*") if path.suffix in (".html", ".js"))
    files = [path for path in WEB.rglob("*") if path.is_file() and path.name != "index.html"]
    names = {path: path.stem if path.suffix == ".css" else path.name for path in files}
    assert not [path for path, name in names.items() if name not in texts]
