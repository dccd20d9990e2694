"""Read from the directory of a TIFF page how its pixels are stored (TIFF 6.0 and its supplements).

A TIFF combines photometric interpretation, bits, number format, channels, compression, predictor and organisation.
Decoders decode some combinations wrong without an error, so only the kinds listed here reach a decoder. The message for
every other kind names it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from operator import add
from typing import NamedTuple

from image_pipeline.errors import ImageTooLargeError, UnsupportedFormatError
from image_pipeline.imaging.containers.tiff import Directory
from image_pipeline.imaging.reader import BrokenContainerError, CutOffError

MOST_CHUNKS = 65_536
"""Largest number of strips or tiles of a page. The largest image has 61,000 tiles of 64 × 64 pixels."""
MOST_JPEG_CHUNKS = 16_384
"""The same limit if each chunk is a JPEG stream, which takes longer to start."""
_MOST_TABLE_BYTES = 64 * 1024
"""Largest size of the tables that JPEG streams share; they are copied for each stream."""
_MOST_CHANNELS = 64
_LONGEST_SIDE = 2**31 - 1
"""The range of the decoders' integers."""

DIRECT_STACK_BYTES = 48 * 1024 * 1024
"""Largest size of strips or tiles that are decoded together if their samples are pixels: most images are one stack."""
STACK_BYTES = 4 * 1024 * 1024
"""The same limit if Python unpacks the samples, which takes several copies in memory."""


class Tag(IntEnum):
    """Tags that define how pixels are stored."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTES = 279
    PLANAR = 284
    T4_OPTIONS = 292
    T6_OPTIONS = 293
    PREDICTOR = 317
    COLOUR_MAP = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_BYTES = 325
    INK_SET = 332
    NUMBER_OF_INKS = 334
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    LEAST_VALUE = 340
    GREATEST_VALUE = 341
    JPEG_TABLES = 347
    JPEG_STREAM = 513
    JPEG_STREAM_BYTES = 514
    YCBCR_COEFFICIENTS = 529
    YCBCR_SUBSAMPLING = 530
    REFERENCE_BLACK_WHITE = 532
    PROFILE = 34675
    NO_DATA = 42113


class Photometric(IntEnum):
    """The meaning of the channels."""

    WHITE_IS_ZERO = 0
    BLACK_IS_ZERO = 1
    RGB = 2
    PALETTE = 3
    CMYK = 5
    YCBCR = 6
    CIELAB = 8
    ICCLAB = 9


class Compression(IntEnum):
    """How strips and tiles are compressed."""

    NONE = 1
    CCITT_RLE = 2
    FAX3 = 3
    FAX4 = 4
    LZW = 5
    OLD_JPEG = 6
    JPEG = 7
    DEFLATE = 8
    PACKBITS = 32773
    OLD_DEFLATE = 32946
    LZMA = 34925
    ZSTD = 50000


class Number(Enum):
    """The number format of a sample."""

    UNSIGNED = "unsigned"
    SIGNED = "signed"
    FLOAT = "floating-point"


FAX = frozenset({Compression.CCITT_RLE, Compression.FAX3, Compression.FAX4})

_COMPRESSIONS = {
    Compression.NONE: "uncompressed", Compression.CCITT_RLE: "CCITT RLE", Compression.FAX3: "fax group 3",
    Compression.FAX4: "fax group 4", Compression.LZW: "LZW", Compression.OLD_JPEG: "old-style JPEG",
    Compression.JPEG: "JPEG", Compression.DEFLATE: "deflate", Compression.PACKBITS: "PackBits",
    Compression.OLD_DEFLATE: "deflate", Compression.LZMA: "LZMA", Compression.ZSTD: "Zstandard",
    9: "JBIG", 10: "JBIG", 32766: "NeXT", 32771: "CCITT RLE by words", 32809: "ThunderScan", 32867: "Kodak raw",
    32909: "PixarLog", 33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34676: "SGILog",
    34677: "SGILog", 34712: "JPEG 2000", 34713: "Nikon raw", 34887: "LERC", 34892: "lossy JPEG of DNG",
    50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_PREDICTABLE = frozenset(
    {Compression.LZW, Compression.DEFLATE, Compression.OLD_DEFLATE, Compression.LZMA, Compression.ZSTD}
)

_BYTES_PER_BYTE = {
    Compression.LZW: 2731, Compression.DEFLATE: 1032, Compression.OLD_DEFLATE: 1032, Compression.PACKBITS: 64,
    Compression.LZMA: 50_000, Compression.ZSTD: 50_000,
}  # fmt: skip
"""Largest number of bytes that one compressed byte can represent. LZW: a code of 12 bits represents at most 4096 bytes.
PackBits: two bytes represent 128. Zstandard: a block of 3 bytes represents 128 KiB; LZMA stays below that."""


class _Kind(NamedTuple):
    name: str
    colours: int
    """Colour channels, without extra channels."""
    bits: dict[Number, frozenset[int]]
    """Supported bits per channel, by number format."""


_UNSIGNED = frozenset({*range(1, 17), 32})
_SIGNED = frozenset({8, 16, 32})
_FLOATS = frozenset({16, 32, 64})
_DEEP = {Number.UNSIGNED: frozenset({8, 16})}
_GREY = {Number.UNSIGNED: _UNSIGNED, Number.SIGNED: _SIGNED, Number.FLOAT: _FLOATS}

_KINDS = {
    Photometric.WHITE_IS_ZERO: _Kind("grey (white is zero)", 1, _GREY),
    Photometric.BLACK_IS_ZERO: _Kind("grey", 1, _GREY),
    Photometric.RGB: _Kind("RGB", 3, {Number.UNSIGNED: _UNSIGNED, Number.FLOAT: _FLOATS}),
    Photometric.PALETTE: _Kind("palette", 1, {Number.UNSIGNED: frozenset(range(1, 9))}),
    Photometric.CMYK: _Kind("CMYK", 4, _DEEP),
    Photometric.YCBCR: _Kind("YCbCr", 3, _DEEP),
    Photometric.CIELAB: _Kind("CIELab", 3, _DEEP),
    Photometric.ICCLAB: _Kind("ICCLab", 3, _DEEP),
}
_OTHER_KINDS = {4: "transparency mask", 10: "ITULab", 32844: "LogL", 32845: "LogLuv", 51177: "depth map"}

_MODES = {(1, True): "LA", (3, False): "RGB", (3, True): "RGBA", (4, False): "CMYK"}
"""Pillow's mode for interleaved channels, by (number of colours, whether there is transparency)."""
_DIRECT_MODES = {1: {"L"}, 8: {"L", "LA", "RGB", "RGBA", "CMYK"}, 16: {"RGB", "RGBA", "CMYK"}}
"""Modes that are decoded directly to pixels, by bits per channel."""

RAW_PHOTOMETRICS = frozenset({32803, 34892})
"""Sensor data: a colour filter array, and linear raw."""

_NUMBERS = {1: Number.UNSIGNED, 2: Number.SIGNED, 3: Number.FLOAT, 4: Number.UNSIGNED}
_ASSOCIATED = 1
_ALPHAS = frozenset({_ASSOCIATED, 2, 999})
"""Values of ExtraSamples that mean transparency; 999 is written by Corel Draw."""

_PREDICTED_BITS = {1: None, 2: frozenset({8, 16, 32, 64}), 3: frozenset({16, 32, 64})}


@dataclass(frozen=True, eq=False)
class Layout:
    """The storage of the pixels of a page."""

    tags: Directory
    width: int
    """Pixels as stored, before the orientation is applied."""
    height: int
    photometric: Photometric
    number: Number
    bits: int
    """Bits per channel; the same for all channels."""
    samples: int
    """Stored channels, including those that are not needed."""
    colours: int
    """Colour channels; they come first."""
    alpha: int | None
    """Index of the transparency channel."""
    premultiplied: bool
    """Whether the colours are multiplied by the transparency."""
    compression: Compression
    predictor: int
    """1: none, 2: differences of samples, 3: differences of the bytes of floating-point samples."""
    planar: bool
    """Whether each channel has its own strips or tiles."""
    subsampling: tuple[int, int]
    """(columns, rows) of pixels that share Cb and Cr in uncompressed YCbCr."""
    tiled: bool
    chunk_width: int
    """Pixels of a row of a strip or tile."""
    chunk_height: int
    """Rows of a strip or tile; the last strip may have fewer."""
    offsets: array[int]
    counts: array[int]
    """Stored bytes of each strip or tile. For uncompressed ones computed, not read from the file."""

    @property
    def little(self) -> bool:
        """Whether numbers are little-endian."""
        return self.tags.little

    @property
    def is_measured(self) -> bool:
        """Whether samples are numbers for which the photometric interpretation does not define white."""
        grey = self.photometric in (Photometric.WHITE_IS_ZERO, Photometric.BLACK_IS_ZERO)
        return self.number != Number.UNSIGNED or (grey and self.bits > 16)

    @property
    def mode(self) -> str:
        """Pillow's mode for the needed channels of a strip or tile; empty if there is none."""
        if self.planar or (self.colours == 1 and self.alpha is None):
            return "L"
        return _MODES.get((self.colours, self.alpha is not None), "")

    @property
    def is_direct(self) -> bool:
        """Whether libtiff and Pillow decode a strip or tile directly to the pixels of an image."""
        if self.compression == Compression.JPEG:
            return True
        needed_count = 1 if self.planar else len(self.needed_channels)
        return (
            self.mode in _DIRECT_MODES.get(self.bits, ())
            and self.channels == needed_count
            and self.subsampling == (1, 1)
            and not self.is_measured
        )

    @property
    def needed_channels(self) -> tuple[int, ...]:
        """Indexes of the channels of the image: its colours and its transparency."""
        return (*range(self.colours), *(() if self.alpha is None else (self.alpha,)))

    @property
    def across(self) -> int:
        """Strips or tiles side by side."""
        return -(-self.width // self.chunk_width)

    @property
    def per_plane(self) -> int:
        """Strips or tiles of one plane, or of all channels if they are interleaved."""
        return self.across * -(-self.height // self.chunk_height)

    @property
    def planes(self) -> tuple[int, ...]:
        """Indexes of the needed planes; only 0 if channels are interleaved."""
        return self.needed_channels if self.planar else (0,)

    @property
    def channels(self) -> int:
        """Channels in each strip or tile."""
        return 1 if self.planar else self.samples

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a strip or tile before compression; for YCbCr, of all rows that share Cb and Cr."""
        across, down = self.subsampling
        if (across, down) == (1, 1):
            return -(-self.chunk_width * self.channels * self.bits // 8)
        return -(-self.chunk_width // across) * (across * down + 2) * self.bits // 8

    def rows(self, chunk: int) -> int:
        """Return the rows of pixels of a strip or tile."""
        top = chunk % self.per_plane // self.across * self.chunk_height
        return self.chunk_height if self.tiled else min(self.chunk_height, self.height - top)

    def raw_bytes(self, chunk: int) -> int:
        """Return the bytes of a strip or tile before compression."""
        return self.row_bytes * -(-self.rows(chunk) // self.subsampling[1])

    @property
    def largest_chunk(self) -> int:
        """Bytes of a full strip or tile before compression."""
        return self.raw_bytes(0)


def read_layout(tags: Directory, file_bytes: int) -> Layout:
    """Read how the pixels of a page are stored.

    Args:
        tags: directory of the page.
        file_bytes: size of the whole file.

    Raises:
        BrokenContainerError: tags contradict each other, or strips or tiles are outside the file.
        UnsupportedFormatError: the kind is not supported; the message names it.
        ImageTooLargeError: there are too many strips or tiles.
    """
    if repeated := sorted(tags.repeated & frozenset(Tag)):
        raise BrokenContainerError(f"it contains tag {repeated[0]} twice")
    width = tags.integer(Tag.WIDTH)
    height = tags.integer(Tag.HEIGHT)
    if not (0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE):
        raise BrokenContainerError(f"its size is {width} × {height} pixels")
    bits = tags.integers(Tag.BITS, _MOST_CHANNELS) or (1,)
    samples = tags.integer(Tag.SAMPLES, len(bits))
    planar = tags.integer(Tag.PLANAR, 1)
    if samples < 1 or planar not in (1, 2):
        raise BrokenContainerError(f"it has {samples} channels in planar configuration {planar}")
    compression = tags.integer(Tag.COMPRESSION, Compression.NONE)
    photometric = tags.integer(Tag.PHOTOMETRIC, _usual_photometric(samples, compression))
    formats = frozenset((tags.integers(Tag.SAMPLE_FORMAT, _MOST_CHANNELS) or (1,))[:samples])
    if photometric in (Photometric.CIELAB, Photometric.ICCLAB) and formats <= {1, 2, 4}:
        formats = frozenset({1})  # the photometric interpretation defines which channels are signed
    description = _Description(photometric, bits[:samples], formats, samples, planar == 2, compression)
    kind = description.kind()
    alpha, premultiplied = _alpha(tags, samples, kind.colours)
    (number_format,) = formats
    organisation = _organisation(tags, width, height)
    layout = Layout(
        tags=tags,
        width=width,
        height=height,
        photometric=Photometric(photometric),
        number=_NUMBERS[number_format],
        bits=bits[0],
        samples=samples,
        colours=kind.colours,
        alpha=alpha,
        premultiplied=premultiplied,
        compression=Compression(compression),
        predictor=tags.integer(Tag.PREDICTOR, 1) if compression in _PREDICTABLE else 1,
        planar=planar == 2 and samples > 1,
        subsampling=_subsampling(tags, photometric, compression),
        tiled=organisation.tiled,
        chunk_width=organisation.chunk_width,
        chunk_height=organisation.chunk_height,
        offsets=array("I"),
        counts=array("I"),
    )
    description.check(layout)
    return _with_chunks(layout, file_bytes)


def _usual_photometric(samples: int, compression: int) -> int:
    """Return the default of libtiff for a file without photometric interpretation."""
    if compression in FAX:
        return Photometric.WHITE_IS_ZERO
    return Photometric.BLACK_IS_ZERO if samples < 3 else Photometric.RGB


@dataclass(frozen=True)
class _Description:
    """The kind of a TIFF as its tags declare it; the error for an unsupported kind describes it."""

    photometric: int
    bits: tuple[int, ...]
    formats: frozenset[int]
    samples: int
    planar: bool
    compression: int

    def kind(self) -> _Kind:
        """Return the kind, if it is supported in some organisation.

        Raises:
            UnsupportedFormatError, BrokenContainerError
        """
        kind = next((kind for number, kind in _KINDS.items() if number == self.photometric), None)
        number = _NUMBERS.get(next(iter(self.formats))) if len(self.formats) == 1 else None
        if kind is None or number is None or len(set(self.bits)) > 1 or self.samples > _MOST_CHANNELS:
            raise self.unsupported()
        if self.bits[0] not in kind.bits.get(number, ()) or self.compression not in frozenset(Compression):
            raise self.unsupported()
        if self.samples < kind.colours:
            raise BrokenContainerError(f"{self.samples} channels for {kind.name}")
        return kind

    def check(self, layout: Layout) -> None:
        """Check combinations of tags.

        Raises:
            UnsupportedFormatError: the combination is not supported.
            BrokenContainerError: the combination is invalid.
        """
        kind, compression = layout.photometric, layout.compression
        if kind == Photometric.CMYK and (
            layout.tags.integer(Tag.INK_SET, 1) != 1 or layout.tags.integer(Tag.NUMBER_OF_INKS, 4) != 4
        ):
            raise self.unsupported("inks other than cyan, magenta, yellow and black")
        if layout.number == Number.SIGNED and layout.alpha is not None:
            raise self.unsupported("transparency")
        map_length = 3 << layout.bits
        if kind == Photometric.PALETTE and len(layout.tags.integers(Tag.COLOUR_MAP, map_length)) < map_length:
            raise BrokenContainerError("its colour map is too short")
        if compression in FAX and (layout.bits, layout.samples) != (1, 1):
            raise self.unsupported()
        self._check_jpeg(layout)
        self._check_predictor(layout)
        if layout.subsampling != (1, 1) and (
            layout.planar
            or layout.samples > 3
            or layout.predictor != 1
            or (layout.per_plane > 1 and layout.chunk_height % layout.subsampling[1])
        ):
            raise self.unsupported("an unusual chroma subsampling")

    def _check_jpeg(self, layout: Layout) -> None:
        if layout.compression == Compression.OLD_JPEG and Tag.JPEG_STREAM not in layout.tags:
            raise self.unsupported()
        if layout.tags.block(Tag.JPEG_TABLES).size > _MOST_TABLE_BYTES:
            raise BrokenContainerError("its JPEG tables are too large")
        if layout.compression not in (Compression.JPEG, Compression.OLD_JPEG):
            return
        if (
            layout.bits != 8
            or layout.channels not in (1, layout.colours)
            or layout.photometric == Photometric.PALETTE
            or (layout.planar and layout.photometric == Photometric.YCBCR)
        ):
            raise self.unsupported()

    def _check_predictor(self, layout: Layout) -> None:
        if layout.predictor not in _PREDICTED_BITS:
            raise self.unsupported(f"predictor {layout.predictor}")
        bits = _PREDICTED_BITS[layout.predictor]
        if bits and (layout.bits not in bits or (layout.predictor == 3 and layout.number != Number.FLOAT)):
            raise self.unsupported(f"predictor {layout.predictor}")

    def unsupported(self, detail: str = "") -> UnsupportedFormatError:
        """Return the error for an unsupported kind, with its description."""
        names: dict[int, str] = {**_OTHER_KINDS, **{number: kind.name for number, kind in _KINDS.items()}}
        bits = str(self.bits[0]) if len(set(self.bits)) == 1 else " and ".join(map(str, self.bits[:8]))
        numbers = " and ".join(
            _NUMBERS[sample_format].value if sample_format in _NUMBERS else "complex"
            for sample_format in sorted(self.formats)
        )
        parts = [
            names.get(self.photometric, f"photometric interpretation {self.photometric}"),
            f"{bits} bits per channel" + ("" if self.formats == {1} else f" ({numbers})"),
            f"{self.samples} channels" if self.samples > 1 else "",
            "planar" if self.planar else "",
            _COMPRESSIONS.get(self.compression, f"compression {self.compression}"),
            detail,
        ]
        return UnsupportedFormatError(
            f"The content is a TIFF of an unsupported kind: {', '.join(filter(None, parts))}.",
            "Save it as an RGB TIFF with 8 or 16 bits per channel, or as a PNG, and upload it again.",
        )


def _alpha(tags: Directory, samples: int, colours: int) -> tuple[int | None, bool]:
    """Return (index of the transparency channel, whether the colours are multiplied by it)."""
    extra_count = samples - colours
    if Tag.EXTRA_SAMPLES not in tags:  # all readers interpret one undeclared extra channel as transparency
        return (colours if extra_count == 1 else None), False
    for index, meaning in enumerate(tags.integers(Tag.EXTRA_SAMPLES, _MOST_CHANNELS)[:extra_count]):
        if meaning in _ALPHAS:
            return colours + index, meaning == _ASSOCIATED
    return None, False


def _subsampling(tags: Directory, photometric: int, compression: int) -> tuple[int, int]:
    if photometric != Photometric.YCBCR or compression in (Compression.JPEG, Compression.OLD_JPEG):
        return 1, 1  # the JPEG stream declares its subsampling
    across, down = (*tags.integers(Tag.YCBCR_SUBSAMPLING, 2), 2, 2)[:2]
    if across not in (1, 2, 4) or down not in (1, 2, 4):
        raise BrokenContainerError(f"its YCbCr subsampling is {across} × {down}")
    return across, down


class _Organisation(NamedTuple):
    tiled: bool
    chunk_width: int
    chunk_height: int


def _organisation(tags: Directory, width: int, height: int) -> _Organisation:
    """Return whether the page has tiles, and the size of a strip or tile."""
    if Tag.STRIP_OFFSETS in tags and Tag.TILE_OFFSETS in tags:
        raise BrokenContainerError("it has both strips and tiles")
    tiled = Tag.TILE_WIDTH in tags or Tag.TILE_HEIGHT in tags
    if tiled:
        size = tags.integer(Tag.TILE_WIDTH), tags.integer(Tag.TILE_HEIGHT)
    else:
        size = width, min(height, tags.integer(Tag.ROWS_PER_STRIP, height))
    if not (0 < size[0] <= _LONGEST_SIDE and 0 < size[1] <= _LONGEST_SIDE):
        raise BrokenContainerError(f"its strips or tiles have {size[0]} × {size[1]} pixels")
    return _Organisation(tiled, *size)


# Where the strips and tiles are ---------------------------------------------------------------------------------------


def _with_chunks(layout: Layout, file_bytes: int) -> Layout:
    """Add the tables of offsets and byte counts to a layout, and check them against the size of the file."""
    if layout.compression == Compression.OLD_JPEG:
        return layout  # one JPEG stream, to which another tag points
    planes = layout.samples if layout.planar else 1
    count = layout.per_plane * planes
    most = MOST_JPEG_CHUNKS if layout.compression == Compression.JPEG else MOST_CHUNKS
    if count > most:
        raise ImageTooLargeError(
            f"The TIFF has {count:,} strips or tiles; at most {most:,} are allowed.",
            "Save it with larger strips or tiles and upload it again.",
        )
    tags = layout.tags
    tiles = Tag.TILE_OFFSETS in tags
    offsets = tags.table(Tag.TILE_OFFSETS if tiles else Tag.STRIP_OFFSETS, MOST_CHUNKS)
    counts = tags.table(Tag.TILE_BYTES if tiles else Tag.STRIP_BYTES, MOST_CHUNKS)
    if len(offsets) < count:
        raise BrokenContainerError(f"it has offsets for only {len(offsets)} of {count} strips or tiles")
    raw = array("Q", [layout.largest_chunk]) * (layout.per_plane - 1)
    raw.append(layout.raw_bytes(layout.per_plane - 1))
    if layout.compression == Compression.NONE:
        counts = raw * planes
    elif len(counts) < count:
        counts = _distances(offsets, file_bytes)
    layout = replace(layout, offsets=offsets[:count], counts=counts[:count])
    stored_bytes = sum(_check_plane(layout, plane, file_bytes) for plane in layout.planes)
    # Uncompressed strips may share bytes: decoding them takes no longer than decoding separate ones.
    if layout.compression != Compression.NONE and stored_bytes > file_bytes:
        raise BrokenContainerError("its strips or tiles overlap")
    ratio = _BYTES_PER_BYTE.get(layout.compression)
    if ratio and sum(raw) * len(layout.planes) > stored_bytes * ratio:
        raise BrokenContainerError(f"{stored_bytes} bytes cannot contain {layout.width} × {layout.height} pixels")
    return layout


def _distances(offsets: array[int], file_bytes: int) -> array[int]:
    """Return the bytes from each strip or tile to the next one, to replace missing byte counts."""
    edges = [*sorted(offsets), file_bytes]
    return array("Q", (max(0, edges[min(bisect_right(edges, at), len(edges) - 1)] - at) for at in offsets))


def _check_plane(layout: Layout, plane: int, file_bytes: int) -> int:
    """Check that the strips or tiles of a plane are inside the file, and return the number of their stored bytes."""
    part = slice(plane * layout.per_plane, (plane + 1) * layout.per_plane)
    counts = layout.counts[part]
    if min(counts) == 0:
        raise BrokenContainerError("a strip or tile has no data")
    if max(map(add, layout.offsets[part], counts)) > file_bytes:
        raise CutOffError("it is cut off")
    return sum(counts)
