"""The files that `make demo` uploads: photographs with free licences (see LICENSES.md), and generated files."""

import io
import unicodedata
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from image_pipeline.keys import UPLOADS_PREFIX
from image_pipeline_cli import files

_HERE = Path(__file__).parent
SUCCESSES = ("COMPLETED", "PARTIAL")
_REFUSED = ("Cc", "Cs")  # control characters, which the S3 of moto rejects, and what is not UTF-8


@dataclass(frozen=True)
class Sample:
    """A file to upload and its expected outcome."""

    key: str
    data: bytes
    expected: tuple[str, ...] = SUCCESSES
    error: str | None = None


def samples() -> list[Sample]:
    """Return the samples: four photographs, a transparent drawing with an unusual name, and a text that must fail."""
    return [
        *(Sample(f"uploads/{name}.jpg", (_HERE / f"{name}.jpg").read_bytes()) for name in ("astronaut", "coffee")),
        Sample("uploads/places/Cape Canaveral.jpg", (_HERE / "rocket.jpg").read_bytes()),
        Sample("uploads/pets/Chelsea (1).jpg", (_HERE / "cat.jpg").read_bytes()),
        Sample("uploads/50 % grün + 🦊.png", _drawing()),
        Sample(
            "uploads/notes.jpg",
            b"This is a text, whatever its name says.\n",
            expected=("FAILED",),
            error="UnsupportedFormatError",
        ),
    ]


def from_files(paths: list[str]) -> list[Sample]:
    """Read files of the user, and all files in folders. All must succeed.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file in a folder cannot be uploaded, or the local S3 does not accept a name.
    """
    by_key: dict[str, Sample] = {}
    for file in chain.from_iterable(map(_find, map(Path, paths))):
        if any(unicodedata.category(character) in _REFUSED for character in file.key):
            raise ValueError(f"the name of {str(file.path)!r} contains characters that the local S3 does not accept")
        key = file.key
        if key in by_key:
            key = f"{UPLOADS_PREFIX}{len(by_key) + 1}/{key.removeprefix(UPLOADS_PREFIX)}"
        by_key[key] = Sample(key, file.path.read_bytes())
    return list(by_key.values())


def _find(path: Path) -> list[files.LocalFile]:
    """Return a file, or the files in a folder as `image-pipeline upload` finds them."""
    if not path.is_dir():
        return [files.LocalFile(path, UPLOADS_PREFIX + path.name)]
    local_files, skipped = files.find([str(path)], UPLOADS_PREFIX)
    for entry in skipped:
        if entry.is_error:
            raise ValueError(f"{str(entry.path)!r} {entry.reason}")
    if not local_files:
        raise ValueError(f"{str(path)!r} contains no file to process")
    return local_files


def _drawing() -> bytes:
    """Draw a disc with a transparent edge as a PNG."""
    from PIL import Image

    size = 400
    fade = Image.radial_gradient("L").resize((size, size)).point(lambda value: max(0, 255 - value * 2))
    disc = Image.new("RGBA", (size, size), (200, 90, 20, 0))
    disc.putalpha(fade)
    data = io.BytesIO()
    disc.save(data, "PNG")
    return data.getvalue()
