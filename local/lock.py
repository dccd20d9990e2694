"""Allow one local run per run folder, by a lock that the system always releases, and leave a note for commands."""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from image_pipeline_cli import local_run


class AlreadyRunningError(Exception):
    """Another local run uses the folder; the message says where."""


class Lock:
    """Holds the lock of a run folder while its `with` block runs."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._file = -1

    def __enter__(self) -> Self:
        """Acquire the lock.

        Raises:
            AlreadyRunningError: Another process holds it.
        """
        self._run_dir.parent.mkdir(parents=True, exist_ok=True)
        self._run_dir.mkdir(mode=0o700, exist_ok=True)  # other users must not read logs and images
        self._file = os.open(self._run_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            note = local_run.read(self._run_dir)
            address = f" at {note['awsUrl']} (process {note['pid']})" if note else ""
            raise AlreadyRunningError(
                f"A local run with this run folder is already running{address}. Use it or stop it with Ctrl-C."
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        for name in (local_run.NOTE_NAME, "lock"):
            (self._run_dir / name).unlink(missing_ok=True)
        os.close(self._file)

    def note(self, facts: dict[str, Any]) -> None:
        """Write the note by which other commands find this copy."""
        note = self._run_dir / local_run.NOTE_NAME
        note.unlink(missing_ok=True)  # a killed run may have left one
        with os.fdopen(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(facts | {"pid": os.getpid()}, file)
