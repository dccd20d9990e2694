"""Names, folders and patterns of uploads: what they stand for."""

from __future__ import annotations

from collections.abc import Callable

import boto3
import pytest

from image_pipeline_cli.selection import nothing, pattern, select
from image_pipeline_cli.stack import Stack
from tests.conftest import IMAGE_TABLE, UPLOADS_BUCKET, put_record

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
    """Fills a bucket with uploads, and gives the stack that it is of."""

    def fill(*names: str) -> Stack:
        for name in names:
            boto3.client("s3").put_object(
                Bucket=UPLOADS_BUCKET, Key=f"uploads/{name}", Body=b"" if name[-1] == "/" else b"x"
            )
        boto3.client("s3").put_object(Bucket=UPLOADS_BUCKET, Key="elsewhere/x.jpg", Body=b"x")
        return Stack({"UploadsBucketName": UPLOADS_BUCKET, "ImageTableName": IMAGE_TABLE}, boto3.client)

    return fill


def selected(stack: Stack, *names: str, with_markers: bool = False) -> list[str]:
    return [key.removeprefix("uploads/") for key in select(stack, names, with_markers=with_markers).keys]


def test_folders_and_patterns_stand_for_uploads(bucket):
    """A folder for everything below, a pattern for keys, a name for itself; nothing for what lies elsewhere."""
    stack = bucket(*SHOP)
    for name, expected in MEANINGS:
        assert sorted(selected(stack, name)) == sorted(expected), name
        assert select(stack, [name]).empty == []


def test_what_stands_for_nothing_is_told(bucket):
    """Nothing else is taken for it."""
    stack = bucket("shop.jpg", "shop")
    for name in ["nothing/", "shop/*.gif", "shop/summer/?", "**/z*", "sho/", "*/"]:
        chosen = select(stack, [name])
        assert (chosen.keys, chosen.empty) == ([], [f"uploads/{name}"])
        assert ascii(f"uploads/{name}") in nothing(f"uploads/{name}")


def test_an_upload_that_is_called_like_a_pattern_is_meant_itself(bucket):
    """It could not be named otherwise; and nothing beside it is meant."""
    stack = bucket(*HOSTILE)
    for name in HOSTILE:
        assert selected(stack, name) == [name]


def test_brackets_and_backslashes_stand_for_themselves(bucket):
    """A name that is not there must not become another's."""
    stack = bucket("a1.jpg", "1.jpg", "x.jpg")
    for name in ["a[1].jpg", "[", "[!x].jpg", "a\\*"]:
        assert selected(stack, name) == ([name] if "*" not in name else [])


def test_a_folder_that_is_called_like_a_pattern_is_meant_itself(bucket):
    """And as a pattern where there is none of that name."""
    assert selected(bucket("odd */x.jpg", "odd y/x.jpg"), "odd */") == ["odd */x.jpg"]
    assert selected(bucket("even y/x.jpg"), "even */") == ["even y/x.jpg"]


def test_an_upload_that_was_deleted_is_meant_by_its_name(bucket):
    """Its record is still there to be read."""
    stack = bucket("ab.jpg")
    put_record("uploads/a*", status="DELETED", deletedAt="2026-11-21T12:00:00Z")
    assert selected(stack, "a*") == ["a*"]


def test_a_marker_of_a_folder_is_no_upload(bucket):
    """It goes with its folder when that is deleted."""
    stack = bucket("shop/", "shop/a.jpg", "shop/empty/")
    assert selected(stack, "shop/") == selected(stack, "shop/**") == ["shop/a.jpg"]
    assert sorted(selected(stack, "shop/", with_markers=True)) == ["shop/", "shop/a.jpg", "shop/empty/"]
    assert select(stack, ["shop/empty/"]).empty == ["uploads/shop/empty/"]


def test_each_upload_is_meant_once(bucket):
    """In the order of the names, however often it is named."""
    assert selected(bucket(*SHOP), "f.jpg", "shop/*.jpg", "shop/", "f.jpg", "uploads/f.jpg") == [
        *("f.jpg", "shop/a.jpg", "shop/b.png", "shop/summer/2026/d.jpg", "shop/summer/c.jpg")
    ]


def test_a_large_folder_is_read_to_its_end(bucket, monkeypatch):
    """S3 lists a thousand at a time; here three."""
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
def test_only_wildcards_have_a_meaning(text, key, matching):
    """Every other character stands for itself."""
    assert (pattern(text).fullmatch(key) is not None) is matching
