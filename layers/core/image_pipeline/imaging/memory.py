"""A memory limit that ends the work on one picture, not the process that does it.

Predicted memory keeps pictures out that are too large. Should a prediction be wrong, an allocation fails here, and the
upload ends as a rejection of the file. Without the limit, the system would end the process, and the upload would end as
a fault of the deployment.
"""

from __future__ import annotations

import sys

from image_pipeline.settings import MEBIBYTE

_RESERVED_BYTES = 64 * MEBIBYTE
"""What runs beside Python in a function: the runtime's own processes, code and files mapped into memory."""


def limit(function_bytes: int) -> None:
    """Let allocations fail that go beyond what the function has.

    Args:
        function_bytes: memory of the whole function. The limit can be lowered and raised again.
    """
    if not sys.platform.startswith("linux"):
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (function_bytes - _RESERVED_BYTES, hard))
