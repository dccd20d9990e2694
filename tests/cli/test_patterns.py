"""image_pipeline_cli.patterns, compared with `glob` of the standard library where there are no links."""

from __future__ import annotations

import glob
from pathlib import Path

import pytest

from image_pipeline_cli.patterns import expand

FILES = [
    "x.jpg",
    "y.png",
    ".hidden.jpg",
    "a/x.jpg",
    "a/.b/x.jpg",
    "a/b/c/x.jpg",
    "a/b/c/[1].jpg",
    "b c/ü.jpg",
    "b c/X.JPG",
]
PATTERNS = [
    *(
        "*",
        "*.jpg",
        "?.jpg",
        "[xy].*",
        "[!x].*",
        "*/*.jpg",
        "*/*",
        "a/*",
        "**",
        "**/*",
        "**/*.jpg",
        "a/**",
        "a/**/x.jpg",
    ),
    *("a/**/c/*", "**/b/**", "**/[[]1].jpg", ".*", ".*.jpg", "a/.*/*", "*/.b", "nowhere/*", "nowhere/**/x", "x.jpg/*"),
    *("a/../*.jpg", "./*.jpg", "*/../*.png", "[", "a/[", "* */*", "**/**/x.jpg", "a/b/c/*.jpg", "*.JPG", "**/X.*"),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs in a folder with these files."""
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


@pytest.mark.parametrize("follow_links", [False, True])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_match_as_in_the_standard_library(pattern, follow_links, tmp_path):
    """This holds for relative and absolute patterns, and for hidden files."""
    for text in (pattern, f"{tmp_path}/{pattern}"):
        if not glob.has_magic(text):
            continue
        matches, links = expand(text, follow_links=follow_links)
        expected = glob.glob(text, recursive=True)  # noqa: PTH207 (the reference)
        assert {path.resolve() for path in matches} == {Path(path).resolve() for path in expected}
        assert links == []


def test_a_link_is_followed_only_where_it_is_typed():
    """A link that matches a wildcard is skipped and reported."""
    Path("far").mkdir()
    Path("far/z.jpg").write_bytes(b"x")
    Path("a/near").symlink_to("../far")
    assert expand("a/near/*.jpg") == ([Path("a/near/z.jpg")], [])
    assert expand("a/*/z.jpg") == ([], [Path("a/near")])
    assert expand("a/**/z.jpg") == ([], [Path("a/near")])
    assert expand("a/**/z.jpg", follow_links=True) == ([Path("a/near/z.jpg")], [])
    assert expand("**/near/*.jpg") == ([], [Path("a/near")])
