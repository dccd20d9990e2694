"""Heads of AV1 pictures: the sequence header and the sizes of the frames (AV1 specification, 5.5 and 5.9)."""

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
"""Of an item. A picture has one, or one for each of its layers, of which AVIF allows four."""
_MOST_HEAD = 256
"""Bytes of a header that are looked at; sizes and colours are within the first 200, whatever the header contains."""


@dataclass
class Sequence:
    """A sequence header, as far as frames depend on it."""

    still: bool = False
    """Reduced: the only frame has the size of the sequence."""
    size: tuple[int, int] = (0, 0)
    """(width, height) in pixels."""
    bits: int = 8
    chroma: float = 0.5
    """Samples of both colour differences per pixel: 0 for grey, 0.5 for 4:2:0, 1 for 4:2:2, 2 for 4:4:4."""
    colours: tuple[int, int] = (2, 2)
    """Primaries and transfer characteristics (ITU-T H.273)."""
    film_grain: bool = False
    _size_bits: tuple[int, int] = (0, 0)
    _id_bits: tuple[int, int] = (0, 0)
    """Of a frame's number and of a difference of two; 0 where frames have none."""
    _screen_tools: int = _SELECT
    _integer_vectors: int = _SELECT
    _order_bits: int = 0
    _time_bits: int = 0
    """Of a frame's time of presentation; 0 where it has none."""
    _removal_bits: int = 0
    _points: list[tuple[int, int]] = field(default_factory=list)
    """(layers, whether a decoder model is described) of each operating point."""

    @classmethod
    def parse(cls, data: bytes) -> Sequence:
        """Read a sequence header OBU.

        Raises:
            BrokenContainerError
        """
        self, bits = cls(), Bits(data)
        profile = bits.take(3)
        bits.take(1)
        self.still = bool(bits.take())
        if self.still:
            bits.take(5)
        else:
            self._operating_points(bits)
        width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
        self._size_bits = width_bits, height_bits
        self.size = bits.take(width_bits) + 1, bits.take(height_bits) + 1
        if not self.still and bits.take():
            difference = bits.take(4) + 2
            self._id_bits = bits.take(3) + 1 + difference, difference
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
            equal = bits.take()
            if equal:
                bits.exponential()
            model = bits.take()
            if model:
                delay_bits = bits.take(5) + 1
                bits.take(32)
                self._removal_bits = bits.take(5) + 1
                time_bits = bits.take(5) + 1
                self._time_bits = 0 if equal else time_bits
        delays = bits.take()
        for _ in range(bits.take(5) + 1):
            layers = bits.take(12)
            if bits.take(5) > 7:
                bits.take(1)
            described = bits.take() if model else 0
            if described:
                bits.take(2 * delay_bits + 1)
            if delays and bits.take():
                bits.take(4)
            self._points.append((layers, described))

    def _tools(self, bits: Bits) -> None:
        bits.take(4)
        ordered = bits.take()
        if ordered:
            bits.take(2)
        self._screen_tools = _SELECT if bits.take() else bits.take()
        if self._screen_tools and not bits.take():
            self._integer_vectors = bits.take()
        if ordered:
            self._order_bits = bits.take(3) + 1

    def _colour(self, bits: Bits, profile: int) -> None:
        """color_config(), 5.5.2."""
        deep = bits.take()
        self.bits = (12 if bits.take() else 10) if profile == 2 and deep else 10 if deep else 8
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
        """(width, height) of the frame that a frame header OBU starts; None where it shows an earlier one again.

        A frame that takes its size from an earlier frame is said to have the size of the sequence, which no frame of a
        correct file exceeds.

        Args:
            data: the OBU.
            layer: the bits of its temporal layer (0 to 7) and of its spatial layer (8 to 11).

        Raises:
            BrokenContainerError
        """
        if self.still:
            return self.size
        bits = Bits(data)
        if bits.take():  # show_existing_frame
            return None
        kind, shown = bits.take(2), bits.take()
        intra = kind in (_KEY, _INTRA_ONLY)
        if shown:
            bits.take(self._time_bits)
        else:
            bits.take(1)
        resilient = kind == _SWITCH or (kind == _KEY and bool(shown)) or bool(bits.take())
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
            for layers, described in self._points:
                if described and (not layers or (layers & layer) == layer):
                    bits.take(self._removal_bits)
        refreshed = _ALL_FRAMES if kind == _SWITCH or (kind == _KEY and shown) else bits.take(8)
        if resilient and self._order_bits and (not intra or refreshed != _ALL_FRAMES):
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
    """What the head of an item says."""

    sequence: Sequence
    sizes: tuple[tuple[int, int], ...]
    """(width, height) of each frame: one, or more in a picture of several layers."""


def configured_sequence(body: Reader) -> Sequence | None:
    """The sequence header inside an `av1C` property, which may lack it."""
    for kind, _, unit in _units(body.part(4, body.size - 4)):
        if kind == _SEQUENCE:
            return Sequence.parse(unit.up_to(0, _MOST_HEAD))
    return None


def frames_in(data: Reader) -> Frames:
    """The sequence header and all frame headers of an item.

    Raises:
        BrokenContainerError: one of them is missing or cut off, or there are different sequence headers.
    """
    sequence, sizes = None, []
    for kind, layer, unit in _units(data):
        if kind == _SEQUENCE:
            other = Sequence.parse(unit.up_to(0, _MOST_HEAD))
            if sequence not in (None, other):
                raise BrokenContainerError("an item holds different sequence headers")
            sequence = other
        elif kind in (_FRAME, _FRAME_HEADER):
            if sequence is None:
                break
            if size := sequence.frame_size(unit.up_to(0, _MOST_HEAD), layer):
                sizes.append(size)
            if len(sizes) > _MOST_FRAMES:
                raise BrokenContainerError(f"an item holds more than {_MOST_FRAMES} frames")
    if sequence is None or not sizes:
        raise BrokenContainerError("an item holds no coded picture")
    return Frames(sequence, tuple(sizes))


def _units(data: Reader) -> Iterator[tuple[int, int, Reader]]:
    """(kind, bits of the layers, payload) of each OBU (5.3)."""
    at = 0
    while at < data.size:
        head = data.up_to(at, 10)
        kind, extended, sized = head[0] >> 3 & 15, head[0] >> 2 & 1, head[0] >> 1 & 1
        at += 1 + extended
        layer = 0
        if extended and len(head) > 1:
            layer = 1 << (head[1] >> 5) | 1 << (8 + (head[1] >> 3 & 3))
        length = data.size - at
        if sized:
            length, used = _leb128(head[1 + extended :])
            at += used
        if length < 0 or at + length > data.size:
            raise CutOffError("its coded picture is cut off")
        yield kind, layer, data.part(at, length)
        at += length


def _leb128(data: bytes) -> tuple[int, int]:
    """(value, bytes that it takes)."""
    value = 0
    for index, byte in enumerate(data[:8]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, index + 1
    raise CutOffError("its coded picture is cut off")
