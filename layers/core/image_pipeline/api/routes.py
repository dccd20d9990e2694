"""Which paths the API has, and with which methods: what docs/openapi.yaml promises and template.yml routes.

For answers to requests that no function takes. Everything else is API Gateway's to know.
"""

import re

# The most specific first: a name has any folders, and may end like another path or hold one.
METHODS = {
    "/images/uploads/{filename}/status": ("GET",),
    "/images/uploads/{filename}/renditions/{name}": ("GET",),
    "/images/uploads/{filename}/reprocess": ("POST",),
    "/images/uploads/{filename}": ("DELETE",),
    "/images/presigned": ("POST",),
    "/images": ("GET", "POST"),
}


def _pattern(path: str) -> re.Pattern[str]:
    shape = path.replace("{filename}", ".+").replace("{name}", "[^/]+")
    # The base path of a custom domain comes before the path.
    return re.compile(f"(?:/.*)?{shape}", re.DOTALL)


_PATTERNS = {_pattern(path): methods for path, methods in METHODS.items()}


def methods(path: str) -> tuple[str, ...]:
    """The methods that a path is there for; none where there is no such path.

    The end of a path tells what it is. An upload may be called like one, so DELETE of `…/x/status` deletes the upload
    `x/status`; yet the path is that of a status, which takes GET.

    Args:
        path: the URL's path, decoded once by API Gateway.
    """
    return next((methods for pattern, methods in _PATTERNS.items() if pattern.fullmatch(path)), ())


def paths(method: str) -> tuple[str, ...]:
    """The paths, with their variables, that are there for a method."""
    return tuple(path for path, methods in METHODS.items() if method in methods)
