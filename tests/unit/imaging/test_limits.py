"""image_pipeline.imaging.formats.limits"""

import os

import pytest

from image_pipeline import settings
from image_pipeline.errors import SettingsError
from image_pipeline.imaging.formats.limits import Limits


def test_limits_are_those_of_the_deployment(environment):
    """Megabytes and megapixels arrive as bytes and pixels."""
    limits = Limits.from_settings(settings.load(os.environ))
    assert (limits.max_bytes, limits.max_pixels) == (100_000_000, 100_000_000)


def test_unknown_formats_are_refused(environment, monkeypatch):
    """A typo in a parameter fails with the list of what there is."""
    monkeypatch.setenv("IMAGE_FORMATS", "JPEG,JPG")
    with pytest.raises(SettingsError, match="JPG"):
        Limits.from_settings(settings.load(os.environ))
