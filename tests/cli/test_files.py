"""image_pipeline_cli.files: which files are uploaded, and under which keys."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from image_pipeline_cli.files import find


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs in its own empty folder."""
    monkeypatch.chdir(tmp_path)


def create(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


def keys(*arguments: str, to: str = "uploads/", follow_links: bool = False) -> list[str]:
    return [file.key for file in find(arguments, to, follow_links=follow_links)[0]]


def reasons(*arguments: str, follow_links: bool = False) -> dict[str, str]:
    """Return why paths are skipped."""
    return {str(entry.path): entry.reason for entry in find(arguments, "uploads/", follow_links=follow_links)[1]}


def errors(*arguments: str, follow_links: bool = False) -> dict[str, bool]:
    """Return the skipped paths, and whether each is an error."""
    return {str(entry.path): entry.is_error for entry in find(arguments, "uploads/", follow_links=follow_links)[1]}


def test_a_file_keeps_its_name():
    """Its folder does not matter."""
    create("a/b/x.jpg")
    assert keys("a/b/x.jpg") == ["uploads/x.jpg"]
    assert keys(str(Path("a/b/x.jpg").resolve()), to="uploads/2026/") == ["uploads/2026/x.jpg"]


def test_a_folder_keeps_its_name_and_structure():
    """It is uploaded as `cp -r` copies it, with or without a slash at its end."""
    create("a/b/x.jpg", "a/b/c/y z.jpg")
    assert keys("a/b") == keys("a/b/") == ["uploads/b/c/y z.jpg", "uploads/b/x.jpg"]


def test_the_current_and_the_parent_folder_add_no_name(monkeypatch):
    """No key contains `.` or `..`."""
    create("a/x.jpg", "y.jpg")
    assert keys(".") == ["uploads/a/x.jpg", "uploads/y.jpg"]
    monkeypatch.chdir("a")
    assert keys("..") == ["uploads/a/x.jpg", "uploads/y.jpg"]


def test_a_pattern_is_expanded_as_a_shell_does():
    """If a file has exactly the name of the pattern, it is selected itself."""
    create("a/1.jpg", "a/2.jpg", "a/b/3.jpg", "a/4.png")
    assert keys("a/*.jpg") == ["uploads/1.jpg", "uploads/2.jpg"]
    assert keys("**/*.jpg") == ["uploads/1.jpg", "uploads/2.jpg", "uploads/3.jpg"]
    create("a/[12].jpg")
    assert keys("a/[12].jpg") == ["uploads/[12].jpg"]


def test_missing_files_are_errors():
    """The same holds for a pattern without matches and for a broken link that is followed."""
    Path("broken.jpg").symlink_to("nowhere")
    for name in ("x.jpg", "*.gif"):
        assert errors(name) == {name: True}
    assert errors("broken.jpg", follow_links=True) == {"broken.jpg": True}


def test_hidden_files_are_skipped():
    """They are reported, and uploaded if their path is an argument."""
    create("a/.DS_Store", "a/.git/x.jpg", "a/x.jpg")
    assert keys("a") == ["uploads/a/x.jpg"]
    assert errors("a") == {"a/.DS_Store": False, "a/.git": False}
    assert keys("a/.DS_Store") == ["uploads/.DS_Store"]


LINKS = {
    "a file": ("private/key", "a/link.jpg"),
    "a folder": ("private", "a/link"),
    "a file far below": ("private/key", "a/b/c/link.jpg"),
    "nothing": ("nowhere", "a/link"),
    "itself": ("a/link", "a/link"),
    "the folder above": (".", "a/b/link"),
    "another link": ("first", "a/link"),
    "a file of the same folder": ("a/x.jpg", "a/link.jpg"),
}


@pytest.mark.parametrize("argument", ["a", "a/", ".", "a/*", "**/*", "*", "**", "a/b/..", "a/**/*.jpg", "a/**/*"])
@pytest.mark.parametrize(("target", "link"), LINKS.values(), ids=LINKS)
def test_links_are_skipped(target, link, argument):
    """A link in a folder from another person must not upload a private key, whatever its target is."""
    create("private/key", "a/x.jpg", "a/b/y.jpg", "a/b/c/z.jpg")
    Path("first").symlink_to("private")
    Path(link).symlink_to(Path(target).absolute())
    files, skipped = find([argument], "uploads/")
    assert files
    assert {file.path.parent.resolve() / file.path.name for file in files} <= {
        Path(name).absolute()
        for name in ("a/x.jpg", "a/b/y.jpg", "a/b/c/z.jpg", *(() if argument[0] == "a" else ["private/key"]))
    }
    links = [entry for entry in skipped if entry.path.name in ("link", "link.jpg")]
    assert links
    assert all("--follow-links" in entry.reason and not entry.is_error for entry in links)


@pytest.mark.parametrize("name", ["link.jpg", "folder", "folder/"])
def test_a_link_as_an_argument_is_an_error(name):
    """A shell expands patterns to links, too, so an argument does not mean that the user wants to follow it."""
    create("private/key")
    Path("link.jpg").symlink_to("private/key")
    Path("folder").symlink_to("private")
    assert keys(name) == []
    assert errors(name) == {name.rstrip("/"): True}


def test_a_link_within_a_typed_path_is_followed():
    """The user named the folder behind it."""
    create("far/a/x.jpg", "far/y.jpg")
    Path("near").symlink_to("far")
    assert keys("near/a") == ["uploads/a/x.jpg"]
    assert keys("near/y.jpg") == keys("near/*.jpg") == ["uploads/y.jpg"]
    assert keys("*/*.jpg") == ["uploads/y.jpg"]
    assert errors("*/*.jpg") == {"near": False}


def test_cycles_of_links_do_not_stop_a_pattern():
    """Links that multiply the paths do not either."""
    create("a/x.jpg")
    for number in range(8):
        Path(f"a/{number}").symlink_to(".")
    assert keys("a/**/*.jpg") == keys("a/**/*.jpg", follow_links=True) == ["uploads/x.jpg"]


def test_followed_links_end_at_cycles():
    """A link to a parent folder is skipped; a folder with two paths is uploaded twice."""
    create("a/b/x.jpg", "far/y.jpg")
    Path("a/b/up").symlink_to("..")
    Path("a/c").symlink_to("b")
    Path("a/self").symlink_to("self")
    Path("a/far").symlink_to("../far")
    Path("a/one").symlink_to("two")
    Path("a/two").symlink_to("one")
    expected = ["uploads/a/b/x.jpg", "uploads/a/c/x.jpg", "uploads/a/far/y.jpg"]
    assert keys("a", follow_links=True) == expected
    skipped = errors("a", follow_links=True)
    assert {name: skipped[name] for name in ("a/b/up", "a/self", "a/one", "a/two")} == dict.fromkeys(
        ("a/b/up", "a/self", "a/one", "a/two"), False
    )


def test_empty_folders_and_special_files_are_reported():
    """A named pipe does not block the command."""
    Path("a/empty").mkdir(parents=True)
    os.mkfifo("a/pipe")
    assert errors("a") == {"a/empty": False, "a/pipe": True}


def test_an_unreadable_folder_does_not_stop_the_others(monkeypatch):
    """It is reported with the error of the system."""
    create("a/closed/x.jpg", "a/y.jpg")
    iterdir = Path.iterdir

    def refuse(folder: Path) -> Any:
        if folder.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert keys("a") == ["uploads/a/y.jpg"]
    assert errors("a") == {"a/closed": True}
    assert "Permission denied" in reasons("a")["a/closed"]


def test_names_that_are_invalid_as_keys_are_errors():
    """A key must be UTF-8, and not longer than S3 allows."""
    create(os.fsdecode(b"a/\xff.jpg"))
    Path(*["a", *["d" * 200] * 6]).mkdir(parents=True)
    create("/".join(["a", *["d" * 200] * 6, "x.jpg"]))
    assert keys("a") == []
    assert list(errors("a").values()) == [True, True]
    not_utf8, too_long = sorted(reasons("a").values())
    assert "UTF-8" in not_utf8
    assert "1,221" in too_long
    assert "1,024" in too_long


def test_two_files_with_the_same_key_do_not_replace_each_other():
    """The first is uploaded; a file that is named twice is uploaded once."""
    create("a/x.jpg", "b/x.jpg")
    assert keys("a/x.jpg", "b/x.jpg", "a/x.jpg") == ["uploads/x.jpg"]
    assert errors("a/x.jpg", "b/x.jpg", "a/x.jpg") == {"b/x.jpg": True}
    assert "a/x.jpg" in reasons("a/x.jpg", "b/x.jpg")["b/x.jpg"]
