"""image_pipeline_cli.selection: which uploads names, folders and patterns select."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from image_pipeline_cli.selection import compile_pattern, no_match, select
from image_pipeline_cli.stack import Stack
from tests.conftest import IMAGE_TABLE, UPLOADS_BUCKET, aws_client, put_record

SHOP = ["shop/a.jpg", "shop/b.png", "shop/summer/c.jpg", "shop/summer/2026/d.jpg", "shop2/e.jpg", "f.jpg"]
HOSTILE = [
    "*",
    "?",
    "**",
    "a*",
    "a[1].jpg",
    "a1.jpg",
    "[",
    "odd */x.jpg",
    "odd y/x.jpg",
    "line\nbreak.jpg",
    "a\\b.jpg",
    ".hidden",
]


MEANINGS = [
    ("shop/", SHOP[:4]),
    ("uploads/shop/", SHOP[:4]),
    ("shop/summer/", SHOP[2:4]),
    ("uploads/", sorted(SHOP)),
    ("shop/*", SHOP[:2]),
    ("shop/*.jpg", ["shop/a.jpg"]),
    ("shop/?.???", SHOP[:2]),
    ("*", ["f.jpg"]),
    ("*/*.jpg", ["shop/a.jpg", "shop2/e.jpg"]),
    ("shop*/", [*SHOP[:4], "shop2/e.jpg"]),
    ("**/*.jpg", ["f.jpg", "shop/a.jpg", *sorted(SHOP[2:4]), "shop2/e.jpg"]),
    ("shop/**", SHOP[:4]),
    ("shop/**/d.jpg", ["shop/summer/2026/d.jpg"]),
    ("**/summer/**/?.jpg", SHOP[2:4]),
    ("shop", ["shop"]),
    ("shop/a.jpg", ["shop/a.jpg"]),
    ("none.jpg", ["none.jpg"]),
]


@pytest.fixture
def bucket(aws: None) -> Callable[..., Stack]:
    """A function that fills the bucket with uploads and returns its stack."""

    def fill(*names: str) -> Stack:
        for name in names:
            aws_client("s3").put_object(
                Bucket=UPLOADS_BUCKET, Key=f"uploads/{name}", Body=b"" if name[-1] == "/" else b"x"
            )
        aws_client("s3").put_object(Bucket=UPLOADS_BUCKET, Key="elsewhere/x.jpg", Body=b"x")
        return Stack({"UploadsBucketName": UPLOADS_BUCKET, "ImageTableName": IMAGE_TABLE}, aws_client)

    return fill


def selected(stack: Stack, *names: str, with_markers: bool = False) -> list[str]:
    return [key.removeprefix("uploads/") for key in select(stack, names, with_markers=with_markers).keys]


def test_names_folders_and_patterns_select_uploads(bucket):
    """A folder selects everything in it, a pattern the matching keys, a name itself; objects elsewhere never match."""
    stack = bucket(*SHOP)
    for name, expected in MEANINGS:
        assert sorted(selected(stack, name)) == sorted(expected), name
        assert select(stack, [name]).empty == []


def test_a_selection_without_matches_is_reported(bucket):
    """No other upload is selected instead."""
    stack = bucket("shop.jpg", "shop")
    for name in ["nothing/", "shop/*.gif", "shop/summer/?", "**/z*", "sho/", "*/"]:
        selection = select(stack, [name])
        assert (selection.keys, selection.empty) == ([], [f"uploads/{name}"])
        assert ascii(f"uploads/{name}") in no_match(f"uploads/{name}")


def test_a_pattern_selects_only_the_upload_of_that_name_if_it_exists(bucket):
    """There would be no other way to select that upload alone."""
    stack = bucket(*HOSTILE)
    for name in HOSTILE:
        assert selected(stack, name) == [name]


def test_brackets_and_backslashes_are_literal(bucket):
    """A missing name must not select another upload."""
    stack = bucket("a1.jpg", "1.jpg", "x.jpg")
    for name in ["a[1].jpg", "[", "[!x].jpg", "a\\*"]:
        assert selected(stack, name) == ([name] if "*" not in name else [])


def test_a_pattern_selects_only_the_folder_of_that_name_if_it_exists(bucket):
    """Without such a folder it is a pattern."""
    assert selected(bucket("odd */x.jpg", "odd y/x.jpg"), "odd */") == ["odd */x.jpg"]
    assert selected(bucket("even y/x.jpg"), "even */") == ["even y/x.jpg"]


def test_a_deleted_upload_is_selected_by_its_name(bucket):
    """Its record can still be read."""
    stack = bucket("ab.jpg")
    put_record("uploads/a*", status="DELETED", deletedAt="2026-11-21T12:00:00Z")
    assert selected(stack, "a*") == ["a*"]


def test_a_folder_marker_is_not_an_upload(bucket):
    """Only a deletion of its folder includes it."""
    stack = bucket("shop/", "shop/a.jpg", "shop/empty/")
    assert selected(stack, "shop/") == selected(stack, "shop/**") == ["shop/a.jpg"]
    assert sorted(selected(stack, "shop/", with_markers=True)) == ["shop/", "shop/a.jpg", "shop/empty/"]
    assert select(stack, ["shop/empty/"]).empty == ["uploads/shop/empty/"]


def test_each_upload_is_selected_once(bucket):
    """The order is that of the names."""
    assert selected(bucket(*SHOP), "f.jpg", "shop/*.jpg", "shop/", "f.jpg", "uploads/f.jpg") == [
        *("f.jpg", "shop/a.jpg", "shop/b.png", "shop/summer/2026/d.jpg", "shop/summer/c.jpg")
    ]


def test_a_large_folder_is_read_to_its_end(bucket, monkeypatch):
    """S3 lists at most 1,000 keys per request; here 3."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    names = [f"many/{number:02}" for number in range(10)]
    assert selected(bucket(*names), "many/") == names


@pytest.mark.parametrize(
    ("text", "key", "matching"),
    [
        ("uploads/a.b", "uploads/aXb", False),
        ("uploads/*", "uploads/a\nb", True),
        ("uploads/*", "uploads/", True),
        ("uploads/*", "uploads/a/b", False),
        ("uploads/**", "uploads/a/b", True),
        ("uploads/**/b", "uploads/b", True),
        ("uploads/**/b", "uploads/ab", False),
        ("uploads/a**b", "uploads/a/x/b", True),
        ("uploads/?", "uploads//", False),
        ("uploads/(*)", "uploads/(x)", True),
        ("uploads/^*$", "uploads/x", False),
    ],
)
def test_only_wildcards_are_special(text, key, matching):
    """Every other character is literal."""
    assert (compile_pattern(text).fullmatch(key) is not None) is matching
