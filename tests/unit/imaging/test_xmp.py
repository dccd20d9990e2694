"""image_pipeline.imaging.xmp"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.PngImagePlugin import PngInfo

from image_pipeline.imaging import exif
from image_pipeline.imaging.reader import Reader
from image_pipeline.imaging.xmp import LENS, TAKEN_AT, read_properties
from tests import corpus
from tests.corpus import quarters, saved

NAMESPACES = """xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:a="http://ns.adobe.com/exif/1.0/aux/"
xmlns:e="http://ns.adobe.com/exif/1.0/" xmlns:x="http://ns.adobe.com/xap/1.0/" xmlns:c="http://cipa.jp/exif/1.0/"
xmlns:p="http://ns.adobe.com/photoshop/1.0/" """


def packet(attributes="", elements=""):
    """An XMP packet with properties in one of its two forms."""
    body = f"<rdf:RDF {NAMESPACES}><rdf:Description {attributes}>{elements}</rdf:Description></rdf:RDF>"
    return (
        f'<?xpacket begin="" id="x"?><x:xmpmeta xmlns:x="adobe:ns:meta/">{body}</x:xmpmeta><?xpacket end="w"?>'.encode()
    )


FULL = packet('a:Lens="EF 50mm" e:DateTimeOriginal="2026-05-04T10:11:12.25+02:00"')


def files(xmp):
    """The image with a packet, in each container."""
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return {
        "JPEG": saved(quarters(), "JPEG", xmp=xmp),
        "PNG": saved(quarters(), "PNG", pnginfo=info),
        "WEBP": saved(quarters(), "WEBP", xmp=xmp),
        "TIFF": saved(quarters(), "TIFF", tiffinfo={700: xmp}),
    }


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_missing_lens_and_date_come_from_xmp(kind):
    """Editors often strip EXIF and keep XMP."""
    facts = exif.read(Reader.of(files(FULL)[kind]))
    assert (facts.lens, facts.taken_at) == ("EF 50mm", "2026-05-04T10:11:12.25+02:00")


def test_exif_wins_over_xmp():
    """XMP is used only for facts that EXIF lacks."""
    block = corpus.exif(t0x010F="Kamera")
    block.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    facts = exif.read(Reader.of(saved(quarters(), "JPEG", exif=block, xmp=FULL)))
    assert (facts.lens, facts.taken_at) == ("EF 50mm", "2020-01-02T03:04:05")


@pytest.mark.parametrize(
    ("xmp", "lens", "taken_at"),
    [
        (packet(elements="<a:Lens>Lens A</a:Lens><x:CreateDate>2026-01-02T03:04:05Z</x:CreateDate>"), "Lens A",
         "2026-01-02T03:04:05Z"),
        (packet('c:LensModel="Lens B" p:DateCreated="2026-01-02T03:04:05"'), "Lens B", "2026-01-02T03:04:05"),
        (packet('e:DateTimeOriginal="2026-02-31T03:04:05"'), None, None),
        (packet('e:DateTimeOriginal="2026"'), None, None),
        (packet('p:DateCreated="2026-01-02" x:CreateDate="2026-01-02T03:04:05"'), None, "2026-01-02T03:04:05"),
        (packet('e:DateTimeOriginal="2026-02-03T04:05:06+99:00"'), None, "2026-02-03T04:05:06"),
        (packet('x:Lens="of another namespace"'), None, None),
    ],
)  # fmt: skip
def test_both_forms_and_all_names_are_read(xmp, lens, taken_at):
    """Attributes and elements of current and old namespaces are read; the first valid date counts."""
    facts = exif.read(Reader.of(saved(quarters(), "JPEG", xmp=xmp)))
    assert (facts.lens, facts.taken_at) == (lens, taken_at)


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize("xmp", [BOMB, b"no xml", FULL[:-40], b"<a>" * 20_000, b"\xff\xfe", b""])
def test_invalid_packets_are_ignored(xmp):
    """Entities are not expanded, and broken XML is ignored."""
    properties = read_properties(Reader.of(saved(quarters(), "JPEG", xmp=xmp)))
    assert not set(properties) - {*LENS, *TAKEN_AT}


@given(st.binary(max_size=200), st.integers(0, len(FULL)))
def test_any_packet_is_read_or_ignored(noise, at):
    """No packet raises an error."""
    read_properties(Reader.of(saved(quarters(size=(8, 8)), "JPEG", xmp=FULL[:at] + noise + FULL[at + len(noise) :])))


ENTITIES = (
    f'<!DOCTYPE r [<!ENTITY a "{"L " * 500}"><!ENTITY b "{"&a;" * 100}">]>'
    f'<x:LensModel xmlns:x="http://cipa.jp/exif/1.0/">{"&b;" * 30}</x:LensModel>'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso-8859-1"])
def test_a_document_type_is_refused_in_every_encoding(encoding):
    """Entities would expand a small packet without bound."""
    declaration = f'<?xml version="1.0" encoding="{encoding.removesuffix("-le").removesuffix("-be")}"?>'
    data = (declaration + ENTITIES).encode(encoding)
    if encoding in ("utf-16-le", "utf-16-be"):
        data = ("\ufeff" + declaration + ENTITIES).encode(encoding)
    assert read_properties(Reader.of(saved(quarters(), "JPEG", xmp=data))) == {}


def test_a_long_value_of_many_lines_is_read_in_linear_time():
    """The parser reports each line separately."""
    text = "a\n" * 30_000
    xmp = f'<x:LensModel xmlns:x="http://cipa.jp/exif/1.0/">{text}</x:LensModel>'.encode()
    assert read_properties(Reader.of(saved(quarters(), "JPEG", xmp=xmp[:60_000]))) == {}
    assert read_properties(Reader.of(saved(quarters(), "JPEG", xmp=xmp.replace(text.encode(), b"a\n" * 9))))
