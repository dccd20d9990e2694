"""What `make demo` uploads: photographs of free licence (see LICENSES.md), and what is made here when it is needed."""

import io
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
DONE = ("COMPLETED", "PARTIAL")


@dataclass(frozen=True)
class Sample:
    """A file to upload, and how it must come out."""

    key: str
    data: bytes
    expected: tuple[str, ...] = DONE
    error: str | None = None


def samples() -> list[Sample]:
    """List the samples: four photographs, a transparent drawing with an awkward name, and a text that must fail."""
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


def own(paths: list[str]) -> list[Sample]:
    """Take a user's own files, which are all expected to work.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file's name cannot be uploaded from here.
    """
    taken: dict[str, Sample] = {}
    for path in map(Path, paths):
        if not path.name.isprintable():  # no UTF-8, or control characters, which moto's S3 does not take
            raise ValueError(f"the name of {str(path)!r} has characters that the local S3 does not take")
        key = f"uploads/{path.name}"
        if key in taken:
            key = f"uploads/{len(taken) + 1}/{path.name}"
        taken[key] = Sample(key, path.read_bytes())
    return list(taken.values())


def _drawing() -> bytes:
    """Draw a disc that fades out: a PNG with transparency."""
    from PIL import Image

    size = 400
    fade = Image.radial_gradient("L").resize((size, size)).point(lambda value: max(0, 255 - value * 2))
    disc = Image.new("RGBA", (size, size), (200, 90, 20, 0))
    disc.putalpha(fade)
    data = io.BytesIO()
    disc.save(data, "PNG")
    return data.getvalue()
