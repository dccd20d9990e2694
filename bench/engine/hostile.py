"""Measure what it costs to reject hostile files."""

from __future__ import annotations

import sys
import time
import tracemalloc

from image_pipeline.errors import RejectedError
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Reader
from tests.corpus import many_scans, png, webp_bomb


def measure() -> dict[str, dict[str, float]]:
    """Return CPU seconds and additional bytes of memory for each file."""
    files = {
        "JPEG of 1,000 scans": many_scans(1000),
        "WebP of 34 bytes, 12,000 × 12,000": webp_bomb(),
        "PNG that claims 400 megapixels": png((20_000, 20_000), 8, 2, b"\0" * 99),
    }
    results = {}
    for name, data in files.items():
        seconds = []
        for _ in range(5):
            started = time.process_time()
            _reject(name, data)
            seconds.append(time.process_time() - started)
        tracemalloc.start()
        _reject(name, data)
        results[name] = {"cpu": min(seconds), "memory": tracemalloc.get_traced_memory()[1]}
        tracemalloc.stop()
    return results


def _reject(name: str, data: bytes) -> None:
    try:
        admit(Reader.of(data), Limits())
    except RejectedError:
        return
    sys.exit(f"{name} was admitted")
