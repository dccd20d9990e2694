"""image_pipeline.imaging.formats.limits"""

import os
import subprocess
import sys

import pytest

from image_pipeline import settings
from image_pipeline.errors import SettingsError
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import RUNTIME_BYTES, Limits, format_names
from tests.conftest import ROOT

LOADED = """
import boto3
from image_pipeline.imaging import engine
from image_pipeline.imaging.decoders import avif, bmp, gif, heif, jpeg, png, tiff, webp

boto3.client("s3", region_name="eu-central-1")
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmRSS")))
"""


def test_limits_are_those_of_the_deployment(environment):
    """Megabytes and megapixels are converted to bytes and pixels."""
    limits = Limits.from_settings(settings.load(os.environ))
    assert (limits.max_bytes, limits.max_pixels) == (150_000_000, 250_000_000)


@pytest.mark.parametrize(
    ("header", "size_bytes"),
    [
        (Header("JPEG", 16_320, 12_288, "RGB", camera=True, sampling=1.5), 100_000_000),
        (Header("JPEG", 16_320, 12_288, "RGB", sampling=3), 100_000_000),
        (Header("HEIF", 8_160, 6_144, "RGB", bytes_per_pixel=9.5), 50_000_000),
        (Header("HEIF", 8_160, 6_144, "RGB", bits=10, bytes_per_pixel=13), 50_000_000),
    ],
)
def test_the_defaults_accept_images_of_phones(environment, header, size_bytes):
    """JPEG of 200 megapixels, with and without EXIF, and HEIC of 50 with 8 and 10 bits."""
    limits = Limits.from_settings(settings.load(os.environ))
    assert header.width * header.height <= limits.max_pixels
    assert size_bytes <= limits.max_bytes
    assert header.predicted_memory(limits.rendition_side) + size_bytes <= limits.memory_bytes


def test_unknown_formats_are_refused(environment, monkeypatch):
    """The error names the unknown format."""
    monkeypatch.setenv("IMAGE_FORMATS", "JPEG,JPG")
    with pytest.raises(SettingsError, match="JPG"):
        Limits.from_settings(settings.load(os.environ))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/status")
def test_the_memory_for_an_image_excludes_that_of_the_runtime(environment, monkeypatch):
    """A process that has loaded all libraries fits into the memory reserved for the runtime."""
    monkeypatch.setenv("RENDER_MEMORY_MEGABYTES", "1024")
    assert Limits.from_settings(settings.load(os.environ)).memory_bytes == 1024 * settings.MEBIBYTE - RUNTIME_BYTES
    path = {"PYTHONPATH": str(ROOT / "layers" / "core"), "HOME": "/nonexistent"}
    process = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, env=path, check=True)
    assert 0 < int(process.stdout) * 1024 <= RUNTIME_BYTES


def test_common_formats_are_listed_first():
    """A hint begins with the formats that every program can write."""
    assert format_names({"BMP", "JPEG", "AVIF", "PNG"}) == "JPEG, PNG, AVIF, BMP"
