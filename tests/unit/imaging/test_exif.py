"""image_pipeline.imaging.exif"""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from image_pipeline.imaging import exif
from image_pipeline.imaging.containers.exif import find_exif
from image_pipeline.imaging.containers.tiff import Tiff
from image_pipeline.imaging.reader import Reader
from tests import corpus
from tests.conftest import examples
from tests.corpus import quarters, saved, turned


def block(**changes):
    """The EXIF block of a camera that writes every tag."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0110], tags[0x0112] = "Kamera\0", "Modell 1", 1
    tags[0x013B], tags[0x8298] = "Zoë".encode(), "© 2026 Zoë".encode()
    sub = tags.get_ifd(0x8769)
    sub[0x829A], sub[0x829D], sub[0x8827], sub[0x920A] = (
        IFDRational(1, 250),
        IFDRational(28, 10),
        400,
        IFDRational(35, 1),
    )
    sub[0x9003], sub[0x9011], sub[0x9291] = "2026:05:04 10:11:12", "+02:00", "25"
    sub[0xA434], sub[0xA431], sub[0xA435], sub[0xA430] = "35 mm f/1.4", "SN-1", "SN-2", "Owner"
    for tag, value in changes.get("sub", {}).items():
        sub[tag] = value
    gps = tags.get_ifd(0x8825)
    gps[1], gps[2], gps[3], gps[4] = "S", (33.0, 51.0, 24.84), "E", (151.0, 12.0, 54.0)
    gps[5], gps[6] = b"\0", IFDRational(58, 1)
    return tags


RIGHTS = {0x013B, 0x8298}
"""The tags of artist and copyright."""


def tags_of(data):
    """Return the tags of the main EXIF directory, as Pillow reads them; other directories are pointers in it."""
    with Image.open(io.BytesIO(data)) as image:
        return set(image.getexif())


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_facts_are_read_from_every_container(image_format):
    """Camera, lens, exposure and time with its offset are read."""
    facts = exif.read(Reader.of(saved(quarters(), image_format, exif=block())))
    assert facts.to_dict() == {
        "make": "Kamera",
        "model": "Modell 1",
        "lens": "35 mm f/1.4",
        "exposureTime": 0.004,
        "fNumber": 2.8,
        "iso": 400,
        "focalLength": 35.0,
        "takenAt": "2026-05-04T10:11:12.25+02:00",
        "artist": "Zoë",
        "copyright": "© 2026 Zoë",
    }


def test_place_owner_and_serial_numbers_are_not_facts():
    """Facts never identify a place, an owner or a single device."""
    facts = exif.read(Reader.of(saved(quarters(), "JPEG", exif=block())))
    for text in ("SN-1", "SN-2", "Owner", "33.8", "151.2"):
        assert text not in json.dumps(facts.to_dict()) + repr(facts)


@pytest.mark.parametrize(
    ("changes", "taken_at"),
    [
        ({0x9011: ""}, "2026-05-04T10:11:12.25"),
        ({0x9011: "somewhere"}, "2026-05-04T10:11:12.25"),
        ({0x9291: "x"}, "2026-05-04T10:11:12+02:00"),
        ({0x9003: "0000:00:00 00:00:00"}, None),
        ({0x9003: "    :  :     :  :  "}, None),
        ({0x9003: "2026:13:01 10:00:00", 0x9004: "2026:05:04 09:00:00"}, "2026-05-04T09:00:00"),
    ],
)
def test_an_incomplete_time_is_not_completed(changes, taken_at):
    """A missing offset is not assumed, and a clock that was never set gives no time."""
    assert exif.read(Reader.of(saved(quarters(), "JPEG", exif=block(sub=changes)))).taken_at == taken_at


def test_no_exif_gives_empty_facts():
    """A file without EXIF has no facts."""
    assert exif.read(Reader.of(saved(quarters(), "JPEG"))).to_dict() == {}
    assert exif.read(Reader.of(b"")).to_dict() == {}


def test_zero_denominators_are_ignored():
    """An exposure of 1/0, which real files contain, is omitted: JSON has no infinity."""
    facts = exif.read(Reader.of(saved(quarters(), "JPEG", exif=block(sub={0x829A: IFDRational(1, 0)}))))
    assert facts.exposure_time is None
    assert json.dumps(facts.to_dict(), allow_nan=False)


def test_numbers_have_six_digits():
    """An exposure of 1/30000 second is kept."""
    facts = exif.read(Reader.of(saved(quarters(), "JPEG", exif=block(sub={0x829A: IFDRational(1, 30_000)}))))
    assert facts.exposure_time == 0.0000333333


def test_texts_have_at_most_500_characters():
    """A longer text is cut, so that it fits into the record."""
    tags = corpus.exif(t0x010F="K" * 501)
    assert exif.read(Reader.of(saved(quarters(), "JPEG", exif=tags))).make == "K" * 500


@given(st.integers(0, 900), st.binary(min_size=1, max_size=8))
@settings(max_examples=examples(200))
def test_broken_exif_never_raises(at, noise):
    """Damaged EXIF gives facts that JSON can represent."""
    data = bytearray(saved(quarters(size=(16, 16)), "JPEG", exif=block()))
    data[24 + at : 24 + at + len(noise)] = noise
    facts = exif.read(Reader.of(bytes(data)))
    assert json.dumps(facts.to_dict(), allow_nan=False)


def test_only_rights_are_kept():
    """The EXIF block for renditions contains only artist and copyright."""
    rights = exif.rights_block(exif.read(Reader.of(saved(quarters(), "JPEG", exif=block()))))
    data = saved(quarters(), "JPEG", exif=rights)
    assert exif.read(Reader.of(data)).to_dict() == {"artist": "Zoë", "copyright": "© 2026 Zoë"}
    assert tags_of(data) == RIGHTS
    assert exif.rights_block(exif.read(Reader.of(saved(quarters(), "JPEG")))) == b""


@pytest.mark.parametrize("artist", ["A", "Ann", "Anna"])
def test_short_rights_fit_into_the_entry(artist):
    """Values of up to four bytes are stored in place (TIFF 6.0, section 2)."""
    rights = exif.rights_block(exif.CameraFacts(artist=artist, copyright="Bob Example"))
    facts = exif.read(Reader.of(saved(quarters(), "JPEG", exif=rights)))
    assert (facts.artist, facts.copyright) == (artist, "Bob Example")


def test_adobe_rgb_is_marked_by_its_interoperability_index():
    """R03 is Adobe RGB, R98 is sRGB."""
    for index, expected in ((b"R03\0", True), (b"R98\0", False)):
        interop = b"\0\1" + b"\0\1\0\2\0\0\0\4" + index + bytes(4)
        sub = b"\0\1" + b"\xa0\x05\0\4\0\0\0\1\0\0\0\x2c" + bytes(4)
        first = b"\0\1" + b"\x87\x69\0\4\0\0\0\1\0\0\0\x1a" + bytes(4)
        data = saved(quarters(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08" + first + sub + interop)
        assert exif.is_adobe_rgb(Reader.of(data)) is expected
    assert not exif.is_adobe_rgb(Reader.of(b""))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_finds_exif_in_every_container(image_format):
    """The EXIF block is found in every container."""
    tags = corpus.exif(t0x010F="Kamera")
    data = turned("HEIF", 6) if image_format == "HEIF" else saved(quarters(), image_format, exif=tags)
    tiff = Tiff(find_exif(Reader.of(data)))
    assert {0x010F, 0x0112} & tiff.directory(tiff.first).entries.keys()


CASES = {
    "g1_exif3_utf8_type.jpg": {"make": "Maker", "artist": "Zoë", "copyright": "© Zoë"},
    "g2_copyright_of_editor_only.jpg": {"copyright": "Editor"},
    "g3_date_31_february.jpg": {},
    "g5_offset_99.jpg": {"takenAt": "2026-02-28T10:00:00"},
    "g6_iso_102400.jpg": {"iso": 102400},
}


@pytest.mark.parametrize("name", CASES)
def test_facts_of_odd_files(name):
    """UTF-8 text of Exif 3.0, a missing photographer, invalid dates and large ISO values are handled."""
    facts = exif.read(Reader.of((corpus.HERE / "cases" / name).read_bytes()))
    assert facts.to_dict() == CASES[name]


def test_utf8_rights_reach_the_renditions():
    """Texts of Exif 3.0's UTF-8 type are kept in renditions."""
    facts = exif.read(Reader.of((corpus.HERE / "cases" / "g1_exif3_utf8_type.jpg").read_bytes()))
    rights = exif.read(Reader.of(saved(quarters(), "JPEG", exif=exif.rights_block(facts))))
    assert (rights.artist, rights.copyright) == ("Zoë", "© Zoë")


@pytest.mark.parametrize(
    ("value", "copyright"),
    [
        ("Ann", "Ann"),
        ("Ann\0Bob", "Ann; Bob"),
        (" \0Bob", "Bob"),
        ("Ann\0", "Ann"),
        ("Ann\0 \0ignored", "Ann"),
        (" ", None),
    ],
)
def test_copyright_has_two_holders(value, copyright):
    """The photographer's and the editor's text are joined; either may be blank."""
    tags = corpus.exif(t0x8298=value)
    assert exif.read(Reader.of(saved(quarters(), "JPEG", exif=tags))).copyright == copyright


@pytest.mark.parametrize(
    ("changes", "iso"),
    [
        ({0x8827: 400}, 400),
        ({0x8827: 65535, 0x8830: 3, 0x8833: 204800}, 204800),
        ({0x8827: 65535, 0x8830: 2, 0x8832: 102400}, 102400),
        ({0x8827: 65535, 0x8830: 1, 0x8831: 80000}, 80000),
        ({0x8827: 65535, 0x8833: 204800, 0x8832: 102400, 0x8831: 80000}, 204800),
        ({0x8827: 65535, 0x8833: 65535, 0x8832: 102400, 0x8831: 80000}, 102400),
        ({0x8827: 65535}, 65535),
        ({0x8827: 200, 0x8832: 400}, 200),
        ({0x8827: 1}, 1),
        ({0x8827: 0}, None),
    ],
)
def test_a_sensitivity_beyond_16_bits_is_read(changes, iso):
    """For 65535, which also means "larger", another tag contains the exact value."""
    tags = corpus.exif(t0x010F="Kamera")
    tags.get_ifd(0x8769).update(changes)
    assert exif.read(Reader.of(saved(quarters(), "JPEG", exif=tags))).iso == iso


@pytest.mark.parametrize(
    ("date", "offset", "taken_at"),
    [
        ("2024:02:29 10:00:00", "+14:00", "2024-02-29T10:00:00+14:00"),
        ("2023:02:29 10:00:00", "+01:00", None),
        ("2026:04:31 10:00:00", "+01:00", None),
        ("2026:13:01 10:00:00", "", None),
        ("2026:04:30 24:00:00", "", None),
        ("2026:04:30 23:60:00", "", None),
        ("2026:04:30 23:59:59", "+14:60", "2026-04-30T23:59:59"),
        ("2026:04:30 23:59:59", "+01:75", "2026-04-30T23:59:59"),
        ("2026:04:30 23:59:59", "-15:00", "2026-04-30T23:59:59"),
        ("2026:04:30 23:59:59", "-09:30", "2026-04-30T23:59:59-09:30"),
        ("0000:00:00 00:00:00", "", None),
    ],
)
def test_invalid_dates_are_ignored(date, offset, taken_at):
    """An invalid date gives no time, and an invalid offset is omitted."""
    tags = corpus.exif(t0x010F="Kamera")
    tags.get_ifd(0x8769).update({0x9003: date, 0x9011: offset})
    assert exif.read(Reader.of(saved(quarters(), "JPEG", exif=tags))).taken_at == taken_at


def test_the_first_of_several_numbers_is_read():
    """A tag with more values than the standard defines is read up to its first one."""
    tags = corpus.exif(t0x010F="Kamera")
    tags.get_ifd(0x8769).update({0x829D: (IFDRational(28, 10), IFDRational(56, 10))})
    assert exif.read(Reader.of(saved(quarters(), "JPEG", exif=tags))).f_number == 2.8


def test_xmp_adds_only_missing_facts():
    """A lens in EXIF is kept where only the date comes from XMP."""
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        b'aux:Lens="XMP" xmp:CreateDate="2026-05-04T10:11:12"/></rdf:RDF></x:xmpmeta>'
    )
    tags = corpus.exif(t0x010F="Kamera")
    tags.get_ifd(0x8769).update({0xA434: "EXIF"})
    facts = exif.read(Reader.of(saved(quarters(), "JPEG", exif=tags, xmp=packet)))
    assert (facts.lens, facts.taken_at) == ("EXIF", "2026-05-04T10:11:12")
