"""Sign many URLs of one bucket as of a given time.

botocore signs only as of now: each of its URLs is new, so a browser caches nothing. It also takes 0.2 milliseconds for
a URL, and a page of the list has hundreds of URLs.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from image_pipeline import aws

_ALGORITHM = "AWS4-HMAC-SHA256"
_KEY = "key"  # any key: only the address of the bucket is read from its URL


class UrlSigner:
    """Signs URLs that return objects of a bucket to anyone until some seconds after a time.

    Args:
        client: returns the client of a service.
        bucket: the bucket.
        signed_at: the time from which the URLs are valid; not in the future, because S3 refuses such URLs.
        seconds: the lifetime of the URLs.
    """

    def __init__(self, client: aws.Client, bucket: str, *, signed_at: datetime, seconds: int) -> None:
        s3 = client("s3")
        self._folder, self._host, credentials = _address(s3, bucket)
        moment = signed_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{moment[:8]}/{s3.meta.region_name}/s3/aws4_request"
        query = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{credentials.access_key}/{scope}",
            "X-Amz-Date": moment,
            "X-Amz-Expires": str(seconds),
            **({"X-Amz-Security-Token": credentials.token} if credentials.token else {}),
            "X-Amz-SignedHeaders": "host",
        }
        self._query = "&".join(f"{name}={_encoded(value)}" for name, value in query.items())
        self._string_start = f"{_ALGORITHM}\n{moment}\n{scope}\n"
        self._signing_key = f"AWS4{credentials.secret_key}".encode()
        for part in scope.split("/"):
            self._signing_key = _hmac(self._signing_key, part)

    def url(self, key: str, version_id: str | None) -> str:
        """Sign the URL of an object; with a version id, of that version, even after the object was overwritten."""
        query = self._query + (f"&versionId={_encoded(version_id)}" if version_id else "")  # sorts after X-Amz-…
        address = urlsplit(self._folder).path + quote(key, safe="/~")
        request = f"GET\n{address}\n{query}\nhost:{self._host}\n\nhost\nUNSIGNED-PAYLOAD"
        text = self._string_start + hashlib.sha256(request.encode()).hexdigest()
        signature = _hmac(self._signing_key, text).hex()
        return f"{self._folder}{quote(key, safe='/~')}?{query}&X-Amz-Signature={signature}"


def _address(s3: Any, bucket: str) -> tuple[str, str, Any]:
    """Return the URL of a bucket with a trailing slash, the Host of its requests, and the credentials that sign them.

    botocore knows them: it signs a URL, and its documented event shows its signer.
    """
    credentials: list[Any] = []

    def note(request_signer: Any, region_name: str, **_: Any) -> None:
        credentials.append(request_signer.get_auth_instance("s3", region_name).credentials)

    s3.meta.events.register("before-sign.s3.GetObject", note)
    try:
        url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": _KEY})
    finally:
        s3.meta.events.unregister("before-sign.s3.GetObject", note)
    folder = url.partition("?")[0].removesuffix(_KEY)
    return folder, urlsplit(folder).netloc, credentials[0]


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
