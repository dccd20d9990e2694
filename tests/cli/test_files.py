"""Which files are uploaded, and under which keys."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from image_pipeline_cli.files import find


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a folder of its own and is in it."""
    monkeypatch.chdir(tmp_path)


def made(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


def keys(*arguments: str, to: str = "uploads/", follow_links: bool = False) -> list[str]:
    return [file.key for file in find(arguments, to, follow_links=follow_links)[0]]


def reasons(*arguments: str, follow_links: bool = False) -> dict[str, tuple[str, bool]]:
    left_out = find(arguments, "uploads/", follow_links=follow_links)[1]
    return {str(each.path): (each.reason, each.fault) for each in left_out}


def test_a_file_goes_by_its_name():
    """Wherever it lies."""
    made("a/b/x.jpg")
    assert keys("a/b/x.jpg") == ["uploads/x.jpg"]
    assert keys(str(Path("a/b/x.jpg").resolve()), to="uploads/2026/") == ["uploads/2026/x.jpg"]


def test_a_folder_goes_with_its_name_and_everything_below():
    """As `cp -r` does, with or without a slash at its end."""
    made("a/b/x.jpg", "a/b/c/y z.jpg")
    assert keys("a/b") == keys("a/b/") == ["uploads/b/c/y z.jpg", "uploads/b/x.jpg"]


def test_this_folder_and_the_one_above_have_no_name(monkeypatch):
    """So no key has a `.` or `..` in it."""
    made("a/x.jpg", "y.jpg")
    assert keys(".") == ["uploads/a/x.jpg", "uploads/y.jpg"]
    monkeypatch.chdir("a")
    assert keys("..") == ["uploads/a/x.jpg", "uploads/y.jpg"]


def test_a_pattern_finds_what_the_shell_would_have_found():
    """A file that is called like a pattern is meant itself."""
    made("a/1.jpg", "a/2.jpg", "a/b/3.jpg", "a/4.png")
    assert keys("a/*.jpg") == ["uploads/1.jpg", "uploads/2.jpg"]
    assert keys("**/*.jpg") == ["uploads/1.jpg", "uploads/2.jpg", "uploads/3.jpg"]
    made("a/[12].jpg")
    assert keys("a/[12].jpg") == ["uploads/[12].jpg"]


def test_what_is_not_there_is_told():
    """Also when it is a pattern that nothing matches, or a link that is followed."""
    Path("broken.jpg").symlink_to("nowhere")
    for name in ("x.jpg", "*.gif"):
        assert reasons(name) == {name: ("is not there", True)}
    told = {"broken.jpg": ("is a link to something that is not there", True)}
    assert reasons("broken.jpg", follow_links=True) == told


def test_hidden_files_are_left_out_and_told():
    """Unless they are named."""
    made("a/.DS_Store", "a/.git/x.jpg", "a/x.jpg")
    assert keys("a") == ["uploads/a/x.jpg"]
    told = ("is hidden; name it to upload it", False)
    assert reasons("a") == {"a/.DS_Store": told, "a/.git": told}
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


@pytest.mark.parametrize("how", ["a", "a/", ".", "a/*", "**/*", "*", "**", "a/b/..", "a/**/*.jpg", "a/**/*"])
@pytest.mark.parametrize(("target", "link"), LINKS.values(), ids=LINKS)
def test_links_are_left_out_and_told(target, link, how):
    """Whatever they lead to, and whoever has found them: a folder from elsewhere must not send a private key."""
    made("private/key", "a/x.jpg", "a/b/y.jpg", "a/b/c/z.jpg")
    Path("first").symlink_to("private")
    Path(link).symlink_to(Path(target).absolute())
    found, left_out = find([how], "uploads/")
    assert found
    assert {file.path.parent.resolve() / file.path.name for file in found} <= {
        Path(name).absolute()
        for name in ("a/x.jpg", "a/b/y.jpg", "a/b/c/z.jpg", *(() if how[0] == "a" else ["private/key"]))
    }
    told = {(each.reason, each.fault) for each in left_out if each.path.name in ("link", "link.jpg")}
    assert told == {("is a link; --follow-links uploads what it leads to", False)}


@pytest.mark.parametrize("name", ["link.jpg", "folder", "folder/"])
def test_a_link_that_is_named_is_left_undone(name):
    """The shell names links as it names files, so naming one does not mean it; but somebody wanted something."""
    made("private/key")
    Path("link.jpg").symlink_to("private/key")
    Path("folder").symlink_to("private")
    assert keys(name) == []
    assert reasons(name) == {name.rstrip("/"): ("is a link; --follow-links uploads what it leads to", True)}


def test_a_link_that_is_typed_as_a_folder_is_meant():
    """What lies behind it was named."""
    made("far/a/x.jpg", "far/y.jpg")
    Path("near").symlink_to("far")
    assert keys("near/a") == ["uploads/a/x.jpg"]
    assert keys("near/y.jpg") == keys("near/*.jpg") == ["uploads/y.jpg"]
    assert keys("*/*.jpg") == ["uploads/y.jpg"]
    assert reasons("*/*.jpg") == {"near": ("is a link; --follow-links uploads what it leads to", False)}


def test_links_in_circles_do_not_stop_a_pattern():
    """Nor those that multiply: each is looked at once in a folder."""
    made("a/x.jpg")
    for number in range(8):
        Path(f"a/{number}").symlink_to(".")
    assert keys("a/**/*.jpg") == keys("a/**/*.jpg", follow_links=True) == ["uploads/x.jpg"]


def test_links_are_followed_on_request_but_not_in_circles():
    """A link to a folder above ends there; a folder that is reached twice is uploaded twice."""
    made("a/b/x.jpg", "far/y.jpg")
    Path("a/b/up").symlink_to("..")
    Path("a/c").symlink_to("b")
    Path("a/self").symlink_to("self")
    Path("a/far").symlink_to("../far")
    Path("a/one").symlink_to("two")
    Path("a/two").symlink_to("one")
    expected = ["uploads/a/b/x.jpg", "uploads/a/c/x.jpg", "uploads/a/far/y.jpg"]
    assert keys("a", follow_links=True) == expected
    told = reasons("a", follow_links=True)
    assert told["a/b/up"] == ("is a link to a folder that it is in", False)
    for name in ("a/self", "a/one", "a/two"):
        assert told[name] == ("is a link in a circle", False)


def test_empty_folders_and_things_that_are_no_files_are_told():
    """Nothing waits for a pipe."""
    Path("a/empty").mkdir(parents=True)
    os.mkfifo("a/pipe")
    assert reasons("a") == {"a/empty": ("is an empty folder", False), "a/pipe": ("is no file and no folder", True)}


def test_a_folder_that_cannot_be_read_does_not_stop_the_others(monkeypatch):
    """It is named with the system's reason."""
    made("a/closed/x.jpg", "a/y.jpg")
    iterdir = Path.iterdir

    def refuse(folder: Path) -> Any:
        if folder.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert keys("a") == ["uploads/a/y.jpg"]
    assert reasons("a") == {"a/closed": ("cannot be read: Permission denied", True)}


def test_names_that_no_key_can_have_are_told():
    """Neither bytes that are no UTF-8, nor more than S3 takes."""
    made(os.fsdecode(b"a/\xff.jpg"))
    Path(*["a", *["d" * 200] * 6]).mkdir(parents=True)
    made("/".join(["a", *["d" * 200] * 6, "x.jpg"]))
    assert keys("a") == []
    assert sorted(reason for reason, _ in reasons("a").values()) == [
        "has a name that is not UTF-8; rename it",
        "would have a key of 1,221 bytes, where S3 takes 1,024; shorten its path",
    ]


def test_two_files_of_one_key_do_not_replace_each_other():
    """The first goes; the same file named twice goes once."""
    made("a/x.jpg", "b/x.jpg")
    assert keys("a/x.jpg", "b/x.jpg", "a/x.jpg") == ["uploads/x.jpg"]
    told = "would have the same key as a/x.jpg; upload it to another folder (--to)"
    assert reasons("a/x.jpg", "b/x.jpg", "a/x.jpg") == {"b/x.jpg": (told, True)}
