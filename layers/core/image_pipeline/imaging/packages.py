"""The versions of the packages that decode, resize and encode. They are part of every content id."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from functools import lru_cache

_DISTRIBUTION = re.compile(r"((?:pillow|pi_heif|pyvips_binary|cykooz_resizer)-[^-]+)\.dist-info", re.IGNORECASE)
"""The folder with the metadata of an installed package (PEP 376). Importing the packages would take 50 ms."""


@lru_cache(maxsize=1)
def versions() -> tuple[str, ...]:
    """Return `name-version` of each package that is installed, sorted."""
    installed: dict[str, str] = {}
    for folder in sys.path:
        with suppress(OSError), os.scandir(folder or ".") as entries:
            for match in filter(None, (_DISTRIBUTION.fullmatch(entry.name) for entry in entries)):
                package = match[1].lower()
                installed.setdefault(package.partition("-")[0], package)  # Python imports from the first folder
    return tuple(sorted(installed.values()))
