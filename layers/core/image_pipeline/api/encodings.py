"""Read the header Accept-Encoding of a request."""

import re

_NO_GZIP = re.compile(r"\s*q=0(\.0*)?\s*")


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether the value of Accept-Encoding accepts gzip."""
    for choice in accept_encoding.lower().split(","):
        name, _, weight = choice.partition(";")
        if name.strip() == "gzip":
            return not _NO_GZIP.fullmatch(weight)
    return False
