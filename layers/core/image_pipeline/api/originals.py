"""Sign a URL that downloads the original of an upload."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from image_pipeline import aws, keys, times
from image_pipeline.store import storage, uploads

_NOT_PLAIN = re.compile(r"[^ !#$&+\-.0-9A-Z^_a-z~()\[\]{}@=,;]")
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`|~"  # RFC 8187, section 3.2.1, in addition to letters and digits


def sign(client: aws.Client, *, bucket: str, image_key: str, seconds: int) -> dict[str, Any]:
    """Sign a URL for the current version of an upload, as an attachment.

    Args:
        client: returns the client of a service.
        bucket: the bucket of the uploads.
        image_key: the key of the upload.
        seconds: the lifetime of the URL.

    Returns:
        `url` and `urlExpiresAt`, as in the response of the API.

    Raises:
        UploadNotFoundError: the upload does not exist.
        StorageUnavailableError: S3 was not available.
    """
    version_id = uploads.current_version(client, bucket=bucket, image_key=image_key)
    expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
    url = storage.signed_url(
        client,
        bucket=bucket,
        key=image_key,
        version_id=version_id,
        seconds=seconds,
        disposition=disposition(keys.file_name(image_key)),
    )
    return {"url": url, "urlExpiresAt": times.iso(expires_at, "seconds")}


def disposition(name: str) -> str:
    """Return the Content-Disposition of an attachment (RFC 6266), with a plain name for old clients.

    The plain name contains neither `%` nor a character that must be escaped, because clients read those differently
    (appendix D).
    """
    if not name:
        return "attachment"
    plain = _NOT_PLAIN.sub("_", name)
    encoded = quote(name, safe=_ATTRIBUTE_CHARACTERS)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
