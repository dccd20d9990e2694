"""Segments, headers and pixels of JPEG."""

import contextlib
import io
import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from image_pipeline.errors import CorruptImageError, ImageTooLargeError, RejectedError
from image_pipeline.imaging.containers.jpeg import SOS, coded_scans, scans, segments
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.decoders.jpeg import JpegImageFile
from image_pipeline.imaging.engine import render
from image_pipeline.imaging.formats import jpeg as header_of_jpeg
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.icc import MOST_BYTES
from image_pipeline.imaging.reader import Budget, Reader
from image_pipeline.imaging.recipes import Recipe
from tests.conftest import crossed, examples
from tests.corpus import HERE, exif, many_scans, noisy, quarters, saved
from tests.corpus.jpeg import interleaved_with, joined, parts, segment, separate_scans

WHOLE = saved(quarters(), "JPEG", quality=95)
NOISE = Image.open(io.BytesIO(noisy("PNG"))).convert("RGB").resize((320, 240))
END = b"\xff\xd9"


def pixels(data, budget=None):
    """The decoded pixels of an admitted file."""
    reader = Reader.of(data, budget)
    return decode(reader, admit(reader, Limits()))


def case(name):
    """One of the stored files."""
    return (HERE / "cases" / name).read_bytes()


def test_segments_end_with_the_first_scan():
    """Segments end at the first scan, after which pixel data follows."""
    markers = [segment.marker for segment in segments(Reader.of(WHOLE))]
    assert markers[-1] == SOS
    assert 0xC0 in markers


@pytest.mark.parametrize("count", [1, 99, 100])
def test_scans_are_counted(count):
    """Each header between the first scan and the end marker is one scan."""
    data = many_scans(count)
    first = list(segments(Reader.of(data)))[-1]
    assert len(list(scans(Reader.of(data), first))) == data.count(b"\xff\xda")


def test_scans_of_thumbnails_and_second_images_are_not_counted():
    """Only scans of the decoded image are counted."""
    thumbnail = exif(t0x010E="\xff\xda" * 300)
    data = saved(quarters(), "JPEG", exif=thumbnail) + many_scans(300)
    first = list(segments(Reader.of(data)))[-1]
    assert len(list(scans(Reader.of(data), first))) == 1


@pytest.mark.parametrize("marker", [0xC0, 0xC2, 0xC1, 0xC3])
@pytest.mark.parametrize("position", [0, -1])
def test_a_second_frame_header_is_rejected(marker, position):
    """A decoder might take the size from the second header."""
    inner, rest = parts(WHOLE)
    frame = next(segment for segment in inner if segment[1] == 0xC0)
    inner.insert(position, bytes((0xFF, marker)) + frame[2:5] + b"\xea\x60\xea\x60" + frame[9:])
    with pytest.raises(RejectedError):
        pixels(joined(inner, rest))


def test_a_frame_header_between_scans_changes_no_size():
    """The decoder keeps the first size, or rejects the file."""
    _, rest = parts(WHOLE)
    frame = segment(0xC0, b"\x08\xea\x60\xea\x60\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01")
    with pytest.raises(CorruptImageError):
        pixels(WHOLE[: -len(rest)] + rest[:-2] + frame + rest)


@pytest.mark.parametrize(
    "between", [b"\0" * 17_000, b"stray", b"\xff\x00", b"\xff\xff\xff", b"\xff\x01", b"\xff\xe5\0\0", b"\xff\xfe\0\1"]
)
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": exif(t0x0112=1)}])
def test_bytes_between_segments_are_skipped(between, options):
    """Padding and wrong lengths do not change the pixels."""
    expected = pixels(saved(quarters(), "JPEG", quality=95, **options)).image
    assert pixels(interleaved_with(between, **options)).image.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["f3_bytes_between_segments.jpg", "h1_zeros_between_segments.jpg"])
def test_padded_files_are_shown(name):
    """Padded files are decoded, as in libjpeg and Chromium."""
    with Image.open(HERE / "cases" / name) as reference:
        assert pixels(case(name)).image.tobytes() == reference.tobytes()


def test_endless_padding_is_not_read_completely():
    """The search for a marker ends when the budget is spent."""
    with pytest.raises(CorruptImageError):
        admit(Reader.of(b"\xff\xd8\xff\xe0\0\2" + bytes(20_000_000)), Limits())


def test_half_an_image_with_an_end_marker_is_rejected():
    """Missing parts, which a decoder fills with grey, are detected."""
    with pytest.raises(CorruptImageError, match="cut off"):
        pixels(case("f1_half_with_eoi.jpg"))


KINDS = {
    "baseline": {},
    "4:4:4": {"subsampling": 0},
    "restarts each row": {"restart_marker_rows": 1},
    "restarts": {"restart_marker_blocks": 7},
    "arithmetic tables": {"optimize": True},
    "progressive": {"progressive": True},
}
MODES_OF_KINDS = list(product(["RGB", "L", "CMYK"], KINDS))


@pytest.mark.parametrize(("mode", "kind", "share"), crossed(MODES_OF_KINDS, [0.3, 0.1, 0.5]))
def test_cut_data_is_rejected_with_and_without_an_end_marker(mode, kind, share):
    """An incomplete image is rejected with and without an end marker."""
    data = saved(NOISE.convert(mode), "JPEG", quality=90, **KINDS[kind])
    start = data.index(b"\xff\xda")
    cut = start + int(share * (len(data) - start))
    while data[cut - 1] == 0xFF:
        cut -= 1
    for tail in (b"", END, END + b"appended data"):
        with pytest.raises(CorruptImageError):
            pixels(data[:cut] + tail)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
@pytest.mark.parametrize("rows", [1, 3])
def test_missing_restart_intervals_are_detected(share, rows):
    """A decoder would fill them with grey."""
    data = saved(NOISE.resize((640, 480)), "JPEG", quality=90, restart_marker_rows=rows)
    start = data.index(b"\xff\xda")
    at = start + int(share * (len(data) - start))
    first = next(i for i in range(at, len(data)) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7)
    second = next(i for i in range(first + 2, len(data)) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7)
    with pytest.raises(CorruptImageError):
        pixels(data[:first] + data[second:])


@pytest.mark.parametrize(("mode", "kind", "grey"), crossed(MODES_OF_KINDS, [128, 126, 127, 129, 130]))
def test_an_image_that_ends_in_grey_is_complete(mode, kind, grey):
    """An image that ends in the decoder's grey is accepted."""
    image = NOISE.convert(mode)
    image.paste(grey if mode == "L" else (grey,) * len(image.getbands()), (0, 120, 320, 240))
    data = saved(image, "JPEG", quality=90, **KINDS[kind])
    for tail in (b"", b"appended data", WHOLE):
        assert pixels(data + tail).warnings == ()


def test_each_channel_may_have_its_own_scan():
    """The image is decoded, and the predicted memory includes all coefficients."""
    data = separate_scans()
    admitted = admit(Reader.of(data), Limits())
    assert admitted.several_scans
    assert pixels(data).image.getpixel((180, 40))[1] > 240
    second = data.rindex(b"\xff\xda")
    with pytest.raises(CorruptImageError):
        pixels(data[:second] + END)


def test_the_work_of_the_decoder_is_limited(monkeypatch):
    """The work for all scans is limited, however few bytes they have."""
    data = saved(quarters(), "JPEG", progressive=True)
    work = 240 * 160 * 1.5
    monkeypatch.setattr(header_of_jpeg, "MAX_SCANNED_SAMPLES", 20 * work)
    assert admit(Reader.of(data), Limits())
    monkeypatch.setattr(header_of_jpeg, "MAX_SCANNED_SAMPLES", 2 * work)
    with pytest.raises(ImageTooLargeError, match="scans"):
        admit(Reader.of(data), Limits())


def scans_of(data):
    """Split a JPEG into its head, and (scan header, intervals with their markers, segments after the scan)."""
    first = list(segments(Reader.of(data)))[-1]
    coded = list(coded_scans(Reader.of(data), list(segments(Reader.of(data)))))
    after = [scan.start for scan in coded[1:]] + [len(data)]
    intervals = [re.split(rb"(\xff[\xd0-\xd7])", data[scan.start : scan.end]) for scan in coded]
    rests = [data[scan.end : end] for scan, end in zip(coded, after, strict=True)]
    return data[: first.end], list(zip(intervals, rests, strict=True))


def with_shares(data, share):
    """Keep a share of the data of each interval: `share(scan, number of scans, interval, number of intervals)`."""
    head, coded = scans_of(data)
    out = [head]
    for scan, (pieces, rest) in enumerate(coded):
        for index in range(0, len(pieces), 2):
            part = pieces[index][: int(len(pieces[index]) * share(scan, len(coded), index // 2, len(pieces) // 2 + 1))]
            out += [part.removesuffix(b"\xff"), *pieces[index + 1 : index + 2]]
        out.append(rest)
    return b"".join(out)


SMALL = NOISE.resize((160, 120))
SMALL_CMYK = Image.merge("CMYK", (*SMALL.split(), SMALL.rotate(180).getchannel("R")))
SEVERAL_SCANS = {
    "progressive": lambda: saved(SMALL, "JPEG", quality=90, progressive=True),
    "progressive 4:4:4": lambda: saved(SMALL, "JPEG", quality=90, progressive=True, subsampling=0),
    "progressive grey": lambda: saved(SMALL.convert("L"), "JPEG", quality=90, progressive=True),
    "progressive CMYK": lambda: saved(SMALL_CMYK, "JPEG", quality=90, progressive=True),
    "progressive restarts": lambda: saved(SMALL, "JPEG", quality=90, progressive=True, restart_marker_rows=2),
    "progressive blocks": lambda: saved(SMALL, "JPEG", quality=90, progressive=True, restart_marker_blocks=5),
    "scan per channel": lambda: separate_scans(SMALL),
}
RESTARTS = {
    f"{mode} {options} {width}": (mode, options, width)
    for mode in ("RGB", "L", "CMYK")
    for options, width in [
        (("restart_marker_rows", 1), 160),
        (("restart_marker_rows", 2), 153),
        (("restart_marker_rows", 1), 145),
        (("restart_marker_blocks", 1), 160),
        (("restart_marker_blocks", 7), 160),
        (("restart_marker_blocks", 20), 149),
    ]
}


def with_restarts(kind, picture=SMALL):
    """A baseline file with restart markers."""
    mode, (option, value), width = RESTARTS[kind]
    return saved(picture.convert(mode).resize((width, 120)), "JPEG", quality=90, **{option: value})


@pytest.mark.parametrize("kind", SEVERAL_SCANS)
def test_a_complete_file_of_several_scans_is_decoded(kind):
    """The check for missing data accepts complete scans, also with fill bytes before their markers."""
    data = SEVERAL_SCANS[kind]()
    with Image.open(io.BytesIO(data)) as reference:
        expected = reference.tobytes()
    assert with_shares(data, lambda *_: 1) == data
    assert pixels(data).image.tobytes() == expected
    head, coded = scans_of(data)
    filled = head + b"".join(b"".join(pieces) + b"\xff" * 3 + rest for pieces, rest in coded)
    assert pixels(filled).image.tobytes() == expected


@pytest.mark.parametrize(("kind", "share"), crossed(list(SEVERAL_SCANS), [0.9, 0, 0.1, 0.5]))
def test_any_cut_scan_is_detected(kind, share):
    """An image is incomplete if any of its scans is, or all but the last one are."""
    data = SEVERAL_SCANS[kind]()
    count = len(scans_of(data)[1])
    for cut in [*({number} for number in range(count)), set(range(count - 1)), set(range(count))]:
        if cut:
            with pytest.raises(CorruptImageError):
                pixels(with_shares(data, lambda scan, _n, _i, _m, cut=cut: share if scan in cut else 1))


@pytest.mark.parametrize(("kind", "fill"), crossed(list(RESTARTS), [b"\xff" * 5, b"", b"\xff"]))
def test_complete_restart_intervals_are_decoded(kind, fill):
    """Complete intervals are accepted, with fill bytes before their markers and when they end in grey."""
    grey = SMALL.copy()
    grey.paste((128, 128, 128), (80, 0, 160, 120))
    for picture in (SMALL, grey):
        data = with_restarts(kind, picture)
        with Image.open(io.BytesIO(data)) as reference:
            expected = pixels(data).image
            assert expected.size == reference.size
        head, coded = scans_of(data)
        ((pieces, rest),) = coded
        filled = head + b"".join(fill + piece if index % 2 else piece for index, piece in enumerate(pieces)) + rest
        assert pixels(filled).image.tobytes() == expected.tobytes()


@pytest.mark.parametrize(("kind", "share"), crossed(list(RESTARTS), [0.5, 0, 0.3]))
def test_cut_restart_intervals_are_detected(kind, share):
    """An image is incomplete if intervals lack data, although all markers exist."""
    data = with_restarts(kind)
    for is_cut in (
        lambda i, n: n / 2 <= i < n - 1,  # the lower half, except the last one
        lambda i, n: i < n / 2,
        lambda i, n: i == n // 2,
        lambda i, n: i % 2 and i < n - 1,
    ):
        with pytest.raises(CorruptImageError):
            pixels(with_shares(data, lambda _s, _c, i, n, is_cut=is_cut: share if is_cut(i, n) else 1))


@pytest.mark.parametrize("recipe", [Recipe("small", 64, 48), Recipe("half", 300, 225), Recipe("full", 160, 480)])
@pytest.mark.parametrize("kind", ["progressive", "scan per channel"])
def test_missing_data_is_detected_at_every_reduction(recipe, kind):
    """A cut first scan is detected at 1, 1/2 and 1/8 of the size."""
    data = SEVERAL_SCANS[kind]()
    assert render(data, [recipe], Limits()).warnings == ()
    with pytest.raises(CorruptImageError):
        render(with_shares(data, lambda scan, *_: 0.5 if scan == 0 else 1), [recipe], Limits())
    data = with_restarts(next(iter(RESTARTS)))
    assert render(data, [recipe], Limits()).warnings == ()
    with pytest.raises(CorruptImageError):
        render(with_shares(data, lambda _s, _c, i, n: 0 if n / 2 <= i < n - 1 else 1), [recipe], Limits())


def test_markers_of_every_scan_are_counted():
    """A missing restart interval of a later scan is detected."""
    data = SEVERAL_SCANS["progressive restarts"]()
    head, coded = scans_of(data)
    for number in range(len(coded)):
        changed = [
            (pieces[:2] + pieces[4:] if index == number else pieces, rest) for index, (pieces, rest) in enumerate(coded)
        ]
        with pytest.raises(CorruptImageError):
            pixels(head + b"".join(b"".join(pieces) + rest for pieces, rest in changed))


@pytest.mark.parametrize("size", [(2000, 1), (1, 2000), (1, 1), (65500, 1), (1, 65500), (8, 3000)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_thin_images_are_decoded(size, options):
    """A side of one pixel keeps one pixel."""
    data = saved(NOISE.resize(size), "JPEG", quality=90, **options)
    (rendition,) = render(data, [Recipe("small", 100, 100)], Limits()).renditions
    assert (rendition.width, rendition.height) == tuple(max(1, round(side * min(1, 100 / max(size)))) for side in size)


@pytest.mark.parametrize("megabytes", [1, 5, 30])
def test_long_metadata_is_skipped(megabytes):
    """Megabytes of metadata before the pixels, as Photoshop writes them, need only more requests."""
    inner, rest = parts(WHOLE)
    filler = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"x" * 65_000)
    data = joined([inner[0], *[filler] * (megabytes * 16), *inner[1:]], rest)
    budget = Budget()
    fetched = Reader.fetched(lambda start, length: data[start : start + length], len(data), budget)
    assert admit(fetched, Limits()).width == 240
    assert budget.requests > 0
    assert pixels(data).image.tobytes() == pixels(WHOLE).image.tobytes()


def test_metadata_never_reaches_the_decoder(monkeypatch):
    """The decoder does not see metadata, which Pillow would parse without a budget."""
    streams = []
    monkeypatch.setattr(
        "image_pipeline.imaging.decoders.jpeg.JpegImageFile",
        lambda stream: (streams.append(stream.read()), stream.seek(0), JpegImageFile(stream))[2],
    )
    data = saved(quarters(), "JPEG", exif=exif(t0x010F="Secret"), comment=b"Secret", icc_profile=b"Secret" * 50)
    pixels(data)
    assert b"Secret" in data
    assert not any(b"Secret" in stream for stream in streams)


def test_a_directory_bomb_is_not_expanded():
    """Metadata of 66 kB that expands to gigabytes is not expanded."""
    data = case("s3_exif_directory_bomb.jpg")
    budget = Budget()
    assert pixels(data, budget).image.size == (64, 64)
    assert Budget().bytes - budget.bytes < 1_000_000


def test_profiles_in_several_segments_are_joined_in_their_order():
    """The numbered parts of a long profile are joined in order, even if they are shuffled."""
    profile = bytes(range(256)) * 600
    inner, rest = parts(saved(quarters(), "JPEG", icc_profile=profile))
    shuffled = [segment for segment in inner if segment[1] != 0xE2] + [
        segment for segment in reversed(inner) if segment[1] == 0xE2
    ]
    assert pixels(joined(shuffled, rest)).profile == profile


def profile_chunks(numbers, size=65_000):
    """The image with profile segments of these numbers, whose bytes are their numbers."""
    inner, rest = parts(WHOLE)
    chunks = [
        segment(0xE2, b"ICC_PROFILE\0" + bytes((number, 1)) + bytes([index % 251]) * size)
        for index, number in enumerate(numbers)
    ]
    return joined([inner[0], *chunks, *inner[1:]], rest)


def test_a_repeated_chunk_of_a_profile_is_ignored():
    """Chunks whose number has occurred are ignored."""
    assert pixels(profile_chunks([1] * 300, 500)).profile == b"\0" * 500
    assert pixels(profile_chunks([2, 1, 2], 500)).profile == b"\1" * 500 + b"\0" * 500


def test_a_profile_above_the_limit_is_not_read_completely():
    """The image is rendered with a warning, and little more than the limit is read."""
    data = profile_chunks(range(1, 256))
    assert MOST_BYTES < len(pixels(data).profile) < MOST_BYTES + 65_536
    rendered = render(data, [Recipe("small", 100, 100)], Limits())
    assert any("profile" in warning for warning in rendered.warnings)


@given(st.data())
@settings(max_examples=examples(200))
def test_damaged_segments_end_in_an_image_or_a_rejection(data):
    """Changed markers and lengths cause no other error."""
    inner, rest = parts(data.draw(st.sampled_from([WHOLE, separate_scans(), many_scans(3)])))
    order = data.draw(st.permutations(inner))
    order = order[: data.draw(st.integers(0, len(order)))] + order[: data.draw(st.integers(0, 2))]
    damaged = bytearray(joined(order, rest))
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(2, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RejectedError):
        pixels(bytes(damaged))


@pytest.mark.parametrize("end", [b"\0", b"\xd0", b"\xd7\0", b""], ids=["stuffed", "restart", "both", "none"])
@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_a_long_run_of_fill_bytes_costs_linear_time(end, progressive):
    """A search that starts again at each byte of the run would take hours."""
    data = saved(quarters(), "JPEG", progressive=progressive)
    filled = data[:-2] + b"\xff" * 2_000_000 + end + data[-2:]
    admit(Reader.of(filled), Limits())
    with contextlib.suppress(RejectedError):
        render(filled, [Recipe("small", 8, 8)], Limits())


@pytest.mark.parametrize("marker", [b"\xff\x00", END], ids=["stuffed", "end"])
def test_the_decoder_gets_no_long_run_of_fill_bytes(monkeypatch, marker):
    """The decoder would read the run again for each block of the file, which takes minutes for a large one."""
    received = []
    monkeypatch.setattr(
        "image_pipeline.imaging.decoders.jpeg.JpegImageFile",
        lambda stream: received.append(stream.read()) or stream.seek(0) or JpegImageFile(stream),
    )
    data = noisy("JPEG")
    at = data.index(marker, data.index(b"\xff\xda"))
    filled = data[:at] + b"\xff" * 300_000 + data[at:]
    assert pixels(filled).image.tobytes() == pixels(data).image.tobytes()
    assert max(map(len, received)) <= len(data) + 1


@pytest.mark.parametrize("missing", range(3, 60, 3))
@pytest.mark.parametrize("last", [b"", b"\xff"], ids=lambda last: last.hex() or "none")
def test_a_baseline_file_that_ends_early_is_rejected(missing, last):
    """It may end inside a marker: the bits that follow must neither equal the decoder's zeros nor become a marker."""
    with pytest.raises(CorruptImageError):
        render(noisy("JPEG")[:-missing] + last, [Recipe("small", 100, 100)], Limits())
