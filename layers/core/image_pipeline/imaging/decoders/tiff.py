"""Decode the image of a TIFF: assemble its channels and convert their colours."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from image_pipeline.errors import CorruptImageError
from image_pipeline.imaging.decoders import samples, tiff_chunks, values
from image_pipeline.imaging.decoders.tiff_chunks import Stack
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.tiff import find_layout
from image_pipeline.imaging.formats.tiff_layout import (
    DIRECT_STACK_BYTES,
    STACK_BYTES,
    Compression,
    Layout,
    Number,
    Photometric,
    Tag,
)
from image_pipeline.imaging.pixels import Pixels, check_size
from image_pipeline.imaging.reader import Reader

_BAND_PIXELS = 1024 * 1024
"""Pixels whose colours are converted at a time."""

_LAB = frozenset({Photometric.CIELAB, Photometric.ICCLAB})

_BT601 = (0.299, 0.587, 0.114)
_FULL_RANGE = (0, 1, 128 / 255, 1, 128 / 255, 1)
"""Default ReferenceBlackWhite, as fractions of the largest number."""

_IDENTITY = bytes(range(256))
_INVERTED = _IDENTITY[::-1]
_ONE_BIT = bytes(value >> 7 for value in range(256))
_SIGN_CHANGED = bytes(value ^ 0x80 for value in range(256))


def decode(reader: Reader, header: Header, _reduction: float) -> Pixels:
    """Decode the image; see `decode.decode`."""
    layout = reader.once(find_layout)
    check_size((layout.width, layout.height), header)
    if layout.compression == Compression.OLD_JPEG:
        image = tiff_chunks.old_jpeg(reader, layout)
        return Pixels(image, (0, 0, *image.size), header.orientation, layout.tags.block(Tag.PROFILE).data)
    return _convert([canvas.image for canvas in _read_canvases(reader.data, layout)], layout, header.orientation)


# Strips and tiles → images of their channels --------------------------------------------------------------------------


@dataclass
class _Canvas:
    """An image of the whole image for one or more of its channels."""

    mode: str
    channels: tuple[int, ...]
    layout: Layout
    _image: Image.Image | None = None

    @property
    def image(self) -> Image.Image:
        """The image so far."""
        if self._image is None:
            self._image = Image.new(self.mode, (self.layout.width, self.layout.height))
        return self._image

    def put(self, part: Image.Image, stack: Stack, top: int) -> None:
        """Paste rows of a stack of strips or tiles; the first one is row `top` of the stack."""
        width, height = self.layout.chunk_width, self.layout.chunk_height
        first = stack.chunks[0] % self.layout.per_plane
        if not self.layout.tiled:
            if part.size == (self.layout.width, self.layout.height):
                self._image = part
            else:
                self.image.paste(part, (0, first * height + top))
            return
        for number in range(top // height, -(-(top + part.height) // height)):
            row, column = divmod(first + number, self.layout.across)
            start = max(top, number * height)
            end = min(top + part.height, (number + 1) * height)
            left = column * width
            upper = row * height + start - number * height
            visible_width = min(width, self.layout.width - left)
            visible_height = min(end - start, self.layout.height - upper)
            if visible_height > 0:
                tile = part.crop((0, start - top, visible_width, start - top + visible_height))
                self.image.paste(tile, (left, upper))


def _read_canvases(data: bytes, layout: Layout) -> list[_Canvas]:
    """Decode the channels of the image onto canvases."""
    canvases = _canvases(layout)
    most_bytes = DIRECT_STACK_BYTES if layout.is_direct else STACK_BYTES
    layout = tiff_chunks.with_smaller_strips(layout, most_bytes)
    for canvas in canvases:
        canvas.layout = layout
    for stack in tiff_chunks.stacks(layout, most_bytes):
        targets = [canvas for canvas in canvases if not layout.planar or canvas.channels == (stack.plane,)]
        if layout.is_direct:
            targets[0].put(tiff_chunks.stacked_image(data, layout, stack), stack, 0)
            continue
        for top, height, rows in tiff_chunks.stacked_rows(data, layout, stack, STACK_BYTES):
            for canvas in targets:
                canvas.put(_channels(rows, (layout.chunk_width, height), canvas), stack, top)
    return canvases


def _canvases(layout: Layout) -> list[_Canvas]:
    """Make one canvas for all channels if a mode has them, else one canvas for each channel."""
    if layout.planar or layout.is_measured or not layout.mode:
        colour_mode = "F" if layout.is_measured else "L"
        modes = {channel: "L" if channel == layout.alpha else colour_mode for channel in layout.needed_channels}
        return [_Canvas(mode, (channel,), layout) for channel, mode in modes.items()]
    return [_Canvas(layout.mode, layout.needed_channels, layout)]


def _channels(rows: bytes, size: tuple[int, int], canvas: _Canvas) -> Image.Image:
    """Extract the channels of a canvas from rows of samples."""
    layout = canvas.layout
    places = [0 if layout.planar else channel for channel in canvas.channels]
    if layout.is_measured and (canvas.mode == "F" or layout.number == Number.FLOAT):
        plane = samples.float_plane(rows, size, layout.number.value, layout.bits, places[0], layout.channels)
        return plane if canvas.mode == "F" else values.from_unit(plane)
    octets = _octets(rows, layout)
    if layout.subsampling != (1, 1):
        return Image.merge(canvas.mode, samples.split_subsampled(octets, size, layout.subsampling))
    planes = [Image.frombytes("L", size, octets[place :: layout.channels]) for place in places]
    return planes[0] if len(planes) == 1 else Image.merge(canvas.mode, planes)


def _octets(rows: bytes, layout: Layout) -> bytes:
    """Convert each sample to one byte: its upper 8 bits, or fewer bits scaled to 0 … 255 (palette indices unscaled)."""
    if layout.bits % 8 == 0:
        return rows[layout.bits // 8 - 1 :: layout.bits // 8]
    octets = samples.unpack_bits(rows, layout.bits, layout.chunk_width * layout.channels, layout.row_bytes)
    if layout.bits > 8 or (layout.photometric == Photometric.PALETTE and layout.bits > 1):
        return octets
    return octets.translate(samples.full_range(layout.bits))


# Images of channels → colours -----------------------------------------------------------------------------------------


def _convert(images: list[Image.Image], layout: Layout, orientation: int) -> Pixels:
    """Convert the channels to grey, RGB, RGBA or CMYK."""
    converter = _Converter(layout, _scale(images, layout) if layout.is_measured else None)
    size = images[0].size
    if not converter.changes(images):
        return Pixels(images[0], (0, 0, *size), orientation, converter.profile)
    rows = max(1, _BAND_PIXELS // size[0])
    out = Image.new(converter.mode, size)
    for top in range(0, size[1], rows):  # in bands, so that intermediate images take little memory
        box = 0, top, size[0], min(size[1], top + rows)
        out.paste(converter.convert([image.crop(box) for image in images]), (0, top))
    return Pixels(out, (0, 0, *size), orientation, converter.profile, converter.warnings)


def _scale(images: list[Image.Image], layout: Layout) -> values.Scale:
    return values.find_scale(
        [image for image in images if image.mode == "F"],
        stated=(layout.tags.numbers(Tag.LEAST_VALUE), layout.tags.numbers(Tag.GREATEST_VALUE)),
        no_data=values.parse_no_data(layout.tags.text(Tag.NO_DATA)),
        floating=layout.number == Number.FLOAT,
    )


class _Converter:
    """Converts channels to colours according to the photometric interpretation, one band of the image at a time."""

    def __init__(self, layout: Layout, scale: values.Scale | None) -> None:
        self._layout = layout
        self._scale = scale
        self._kind = layout.photometric
        self.warnings = scale.warnings if scale else ()
        """Messages for the user about the conversion."""
        profile = layout.tags.block(Tag.PROFILE).data
        # Pillow has no CMYK mode with transparency: CMYK becomes sRGB before its transparency is added.
        self._own_profile = profile if layout.alpha is not None and self._kind == Photometric.CMYK else b""
        self.profile = b"" if self._own_profile or self._kind in _LAB else profile
        """ICC profile that the caller must still apply."""
        self._palette = _palette(layout) if self._kind == Photometric.PALETTE else b""
        self._matrix = _ycbcr_matrix(layout) if self._kind == Photometric.YCBCR else ()

    @property
    def mode(self) -> str:
        """Mode of the images that `convert` returns."""
        if self._layout.alpha is not None:
            return "RGBA"
        if self._kind == Photometric.PALETTE:
            return "RGB"
        return {1: "L", 3: "RGB", 4: "CMYK"}[self._layout.colours]

    def changes(self, images: list[Image.Image]) -> bool:
        """Return whether images of the channels need any conversion."""
        kinds = (Photometric.BLACK_IS_ZERO, Photometric.RGB, Photometric.CMYK)
        plain = len(images) == 1 and images[0].mode in ("L", "RGB", "RGBA", "CMYK") and self._kind in kinds
        jpeg = self._kind == Photometric.YCBCR and self._layout.compression == Compression.JPEG
        return not (plain or jpeg) or self._layout.premultiplied

    def convert(self, images: list[Image.Image]) -> Image.Image:
        """Convert images of the channels, in the order of the layout, to one image."""
        if self._scale:
            inverted = self._kind == Photometric.WHITE_IS_ZERO
            images = [self._scale.shades(image, inverted) if image.mode == "F" else image for image in images]
        colours, alpha = _split(images, self._layout)
        if alpha is not None and self._layout.premultiplied:
            colours = _unmultiply(colours, alpha)
        image = self._interpret(colours)
        if alpha is None:
            return image
        if self._own_profile:
            image = self._to_srgb(image)
        image = image.convert("RGB")
        image.putalpha(alpha)
        return image

    def _interpret(self, image: Image.Image) -> Image.Image:
        """Apply the photometric interpretation to channels without transparency."""
        if self._kind == Photometric.WHITE_IS_ZERO and not self._scale:
            return image.point(_INVERTED)
        if self._kind == Photometric.PALETTE:
            if self._layout.bits == 1:
                image = image.point(_ONE_BIT)
            image.putpalette(self._palette)
            return image.convert("RGB")
        if self._kind == Photometric.YCBCR:
            return image.convert("RGB", self._matrix)
        if self._kind in _LAB:
            return _lab_to_srgb(image, signed=self._kind == Photometric.CIELAB)
        return image

    def _to_srgb(self, image: Image.Image) -> Image.Image:
        from image_pipeline.imaging import colour

        try:
            return colour.to_srgb(image, self._own_profile)
        except colour.BrokenProfileError as error:
            self._own_profile = b""
            self.warnings += (f"The colour profile was ignored: {error}.",)
            return image


def _split(images: list[Image.Image], layout: Layout) -> tuple[Image.Image, Image.Image | None]:
    """Return (colours, transparency)."""
    if len(images) == 1:
        image = images[0]
        if image.mode in ("LA", "RGBA"):
            return image.convert(image.mode[:-1]), image.getchannel("A")
        return image, None
    colours = images[: layout.colours]
    alpha = images[layout.colours] if len(images) > layout.colours else None
    merged = colours[0] if len(colours) == 1 else Image.merge("RGB" if len(colours) == 3 else "CMYK", colours)
    return merged, alpha


def _palette(layout: Layout) -> bytes:
    """Return red, green and blue of each entry, 8 bits each. A map of small numbers only was written with 8 bits."""
    count = 1 << layout.bits
    numbers = layout.tags.integers(Tag.COLOUR_MAP, 3 * count)
    shift = 8 if max(numbers) > 255 else 0
    palette = bytearray(3 * count)
    for channel in range(3):
        palette[channel::3] = bytes(number >> shift for number in numbers[channel * count : (channel + 1) * count])
    return bytes(palette)


def _ycbcr_matrix(layout: Layout) -> tuple[float, ...]:
    """Return the YCbCr → RGB matrix (TIFF 6.0, section 21) for Pillow: three rows of three factors and an offset."""
    red, green, blue = _numbers(layout, Tag.YCBCR_COEFFICIENTS, _BT601)
    white = (1 << layout.bits) - 1
    stated = _numbers(layout, Tag.REFERENCE_BLACK_WHITE, tuple(share * white for share in _FULL_RANGE))
    black = [value * 255 / white for value in stated[0::2]]
    ranges = [value * 255 / white - low for value, low in zip(stated[1::2], black, strict=True)]
    if not green or not all(ranges):
        raise CorruptImageError(
            "The TIFF has invalid YCbCr tags: the range of a channel is empty.", "Export the image again and upload it."
        )
    luma, *chroma = 255 / ranges[0], 127 / ranges[1], 127 / ranges[2]
    to_blue, to_red = (2 - 2 * blue) * chroma[0], (2 - 2 * red) * chroma[1]
    rows = (
        (luma, 0.0, to_red),
        (luma, -to_blue * blue / green, -to_red * red / green),
        (luma, to_blue, 0.0),
    )
    return tuple(
        value for row in rows for value in (*row, -sum(factor * zero for factor, zero in zip(row, black, strict=True)))
    )


def _numbers(layout: Layout, tag: Tag, default: tuple[float, ...]) -> tuple[float, ...]:
    stated = layout.tags.numbers(tag, len(default))
    return stated if len(stated) == len(default) else default


def _lab_to_srgb(image: Image.Image, signed: bool) -> Image.Image:
    from image_pipeline.imaging.colour import lab_to_srgb

    # Pillow's LAB is ICC's, in which 128 is neutral. In CIELab of TIFF, a* and b* are signed.
    if signed:
        image = image.point(_IDENTITY + 2 * _SIGN_CHANGED)
    return lab_to_srgb(Image.merge("LAB", image.split()))


def _unmultiply(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Divide premultiplied colours by their transparency."""
    bands: list[Image.Image] = []
    for band in image.split():
        bands.append(Image.merge("RGBa", (band, band, band, alpha)).convert("RGBA").getchannel("R"))
    return bands[0] if len(bands) == 1 else Image.merge(image.mode, bands)
