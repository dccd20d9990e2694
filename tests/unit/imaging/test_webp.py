"""Structure, header and pixels of WebP."""

import io
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from image_pipeline.errors import CorruptImageError, ImageTooLargeError, RejectedError
from image_pipeline.imaging import exif
from image_pipeline.imaging.colour import D65, DISPLAY_P3, power_curve, rgb_profile
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.decoders import libwebp
from image_pipeline.imaging.engine import _Reductions, render
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import FIRST_BYTES, Budget, Reader
from image_pipeline.imaging.recipes import Recipe
from tests.conftest import examples
from tests.corpus import HERE, SIZE, holed, quarters, saved
from tests.corpus import exif as exif_of
from tests.corpus.webps import ALPHA, ANIMATION, EXIF, ICC, anim, anmf, chunk, coded, vp8x, webp


@pytest.fixture(params=["libwebp", "Pillow"])
def _either_decoder(request, monkeypatch):
    """Run each test with both decoders, which must agree."""
    if request.param == "Pillow":
        monkeypatch.setattr(libwebp, "_library", lambda: None)


def pixels(file, budget=None):
    """The decoded pixels of an admitted file."""
    reader = Reader.of(file, budget)
    return decode(reader, admit(reader, Limits()))


def rgba(file):
    """The pixels with their opacity; transparent pixels are black."""
    return pixels(file).image.convert("RGBA").convert("RGBa").tobytes()


def small(size=(16, 16), hole=False):
    """The quarters; the last one can be transparent."""
    image = quarters("RGBA" if hole else "RGB", size)
    if hole:
        image.paste((0, 0, 0, 0), (size[0] // 2, size[1] // 2, *size))
    return image


def on_canvas(image, size, place):
    """The image on a transparent canvas."""
    canvas = Image.new("RGBA", size)
    canvas.paste(image.convert("RGBA"), place)
    return canvas.convert("RGBa").tobytes()


OPAQUE, HOLED = small(), small(hole=True)
(LOSSLESS,), (LOSSLESS_HOLED,), (LOSSY,) = coded(OPAQUE), coded(HOLED), coded(OPAQUE, lossless=False)
ALPH, LOSSY_HOLED = coded(HOLED, lossless=False)


def test_the_decoder_has_the_admitted_size():
    """Admission and decoder read the same size, so limits hold."""
    assert pixels(saved(quarters(), "WEBP")).image.size == SIZE


def test_another_size_is_not_decoded():
    """A size that differs from the admitted one is rejected before a pixel is decoded."""
    reader = Reader.of(saved(quarters(), "WEBP"))
    with pytest.raises(CorruptImageError, match="240 × 160"):
        decode(reader, Header("WEBP", 24, 16, "RGB"))


# Every kind -----------------------------------------------------------------------------------------------------------

STILL = {
    "lossless": (webp(LOSSLESS), OPAQUE),
    "lossless with alpha": (webp(LOSSLESS_HOLED), HOLED),
    "lossless, extended": (webp(vp8x((16, 16)), LOSSLESS), OPAQUE),
    "bytes after the end": (webp(LOSSLESS) + b"left over", OPAQUE),
    "chunks after the image": (webp(LOSSLESS, chunk(b"JUNK", b"abc")), OPAQUE),
    "unknown chunks before the image": (webp(vp8x((16, 16)), chunk(b"JUNK", b"abc"), LOSSLESS), OPAQUE),
    "a flag of alpha without alpha": (webp(vp8x((16, 16), ALPHA), LOSSLESS), OPAQUE),
    "alpha without its flag": (webp(vp8x((16, 16)), LOSSLESS_HOLED), HOLED),
    "ALPH beside a lossless image, which has its own": (webp(vp8x((16, 16), ALPHA), ALPH, LOSSLESS), OPAQUE),
    "frames without the flag of an animation": (
        webp(vp8x((16, 16)), anim(), anmf((0, 0, 16, 16), LOSSLESS_HOLED), LOSSLESS), OPAQUE
    ),
}  # fmt: skip


@pytest.mark.usefixtures("_either_decoder")
@pytest.mark.parametrize(("file", "image"), STILL.values(), ids=STILL.keys())
def test_still_images_are_decoded(file, image):
    """One image is decoded, whatever other chunks exist."""
    assert rgba(file) == on_canvas(image, (16, 16), (0, 0))
    assert admit(Reader.of(file), Limits()).frames == 1


@pytest.mark.parametrize("set_bit", [False, True])
def test_the_alpha_bit_of_a_lossless_image_is_a_hint(set_bit):
    """The bit must not affect decoding (RFC 9649, section 3.4)."""
    for part, image in ((LOSSLESS, OPAQUE), (LOSSLESS_HOLED, HOLED)):
        changed = bytearray(part)
        changed[12] = changed[12] & ~0x10 | set_bit << 4
        assert rgba(webp(bytes(changed))) == on_canvas(image, (16, 16), (0, 0))


def test_lossy_transparency_is_decoded():
    """ALPH is used with and without the flag, and with other chunks between."""
    files = [
        webp(vp8x((16, 16), ALPHA), ALPH, LOSSY_HOLED),
        webp(vp8x((16, 16)), ALPH, LOSSY_HOLED),
        webp(vp8x((16, 16), ALPHA), ALPH, chunk(b"JUNK", b"abc"), LOSSY_HOLED),
        webp(vp8x((16, 16), ALPHA | ANIMATION), anim(), anmf((0, 0, 16, 16), ALPH, LOSSY_HOLED)),
    ]
    for file in files:
        alpha = pixels(file).image.getchannel("A")
        assert alpha.tobytes() == HOLED.getchannel("A").tobytes()


def test_bits_that_ask_viewers_to_enlarge_do_not_change_the_size():
    """Decoding ignores the scaling bits (RFC 6386, section 9.1)."""
    changed = bytearray(LOSSY)
    changed[8 + 7] |= 0x40
    changed[8 + 9] |= 0x80
    assert rgba(webp(bytes(changed))) == rgba(webp(LOSSY))


FRAMES = {
    "over all of the canvas": ((16, 16), (0, 0)),
    "in its middle": ((24, 24), (4, 4)),
    "in a corner": ((40, 17), (24, 0)),
}


@pytest.mark.usefixtures("_either_decoder")
@pytest.mark.parametrize(("size", "place"), FRAMES.values(), ids=FRAMES.keys())
@pytest.mark.parametrize(("part", "image"), [(LOSSLESS, OPAQUE), (LOSSLESS_HOLED, HOLED)], ids=["opaque", "with alpha"])
@pytest.mark.parametrize("flags", range(4))
def test_the_first_frame_lies_on_a_transparent_canvas(size, place, part, image, flags):
    """The canvas contains screen and frame, without a background colour, as in Chromium 156."""
    (other,) = coded(small(size))
    first, second = anmf((*place, 16, 16), part, flags=flags), anmf((0, 0, *size), other)
    file = webp(vp8x(size, ANIMATION), anim((0, 0, 255, 255)), first, second)
    assert rgba(file) == on_canvas(image, size, place)
    assert admit(Reader.of(file), Limits()).frames == 2


def test_a_small_first_frame_on_a_background():
    """JPEG shows the recipe's background on the empty canvas."""
    data = (HERE / "cases" / "h4_first_frame_small.webp").read_bytes()
    (rendition,) = render(data, [Recipe("t", 64, 40, background="#00ff00")], Limits()).renditions
    corner = Image.open(io.BytesIO(rendition.data)).getpixel((63, 39))
    assert max(abs(a - b) for a, b in zip(corner, (0, 255, 0), strict=True)) < 8


def test_a_lossy_first_frame_is_decoded_at_the_requested_size():
    """A frame that covers the canvas is decoded at a reduced size, like a still image."""
    if libwebp._library() is None:
        pytest.skip("Pillow decodes at full size")
    image = quarters(size=(800, 600))
    (part,) = coded(image, lossless=False)
    file = webp(vp8x((800, 600), ANIMATION), anim(), anmf((0, 0, 800, 600), part))
    reader = Reader.of(file)
    assert decode(reader, admit(reader, Limits()), 8).image.size == (200, 150)


@pytest.mark.parametrize(("tags", "size"), [({}, (200, 150)), ({"t0x010F": "Kamera"}, (150, 112))])
def test_photographs_of_cameras_are_decoded_smaller(tags, size):
    """The Lanczos filter reduces them by 1.5, and all other images by 2."""
    if libwebp._library() is None:
        pytest.skip("Pillow decodes at full size")
    reader = Reader.of(saved(quarters(size=(800, 600)), "WEBP", exif=exif_of(**tags)))
    assert decode(reader, admit(reader, Limits()), 8).image.size == size


# Rejected -------------------------------------------------------------------------------------------------------------

LONG, SHORT = len(webp(LOSSY)) - 8, len(webp(LOSSY))
REJECTED = {
    "a size of the file that is larger than it": (webp(LOSSY, size=LONG + 1), "cut off"),
    "the largest size": (webp(LOSSY, size=2**32 - 1), "cut off"),
    "a size of the file that is smaller than its image": (webp(LOSSY, size=LONG - 2), "beyond the end"),
    "a size of nothing": (webp(LOSSY, size=0), "chunks"),
    "a chunk that is longer than the file": (webp(chunk(b"VP8 ", LOSSY[8:], 10**6)), "beyond the end"),
    "an unknown first chunk": (webp(chunk(b"JUNK", b"ab"), LOSSY), "JUNK"),
    "a canvas that is larger than its image": (webp(vp8x((32, 32)), LOSSY), "canvas has 32 × 32"),
    "a canvas that is smaller than its image": (webp(vp8x((8, 8)), LOSSY), "canvas has 8 × 8"),
    "two canvases": (webp(vp8x((16, 16)), vp8x((16, 16)), LOSSY), "two VP8X"),
    "two lossy images": (webp(LOSSY, LOSSY), "two VP8 "),
    "two lossless images": (webp(vp8x((16, 16)), LOSSLESS, LOSSLESS), "two VP8L"),
    "a lossy and a lossless image": (webp(vp8x((16, 16)), LOSSY, LOSSLESS), "VP8 and a VP8L"),
    "two transparencies": (webp(vp8x((16, 16), ALPHA), ALPH, ALPH, LOSSY_HOLED), "two ALPH"),
    "two sets of animation parameters": (
        webp(vp8x((16, 16), ANIMATION), anim(), anim(), anmf((0, 0, 16, 16), LOSSY)), "two ANIM"
    ),
    "a canvas of 8 bytes": (webp(chunk(b"VP8X", bytes(8)), LOSSY), "VP8X chunk has 8"),
    "a canvas of 12 bytes": (webp(chunk(b"VP8X", bytes(12)), LOSSY), "VP8X chunk has 12"),
    "a canvas without an image": (webp(vp8x((16, 16))), "no image"),
    "an animation without a frame": (webp(vp8x((16, 16), ANIMATION), anim(), LOSSY), "no frame"),
    "a frame without an image": (webp(vp8x((16, 16), ANIMATION), anim(), anmf((0, 0, 16, 16))), "chunks"),
    "a frame over the edge": (
        webp(vp8x((16, 16), ANIMATION), anim(), anmf((8, 0, 16, 16), LOSSY)), r"canvas has 16 × 16 .* \(8, 0\)"
    ),
    "a frame of another size than its image": (
        webp(vp8x((32, 32), ANIMATION), anim(), anmf((0, 0, 32, 32), LOSSY)), "declares 32 × 32"
    ),
    "a frame with two images": (
        webp(vp8x((16, 16), ANIMATION), anim(), anmf((0, 0, 16, 16), LOSSY, LOSSY)), "two VP8 "
    ),
    "a frame that is longer than the file": (
        webp(vp8x((16, 16), ANIMATION), anim(), anmf((0, 0, 16, 16), LOSSY), size=90), "beyond the end"
    ),
    "an image that is no key frame": (webp(chunk(b"VP8 ", b"\1" + LOSSY[9:])), "key frame"),
    "a lossless image of a later version": (webp(chunk(b"VP8L", b"\x2f\xff\xff\xff\xff" + bytes(9))), "VP8L"),
}  # fmt: skip


@pytest.mark.parametrize("case", REJECTED)
def test_invalid_headers_are_rejected(case):
    """Admission rejects the file before a decoder starts, also if it is fetched in parts."""
    file, words = REJECTED[case]
    for reader in (Reader.of(file), Reader.fetched(lambda start, length: file[start : start + length], len(file))):
        with pytest.raises(CorruptImageError, match=words):
            admit(reader, Limits())


@pytest.mark.usefixtures("_either_decoder")
@pytest.mark.parametrize("part", [LOSSLESS, LOSSY], ids=["lossless", "lossy"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_missing_pixels_are_rejected(part, share):
    """An incomplete image is rejected."""
    for noisy in (part, coded(Image.effect_noise((64, 64), 90).convert("RGB"), lossless=part is LOSSLESS)[0]):
        cut = noisy[8 : 8 + int((len(noisy) - 8) * share)]
        if len(cut) > 12:
            with pytest.raises(CorruptImageError):
                pixels(webp(chunk(noisy[:4], cut)))


# Budgets --------------------------------------------------------------------------------------------------------------


def test_a_flood_of_chunks_after_the_image_is_not_read():
    """The image is complete before these chunks."""
    budget = Budget()
    file = webp(vp8x((16, 16)), LOSSLESS, chunk(b"JUNK", b"") * 500_000)
    assert pixels(file, budget).image.size == (16, 16)
    assert budget.reads > 25_000


def test_a_flood_of_chunks_before_the_image_is_rejected():
    """The rejection takes little memory."""
    file = webp(vp8x((16, 16)), chunk(b"JUNK", b"") * 500_000, LOSSLESS)
    tracemalloc.start()
    with pytest.raises(CorruptImageError):
        admit(Reader.of(file), Limits())
    assert tracemalloc.get_traced_memory()[1] < 1_000_000 + len(file)
    tracemalloc.stop()


@pytest.mark.parametrize("count", [10_000, 10_001, 100_000])
def test_frames_are_counted_up_to_the_limit(count):
    """The count is exact up to the limit."""
    file = webp(vp8x((16, 16), ANIMATION), anim(), anmf((0, 0, 16, 16), LOSSLESS), anmf((0, 0, 16, 16)) * (count - 1))
    if count <= 10_000:
        assert admit(Reader.of(file), Limits()).frames == count
    else:
        with pytest.raises(ImageTooLargeError, match="10000 frames"):
            admit(Reader.of(file), Limits())


def test_a_large_animation_is_admitted_by_its_first_bytes():
    """Admission does not fetch the other frames; they are counted when all bytes are available."""
    later = anmf((0, 0, 16, 16), chunk(b"JUNK", bytes(200_000)))
    file = webp(vp8x((16, 16), ANIMATION | EXIF), anim(), anmf((0, 0, 16, 16), LOSSLESS), later * 100)
    fetches = []

    def fetch(start, length):
        fetches.append((start, length))
        return file[start : start + length]

    assert admit(Reader.fetched(fetch, len(file)), Limits()).width == 16
    assert fetches == [(0, FIRST_BYTES)]
    assert admit(Reader.of(file), Limits()).frames == 101


def test_exif_after_a_large_image_costs_one_more_request():
    """EXIF at the end of the file is read with one more request."""
    block = exif_of(t0x0112=6, t0x010F="Maker").tobytes()
    part = coded(Image.frombytes("RGB", (300, 300), random.Random(1).randbytes(270_000)))[0]
    file = webp(vp8x((300, 300), EXIF), part, chunk(b"EXIF", block))
    fetches = []

    def fetch(start, length):
        fetches.append((start, length))
        return file[start : start + length]

    assert admit(Reader.fetched(fetch, len(file)), Limits()).orientation == 6
    assert len(fetches) == 2
    assert exif.read(Reader.of(file)).make == "Maker"


# Colours --------------------------------------------------------------------------------------------------------------

PROFILE = rgb_profile(DISPLAY_P3, D65, power_curve(1.0))


(GREY,) = coded(Image.new("RGB", (16, 16), (128, 128, 128)))


@pytest.mark.parametrize(
    ("chunks", "converted"),
    [
        ([vp8x((16, 16), ICC), chunk(b"ICCP", PROFILE), GREY], True),
        ([vp8x((16, 16), ICC), chunk(b"ICCP", PROFILE), chunk(b"ICCP", b"x"), GREY], True),
        ([vp8x((16, 16), ICC), GREY, chunk(b"ICCP", PROFILE)], True),
        ([vp8x((16, 16), ICC | ANIMATION), chunk(b"ICCP", PROFILE), anmf((0, 0, 16, 16), GREY)], True),
        ([vp8x((16, 16)), chunk(b"ICCP", PROFILE), GREY], False),
        ([GREY, chunk(b"ICCP", PROFILE)], False),
        ([vp8x((16, 16), ICC), GREY], False),
    ],
    ids=["usual", "two", "behind", "animation", "no flag", "not extended", "no profile"],
)
def test_a_profile_needs_its_flag(chunks, converted):
    """A profile without its flag is ignored, as in libwebp and Chromium."""
    reader = Reader.of(webp(*chunks))
    picture = _Reductions(decode(reader, admit(reader, Limits())), 2.0)
    assert picture.at((16, 16)).getpixel((0, 0)) == ((188,) * 3 if converted else (128,) * 3)


@pytest.mark.parametrize("profile", [b"", b"oops", PROFILE + bytes(4_000_000)], ids=["empty", "text", "too long"])
def test_a_broken_profile_is_a_warning(profile):
    """The profile is ignored with a warning."""
    file = webp(vp8x((16, 16), ICC), chunk(b"ICCP", profile), LOSSLESS)
    rendered = render(file, [Recipe("t", 16, 16, formats=("png",))], Limits())
    image = Image.open(io.BytesIO(rendered.renditions[0].data)).convert("RGB")
    assert image.tobytes() == OPAQUE.tobytes()
    assert not profile or "profile" in rendered.warnings[0]


# Any combination, any damage ------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32))
@settings(max_examples=examples(100))
def test_any_combination_is_decoded_correctly(seed):
    """Every combination of the format's options is decoded correctly."""
    chance = random.Random(seed)
    size = chance.randint(1, 30), chance.randint(1, 30)
    image = Image.frombytes("RGB", size, chance.randbytes(3 * size[0] * size[1]))
    if chance.random() < 0.5:
        image.putalpha(Image.frombytes("L", size, bytes(chance.choice((0, 255)) for _ in range(size[0] * size[1]))))
    place = 2 * chance.randint(0, 5), 2 * chance.randint(0, 5)
    room = chance.randint(0, 5), chance.randint(0, 5)
    canvas = size[0] + place[0] + room[0], size[1] + place[1] + room[1]
    parts = coded(image)
    junk = [chunk(b"JUNK", chance.randbytes(chance.randint(0, 9))) for _ in range(chance.randint(0, 3))]
    if chance.random() < 0.3:
        file = webp(vp8x(size, chance.choice((0, ALPHA))), *junk, *parts, *junk)
        canvas = size
        place = (0, 0)
    else:
        first = anmf((*place, *size), *parts, *junk, flags=chance.randint(0, 3))
        file = webp(vp8x(canvas, ANIMATION | chance.choice((0, ALPHA))), *junk, anim(), *junk, first, *junk)
    assert rgba(file) == on_canvas(image, canvas, place)


@given(st.integers(0, 2**32))
@settings(max_examples=examples(150))
def test_any_damage_ends_in_an_image_or_a_rejection(seed):
    """Without checksums, damaged files have the admitted size or are rejected."""
    chance = random.Random(seed)
    files = [
        webp(vp8x((24, 24), ANIMATION | ICC), chunk(b"ICCP", PROFILE), anim(), anmf((4, 4, 16, 16), ALPH, LOSSY_HOLED)),
        webp(vp8x((16, 16), ALPHA), ALPH, LOSSY_HOLED),
        webp(LOSSLESS_HOLED),
    ]
    file = bytearray(chance.choice(files))
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(12, len(file))
        how = chance.randrange(4)
        if how == 0:
            file[at] = chance.randrange(256)
        elif how == 1:
            del file[at : at + chance.randint(1, 12)]
        elif how == 2:
            file[at:at] = chance.randbytes(chance.randint(1, 12))
        else:
            file[4:8] = chance.choice((len(file) - 8, len(file) - 9, 0, 2**32 - 1)).to_bytes(4, "little")
        if len(file) < 20:
            break
    reader = Reader.of(bytes(file))
    try:
        header = admit(reader, Limits(max_pixels=4_000_000))
        image = decode(reader, header).image
    except RejectedError:
        return
    assert image.size == (header.width, header.height)


def test_transparency_of_the_corpus_is_kept():
    """An image with alpha keeps it, lossless or lossy."""
    for options in ({"lossless": True}, {"quality": 95}):
        image = pixels(saved(holed(), "WEBP", **options)).image
        assert image.getchannel("A").tobytes() == holed().getchannel("A").tobytes()


def predicted(data):
    """Predicted memory in bytes of decoding a file."""
    return admit(Reader.of(data), Limits()).predicted_memory(100)


def test_the_prediction_includes_the_codes_of_lossless_data():
    """A small file can declare 65,536 groups of codes; the prediction has as many as its bytes and blocks allow."""
    lossy, lossless = (saved(Image.new("RGB", (800, 800)), "WEBP", lossless=lossless) for lossless in (False, True))
    few = predicted(lossless)
    many = predicted(webp(chunk(b"VP8L", lossless[20:].ljust(40_000, b"\0"))))
    assert predicted(lossy) < few < predicted(lossy) + 10_000_000
    assert many - few > 6_000 * 15_000
