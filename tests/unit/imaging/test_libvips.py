"""image_pipeline.imaging.libvips, and its use for PNG"""

import io
import random
import subprocess
import sys
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from image_pipeline.imaging import engine, libvips
from image_pipeline.imaging.containers.png import png
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.decoders import jpeg
from image_pipeline.imaging.decoders.png import _plain_file
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Reader
from image_pipeline.imaging.recipes import Recipe
from tests.conftest import ROOT, crossed
from tests.corpus import holed, noisy, quarters, saved
from tests.corpus.pngs import GREY, RGB, RGBA, chunk, header
from tests.corpus.pngs import png as written
from tests.unit.imaging.test_exif import block


@pytest.fixture(autouse=True)
def _needs_the_library():
    if libvips._library() is None:
        pytest.skip("libvips is not installed")


def plain(file):
    """The file that libvips receives."""
    return _plain_file(file, png(Reader.of(file)))


def decoded(file, reduction=1.0):
    """The pixels that the engine decodes."""
    reader = Reader.of(file)
    return decode(reader, admit(reader, Limits()), reduction).image


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pixels_equal_those_of_pillow(mode):
    """At full size, bytes and mode equal those of Pillow."""
    data = saved(holed().convert(mode), "PNG")
    image = libvips.decode_png(plain(data), (240, 160))
    with Image.open(io.BytesIO(data)) as opened:
        assert image.mode == opened.mode == mode
        assert image.tobytes() == opened.tobytes()


@settings(max_examples=60, deadline=None)
@example(size=(1477, 1), scale=0.259765625, grey=False)
@given(
    size=st.tuples(st.integers(1, 3000), st.integers(1, 400)),
    scale=st.floats(0.001, 1),
    grey=st.booleans(),
)
def test_the_decoded_image_has_the_requested_size(size, scale, grey):
    """The image does not have to be resized again, and stays white but for one step, because libvips rounds weights."""
    data = saved(Image.new("L" if grey else "RGB", size, "white"), "PNG")
    target = tuple(max(1, round(side * scale)) for side in size)
    image = libvips.decode_png(plain(data), target)
    assert image.size == target
    assert all(band.getextrema()[0] >= 254 for band in image.split())


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("side", [90, 33, 1])
def test_renditions_do_not_depend_on_the_decoder(mode, side, monkeypatch):
    """The mean difference to a rendition decoded by Pillow is below 2 of 255."""
    source = Image.open(io.BytesIO(noisy("PNG"))).resize((600, 400)).convert(mode)
    data = saved(source, "PNG", compress_level=1)
    outs = []
    for library in (libvips._library, lambda: None):
        monkeypatch.setattr(libvips, "_library", library)
        (rendition,) = engine.render(data, [Recipe("t", side, side, formats=("png",))], Limits()).renditions
        outs.append(Image.open(io.BytesIO(rendition.data)))
    assert outs[0].size == outs[1].size
    assert outs[0].mode == outs[1].mode
    assert max(ImageStat.Stat(ImageChops.difference(*outs)).mean) < 2


def test_images_are_reduced_while_they_are_decoded():
    """Opaque images are decoded at the requested size; images with alpha at full size."""
    assert decoded(saved(quarters(size=(800, 600)), "PNG"), 4).size == (200, 150)
    assert decoded(saved(holed().resize((800, 600)), "PNG"), 4).size == (800, 600)


def test_pillow_decodes_other_kinds():
    """libvips never sees a palette, 16 bits, interlacing, a transparent colour, or grey with alpha."""

    kinds = [
        saved(quarters().convert("P"), "PNG"),
        saved(quarters(), "PNG", transparency=(1, 2, 3)),
        saved(quarters().convert("L").convert("I").convert("I;16"), "PNG"),
        saved(holed().convert("LA"), "PNG"),
    ]
    for file in kinds:
        assert not png(Reader.of(file)).is_plain
    assert png(Reader.of(saved(quarters(), "PNG"))).is_plain


def test_libvips_sees_only_the_image_data():
    """Profiles, texts and unknown chunks are removed."""
    raw = zlib.compress(bytes((3 * 40 + 1) * 30))
    pieces = [chunk(b"IDAT", raw[at : at + 7]) for at in range(0, len(raw), 7)]
    text = chunk(b"tEXt", b"Comment\0secret")
    file = plain(written(header((40, 30), 8, RGB), text, chunk(b"iCCP", b"x\0\0bad"), *pieces, text))
    assert [kind for kind in (b"tEXt", b"iCCP") if kind in file] == []
    assert b"secret" not in file
    assert libvips.decode_png(file, (40, 30)).size == (40, 30)


@pytest.mark.parametrize(("kind", "piece_length", "level"), crossed([RGB, GREY, RGBA], [5000, None, 4], [6, 0]))
def test_every_wrong_checksum_is_detected(kind, piece_length, level):
    """This holds for wrong and missing checksums, wherever libpng's blocks of 4096 bytes end."""
    channels = {GREY: 1, RGB: 3, RGBA: 4}[kind]
    for width in range(30, 44, 3 if piece_length == 4 else 1):  # a thousand chunks take long
        size = (width, 4200 // (channels * width) + 1)
        rows = [b"\0" + random.Random(y).randbytes(channels * width) for y in range(size[1])]
        good = zlib.compress(b"".join(rows), level)
        wrong = good[:-1] + bytes([good[-1] ^ 1])
        for stream, intact in ((good, True), (wrong, False), (good[:-1], False), (good[:-4], False)):
            step = piece_length or len(stream)
            pieces = [chunk(b"IDAT", stream[at : at + step]) for at in range(0, len(stream), step)]
            image = libvips.decode_png(plain(written(header(size, 8, kind), *pieces)), size)
            assert (image is not None) == intact


@pytest.mark.parametrize("piece", range(5))
def test_pillow_decodes_files_with_a_damaged_chunk(piece):
    """A wrong checksum of any chunk is detected by this module or, for a chunk that is kept, by libvips."""
    size = (90, 60)
    stream = zlib.compress(b"".join(b"\0" + random.Random(y).randbytes(270) for y in range(60)))
    pieces = [chunk(b"IDAT", stream[at : at + 4000]) for at in range(0, len(stream), 4000)]
    assert libvips.decode_png(plain(written(header(size, 8, RGB), *pieces)), size)
    pieces[piece] = pieces[piece][:-1] + bytes([pieces[piece][-1] ^ 1])
    file = plain(written(header(size, 8, RGB), *pieces))
    assert file is None or libvips.decode_png(file, size) is None


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_a_progressive_jpeg_has_the_same_pixels(mode, scale, monkeypatch):
    """Pillow decodes the file twice to find missing data, and gives the same image and the same visible part."""
    reader, header = progressive((400, 304), mode)
    with monkeypatch.context() as without_pillow:
        without_pillow.delattr(jpeg._Source, "load")
        by_libvips = decode(reader, header, 1.5 * scale)
    monkeypatch.setattr(libvips, "_library", lambda: None)
    by_pillow = decode(reader, header, 1.5 * scale)
    assert by_libvips.image.mode == by_pillow.image.mode == mode
    assert by_libvips.image.size == by_pillow.image.size == (400 // scale, 304 // scale)
    assert by_libvips.image.tobytes() == by_pillow.image.tobytes()
    assert by_libvips.box == by_pillow.box


@pytest.mark.parametrize("size", [(401, 304), (400, 303)])
def test_a_progressive_jpeg_keeps_its_edges(size, monkeypatch):
    """libvips drops the last pixels, which only a part of the image covers, so it does not decode such a file."""
    reader, header = progressive(size, "RGB")
    monkeypatch.delattr(libvips, "decode_jpeg")
    pixels = decode(reader, header, 12)
    assert pixels.image.size == (-(-size[0] // 8), -(-size[1] // 8))
    assert pixels.box == (0, 0, size[0] / 8, size[1] / 8)


def progressive(size, mode):
    """A JPEG of several scans, and its header."""
    reader = Reader.of(saved(quarters(size=size).convert(mode), "JPEG", progressive=True, exif=block()))
    return reader, admit(reader, Limits())


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"], ids=["", "with an end marker"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_a_cut_progressive_jpeg_is_not_decoded(share, end):
    """libvips rejects it, with and without an end marker."""
    data = saved(Image.open(io.BytesIO(noisy("PNG"))), "JPEG", progressive=True)
    assert libvips.decode_jpeg(data, 1).size == (240, 160)
    assert libvips.decode_jpeg(data[: int(share * len(data))] + end, 1) is None


def test_pillow_decodes_without_libvips():
    """A PNG is decoded where the wheel is not installed."""
    code = (
        "import importlib.util as util, io\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == '_libvips' else find(name, *rest)\n"
        "from PIL import Image\n"
        "from image_pipeline.imaging import engine, libvips\n"
        "from image_pipeline.imaging.formats.limits import Limits\n"
        "from image_pipeline.imaging.recipes import Recipe\n"
        "assert libvips._library() is None\n"
        "file = io.BytesIO()\n"
        "Image.new('RGB', (90, 60)).save(file, 'PNG')\n"
        "assert engine.render(file.getvalue(), [Recipe('t', 9, 9)], Limits()).renditions[0].width == 9\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ROOT / "layers" / "core")})


def test_broken_files_write_nothing_to_standard_error():
    """The messages of libvips about a user's file are not in the log."""
    code = (
        "import sys\n"
        "from image_pipeline.imaging import libvips\n"
        "assert libvips.decode_png(sys.stdin.buffer.read(), (40, 30)) is None\n"
    )
    broken = written(header((40, 30), 8, RGB), chunk(b"IDAT", zlib.compress(b"short")))
    environment = {"PYTHONPATH": str(ROOT / "layers" / "core")}
    run = subprocess.run([sys.executable, "-c", code], input=broken, capture_output=True, env=environment)
    assert (run.returncode, run.stderr) == (0, b"")
