"""image_pipeline.imaging.packages"""

import sys
from importlib import metadata

import pytest

from image_pipeline.imaging import packages

NAMES = ("cykooz-resizer", "pi-heif", "pillow", "pyvips-binary")


@pytest.fixture(autouse=True)
def _fresh():
    packages.versions.cache_clear()
    yield
    packages.versions.cache_clear()


def test_every_package_is_named_with_its_version():
    """The versions are those that Python's own metadata reports."""
    expected = []
    for name in NAMES:
        try:
            expected.append(f"{name.replace('-', '_')}-{metadata.version(name)}")
        except metadata.PackageNotFoundError:
            assert name == "cykooz-resizer"  # has no wheel for aarch64 Linux
    assert packages.versions() == tuple(expected)


def test_the_first_folder_of_the_path_wins(tmp_path, monkeypatch):
    """Python imports a package from the first folder that has it."""
    for folder, version in (("first", "2.0"), ("second", "1.0")):
        (tmp_path / folder / f"Pillow-{version}.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / name) for name in ("missing", "first", "second")])
    assert packages.versions() == ("pillow-2.0",)
