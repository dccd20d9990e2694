"""Fetch files from packages of Debian and PyPI by their ordinary clients."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path


def unpack_debian(package: str, folder: Path) -> None:
    """Download a package of Debian and unpack it to a new folder."""
    # Without the option, apt complains that its own user cannot write to the folder.
    _unpack(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package], folder)


def unpack_wheel(requirement: str, python: str, folder: Path) -> None:
    """Download a wheel for a version of Python on Linux, without what it depends on, and unpack it to a new folder."""
    options = ["--no-deps", "--only-binary", ":all:", "--platform", "manylinux1_x86_64"]
    options += ["--platform", "manylinux2014_x86_64", "--python-version", python]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    _unpack([*pip, *options, requirement], folder)


def _unpack(download: list[str], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # In the same file system, so that the folder appears only when it is complete.
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        try:
            subprocess.run(download, cwd=temporary, check=True)  # noqa: S603  our own commands
            (file,) = Path(temporary).iterdir()
            unpacked = Path(temporary, "unpacked")
            if file.suffix == ".deb":
                subprocess.run(["dpkg-deb", "--extract", file, unpacked], check=True)  # noqa: S603, S607
            else:
                with zipfile.ZipFile(file) as wheel:
                    wheel.extractall(unpacked)
        except (OSError, subprocess.CalledProcessError, ValueError) as error:
            sys.exit(
                f"{download[-1]} could not be fetched: {error}. Check the network and, for a package of Debian, run "
                f"`apt-get update`; or unpack it to {folder} yourself."
            )
        unpacked.rename(folder)
