"""Decode bytes to pixels: call the decoder of the format and translate its exceptions into the pipeline's errors.

The format that admission found decides the decoder. Pillow's own detection would load all of its plugins, and would
take a JPEG that is followed by a second image for another format.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module

from image_pipeline.errors import CorruptImageError, ImageTooLargeError, RejectedError
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import Pixels
from image_pipeline.imaging.reader import Reader

Decoder = Callable[[Reader, Header, float], Pixels]

_HINT = "Export the image again and upload it."


def decode(reader: Reader, header: Header, reduction: float = 1.0) -> Pixels:
    """Decode the first frame.

    Args:
        reader: the file, in memory.
        header: the result of `admission.admit`.
        reduction: size of the original divided by the largest size needed, at least 1. JPEG and lossy WebP are decoded
            at a smaller size, with a margin for the Lanczos filter, and libvips reduces PNG; other formats ignore it.

    Raises:
        CorruptImageError: the pixels are cut off or cannot be decoded.
        ImageTooLargeError: decoding needed more memory than predicted and than available.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about metadata, which changes no pixel
            decoder: Decoder = import_module(f"image_pipeline.imaging.decoders.{header.format.lower()}").decode
            return decoder(reader, header, reduction)
    except RejectedError:
        raise
    except MemoryError as error:
        raise ImageTooLargeError(
            f"Decoding {header.width} × {header.height} pixels of {header.format} needs more memory than is available.",
            "Upload a smaller version of the image.",
        ) from error
    except ImportError:
        raise  # a decoder is not installed: the deployment is broken, not the image
    except Exception as error:  # on a hostile file, decoders raise exceptions of any type
        if "truncated" in str(error).lower():  # Pillow's word for data that ends too early
            raise CorruptImageError(
                f"The {header.format} is cut off: its data ends before the image is complete.",
                "The transfer was probably interrupted: upload the original file again.",
            ) from error
        # The decoder's message helps only its authors. The log contains it, as the cause of this error.
        raise CorruptImageError(f"The {header.format} is damaged: its pixels cannot be decoded.", _HINT) from error
