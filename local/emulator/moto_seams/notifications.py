"""Return whether a bucket sends its events to EventBridge, which the S3 of moto omits.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html
"""

from functools import wraps
from typing import Any
from xml.etree import ElementTree

from moto.s3.responses import S3Response

_ANSWER = "get_bucket_notification"
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def install() -> None:
    """Answer with `EventBridgeConfiguration` if the bucket has one, as S3 does.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    if not callable(getattr(S3Response, _ANSWER, None)):
        raise RuntimeError(f"moto moved S3Response.{_ANSWER}: moto_seams/notifications.py must follow.")
    setattr(S3Response, _ANSWER, _naming_event_bridge(getattr(S3Response, _ANSWER)))


def _naming_event_bridge(answer: Any) -> Any:
    @wraps(answer)
    def answer_with_event_bridge(self: S3Response) -> Any:
        status, headers, body = answer(self)
        configuration = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if configuration and configuration.event_bridge is not None:
            document = ElementTree.fromstring(body)  # noqa: S314 (the answer of moto)
            ElementTree.SubElement(document, f"{{{_NAMESPACE}}}EventBridgeConfiguration")
            body = ElementTree.tostring(document, default_namespace=_NAMESPACE)
            headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        return status, headers, body

    return answer_with_event_bridge
