"""`python -m bench.engine.worker LIBRARY MANNER`: run one contestant, with one JSON request per line.

A request has the path of the picture, the files to make, the options of `contestants.options`, and a folder to save
the files in, or null. The answer is {"cpu": s, "wall": s, "bytes": n, "peak": bytes}, or {"error": text}. CPU time
covers all threads.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.engine.contestants import CASCADE, MARGIN, File, Options

if TYPE_CHECKING:
    from PIL import Image

    from image_pipeline.imaging.recipes import Recipe

Files = list[File]
Make = Callable[[bytes, Files, Options], list[bytes]]
"""Make the files of one picture, in their order."""


def engine(manner: str) -> Make:
    """Return the job of this project, which also computes summary and hash."""
    if manner == "arm64":
        sys.modules["cykooz_resizer"] = None  # type: ignore[assignment]  # it has no wheel for Linux on arm64
    from image_pipeline.imaging.engine import render
    from image_pipeline.imaging.formats.limits import Limits

    def make(data: bytes, files: Files, _: Options) -> list[bytes]:
        return [rendition.data for rendition in render(data, recipes(files), Limits()).renditions]

    return make


def recipes(files: Sequence[File]) -> list[Recipe]:
    """Return a recipe for each file."""
    from image_pipeline.imaging.recipes import Recipe

    return [
        Recipe(str(place), file.width, file.height, formats=(file.format,), quality=file.quality)
        for place, file in enumerate(files)
    ]


def pillow(manner: str) -> Make:
    """Return the job of a tutorial (open, convert, copy and `thumbnail` for each size), or of an expert."""
    import pi_heif

    pi_heif.register_heif_opener()
    return _tuned_pillow if manner == "tuned" else _tutorial


def _tutorial(data: bytes, files: Files, options: Options) -> list[bytes]:
    from PIL import Image

    image = Image.open(io.BytesIO(data)).convert("RGB")
    outs = []
    for file in files:
        copy = image.copy()
        copy.thumbnail((file.width, file.height), Image.Resampling.LANCZOS)
        outs.append(_pillow_file(copy, file, options))
    return outs


def _tuned_pillow(data: bytes, files: Files, options: Options) -> list[bytes]:
    from PIL import Image

    opened = Image.open(io.BytesIO(data))
    if "draft" in options:
        shrink = options["draft"]["shrink"]
        opened.draft("RGB", (opened.width // shrink, opened.height // shrink))
    only_jpeg = all(file.format == "jpeg" for file in files)
    image = _on_background(opened, options) if only_jpeg else opened
    sizes: list[Image.Image] = []
    outs = []
    for file in files:
        source = larger(sizes, file, lambda size: size.size)
        if sizes and fitted(sizes[-1].size, file) == sizes[-1].size:
            small = sizes[-1]
        elif source is not None:
            small = source.resize(fitted(source.size, file), Image.Resampling.LANCZOS, **options["resize"])
        else:
            small = _first_reduction(image, file, options)
        sizes.append(small)
        outs.append(_pillow_file(_on_background(small, options) if file.format == "jpeg" else small, file, options))
    return outs


def _first_reduction(image: Image.Image, file: File, options: Options) -> Image.Image:
    """Reduce, then convert colours and turn, which takes less time than before the reduction."""
    from PIL import Image, ImageCms

    orientation = options["transpose"]["orientation"] if "transpose" in options else 1
    box = File(file.height, file.width, file.format, file.quality) if orientation >= 5 else file
    small = image.resize(fitted(image.size, box), Image.Resampling.LANCZOS, **options["resize"])
    if "convert" in options:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        small = ImageCms.profileToProfile(small, profile, ImageCms.createProfile("sRGB")) or small
    turns = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
    return small.transpose(turns[orientation]) if orientation in turns else small


def _on_background(image: Image.Image, options: Options) -> Image.Image:
    from PIL import Image

    if image.mode != "RGBA" or "flatten" not in options:
        return image
    out = Image.new("RGB", image.size, options["flatten"]["background"])
    out.paste(image, mask=image.getchannel("A"))
    return out


def _pillow_file(image: Image.Image, file: File, options: Options) -> bytes:
    out = io.BytesIO()
    image.save(out, file.format.upper(), quality=file.quality, **options.get(file.format, {}))
    return out.getvalue()


def vips(manner: str) -> Make:
    """Return a job with pyvips: `thumbnail_buffer` for each file, or one decode for all of them."""
    import pyvips

    pyvips.cache_set_max(0)  # the cache of operations must not return what an earlier round made
    return {"idiomatic": _idiomatic_vips, "one": _one_vips_decode, "tuned": _tuned_vips}[manner]


def _idiomatic_vips(data: bytes, files: Files, options: Options) -> list[bytes]:
    return [_vips_file(_vips_thumbnail(data, file, options), file, options) for file in files]


def _one_vips_decode(data: bytes, files: Files, options: Options) -> list[bytes]:
    base = _vips_thumbnail(data, files[0], options).copy_memory()
    return [_vips_file(_smaller(base, file, files[0]), file, options) for file in files]


def _tuned_vips(data: bytes, files: Files, options: Options) -> list[bytes]:
    import pyvips

    only_jpeg = all(file.format == "jpeg" for file in files)
    if "load" in options:
        loaded = pyvips.Image.jpegload_buffer(data, access="sequential", **options["load"])
    elif "flatten" in options and only_jpeg:
        loaded = pyvips.Image.new_from_buffer(data, "", access="sequential").flatten(**options["flatten"])
    else:
        loaded = None
    if loaded is None:
        whole = _vips_thumbnail(data, files[0], options).copy_memory()
    else:
        box = {"height": files[0].height, **options["thumbnail"]}
        whole = loaded.thumbnail_image(files[0].width, **box).copy_memory()
    keeps_alpha = "flatten" in options and not only_jpeg
    sizes = [whole.flatten(**options["flatten"]).copy_memory() if keeps_alpha else whole]
    outs = []
    for file in files:
        if file.format == "jpeg":
            source = larger(sizes, file, lambda size: (size.width, size.height))
            sizes.append(_smaller(sizes[0] if source is None else source, file, files[0]).copy_memory())
        outs.append(_vips_file(sizes[-1] if file.format == "jpeg" else _smaller(whole, file, files[0]), file, options))
    return outs


def _vips_thumbnail(data: bytes, file: File, options: Options) -> Any:
    import pyvips

    return pyvips.Image.thumbnail_buffer(data, file.width, height=file.height, **options["thumbnail"])


def _smaller(image: Any, file: File, first: File) -> Any:
    """Reduce an image that was made for the first file."""
    if (file.width, file.height) == (first.width, first.height):
        return image
    return image.thumbnail_image(file.width, height=file.height, size="down")


def _vips_file(image: Any, file: File, options: Options) -> bytes:
    save = image.jpegsave_buffer if file.format == "jpeg" else image.webpsave_buffer
    return bytes(save(Q=file.quality, **options.get(file.format, {})))


REDUCED_COLOURS = {1: 1, 2: 17, 4: 33, 8: 65}
"""IMREAD_COLOR and IMREAD_REDUCED_COLOR_2, 4 and 8 of OpenCV, by reduction."""


def opencv(_: str) -> Make:
    """Return the job with OpenCV, which knows neither profiles nor transparency on white."""
    import cv2
    import numpy

    def make(data: bytes, files: Files, options: Options) -> list[bytes]:
        flag = REDUCED_COLOURS[options["load"]["shrink"]] if "load" in options else cv2.IMREAD_COLOR
        image = cv2.imdecode(numpy.frombuffer(data, numpy.uint8), flag)
        sizes, outs = [image], []
        for file in files:
            reduced = larger(sizes, file, lambda size: (size.shape[1], size.shape[0]))
            source = image if reduced is None else reduced
            size = fitted((source.shape[1], source.shape[0]), file)
            sizes.append(cv2.resize(source, size, interpolation=cv2.INTER_AREA))
            jpeg = file.format == "jpeg"
            kind, option = (".jpg", cv2.IMWRITE_JPEG_QUALITY) if jpeg else (".webp", cv2.IMWRITE_WEBP_QUALITY)
            outs.append(cv2.imencode(kind, sizes[-1], [option, file.quality])[1].tobytes())
        return outs

    return make


def larger(sizes: list[Any], file: File, size_of: Callable[[Any], tuple[int, int]]) -> Any:
    """Return the smallest size that a cascade can make a file from; None if there is none."""
    enough = [
        size for size in sizes
        if size_of(size)[0] >= CASCADE * file.width or size_of(size)[1] >= CASCADE * file.height
    ]  # fmt: skip
    return enough[-1] if enough else None


def fitted(size: tuple[int, int], file: File) -> tuple[int, int]:
    """Return the size within the box of a file; nothing is enlarged."""
    scale = min(1.0, file.width / size[0], file.height / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def decode(library: str) -> Make:
    """Return a decode alone, at the smallest size that is large enough for the first file."""

    def by_pillow(data: bytes, _: Files, options: Options) -> list[bytes]:
        import pi_heif
        from PIL import Image

        pi_heif.register_heif_opener()
        image = Image.open(io.BytesIO(data))
        if "load" in options:
            image.draft("RGB", (image.width // options["load"]["shrink"], image.height // options["load"]["shrink"]))
        image.load()
        return []

    def by_vips(data: bytes, files: Files, options: Options) -> list[bytes]:
        import pyvips

        pyvips.cache_set_max(0)
        image = pyvips.Image.new_from_buffer(data, "", access="sequential", **options.get("load", {}))
        if image.get("vips-loader").startswith("webp"):
            scale = MARGIN * max(files[0].width / image.width, files[0].height / image.height)
            image = pyvips.Image.new_from_buffer(data, "", access="sequential", scale=min(1.0, scale))
        image.copy_memory()
        return []

    def by_opencv(data: bytes, _: Files, options: Options) -> list[bytes]:
        import cv2
        import numpy

        flag = REDUCED_COLOURS[options["load"]["shrink"]] if "load" in options else cv2.IMREAD_COLOR
        if cv2.imdecode(numpy.frombuffer(data, numpy.uint8), flag) is None:
            raise ValueError("OpenCV cannot decode this format")
        return []

    return {"pillow": by_pillow, "vips": by_vips, "opencv": by_opencv}[library]


def encode(_manner: str) -> Make:
    """Return the engine's encoders and its conversion of colours alone; the first call prepares the pixels."""
    import pi_heif
    from PIL import Image

    from image_pipeline.imaging.colour import to_srgb
    from image_pipeline.imaging.encode import encode as encoded

    pi_heif.register_heif_opener()
    prepared: dict[str, tuple[list[Image.Image], bytes]] = {}

    def make(data: bytes, files: Files, _: Options) -> list[bytes]:
        key = str(files)
        if key not in prepared:
            image = Image.open(io.BytesIO(data))
            small = [image.resize(fitted(image.size, file), Image.Resampling.LANCZOS) for file in files]
            opaque = [size if size.mode in ("L", "RGB") else size.convert("RGB") for size in small]
            prepared[key] = opaque, image.info.get("icc_profile", b"")
        images, profile = prepared[key]
        if profile:
            to_srgb(images[0], profile)
        return [encoded(image, file.format, file.quality, b"") for image, file in zip(images, files, strict=True)]

    return make


LIBRARIES: dict[str, Callable[[str], Make]] = {
    "engine": engine,
    "pillow": pillow,
    "vips": vips,
    "opencv": opencv,
    "decode": decode,
    "encode": encode,
}


def peak_memory() -> int:
    """Return the peak resident memory of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def answer(make: Make, request: dict[str, Any]) -> dict[str, Any]:
    """Run the job once."""
    data = Path(request["path"]).read_bytes()
    files = [File(**file) for file in request["files"]]
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        outs = make(data, files, request["options"])
    except Exception as error:  # a library that cannot decode this format has no line in the table
        return {"error": f"{type(error).__name__}: {error}"}
    measured = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "bytes": sum(map(len, outs)),
        "peak": peak_memory(),
    }
    if request["save"]:
        for place, out in enumerate(outs):
            (Path(request["save"]) / str(place)).write_bytes(out)
    return measured


def main() -> None:
    """Serve requests until the input ends."""
    make = LIBRARIES[sys.argv[1]](sys.argv[2])
    for line in sys.stdin:
        print(json.dumps(answer(make, json.loads(line))), flush=True)
    os._exit(0)  # libvips is slow to shut down


if __name__ == "__main__":
    main()
