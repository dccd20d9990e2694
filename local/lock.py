"""One local copy per checkout: a lock that the system frees whatever happens, and a note for other commands."""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from image_pipeline_cli import local_run


class AlreadyRunningError(Exception):
    """Another copy holds the lock; the message says which."""


class Lock:
    """Holds the lock of a run directory while in its `with` block."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._file = -1

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            AlreadyRunningError: Somebody else has it.
        """
        self._run_dir.parent.mkdir(parents=True, exist_ok=True)
        self._run_dir.mkdir(mode=0o700, exist_ok=True)  # logs and pictures are not for other users
        self._file = os.open(self._run_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            note = local_run.read(self._run_dir)
            where = f" at {note['awsUrl']} (process {note['pid']})" if note else ""
            raise AlreadyRunningError(
                f"A local copy of this checkout is already running{where}. Use it, or end it with Ctrl-C."
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the lock."""
        for name in (local_run.NOTE_NAME, "lock"):
            (self._run_dir / name).unlink(missing_ok=True)
        os.close(self._file)

    def note(self, facts: dict[str, Any]) -> None:
        """Leave word for other commands of what runs here."""
        note = self._run_dir / local_run.NOTE_NAME
        note.unlink(missing_ok=True)  # one that a killed run has left
        with os.fdopen(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(facts | {"pid": os.getpid()}, file)
