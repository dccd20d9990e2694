"""TIFF → pixels of its picture."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from image_pipeline.errors import CorruptImageError
from image_pipeline.imaging.decoders import samples, tiff_chunks, values
from image_pipeline.imaging.decoders.tiff_chunks import Stack
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.tiff import find_layout
from image_pipeline.imaging.formats.tiff_layout import Compression, Layout, Number, Photometric, Tag
from image_pipeline.imaging.pixels import Pixels, check_size
from image_pipeline.imaging.reader import Reader

_DIRECT_STACK_BYTES = 64 * 1024 * 1024
"""Most pictures are one stack, which is the picture then and need not be copied."""
_STACK_BYTES = 8 * 1024 * 1024
"""Of samples that Python takes apart, with several copies of them in memory."""

_MODES = {(1, False): "L", (1, True): "LA", (3, False): "RGB", (3, True): "RGBA", (4, False): "CMYK"}
"""Modes for channels that are stored together: by the number of colours, and whether there is transparency."""

_BT601 = (0.299, 0.587, 0.114)
_FULL_RANGE = (0, 1, 128 / 255, 1, 128 / 255, 1)
"""ReferenceBlackWhite where the file does not state it, as shares of the largest number."""

_IDENTITY = bytes(range(256))
_INVERTED = _IDENTITY[::-1]
_SIGN_CHANGED = bytes(value ^ 0x80 for value in range(256))


def decode(reader: Reader, header: Header, _reduction: float) -> Pixels:
    """Decode the picture; see `decode.decode`."""
    file = Reader.of(reader.data)  # with a budget of its own: admission has spent the first one
    layout = find_layout(file)
    check_size((layout.width, layout.height), header)
    warnings: tuple[str, ...] = ()
    if layout.compression == Compression.OLD_JPEG:
        image, alpha = tiff_chunks.old_jpeg(file, layout), None
    elif layout.is_measured:
        image, alpha, warnings = _measured(reader.data, layout)
    else:
        image, alpha = _merged(_filled(reader.data, layout, _canvases(layout)), layout)
    return _finished(image, alpha, layout, header.orientation, warnings)


# Strips and tiles → images of their channels --------------------------------------------------------------------------


@dataclass
class _Canvas:
    """An image of the whole picture for one or more of its channels."""

    mode: str
    channels: tuple[int, ...]
    image: Image.Image

    def put(self, image: Image.Image, layout: Layout, stack: Stack) -> None:
        """Add the strips or tiles of a stack."""
        if not layout.tiled:
            if image.size == self.image.size:
                self.image = image
            else:
                self.image.paste(image, (0, (stack.chunks[0] % layout.per_plane) * layout.chunk_height))
            return
        width, height = layout.chunk_width, layout.chunk_height
        for number, chunk in enumerate(stack.chunks):
            row, column = divmod(chunk % layout.per_plane, layout.across)
            tile = image.crop((0, number * height, width, (number + 1) * height))
            self.image.paste(tile, (column * width, row * height))


def _canvases(layout: Layout) -> list[_Canvas]:
    """One for all channels where a mode has them, else one for each."""
    mode = _MODES.get((layout.colours, layout.alpha is not None))
    if mode is None or layout.planar or layout.is_measured:
        colour = "F" if layout.is_measured else "L"
        return [_canvas(layout, "L" if channel == layout.alpha else colour, channel) for channel in layout.wanted]
    return [_canvas(layout, mode, *layout.wanted)]


def _canvas(layout: Layout, mode: str, *channels: int) -> _Canvas:
    return _Canvas(mode, channels, Image.new(mode, (layout.width, layout.height)))


def _filled(data: bytes, layout: Layout, canvases: list[_Canvas]) -> list[_Canvas]:
    """The canvases with the channels of the picture on them."""
    direct = tiff_chunks.decodes_directly(layout, canvases[0].mode) and (layout.planar or len(canvases) == 1)
    most_bytes = _DIRECT_STACK_BYTES if direct else _STACK_BYTES
    layout = tiff_chunks.with_smaller_strips(layout, most_bytes)
    for stack in tiff_chunks.stacks(layout, most_bytes):
        touched = [canvas for canvas in canvases if not layout.planar or canvas.channels == (stack.plane,)]
        if direct:
            touched[0].put(tiff_chunks.stacked_image(data, layout, stack, touched[0].mode), layout, stack)
            continue
        rows = _plain_rows(tiff_chunks.stacked_bytes(data, layout, stack), layout)
        for canvas in touched:
            canvas.put(_channels(rows, layout, stack, canvas), layout, stack)
    return canvases


def _plain_rows(rows: bytes, layout: Layout) -> bytes:
    """The samples of a stack, little-endian and without a predictor's differences."""
    item = layout.bits // 8
    if layout.predictor == 3:
        return samples.undo_float_differences(rows, layout.row_bytes, item, layout.channels)
    if item > 1 and layout.bits % 8 == 0 and not layout.little:
        rows = samples.little_endian(rows, item)
    if layout.predictor == 2:
        rows = samples.undo_differences(rows, layout.row_bytes, item, layout.channels)
    return rows


def _channels(rows: bytes, layout: Layout, stack: Stack, canvas: _Canvas) -> Image.Image:
    """The channels of a canvas from the samples of a stack."""
    size = layout.chunk_width, stack.rows
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
    """One byte for each sample: its upper bits, or all of them spread over 0 to 255 (of a palette as they are)."""
    if layout.bits % 8 == 0:
        return rows[layout.bits // 8 - 1 :: layout.bits // 8]
    octets = samples.unpack_bits(rows, layout.bits, layout.chunk_width * layout.channels, layout.row_bytes)
    if layout.bits > 8 or layout.photometric == Photometric.PALETTE:
        return octets
    return octets.translate(samples.full_range(layout.bits))


# Images of channels → colours -----------------------------------------------------------------------------------------


def _merged(canvases: list[_Canvas], layout: Layout) -> tuple[Image.Image, Image.Image | None]:
    """(colours, transparency) where they are images of their own, else all in one."""
    images = [canvas.image for canvas in canvases]
    if len(images) == 1:
        return images[0], None
    colours = images[: layout.colours]
    alpha = images[layout.colours] if layout.alpha is not None else None
    return (colours[0] if len(colours) == 1 else Image.merge(_MODES[len(colours), False], colours)), alpha


def _measured(data: bytes, layout: Layout) -> tuple[Image.Image, Image.Image | None, tuple[str, ...]]:
    """Numbers that are no shares of white: (colours, transparency, what a person should know)."""
    canvases = _filled(data, layout, _canvases(layout))
    planes = [canvas.image for canvas in canvases if canvas.mode == "F"]
    scale = values.find_scale(
        planes,
        stated=(layout.tags.numbers(Tag.LEAST_VALUE), layout.tags.numbers(Tag.GREATEST_VALUE)),
        no_data=values.parse_no_data(layout.tags.text(Tag.NO_DATA)),
        floating=layout.number == Number.FLOAT,
    )
    for canvas in canvases:
        if canvas.mode == "F":
            canvas.image = scale.shades(canvas.image, inverted=layout.photometric == Photometric.WHITE_IS_ZERO)
    return *_merged(canvases, layout), scale.warnings


def _finished(
    image: Image.Image, alpha: Image.Image | None, layout: Layout, orientation: int, warnings: tuple[str, ...]
) -> Pixels:
    profile = layout.tags.block(Tag.PROFILE).data
    if image.mode in ("LA", "RGBA") and (layout.photometric != Photometric.RGB or layout.premultiplied):
        alpha = image.getchannel("A")
        image = image.convert(image.mode[:-1])
    if alpha is not None and layout.premultiplied:
        image = _unmultiplied(image, alpha)
    image = _in_colours(image, layout)
    if layout.photometric in (Photometric.CIELAB, Photometric.ICCLAB):
        profile = b""
    if alpha is not None:
        if profile and image.mode != "RGB":
            image, more = _in_srgb(image, profile)
            profile, warnings = b"", warnings + more
        image = image.convert("RGB")
        image.putalpha(alpha)
    return Pixels(image, (0, 0, *image.size), orientation, profile, warnings)


def _in_colours(image: Image.Image, layout: Layout) -> Image.Image:
    """Channels → grey, RGB or CMYK, as the photometric interpretation says."""
    kind = layout.photometric
    if kind == Photometric.WHITE_IS_ZERO and not layout.is_measured:
        return image.point(_INVERTED)
    if kind == Photometric.PALETTE:
        image.putpalette(_palette(layout))
        return image.convert("RGB")
    if kind == Photometric.YCBCR and layout.compression not in (Compression.JPEG, Compression.OLD_JPEG):
        return image.convert("RGB", _ycbcr_matrix(layout))
    if kind in (Photometric.CIELAB, Photometric.ICCLAB):
        return _lab_in_srgb(image, signed=kind == Photometric.CIELAB)
    return image


def _palette(layout: Layout) -> bytes:
    """Red, green and blue of each colour, of 8 bits; a map without any larger number was written with 8 bits."""
    count = 1 << layout.bits
    numbers = layout.tags.integers(Tag.COLOUR_MAP, 3 * count)
    shift = 8 if max(numbers) > 255 else 0
    palette = bytearray(3 * count)
    for channel in range(3):
        palette[channel::3] = bytes(number >> shift for number in numbers[channel * count : (channel + 1) * count])
    return bytes(palette)


def _ycbcr_matrix(layout: Layout) -> tuple[float, ...]:
    """YCbCr → RGB (TIFF 6.0, section 21), as Pillow takes it: three rows of three factors and an offset."""
    red, green, blue = _numbers(layout, Tag.YCBCR_COEFFICIENTS, _BT601)
    white = (1 << layout.bits) - 1
    stated = _numbers(layout, Tag.REFERENCE_BLACK_WHITE, tuple(share * white for share in _FULL_RANGE))
    black = [value * 255 / white for value in stated[0::2]]
    ranges = [value * 255 / white - low for value, low in zip(stated[1::2], black, strict=True)]
    if not green or not all(ranges):
        raise CorruptImageError(
            "The TIFF contradicts itself: its YCbCr colours have no range.", "Export the picture again and upload it."
        )
    luma, *chroma = 255 / ranges[0], 127 / ranges[1], 127 / ranges[2]
    to_blue, to_red = (2 - 2 * blue) * chroma[0], (2 - 2 * red) * chroma[1]
    rows = (
        (luma, 0.0, to_red),
        (luma, -to_blue * blue / green, -to_red * red / green),
        (luma, to_blue, 0.0),
    )
    return tuple(
        value
        for row in rows
        for value in (*row, -sum(factor * zero for factor, zero in zip(row, black, strict=True)))
    )


def _numbers(layout: Layout, tag: Tag, default: tuple[float, ...]) -> tuple[float, ...]:
    stated = layout.tags.numbers(tag, len(default))
    return stated if len(stated) == len(default) else default


def _lab_in_srgb(image: Image.Image, signed: bool) -> Image.Image:
    from image_pipeline.imaging.colour import lab_to_srgb

    # Pillow's LAB is ICC's: 128 stands for no colour. In CIELab of TIFF, both differences are signed.
    if signed:
        image = image.point(_IDENTITY + 2 * _SIGN_CHANGED)
    return lab_to_srgb(Image.merge("LAB", image.split()))


def _unmultiplied(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Colours that were multiplied by transparency, as they were before."""
    bands: list[Image.Image] = []
    for band in image.split():
        bands.append(Image.merge("RGBa", (band, band, band, alpha)).convert("RGBA").getchannel("R"))
    return bands[0] if len(bands) == 1 else Image.merge(image.mode, bands)


def _in_srgb(image: Image.Image, profile: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    from image_pipeline.imaging import colour

    try:
        return colour.to_srgb(image, profile), ()
    except colour.BrokenProfileError as error:
        return image, (f"Colours are shown as they are: {error}.",)
