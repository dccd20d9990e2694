"""Upload key ↔ rendition key ↔ URL path, and what of a key is shown. The only place that quotes or unquotes.

An upload's key is its record's key, as S3 has it: any UTF-8 text of at most 1024 bytes under `uploads/`.
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
RENDITIONS_FOLDER = "/renditions/"

# What a terminal or a mail obeys instead of showing it, and what XML cannot hold: control characters, line separators,
# marks of direction, invisible characters except those that join emoji and letters, noncharacters.
UNSHOWABLE = (
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ufffe\uffff]"
)
_UNSHOWABLE = re.compile(rf"{UNSHOWABLE}|[\ud800-\udfff]")  # halves of characters, which cannot be printed

# Folders without a name, `.` and `..`: whoever handles a URL or a file may resolve or drop them.
_ODD_FOLDER = r"(?:^|(?<=/))\.{0,2}(?=/|$)"

_ODD_IN_KEYS = re.compile(rf"{_ODD_FOLDER}|{UNSHOWABLE}")
_DIGEST = re.compile(r"~[0-9a-f]{64}$")
_RENDITION_BYTES = 200  # more than `<content id>/<name>.<ext>` ever has

# API Gateway cuts a path at a decoded `?`, and control characters may be refused on the way.
_ODD_IN_PATHS = re.compile(rf"{_ODD_FOLDER}|[\x00-\x1f\x7f?]")
_ODD_IN_NAMES = re.compile(rf"{_ODD_FOLDER}|[\x00-\x1f\x7f-\x9f]")  # of uploads that callers of the API name
_RENDITION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?:\.[a-z0-9]{1,5})?")
_WRAPPED = re.compile(r"[A-Za-z0-9_~!'()*%-]*%[A-Za-z0-9_~!'()*%-]*")


def shown(text: str) -> str:
    """The text with `?` for whatever would be obeyed or hidden where it is shown."""
    return _UNSHOWABLE.sub("?", text)


def rendition_prefix(image_key: str) -> str:
    """The folder of all renditions of an upload: its whole path, so that no two uploads share one.

    A path that is too long for that, or that a URL or XML does not carry unharmed, is made plain and cut; its digest
    keeps it apart from every other.
    """
    path = image_key.removeprefix(UPLOADS_PREFIX)
    plain = _ODD_IN_KEYS.sub("_", path)
    room = MAX_KEY_BYTES - len(THUMBNAILS_PREFIX) - _RENDITION_BYTES
    if plain != path or len(path.encode()) > room or _DIGEST.search(path):
        digest = hashlib.sha256(path.encode()).hexdigest()
        plain = plain.encode()[: room - len(digest) - 1].decode(errors="ignore") + "~" + digest
    return f"{THUMBNAILS_PREFIX}{plain}/"


def rendition_key(image_key: str, content_id: str, file_name: str) -> str:
    """`thumbnails/<path>/<content id>/<name>.<ext>`: new bytes or a new recipe get a new name, cacheable for ever."""
    return f"{rendition_prefix(image_key)}{content_id}/{file_name}"


def is_rendition_of(image_key: str, key: str) -> bool:
    """Whether a key below the upload's `rendition_prefix` is its own: `uploads/a/b.jpg` is not of `uploads/a`."""
    prefix = rendition_prefix(image_key)
    return key.startswith(prefix) and key.removeprefix(prefix).count("/") == 1


def named(name: str) -> str:
    """The key of an upload that shall be called so: folders are kept, and the name is taken as it is.

    Args:
        name: with or without a leading `uploads/`, as the command line takes it. So an upload in a folder that is
            itself called `uploads` needs the whole key: `uploads/uploads/x.jpg`.

    Raises:
        InvalidKeyError: a folder is empty, `.` or `..`, there are control characters, or it cannot be a key.
    """
    name = name.removeprefix(UPLOADS_PREFIX)
    if _ODD_IN_NAMES.search(name):
        raise InvalidKeyError(
            f"The name {name[:80]!a} has control characters, or a part that is empty, '.' or '..'.",
            "Use a name like beach.jpg or summer/beach.jpg, without a slash at either end.",
        )
    if not _is_possible(UPLOADS_PREFIX + name):
        raise _impossible(name)
    return UPLOADS_PREFIX + name


def spellings(key: str) -> tuple[str, ...]:
    """The key as it came, then decoded once if that differs: try them in this order.

    EventBridge sends keys raw and API Gateway decodes paths once, but other senders encode. The raw spelling goes
    first because a name may truly hold `+` or `%25`.
    """
    decoded = unquote_plus(key)
    return (key,) if decoded == key or "�" in decoded else (key, decoded)


def notified_key(text: str) -> str:
    """The key in a notification that S3 sends by itself, which encodes it as a form does."""
    return unquote_plus(text)


def is_upload(key: str) -> bool:
    """Whether an object with this key is an upload."""
    return key.startswith(UPLOADS_PREFIX) and _is_possible(key)


def is_utf8(text: str) -> bool:
    """Whether the text can be sent at all: JSON may hold halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def status_path(image_key: str) -> str:
    """The URL path of an upload's status; the workflow writes the same one into its notifications.

    A name that would not arrive as it is goes wrapped: encoded twice, as one folder without a dot. So does a name that
    looks wrapped by itself, so that every path means one key.
    """
    name = image_key.removeprefix(UPLOADS_PREFIX)
    if _ODD_IN_PATHS.search(name) or _WRAPPED.fullmatch(name):
        name = _encoded(name).replace("/", "%2F").replace(".", "%2E")
    return f"{STATUS_PREFIX}{UPLOADS_PREFIX}{_encoded(name)}{STATUS_SUFFIX}"


def rendition_path(image_key: str, name: str) -> str:
    """The URL path of one rendition of an upload: the sibling of its status.

    Args:
        image_key: the upload.
        name: of the recipe, or of the file, such as `web` or `web.webp`.
    """
    return status_path(image_key).removesuffix(STATUS_SUFFIX) + RENDITIONS_FOLDER + name


def rendition_name(path: str) -> str | None:
    """The rendition that a path means; None when it means a status, as `…/renditions/status` does, or nothing.

    Args:
        path: the URL's path, decoded once by API Gateway.
    """
    _, found, name = path.rpartition(RENDITIONS_FOLDER)
    return name if found and not path.endswith(STATUS_SUFFIX) and _RENDITION_NAME.fullmatch(name) else None


def image_keys(path: str) -> tuple[str, ...]:
    """The keys that the path of a status or of a rendition may mean, likeliest first; undoes what makes such paths.

    Args:
        path: the URL's path, decoded once by API Gateway.

    Raises:
        WrongPathError: it is no such path.
        InvalidKeyError: it cannot be a key.
    """
    rendition = rendition_name(path)
    suffix = RENDITIONS_FOLDER + rendition if rendition else STATUS_SUFFIX
    _, found, name = path.removesuffix(suffix).partition(STATUS_PREFIX + UPLOADS_PREFIX)
    if not (path.endswith(suffix) and found):
        raise WrongPathError(
            f"{path[:80]!r} is the path of no status and of no rendition.",
            "Ask for /images/uploads/<filename>/status or /images/uploads/<filename>/renditions/<name>.",
        )
    names = (unquote(name), name) if _WRAPPED.fullmatch(name) else (name, unquote(name))
    candidates = tuple(UPLOADS_PREFIX + name for name in dict.fromkeys(names) if _is_possible(UPLOADS_PREFIX + name))
    if not candidates:
        raise _impossible(name)
    return candidates


def upload_key(path: str, suffix: str = "") -> str:
    """The one key that a request to change an upload means: that whose status has the same path, but for the suffix.

    Args:
        path: the URL's path, decoded once by API Gateway.
        suffix: what comes after the key.

    Raises:
        WrongPathError: it is no such path.
        InvalidKeyError: it may have been another one on the way, or cannot be a key.
    """
    _, found, name = path.removesuffix(suffix).partition(STATUS_PREFIX + UPLOADS_PREFIX)
    if not (path.endswith(suffix) and found):
        raise WrongPathError(
            f"{path[:80]!r} is not the path of an upload.", f"Use the path /images/uploads/<filename>{suffix}."
        )
    if _ODD_IN_PATHS.search(name):
        raise InvalidKeyError(
            f"Whoever was on the way may have changed the path {path[:80]!r}.",
            f"Take the path of the upload's status, with {suffix or 'nothing'} in place of {STATUS_SUFFIX}.",
        )
    key = UPLOADS_PREFIX + (unquote(name) if _WRAPPED.fullmatch(name) else name)
    if not _is_possible(key):
        raise _impossible(name)
    return key


def _impossible(name: str) -> InvalidKeyError:
    return InvalidKeyError(
        f"The key {name[:80]!a} is not UTF-8 text of at most {MAX_KEY_BYTES} bytes.",
        "Check the file name: no upload can have this one.",
    )


def _encoded(text: str) -> str:
    # The characters that JSONata's $encodeUrlComponent leaves as they are, so that the workflow's URL is the same text.
    return quote(text, safe="/!'()*")


def _is_possible(key: str) -> bool:
    return is_utf8(key) and len(key.encode()) <= MAX_KEY_BYTES
