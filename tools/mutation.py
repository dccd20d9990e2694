"""Change code in small ways and list the changes that no test detects: CONTRIBUTING.md, "Mutation testing".

    python -m tools.mutation PATH [PATH …] --tests FILE [FILE …] [--sample COUNT]

A path is a module, or a folder with modules. Cosmic Ray makes the changes, in a copy of the working tree, and runs the
tests after each of them. Changes in type annotations are skipped, because they have no effect at run time.
"""

from __future__ import annotations

import argparse
import ast
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
COSMIC_RAY = Path(sys.executable).parent

_CONFIGURATION = """[cosmic-ray]
module-path = {modules}
timeout = {timeout}
excluded-modules = []
test-command = "{command}"

[cosmic-ray.distributor]
name = "local"
"""
_SEED = 7
_MEMORY_BYTES = 6 << 30
"""Address space of each test run. A change can make a loop endless, which would take all memory of the machine."""

Position = tuple[int, int]
"""(line, column)."""


def main() -> int:
    """Run the command line. The exit code is 0 even if changes survive, because some of them have no effect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", help="modules or folders to change, relative to the root of the repository")
    parser.add_argument("--tests", nargs="+", required=True, help="files or folders of tests to run after each change")
    parser.add_argument(
        "--sample", type=int, default=100, help="number of changes in each path, chosen at random (default: 100)"
    )
    parser.add_argument("--timeout", type=int, default=120, help="seconds for the tests of one change (default: 120)")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    modules = {path: _modules(ROOT / path) for path in options.paths}
    with TemporaryDirectory() as directory:
        tree = Path(directory) / "tree"
        _copy_tree(tree)
        session = Path(directory) / "session.sqlite"
        configuration = Path(directory) / "configuration.toml"
        command = f"{PYTHON} -m pytest -q -x {' '.join(options.tests)}"
        names = list(dict.fromkeys(module for path in modules.values() for module in path))
        configuration.write_text(
            _CONFIGURATION.format(modules=names, timeout=options.timeout, command=command), encoding="utf-8"
        )
        _run(tree, "cosmic-ray", "init", configuration, session)
        _run(tree, "cosmic-ray", "baseline", configuration)
        with sqlite3.connect(session) as database:
            _choose(database, modules, options.sample)
        _run(tree, "cosmic-ray", "exec", configuration, session)
        _run(tree, "cr-report", session, "--surviving-only", "--show-diff")
        with sqlite3.connect(session) as database:
            print("\n".join(totals(_outcomes(database), modules)))
    return 0


def totals(outcomes: Iterable[tuple[str, str]], modules: Mapping[str, Iterable[str]]) -> list[str]:
    """Return a line for each path with the numbers of its killed and survived changes, and one for all paths.

    Args:
        outcomes: the module and the outcome of each change: `KILLED`, `SURVIVED` or `INCOMPETENT`. An incompetent
            change cannot be run, so it counts as killed.
        modules: the modules of each path.
    """
    survivors = Counter[str]()
    changes = Counter[str]()
    for module, outcome in outcomes:
        changes[module] += 1
        survivors[module] += outcome == "SURVIVED"
    lines = {path: set(names) for path, names in modules.items()}
    lines["all paths"] = set().union(*lines.values())
    return [_total(path, survivors, changes, names) for path, names in lines.items()]


def _total(path: str, survivors: Counter[str], changes: Counter[str], names: set[str]) -> str:
    total = sum(changes[name] for name in names)
    survived = sum(survivors[name] for name in names)
    return f"{path}: {total - survived} killed, {survived} survived"


def _modules(path: Path) -> list[str]:
    """Return the modules of a path, relative to the root of the repository."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [str(file.relative_to(ROOT)) for file in files if file.stat().st_size]


def _copy_tree(target: Path) -> None:
    """Copy the tracked files, and new ones that are not ignored."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607  the developer's git
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in names:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def _run(directory: Path, program: str, *arguments: str | Path) -> None:
    subprocess.run([COSMIC_RAY / program, *arguments], cwd=directory, check=True)  # noqa: S603  our own arguments


def _annotations(source: str) -> list[tuple[Position, Position]]:
    """Return (start, end) of each type annotation."""
    nodes: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg | ast.AnnAssign):
            nodes.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            nodes.append(node.returns)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)) for node in nodes if node
    ]


def _choose(database: sqlite3.Connection, modules: Mapping[str, Iterable[str]], count: int) -> None:
    """Delete all changes of a session except a sample of each path, which is the same in each run."""
    chosen = [job for names in modules.values() for job in _sample(database, names, count)]
    database.execute("CREATE TEMPORARY TABLE chosen (job_id)")
    database.executemany("INSERT INTO chosen VALUES (?)", [(job,) for job in chosen])
    for table in ("work_items", "mutation_specs"):
        database.execute(f"DELETE FROM {table} WHERE job_id NOT IN (SELECT job_id FROM chosen)")  # noqa: S608  two names


def _sample(database: sqlite3.Connection, modules: Iterable[str], count: int) -> list[str]:
    """Return at most `count` changes of the modules that are not in annotations."""
    effective = []
    for module in modules:
        annotations = _annotations((ROOT / module).read_text(encoding="utf-8"))
        changes = database.execute(
            "SELECT job_id, start_pos_row, start_pos_col FROM mutation_specs WHERE module_path = ?", [module]
        )
        effective += [
            job for job, row, column in changes
            if not any(start <= (row, column) < end for start, end in annotations)
        ]  # fmt: skip
    return random.Random(_SEED).sample(effective, min(count, len(effective)))  # noqa: S311  no secret


def _outcomes(database: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the module and the outcome of each change."""
    return database.execute(
        "SELECT module_path, test_outcome FROM mutation_specs JOIN work_results USING (job_id)"
    ).fetchall()


if __name__ == "__main__":
    sys.exit(main())
