"""Crop decoded AVIF and HEIF pixels and find their colour profile."""

from __future__ import annotations

from PIL import Image

from image_pipeline.errors import CorruptImageError
from image_pipeline.imaging.cicp import cicp_profile
from image_pipeline.imaging.containers import av1
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.heif_image import AV1, HeifImage
from image_pipeline.imaging.pixels import Pixels, check_size


def check_sizes(size: tuple[int, int], heif_image: HeifImage, header: Header) -> None:
    """Compare the size that a decoder reports with the stored size, and the admitted size with the crop.

    Raises:
        CorruptImageError: the sizes differ.
    """
    check_size((heif_image.placement.width, heif_image.placement.height), header)
    if size != heif_image.item.size:
        stored = heif_image.item.size
        raise CorruptImageError(
            f"The {header.format} contradicts itself: its boxes declare {stored[0]} × {stored[1]} pixels, "
            f"but its image data has {size[0]} × {size[1]}.",
            "Export the image again and upload it.",
        )


def pixels_of(decoded: Image.Image, heif_image: HeifImage, header: Header) -> Pixels:
    """Crop the pixels that a decoder made from `heif_writer.write(heif_image.item)`, and add their colour profile.

    Raises:
        CorruptImageError: the size differs from the admitted one.
    """
    check_sizes(decoded.size, heif_image, header)
    plain = decoded._new(decoded.im)  # the pixels alone: the opened file would also keep the decoder's planes
    image = plain.convert("RGBA") if plain.mode in ("LA", "La", "RGBa") else plain
    if heif_image.placement.box != (0, 0, *image.size):
        image = image.crop(heif_image.placement.box)
    profile = _profile(heif_image, grey=image.mode == "L")
    return Pixels(image, (0, 0, *image.size), header.orientation, profile)


def _profile(heif_image: HeifImage, grey: bool) -> bytes:
    """Return the ICC profile, else one for the code points in the boxes or in the AV1 data; empty for sRGB.

    A grid without colour properties has those of its tiles.
    """
    first = next(heif_image.item.coded())
    colours = dict(heif_image.item.colours()) or dict(first.colours())
    for kind in (b"prof", b"rICC"):
        if kind in colours:
            return colours[kind].data
    if b"nclx" in colours:
        body = colours[b"nclx"]
        code_points = body.number(0, 2), body.number(2, 2)
    elif first.kind == AV1:
        code_points = av1.frames_in(first.data).sequence.colours
    else:
        return b""
    return cicp_profile(*code_points, grey=grey) or b""
