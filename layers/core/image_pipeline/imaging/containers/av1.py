"""Read the headers of AV1 images: the sequence header and the sizes of the frames (AV1 specification, 5.5 and 5.9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from image_pipeline.imaging.containers.bits import Bits
from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader

_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6
_KEY, _INTRA_ONLY, _SWITCH = 0, 2, 3
_SELECT = 2
_ALL_FRAMES = 0xFF
_REFERENCES, _REFERENCES_OF_FRAME = 8, 7
_MOST_FRAMES = 32
"""Largest number of frames of an item. An image has one for each of its layers, and AVIF allows four layers."""
_MOST_HEAD = 256
"""Bytes of a header that are read; sizes and colours are within the first 200, whatever the header contains."""


@dataclass
class SequenceHeader:
    """The fields of a sequence header that frame headers depend on."""

    still: bool = False
    """Reduced: the only frame has the size of the sequence."""
    size: tuple[int, int] = (0, 0)
    """(width, height) in pixels."""
    bits: int = 8
    chroma: float = 0.5
    """Samples of Cb and Cr together per pixel: 0 for grey, 0.5 for 4:2:0, 1 for 4:2:2, 2 for 4:4:4."""
    colours: tuple[int, int] = (2, 2)
    """Primaries and transfer characteristics (ITU-T H.273)."""
    film_grain: bool = False
    _size_bits: tuple[int, int] = (0, 0)
    _id_bits: tuple[int, int] = (0, 0)
    """Bits of a frame id, and of a difference of two ids; 0 if frames have no id."""
    _screen_tools: int = _SELECT
    _integer_vectors: int = _SELECT
    _order_bits: int = 0
    _time_bits: int = 0
    """Bits of a frame's presentation time; 0 if frames have none."""
    _removal_bits: int = 0
    _points: list[tuple[int, int]] = field(default_factory=list)
    """(layers, whether it has a decoder model) of each operating point."""

    @classmethod
    def parse(cls, data: bytes) -> SequenceHeader:
        """Read a sequence header OBU.

        Raises:
            BrokenContainerError
        """
        self = cls()
        bits = Bits(data)
        profile = bits.take(3)
        bits.take(1)
        self.still = bool(bits.take())
        if self.still:
            bits.take(5)
        else:
            self._operating_points(bits)
        width_bits = bits.take(4) + 1
        height_bits = bits.take(4) + 1
        self._size_bits = width_bits, height_bits
        self.size = bits.take(width_bits) + 1, bits.take(height_bits) + 1
        if not self.still and bits.take():
            difference_bits = bits.take(4) + 2
            self._id_bits = bits.take(3) + 1 + difference_bits, difference_bits
        bits.take(3)
        if not self.still:
            self._tools(bits)
        bits.take(3)
        self._colour(bits, profile)
        self.film_grain = bool(bits.take())
        return self

    def _operating_points(self, bits: Bits) -> None:
        model = delay_bits = 0
        if bits.take():  # timing_info
            bits.take(64)
            is_equal_interval = bits.take()
            if is_equal_interval:
                bits.exponential()
            model = bits.take()
            if model:
                delay_bits = bits.take(5) + 1
                bits.take(32)
                self._removal_bits = bits.take(5) + 1
                time_bits = bits.take(5) + 1
                self._time_bits = 0 if is_equal_interval else time_bits
        has_delays = bits.take()
        for _ in range(bits.take(5) + 1):
            layers = bits.take(12)
            if bits.take(5) > 7:
                bits.take(1)
            has_model = bits.take() if model else 0
            if has_model:
                bits.take(2 * delay_bits + 1)
            if has_delays and bits.take():
                bits.take(4)
            self._points.append((layers, has_model))

    def _tools(self, bits: Bits) -> None:
        bits.take(4)
        has_order = bits.take()
        if has_order:
            bits.take(2)
        self._screen_tools = _SELECT if bits.take() else bits.take()
        if self._screen_tools and not bits.take():
            self._integer_vectors = bits.take()
        if has_order:
            self._order_bits = bits.take(3) + 1

    def _colour(self, bits: Bits, profile: int) -> None:
        """color_config(), 5.5.2."""
        deep = bits.take()
        if profile == 2 and deep:
            self.bits = 12 if bits.take() else 10
        else:
            self.bits = 10 if deep else 8
        grey = profile != 1 and bool(bits.take())
        matrix = 2
        if bits.take():
            self.colours = bits.take(8), bits.take(8)
            matrix = bits.take(8)
        if grey:
            bits.take(1)
            self.chroma = 0
            return
        if (*self.colours, matrix) == (1, 13, 0):
            across = down = 0
        else:
            bits.take(1)
            across, down = {0: (1, 1), 1: (0, 0)}.get(profile, (1, 0))
            if profile == 2 and self.bits == 12:
                across = bits.take()
                down = bits.take() if across else 0
        if across and down:
            bits.take(2)
        bits.take(1)
        self.chroma = 2 / (1 + across) / (1 + down)

    def frame_size(self, data: bytes, layer: int) -> tuple[int, int] | None:
        """Return (width, height) of the frame that a frame header OBU starts; None if it repeats an earlier frame.

        For a frame that has the size of an earlier frame, this returns the size of the sequence, which no frame of a
        valid file exceeds.

        Args:
            data: the OBU.
            layer: bit mask of its temporal layer (bits 0 to 7) and its spatial layer (bits 8 to 11).

        Raises:
            BrokenContainerError
        """
        if self.still:
            return self.size
        bits = Bits(data)
        if bits.take():  # show_existing_frame
            return None
        kind = bits.take(2)
        is_shown = bits.take()
        intra = kind in (_KEY, _INTRA_ONLY)
        if is_shown:
            bits.take(self._time_bits)
        else:
            bits.take(1)
        resilient = kind == _SWITCH or (kind == _KEY and bool(is_shown)) or bool(bits.take())
        bits.take(1)
        tools = bits.take() if self._screen_tools == _SELECT else self._screen_tools
        if tools and self._integer_vectors == _SELECT:
            bits.take(1)
        bits.take(self._id_bits[0])
        own_size = kind == _SWITCH or bool(bits.take())
        bits.take(self._order_bits)
        if not (intra or resilient):
            bits.take(3)
        if self._removal_bits and bits.take():
            for layers, has_model in self._points:
                if has_model and (not layers or (layers & layer) == layer):
                    bits.take(self._removal_bits)
        refresh_flags = _ALL_FRAMES if kind == _SWITCH or (kind == _KEY and is_shown) else bits.take(8)
        if resilient and self._order_bits and (not intra or refresh_flags != _ALL_FRAMES):
            bits.take(_REFERENCES * self._order_bits)
        if not intra:
            self._skip_references(bits)
            if own_size and not resilient and any(bits.take() for _ in range(_REFERENCES_OF_FRAME)):
                return self.size
        if not own_size:
            return self.size
        return bits.take(self._size_bits[0]) + 1, bits.take(self._size_bits[1]) + 1

    def _skip_references(self, bits: Bits) -> None:
        short = bits.take() if self._order_bits else 0
        if short:
            bits.take(6)
        for _ in range(_REFERENCES_OF_FRAME):
            bits.take(0 if short else 3)
            bits.take(self._id_bits[1])


@dataclass(frozen=True)
class Frames:
    """The sequence header and the frame sizes of an item."""

    sequence: SequenceHeader
    sizes: tuple[tuple[int, int], ...]
    """(width, height) of each frame; an image of several layers has several frames."""


def configured_sequence(body: Reader) -> SequenceHeader | None:
    """Read the sequence header in an `av1C` property; None if it has none."""
    for kind, _, unit in _units(body.part(4, body.size - 4)):
        if kind == _SEQUENCE:
            return SequenceHeader.parse(unit.up_to(0, _MOST_HEAD))
    return None


def frames_in(data: Reader) -> Frames:
    """Read the sequence header and all frame headers of an item.

    Raises:
        BrokenContainerError: a header is missing or cut off, or sequence headers differ.
    """
    sequence = None
    sizes = []
    for kind, layer, unit in _units(data):
        if kind == _SEQUENCE:
            next_header = SequenceHeader.parse(unit.up_to(0, _MOST_HEAD))
            if sequence not in (None, next_header):
                raise BrokenContainerError("an item has different sequence headers")
            sequence = next_header
        elif kind in (_FRAME, _FRAME_HEADER):
            if sequence is None:
                break
            if size := sequence.frame_size(unit.up_to(0, _MOST_HEAD), layer):
                sizes.append(size)
            if len(sizes) > _MOST_FRAMES:
                raise BrokenContainerError(f"an item has more than {_MOST_FRAMES} frames")
    if sequence is None or not sizes:
        raise BrokenContainerError("an item contains no coded image")
    return Frames(sequence, tuple(sizes))


def _units(data: Reader) -> Iterator[tuple[int, int, Reader]]:
    """Yield (kind, bit mask of the layers, payload) of each OBU (5.3)."""
    at = 0
    while at < data.size:
        head = data.up_to(at, 10)
        kind = head[0] >> 3 & 15
        has_extension = head[0] >> 2 & 1
        has_size = head[0] >> 1 & 1
        at += 1 + has_extension
        layer = 0
        if has_extension and len(head) > 1:
            layer = 1 << (head[1] >> 5) | 1 << (8 + (head[1] >> 3 & 3))
        length = data.size - at
        if has_size:
            length, length_bytes = _leb128(head[1 + has_extension :])
            at += length_bytes
        if length < 0 or at + length > data.size:
            raise CutOffError("its coded image is cut off")
        yield kind, layer, data.part(at, length)
        at += length


def _leb128(data: bytes) -> tuple[int, int]:
    """Return (value, number of bytes)."""
    value = 0
    for index, byte in enumerate(data[:8]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, index + 1
    raise CutOffError("its coded image is cut off")
