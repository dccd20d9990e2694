"""Compare etags for conditional requests."""

import re

_ETAG_OR_STAR = re.compile(r'(?:W/)?("[^"]*")|(\*)')


def matches(if_none_match: str, tag: str) -> bool:
    """Return whether a request's If-None-Match contains the etag or `*`."""
    return any(star or etag == tag.removeprefix("W/") for etag, star in _ETAG_OR_STAR.findall(if_none_match))
