"""Bytes → pixels: starts the decoder of the format, and turns what it stumbles over into errors of ours.

Every format is opened by its own plugin, chosen by what the content is: Pillow's guessing would load all of its
plugins, and would take a JPEG with a second picture behind it for something else.
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

_HINT = "Export the picture again and upload it."


def decode(reader: Reader, header: Header, reduction: float = 1.0) -> Pixels:
    """Decode the first frame.

    Args:
        reader: the file, in memory.
        header: what `admission.admit` found in it.
        reduction: original over the largest size that is wanted, at least 1. JPEG and lossy WebP are decoded smaller,
            with a margin that is left to Lanczos; other formats ignore it.

    Raises:
        CorruptImageError: the pixels are cut off or cannot be decoded.
        ImageTooLargeError: the memory did not suffice after all.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on metadata change no pixel
            decoder: Decoder = import_module(f"image_pipeline.imaging.decoders.{header.format.lower()}").decode
            return decoder(reader, header, reduction)
    except RejectedError:
        raise
    except MemoryError as error:
        raise ImageTooLargeError(
            f"Decoding {header.width} × {header.height} pixels of {header.format} took more memory than there is.",
            "Upload a smaller version of the picture.",
        ) from error
    except ImportError:
        raise  # a decoder is missing: the deployment is broken, not the picture
    except Exception as error:  # decoders of hostile files raise whatever they stumble over
        words = " ".join(str(error).split()) or type(error).__name__
        if "truncated" in words.lower():  # Pillow's word, with a count of bytes that helps nobody
            raise CorruptImageError(
                f"The {header.format} is cut off: its data ends before the picture does.",
                "It was probably not transferred completely: upload it again from the original.",
            ) from error
        # The decoder's own words mean something to its authors only; the log has them as the cause of this error.
        raise CorruptImageError(f"The {header.format} is damaged: its pixels cannot be decoded.", _HINT) from error
