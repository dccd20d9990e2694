"""The paths and methods of the API, as docs/openapi.yaml describes and template.yml routes them.

They are needed only to answer requests that no route accepts; API Gateway does all other routing.
"""

import re

# The most specific path first: a file name may contain folders, and may itself look like another path.
METHODS = {
    "/images/uploads/{filename}/status": ("GET", "HEAD"),
    "/images/uploads/{filename}/renditions/{name}": ("GET", "HEAD"),
    "/images/uploads/{filename}/original": ("GET",),
    "/images/uploads/{filename}/reprocess": ("POST",),
    "/images/uploads/{filename}/restore": ("POST",),
    "/images/uploads/{filename}/focus": ("PUT",),
    "/images/uploads/{filename}": ("DELETE",),
    "/images/presigned": ("POST",),
    "/images/statuses": ("POST",),
    "/images": ("GET", "POST"),
    "/access": ("GET",),
}


def _pattern(path: str) -> re.Pattern[str]:
    shape = path.replace("{filename}", ".+").replace("{name}", "[^/]+")
    # The base path of a custom domain comes before the path.
    return re.compile(f"(?:/.*)?{shape}", re.DOTALL)


_PATTERNS = {_pattern(path): methods for path, methods in METHODS.items()}


def methods(path: str) -> tuple[str, ...]:
    """Return the methods that a path accepts; empty when the path does not exist.

    The end of a path determines its kind. `…/x/status` is a status path and accepts GET, although DELETE of it deletes
    the upload `x/status`.

    Args:
        path: the URL path, decoded once by API Gateway.
    """
    return next((methods for pattern, methods in _PATTERNS.items() if pattern.fullmatch(path)), ())


def paths(method: str) -> tuple[str, ...]:
    """Return the path templates that accept a method."""
    return tuple(path for path, methods in METHODS.items() if method in methods)
