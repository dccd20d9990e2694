"""Convert upload keys to rendition keys and URL paths, and back. No other module quotes or unquotes.

The key of an upload in S3 is also the key of its record: any UTF-8 text of at most 1024 bytes that starts with
`uploads/`.
"""

import hashlib
import re
from urllib.parse import quote, unquote, unquote_plus

from image_pipeline.errors import InvalidKeyError, WrongPathError

UPLOADS_PREFIX = "uploads/"
THUMBNAILS_PREFIX = "thumbnails/"
MAX_KEY_BYTES = 1024  # S3's limit, in UTF-8 bytes
STATUS_PREFIX = "/images/"
STATUS_SUFFIX = "/status"
REPROCESS_SUFFIX = "/reprocess"
RESTORE_SUFFIX = "/restore"
FOCUS_SUFFIX = "/focus"
ORIGINAL_SUFFIX = "/original"
RENDITIONS_FOLDER = "/renditions/"

# Characters that a terminal or a mail client interprets instead of displaying them, and characters that XML excludes:
# control characters, line separators, direction marks, noncharacters, and invisible characters except the joiners that
# emoji and some scripts need.
UNPRINTABLE = (
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ufffe\uffff]"
)
_UNPRINTABLE = re.compile(rf"{UNPRINTABLE}|[\ud800-\udfff]")  # unpaired surrogates cannot be encoded

# Empty folders, `.` and `..`: URL and file libraries may resolve or drop them.
_ODD_FOLDER = r"(?:^|(?<=/))\.{0,2}(?=/|$)"

_ODD_IN_KEYS = re.compile(rf"{_ODD_FOLDER}|{UNPRINTABLE}")
_DIGEST = re.compile(r"~[0-9a-f]{64}$")
_RENDITION_BYTES = 200  # `<content id>/<name>.<ext>` is always shorter

# API Gateway cuts a path at a decoded `?`, and proxies may reject control characters.
_ODD_IN_PATHS = re.compile(rf"{_ODD_FOLDER}|[\x00-\x1f\x7f?]")
_ODD_IN_NAMES = re.compile(rf"{_ODD_FOLDER}|[\x00-\x1f\x7f-\x9f]")  # in names that API callers choose
_RENDITION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?:\.[a-z0-9]{1,5})?")
_WRAPPED = re.compile(r"[A-Za-z0-9_~!'()*%-]*%[A-Za-z0-9_~!'()*%-]*")


def printable(text: str) -> str:
    """Replace every unprintable character with `?`."""
    return _UNPRINTABLE.sub("?", text)


def rendition_prefix(image_key: str) -> str:
    """Return the folder of an upload's renditions. It contains the upload's full path, so no two uploads share a
    folder.

    A path that is too long, or that URLs or XML would change, is sanitised and truncated. A digest of the original path
    then keeps the folder unique.
    """
    path = image_key.removeprefix(UPLOADS_PREFIX)
    plain = _ODD_IN_KEYS.sub("_", path)
    room = MAX_KEY_BYTES - len(THUMBNAILS_PREFIX) - _RENDITION_BYTES
    if plain != path or len(path.encode()) > room or _DIGEST.search(path):
        digest = hashlib.sha256(path.encode()).hexdigest()
        plain = plain.encode()[: room - len(digest) - 1].decode(errors="ignore") + "~" + digest
    return f"{THUMBNAILS_PREFIX}{plain}/"


def rendition_key(image_key: str, content_id: str, file_name: str) -> str:
    """Return `thumbnails/<path>/<content id>/<name>.<ext>`.

    New bytes or a new recipe result in a new key, so responses can be cached without a time limit.
    """
    return f"{rendition_prefix(image_key)}{content_id}/{file_name}"


def is_rendition_of(image_key: str, key: str) -> bool:
    """Return whether a key is a rendition of this upload; one of `uploads/a/b.jpg` is not one of `uploads/a`."""
    prefix = rendition_prefix(image_key)
    return key.startswith(prefix) and key.removeprefix(prefix).count("/") == 1


def key_for_name(name: str) -> str:
    """Return the upload key for a name that a caller chose. Folders are kept, and nothing is decoded.

    Args:
        name: with or without a leading `uploads/`, as on the command line. An upload in a folder that is itself named
            `uploads` therefore needs the full key: `uploads/uploads/x.jpg`.

    Raises:
        InvalidKeyError: the name contains control characters or an empty, `.` or `..` folder, or is not a valid key.
    """
    name = name.removeprefix(UPLOADS_PREFIX)
    if _ODD_IN_NAMES.search(name):
        raise InvalidKeyError(
            f"The name {name[:80]!a} contains control characters, or a part that is empty, '.' or '..'.",
            "Use a name such as beach.jpg or summer/beach.jpg, without a leading or trailing slash.",
        )
    if not _is_valid(UPLOADS_PREFIX + name):
        raise _invalid_key(name)
    return UPLOADS_PREFIX + name


def folder(name: str) -> str:
    """Return a folder without `uploads/` and with a trailing slash; empty for the folder of all uploads.

    Args:
        name: with or without a leading `uploads/` and a trailing slash. Nothing is decoded, and every name that the key
            of an object can contain is accepted.

    Raises:
        InvalidKeyError: the name is empty, or no key can be in such a folder.
    """
    path = name.removeprefix(UPLOADS_PREFIX)
    path += "/" if path and not path.endswith("/") else ""
    if not name or not _is_valid(UPLOADS_PREFIX + path):
        raise InvalidKeyError(
            f"The folder {name[:80]!a} is empty, or not UTF-8 text of at most {MAX_KEY_BYTES} bytes.",
            "Use a folder such as summer/ or summer/beach/; uploads/ is the folder of all uploads.",
        )
    return path


def spellings(key: str) -> tuple[str, ...]:
    """Return the keys that a received key may mean, in the order to try them: as received, then decoded once.

    EventBridge sends raw keys and API Gateway decodes paths once, but other senders encode keys. The raw spelling comes
    first because a name can contain a literal `+` or `%25`.
    """
    decoded = unquote_plus(key)
    return (key,) if decoded == key or "�" in decoded else (key, decoded)


def notified_key(text: str) -> str:
    """Return the key from an S3 event notification, in which S3 form-encodes keys."""
    return unquote_plus(text)


def is_upload(key: str) -> bool:
    """Return whether an object with this key is an upload."""
    return key.startswith(UPLOADS_PREFIX) and _is_valid(key)


def is_utf8(text: str) -> bool:
    """Return whether the text can be encoded; text from JSON can contain unpaired surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def status_path(image_key: str) -> str:
    """Return the URL path of an upload's status. The workflow writes the same path into its notifications.

    A name that would change in transit is wrapped: encoded twice, as one path segment without a dot. A name that looks
    wrapped already is wrapped, too, so that every path means exactly one key.
    """
    name = image_key.removeprefix(UPLOADS_PREFIX)
    if _ODD_IN_PATHS.search(name) or _WRAPPED.fullmatch(name):
        name = _wrapped(name)
    return f"{STATUS_PREFIX}{UPLOADS_PREFIX}{_encoded(name)}{STATUS_SUFFIX}"


def original_path(image_key: str) -> str:
    """Return the URL path of an upload's original. A name with folders is wrapped, too.

    Only a path with one segment for the name has a route that always needs a key: a greedy variable must come last.
    """
    name = image_key.removeprefix(UPLOADS_PREFIX)
    if "/" in name or _ODD_IN_PATHS.search(name) or _WRAPPED.fullmatch(name):
        name = _wrapped(name)
    return f"{STATUS_PREFIX}{UPLOADS_PREFIX}{_encoded(name)}{ORIGINAL_SUFFIX}"


def file_name(image_key: str) -> str:
    """Return the last part of a key; empty for the key of a folder."""
    return image_key.rpartition("/")[2]


def rendition_path(image_key: str, name: str) -> str:
    """Return the URL path of a rendition.

    Args:
        image_key: the key of the upload.
        name: the name of the recipe or of the file, such as `web` or `web.webp`.
    """
    return status_path(image_key).removesuffix(STATUS_SUFFIX) + RENDITIONS_FOLDER + name


def rendition_name(path: str) -> str | None:
    """Return the rendition name in a path; None when the path is not a rendition path.

    `…/renditions/status` is the status path of an upload whose name ends in `/renditions`.

    Args:
        path: the URL path, decoded once by API Gateway.
    """
    _, separator, name = path.rpartition(RENDITIONS_FOLDER)
    return name if separator and not path.endswith(STATUS_SUFFIX) and _RENDITION_NAME.fullmatch(name) else None


def image_keys(path: str) -> tuple[str, ...]:
    """Return the keys that a status or rendition path may mean, the likeliest first.

    Args:
        path: the URL path, decoded once by API Gateway.

    Raises:
        WrongPathError: it is neither a status path nor a rendition path.
        InvalidKeyError: it does not contain a valid key.
    """
    rendition = rendition_name(path)
    suffix = RENDITIONS_FOLDER + rendition if rendition else STATUS_SUFFIX
    _, separator, name = path.removesuffix(suffix).partition(STATUS_PREFIX + UPLOADS_PREFIX)
    if not (path.endswith(suffix) and separator):
        raise WrongPathError(
            f"{path[:80]!r} is neither a status path nor a rendition path.",
            "Use /images/uploads/<filename>/status or /images/uploads/<filename>/renditions/<name>.",
        )
    names = (unquote(name), name) if _WRAPPED.fullmatch(name) else (name, unquote(name))
    candidates = tuple(UPLOADS_PREFIX + name for name in dict.fromkeys(names) if _is_valid(UPLOADS_PREFIX + name))
    if not candidates:
        raise _invalid_key(name)
    return candidates


def upload_key(path: str, suffix: str = "") -> str:
    """Return the key of the upload that a request changes. Its path equals the status path except for the suffix.

    Args:
        path: the URL path, decoded once by API Gateway.
        suffix: the part of the path after the key.

    Raises:
        WrongPathError: it is not the path of an upload with this suffix.
        InvalidKeyError: a proxy may have changed the path, or it does not contain a valid key.
    """
    _, separator, name = path.removesuffix(suffix).partition(STATUS_PREFIX + UPLOADS_PREFIX)
    if not (path.endswith(suffix) and separator):
        raise WrongPathError(
            f"{path[:80]!r} is not the path of an upload.", f"Use the path /images/uploads/<filename>{suffix}."
        )
    if _ODD_IN_PATHS.search(name):
        raise InvalidKeyError(
            f"A proxy may have changed the path {path[:80]!r}.",
            f"Use the path of the upload's status, with {suffix or 'nothing'} in place of {STATUS_SUFFIX}.",
        )
    key = UPLOADS_PREFIX + (unquote(name) if _WRAPPED.fullmatch(name) else name)
    if not _is_valid(key):
        raise _invalid_key(name)
    return key


def _invalid_key(name: str) -> InvalidKeyError:
    return InvalidKeyError(
        f"The key {name[:80]!a} is not UTF-8 text of at most {MAX_KEY_BYTES} bytes.",
        "Check the file name: no upload can have this name.",
    )


def _wrapped(name: str) -> str:
    return _encoded(name).replace("/", "%2F").replace(".", "%2E")


def _encoded(text: str) -> str:
    # JSONata's $encodeUrlComponent keeps these characters, so the workflow builds the same URL.
    return quote(text, safe="/!'()*")


def _is_valid(key: str) -> bool:
    return is_utf8(key) and len(key.encode()) <= MAX_KEY_BYTES
