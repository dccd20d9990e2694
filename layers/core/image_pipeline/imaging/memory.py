"""Limit the memory of the process, so that a wrong prediction rejects one image and does not end the process.

Admission rejects images whose predicted memory is too large. If a prediction is too low, the limit makes an allocation
fail, and the file is rejected. Without the limit, the operating system would end the process, and the upload would
fail as if the deployment were broken.
"""

from __future__ import annotations

import sys

from image_pipeline.settings import MEBIBYTE

_RESERVED_BYTES = 64 * MEBIBYTE
"""Memory of a function that Python cannot use: other processes of the runtime, code and memory-mapped files."""


def limit(function_bytes: int) -> None:
    """Make allocations fail that exceed the memory of the function. Later calls may lower or raise the limit.

    Args:
        function_bytes: memory of the whole function, in bytes.
    """
    if not sys.platform.startswith("linux"):
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (function_bytes - _RESERVED_BYTES, hard))
