"""image_pipeline.imaging.formats.recognise"""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.imaging.formats.limits import FORMATS
from image_pipeline.imaging.formats.recognise import recognise, sniff
from tests.corpus import GOOD, quarters, saved

BOX = b"\x00\x00\x00\x10"


def tga(mode, **options):
    """A TGA as Pillow writes it."""
    return saved(quarters(mode), "TGA", **options)


KINDS = {
    "TGA": [
        *(tga(mode) for mode in ("RGB", "RGBA", "L", "P")),
        tga("RGB", compression="tga_rle"),
        tga("RGB", id_section=b"x"),
    ],
    "cursor": [b"\x00\x00\x02\x00\x01\x00\x20\x20\x00\x00\x01\x00\x01\x00" + struct.pack("<II", 40, 22) + bytes(40)],
    "icon (ICO)": [saved(quarters(), "ICO")],
    "PCX": [saved(quarters(mode), "PCX") for mode in ("RGB", "L", "P", "1")],
    "PNM": [
        *(saved(quarters(mode), "PPM") for mode in ("RGB", "L", "1")),
        b"P1\n# a comment\n2 2\n0 1 1 0\n",
        b"P7\nWIDTH 2\n",
    ],
    "CRW": [b"II\x1a\x00\x00\x00HEAPCCDR\x02\x00\x01\x00"],
    "MRW": [b"\x00MRM\x00\x00\x8a\x98"],
    "X3F": [b"FOVb\x00\x00\x02\x00"],
    "WMV": [b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"],
    "QuickTime": [BOX + atom + bytes(8) for atom in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")],
    "AppleDouble": [b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "],
    "SGI": [saved(quarters(), "SGI")],
    "XBM": [saved(quarters("1"), "XBM"), b'/* XPM */\nstatic char *x[] = {"1 1 1 1"};'],
    "HTML": [
        b"<!DOCTYPE html><html><body><svg></svg></body></html>",
        b"<!-- saved --><html lang=en><svg/>",
        b"\xef\xbb\xbf\r\n<HTML><HEAD></HEAD></HTML>",
        "\ufeff<!doctype html><svg>".encode("utf-16-le"),
    ],
    "SVG": [
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b'<?xml version="1.0"?><!-- drawn --><!DOCTYPE svg PUBLIC "-//W3C" "x" [<!ENTITY a "b">]>\n<svg/>',
        b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>",
    ],
    "XML": [b"<?xml version='1.0'?><Error>no &lt;svg here</Error>"],
    "text": [b"an essay that mentions <svg and <html> in passing"],
    "MNG": [b"\x8aMNG\r\n\x1a\n" + bytes(20)],
}  # fmt: skip


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, files in KINDS.items() for data in files])
def test_other_kinds_are_named_in_the_message(name, data):
    """The message names the content."""
    with pytest.raises(UnsupportedFormatError, match="its content is") as caught:
        recognise(data, FORMATS)
    assert name in caught.value.message


PCX_FIELDS = {1: {0, 2, 3, 4, 5}, 2: {1}, 3: {1, 2, 4, 8}}
"""The values of version, encoding and bits in the header of a PCX, by their place (ZSoft PCX Technical Reference)."""


@pytest.mark.parametrize("place", PCX_FIELDS)
def test_the_fields_of_a_pcx_have_known_values(place):
    """Its first byte, a line feed, may also begin a text."""
    head = bytearray(saved(quarters(), "PCX")[:128])
    assert sniff(bytes(head[:127])) != "PCX"
    recognised = set()
    for value in range(256):
        head[place] = value
        if sniff(bytes(head)) == "PCX":
            recognised.add(value)
    assert recognised == PCX_FIELDS[place]


_BOXED = {"AVIF", "HEIF"}
"""The brand of a file may be that of the other one; its coded image decides later who decodes it."""


def test_admitted_formats_are_recognised():
    """Every accepted format is recognised."""
    for case in GOOD:
        assert sniff(case.make()) in (_BOXED if case.format in _BOXED else {case.format}), case


@given(st.binary(max_size=300))
def test_any_bytes_have_a_name(data):
    """Any content has a name for the message."""
    assert sniff(data)


@given(st.binary(min_size=18, max_size=60))
def test_only_valid_tga_headers_are_recognised(data):
    """TGA has no magic bytes, so all of its header fields must be valid."""
    if sniff(data) == "TGA":
        assert Image.open(io.BytesIO(data + bytes(1000)), formats=["TGA"]).size
