"""Responsive sets and animations: what the page shows and what it copies."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Call

ADDRESSES = {"origin": "https://example.org", "isPublic": True}


def rendition(name: str, width: int, frames: int | None = None) -> dict[str, Any]:
    """A rendition of an image of 500 × 400 pixels."""
    suffix = name.rpartition(".")[2]
    fields: dict[str, Any] = {"name": name.partition(".")[0], "width": width, "height": width * 4 // 5}
    fields |= {"format": {"jpg": "JPEG"}.get(suffix, suffix.upper()), "key": f"thumbnails/a/0/{name}"}
    fields |= {"url": f"https://s3/{name}?X", "urlExpiresAt": "2026-11-21T12:00:00Z"}
    return fields | ({"frames": frames} if frames else {})


SET = [rendition(f"s-{width}.{suffix}", min(500, width)) for width in (320, 640) for suffix in ("webp", "jpg")]
MOVING = [rendition(f"m-{width}.webp", width, 9) for width in (100, 400)]
IMAGE = {"width": 500, "height": 400}


def markup(call: Call, renditions: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """(element, files of its srcset) of the copied `<picture>`."""
    body = """
      const { pictureMarkup } = await load('markup');
      const text = pictureMarkup('uploads/a', { image, renditions, labels: [] }, addresses);
      const page = new DOMParser().parseFromString(text, 'text/html');
      return [...page.querySelectorAll('source, img')].map((each) => [
        each.getAttribute('type') ?? 'img',
        each.getAttribute('srcset').split(', ').map((part) => part.slice(part.lastIndexOf('/') + 1)),
      ]);
    """
    return [tuple(attributes) for attributes in call(body, image=IMAGE, renditions=renditions, addresses=ADDRESSES)]


def test_a_copied_picture_uses_every_width_of_a_set(call: Call) -> None:
    """Each format has one srcset with the real widths of the files."""
    assert markup(call, SET) == [
        ("image/webp", ["s-320.webp 320w", "s-640.webp 500w"]),
        ("img", ["s-320.jpg 320w", "s-640.jpg 500w"]),
    ]


def test_a_copied_picture_plays_the_animation(call: Call) -> None:
    """The animation comes first and has no stills; other browsers get the still."""
    avif = rendition("s.avif", 500)
    assert markup(call, [*SET, avif, *MOVING]) == [
        ("image/webp", ["m-100.webp 100w", "m-400.webp 400w"]),
        ("image/avif", ["s.avif 500w"]),
        ("img", ["s-320.jpg 320w", "s-640.jpg 500w"]),
    ]


@pytest.mark.parametrize(
    ("renditions", "srcsets", "stills", "moving"),
    [
        (SET, {"image/webp": "w 1w", "image/jpeg": "j 2w"}, {"image/webp": "w 1w", "image/jpeg": "j 2w"}, ""),
        ([*SET, *MOVING], {"image/webp": "m 1w", "image/jpeg": "j 2w"}, {"image/jpeg": "j 2w"}, "m 1w"),
        (MOVING, {"image/webp": "m 1w"}, {"image/webp": "m 1w"}, "m 1w"),
        ([], None, {}, ""),
    ],
)
def test_an_animation_is_for_the_detail_and_stills_are_for_tiles(
    call: Call,
    renditions: list[dict[str, Any]],
    srcsets: dict[str, str] | None,
    stills: dict[str, str],
    moving: str,
) -> None:
    """A picture has the animation apart; without any still, tiles show the animation."""
    record = {
        "imageKey": "uploads/a",
        "status": "COMPLETED",
        "image": IMAGE,
        "renditions": renditions,
        "srcsets": srcsets,
    }
    picture = call("return (await load('picture')).fromRecord(record);", record=record)
    assert (picture["srcsets"], picture["moving"]) == (stills, moving)
