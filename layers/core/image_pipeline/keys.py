"""Upload key ↔ rendition key ↔ URL path. The only place that quotes or unquotes.

An upload's key is its record's key, as S3 has it: any UTF-8 text of at most 1024 bytes under `uploads/`.
"""

import hashlib
from urllib.parse import quote, unquote, unquote_plus

from image_pipeline.errors import InvalidKeyError

UPLOADS_PREFIX = "uploads/"
THUMBNAILS_PREFIX = "thumbnails/"
MAX_KEY_BYTES = 1024  # S3's limit, in UTF-8 bytes
STATUS_PREFIX = "/images/"
STATUS_SUFFIX = "/status"


def rendition_prefix(image_key: str) -> str:
    """The folder of all renditions of an upload: its whole path, so that no two uploads share one."""
    path = image_key.removeprefix(UPLOADS_PREFIX)
    # The longest that may follow is `<content id>/<name>.<ext>`; a path that leaves no room for it is cut, and its
    # digest keeps it apart from every other.
    room = MAX_KEY_BYTES - len(THUMBNAILS_PREFIX) - 200
    encoded = path.encode()
    if len(encoded) > room:
        digest = hashlib.sha256(encoded).hexdigest()
        path = encoded[: room - len(digest) - 1].decode(errors="ignore") + "~" + digest
    return f"{THUMBNAILS_PREFIX}{path}/"


def rendition_key(image_key: str, content_id: str, file_name: str) -> str:
    """`thumbnails/<path>/<content id>/<name>.<ext>`: new bytes or a new recipe get a new name, cacheable for ever."""
    return f"{rendition_prefix(image_key)}{content_id}/{file_name}"


def is_rendition_of(image_key: str, key: str) -> bool:
    """Whether a key below the upload's `rendition_prefix` is its own: `uploads/a/b.jpg` is not of `uploads/a`."""
    prefix = rendition_prefix(image_key)
    return key.startswith(prefix) and key.removeprefix(prefix).count("/") == 1


def spellings(key: str) -> tuple[str, ...]:
    """The key as it came, then decoded once if that differs: try them in this order.

    EventBridge sends keys raw and API Gateway decodes paths once, but other senders encode. The raw spelling goes
    first because a name may truly hold `+` or `%25`.
    """
    decoded = unquote_plus(key)
    return (key,) if decoded == key or "�" in decoded else (key, decoded)


def status_path(image_key: str) -> str:
    """The URL path of an upload's status. `?` is encoded twice: API Gateway cuts the path at a decoded one."""
    return f"{STATUS_PREFIX}{quote(image_key, safe='/').replace('%3F', '%253F')}{STATUS_SUFFIX}"


def image_keys(path: str) -> tuple[str, ...]:
    """The keys that the path of a status request may mean, likeliest first; undoes `status_path`.

    Args:
        path: the URL's path, decoded once by API Gateway.

    Raises:
        InvalidKeyError: it is not the path of a status, or cannot be a key.
    """
    _, found, key = path.removesuffix(STATUS_SUFFIX).partition(STATUS_PREFIX + UPLOADS_PREFIX)
    if not (path.endswith(STATUS_SUFFIX) and found and key):
        raise InvalidKeyError(f"{path!r} is not the path of a status.", "Ask for /images/uploads/<filename>/status.")
    names = dict.fromkeys((key, unquote(key)))
    candidates = tuple(UPLOADS_PREFIX + name for name in names if _is_possible(UPLOADS_PREFIX + name))
    if not candidates:
        raise InvalidKeyError(
            f"The key {key[:80]!r} is not UTF-8 text of at most {MAX_KEY_BYTES} bytes.",
            "Check the file name: no upload can have this one.",
        )
    return candidates


def _is_possible(key: str) -> bool:
    try:
        return len(key.encode()) <= MAX_KEY_BYTES and "\0" not in key
    except UnicodeEncodeError:
        return False
