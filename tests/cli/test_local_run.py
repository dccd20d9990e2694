"""image_pipeline_cli.local_run: how commands find the local copy."""

import json
import os

from image_pipeline_cli import local_run


def test_the_nearest_run_folder_is_used(tmp_path, monkeypatch):
    """Commands work in any folder of a checkout."""
    (tmp_path / ".run").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert local_run.default_run_dir() == tmp_path / ".run"


def test_without_a_run_folder_no_copy_runs(tmp_path, monkeypatch):
    """The default is then in the current folder, and has no note."""
    monkeypatch.chdir(tmp_path)
    assert local_run.read(local_run.default_run_dir()) is None


def test_the_note_of_an_ended_process_is_ignored(tmp_path):
    """A killed run leaves its note behind."""
    pid = _ended_pid()
    (tmp_path / local_run.NOTE_NAME).write_text(json.dumps({"pid": pid}))
    assert local_run.read(tmp_path) is None
    (tmp_path / local_run.NOTE_NAME).write_text(json.dumps({"pid": os.getpid()}))
    assert local_run.read(tmp_path) == {"pid": os.getpid()}


def test_a_damaged_note_is_ignored(tmp_path):
    """A crash while the note was written does not break the next command."""
    (tmp_path / local_run.NOTE_NAME).write_text('{"pid": 1')
    assert local_run.read(tmp_path) is None


def _ended_pid() -> int:
    pid = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(pid, 0)
    return pid
