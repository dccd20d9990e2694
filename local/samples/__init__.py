"""The files that `make demo` uploads: photographs with free licences (see LICENSES.md), and generated files."""

import io
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
DONE = ("COMPLETED", "PARTIAL")


@dataclass(frozen=True)
class Sample:
    """A file to upload and its expected outcome."""

    key: str
    data: bytes
    expected: tuple[str, ...] = DONE
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
    """Read files of the user, which must all succeed.

    Raises:
        OSError: A file cannot be read.
        ValueError: The local S3 does not accept the name of a file.
    """
    by_key: dict[str, Sample] = {}
    for path in map(Path, paths):
        if not path.name.isprintable():  # not UTF-8, or control characters, which the S3 of moto rejects
            raise ValueError(f"the name of {str(path)!r} contains characters that the local S3 does not accept")
        key = f"uploads/{path.name}"
        if key in by_key:
            key = f"uploads/{len(by_key) + 1}/{path.name}"
        by_key[key] = Sample(key, path.read_bytes())
    return list(by_key.values())


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
