"""Change one module in small ways and list the changes that no test detects: CONTRIBUTING.md, "Mutation testing".

    python -m tools.mutation MODULE --tests FILE [FILE …] [--sample COUNT]

Cosmic Ray makes the changes, in a copy of the working tree, and runs the tests after each of them. Changes in type
annotations are skipped, because they have no effect at run time.
"""

from __future__ import annotations

import argparse
import ast
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
COSMIC_RAY = Path(sys.executable).parent

_CONFIGURATION = """[cosmic-ray]
module-path = "{module}"
timeout = {timeout}
excluded-modules = []
test-command = "{command}"

[cosmic-ray.distributor]
name = "local"
"""
_SEED = 7

Position = tuple[int, int]
"""(line, column)."""


def main() -> int:
    """Run the command line. The exit code is 0 even if changes survive, because some of them have no effect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", help="file to change, relative to the root of the repository")
    parser.add_argument("--tests", nargs="+", required=True, help="test files to run after each change")
    parser.add_argument("--sample", type=int, default=100, help="number of changes, chosen at random (default: 100)")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for the tests of one change (default: 120)")
    options = parser.parse_args()
    with TemporaryDirectory() as directory:
        tree = Path(directory) / "tree"
        _copy_tree(tree)
        session = Path(directory) / "session.sqlite"
        configuration = Path(directory) / "configuration.toml"
        command = f"{PYTHON} -m pytest -q -x {' '.join(options.tests)}"
        configuration.write_text(
            _CONFIGURATION.format(module=options.module, timeout=options.timeout, command=command), encoding="utf-8"
        )
        _run(tree, "cosmic-ray", "init", configuration, session)
        _run(tree, "cosmic-ray", "baseline", configuration)
        _choose(session, _annotations((ROOT / options.module).read_text(encoding="utf-8")), options.sample)
        _run(tree, "cosmic-ray", "exec", configuration, session)
        _run(tree, "cr-report", session, "--surviving-only", "--show-diff")
    return 0


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


def _choose(session: Path, annotations: list[tuple[Position, Position]], count: int) -> None:
    """Delete all changes of a session except a sample, which is the same in each run."""
    with sqlite3.connect(session) as database:
        changes = database.execute("SELECT job_id, start_pos_row, start_pos_col FROM mutation_specs").fetchall()
        effective = [
            job for job, row, column in changes
            if not any(start <= (row, column) < end for start, end in annotations)
        ]  # fmt: skip
        chosen = random.Random(_SEED).sample(effective, min(count, len(effective)))  # noqa: S311  no secret
        marks = ",".join("?" * len(chosen))
        for table in ("work_items", "mutation_specs"):
            database.execute(f"DELETE FROM {table} WHERE job_id NOT IN ({marks})", chosen)  # noqa: S608  only marks


if __name__ == "__main__":
    sys.exit(main())
