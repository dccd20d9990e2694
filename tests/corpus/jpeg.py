"""Valid and invalid JPEG files, assembled from segments."""

from __future__ import annotations

from PIL import Image

from tests.corpus import quarters, saved


def parts(data: bytes) -> tuple[list[bytes], bytes]:
    """The segments between SOI and SOS, each with its marker, and the data from SOS on."""
    segments = []
    at = 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segments.append(data[at:end])
        at = end
    return segments, data[at:]


def joined(segments: list[bytes], rest: bytes) -> bytes:
    """Join segments and the remaining data: the inverse of `parts`."""
    return b"\xff\xd8" + b"".join(segments) + rest


def segment(marker: int, payload: bytes) -> bytes:
    """One marker segment."""
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def interleaved_with(between: bytes, **options: object) -> bytes:
    """The image with other bytes after every segment."""
    segments, rest = parts(saved(quarters(), "JPEG", quality=95, **options))
    return joined([segment + between for segment in segments], rest)


def separate_scans(image: Image.Image | None = None) -> bytes:
    """A baseline JPEG that codes its channels one after another: the scans of three grey images under one frame."""
    image = image or quarters()
    planes = [saved(plane, "JPEG", quality=95) for plane in image.convert("YCbCr").split()]
    segments, _ = parts(saved(image, "JPEG", quality=95, subsampling=0))
    frame = next(segment for segment in segments if segment[1] == 0xC0)
    frame = frame[:10] + bytes((1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0))
    grey, _ = parts(planes[0])
    tables = [segment for segment in grey if segment[1] in (0xDB, 0xC4)]
    rest = b""
    for number, plane in enumerate(planes, 1):
        scan = parts(plane)[1][:-2]
        rest += scan[:5] + bytes((number,)) + scan[6:]
    return joined([*tables, frame], rest + b"\xff\xd9")
