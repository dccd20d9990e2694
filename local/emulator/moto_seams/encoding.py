"""URL-encoded keys when versions are listed in the S3 of moto, which ignores `encoding-type`.

XML cannot contain control characters, so a client could not parse the answer for a key that has one.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
"""

from typing import Any
from urllib.parse import quote

from moto.s3.responses import S3Response

_ENCODED = ("Delimiter", "KeyMarker", "NextKeyMarker", "Prefix", "Key")
_LISTS = ("Versions", "DeleteMarkers", "CommonPrefixes")


def install() -> None:
    """Encode keys as a request with `encoding-type=url` asks.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    list_versions = getattr(S3Response, "list_object_versions", None)
    if not callable(list_versions) or not callable(getattr(S3Response, "serialized", None)):
        raise RuntimeError("moto changed how it lists S3 versions: moto_seams/encoding.py must follow.")
    if hasattr(list_versions, "__wrapped__"):
        return

    def list_encoded(response: Any) -> Any:
        serialize = response.serialized

        def serialize_encoded(answer: Any) -> Any:
            answer.result.update(_encode(answer.result), EncodingType="url")
            return serialize(answer)

        if response.querystring.get("encoding-type") == ["url"]:
            response.serialized = serialize_encoded
        return list_versions(response)

    list_encoded.__wrapped__ = list_versions  # type: ignore[attr-defined]
    S3Response.list_object_versions = list_encoded  # type: ignore[method-assign,assignment]


def _encode(entry: dict[str, Any]) -> dict[str, Any]:
    texts = {name: quote(entry[name], safe="/") for name in _ENCODED if entry.get(name)}
    return texts | {name: [{**item, **_encode(item)} for item in entry[name]] for name in _LISTS if name in entry}
