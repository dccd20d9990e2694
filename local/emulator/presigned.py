"""Validate presigned URLs and forms as S3 does; moto does not.

Of a URL it checks the signature (version 4), the expiration and the headers; of a form the signature, expiration,
conditions and size of its policy; of both the checksum. Of signature version 2 it checks only the expiration.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

import base64
import binascii
import hashlib
import hmac
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from werkzeug.formparser import parse_form_data

from local.emulator import actions
from local.emulator.clients import DUMMY_KEY
from local.emulator.wsgi import Environ

MOST_SECONDS = 604_800
_CHECKSUM = "x-amz-checksum-sha256"
# Fields of a form that need no condition.
_UNCONDITIONAL = {"x-amz-signature", "signature", "awsaccesskeyid", "policy", "file"}


@dataclass
class S3RefusalError(Exception):
    """The error that S3 returns for an invalid URL or form."""

    status: int
    code: str
    message: str


def judge(environ: Environ, now: datetime) -> None:
    """Check a presigned request; of a form, store its signer and its key in the environment.

    Raises:
        S3RefusalError: S3 would reject it.
    """
    query = dict(_query(environ))
    if "X-Amz-Signature" in query:
        _judge_url(environ, query, now)
    elif "Signature" in query and "Expires" in query:
        _check_time(datetime.fromtimestamp(int(query["Expires"]), UTC), now, "Request has expired")
    elif _is_form(environ):
        _judge_form(environ, now)


def is_for_object(environ: Environ) -> bool:
    """Return whether a request reads an object by a presigned URL."""
    return actions.identify(environ) == ("s3", "GetObject") and "X-Amz-Signature" in dict(_query(environ))


def signature(secret: str, scope: str, text: str) -> str:
    """Sign a text.

    Args:
        secret: The secret of the access key.
        scope: The scope of the credential, `<date>/<region>/s3/aws4_request`.
        text: The string to sign, or the policy of a form.
    """
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _judge_url(environ: Environ, query: dict[str, str], now: datetime) -> None:
    try:
        signed_at = _time(query["X-Amz-Date"])
        seconds = int(query["X-Amz-Expires"])
        signed = query["X-Amz-SignedHeaders"].split(";")
        scope = query["X-Amz-Credential"].partition("/")[2]
    except (KeyError, ValueError) as error:
        raise S3RefusalError(400, "AuthorizationQueryParametersError", f"{error} is missing or wrong") from error
    if not 0 <= seconds <= MOST_SECONDS:
        message = f"X-Amz-Expires must be from 0 to {MOST_SECONDS} seconds"
        raise S3RefusalError(400, "AuthorizationQueryParametersError", message)
    _check_time(signed_at + timedelta(seconds=seconds), now, "Request has expired")
    headers = _headers(environ)
    if any(name.startswith("x-amz-") and name not in signed for name in headers):
        raise _denied("There were headers present in the request which were not signed")
    hashed = hashlib.sha256(_canonical(environ, signed, headers).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{hashed}"
    _check_signature(query["X-Amz-Signature"], signature(DUMMY_KEY, scope, text))
    if _CHECKSUM in headers:
        _check_digest(headers[_CHECKSUM], actions.peek(environ))


def _canonical(environ: Environ, signed: list[str], headers: Mapping[str, str]) -> str:
    path = unquote_to_bytes(environ["RAW_URI"].partition("?")[0])
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in _query(environ)
        if name != "X-Amz-Signature"
    )
    return "\n".join([
        environ["REQUEST_METHOD"],
        quote(path, safe="/-_.~"),
        "&".join("=".join(pair) for pair in pairs),
        *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed),
        "",
        ";".join(signed),
        "UNSIGNED-PAYLOAD",
    ])  # fmt: skip


def _is_form(environ: Environ) -> bool:
    _, key = actions.bucket_and_key(environ)
    declared = environ.get("CONTENT_TYPE", "").lower().startswith("multipart/form-data")
    return environ["REQUEST_METHOD"] == "POST" and declared and not key and "HTTP_AUTHORIZATION" not in environ


def _judge_form(environ: Environ, now: datetime) -> None:
    copy = {**environ, "wsgi.input": io.BytesIO(actions.peek(environ))}
    _, form, files = parse_form_data(copy, stream_factory=lambda *_, **__: io.BytesIO())
    fields = {name.lower(): value for name, value in form.items()}
    if "file" not in files or "key" not in fields:
        raise S3RefusalError(400, "InvalidArgument", "POST requires exactly one file upload per request, and a key.")
    if "policy" not in fields:
        raise _denied("Access Denied")
    if "${filename}" in fields["key"]:
        raise S3RefusalError(501, "NotImplemented", "The local run does not replace ${filename} in keys.")
    credential = _check_form_signature(fields)
    content = files["file"].read()
    _check_policy(_policy(fields["policy"]), fields, actions.bucket_and_key(environ)[0], len(content), now)
    if _CHECKSUM in fields:
        _check_digest(fields[_CHECKSUM], content)
    environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 Credential={credential}"
    environ[actions.FORM_KEY] = fields["key"]


def _check_form_signature(fields: Mapping[str, str]) -> str:
    """Check the signature and return the credential in the format of signature version 4."""
    if "x-amz-signature" in fields:
        credential = fields.get("x-amz-credential", "")
        scope = credential.partition("/")[2]
        _check_signature(fields["x-amz-signature"], signature(DUMMY_KEY, scope, fields["policy"]))
        return credential
    digest = hmac.digest(DUMMY_KEY.encode(), fields["policy"].encode(), "sha1")
    _check_signature(fields.get("signature", ""), base64.b64encode(digest).decode())
    return f"{fields.get('awsaccesskeyid', '')}/00000000/us-east-1/s3/aws4_request"


def _policy(text: str) -> dict[str, Any]:
    try:
        policy: dict[str, Any] = json.loads(base64.b64decode(text, validate=True))
        datetime.fromisoformat(policy["expiration"])
        list(policy["conditions"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise S3RefusalError(400, "InvalidPolicyDocument", "Invalid Policy: Invalid JSON.") from error
    return policy


def _check_policy(policy: Mapping[str, Any], fields: Mapping[str, str], bucket: str, size: int, now: datetime) -> None:
    _check_time(datetime.fromisoformat(policy["expiration"]), now, "Invalid according to Policy: Policy expired.")
    sent = {**fields, "bucket": bucket}
    conditioned = set()
    for condition in policy["conditions"]:
        if isinstance(condition, dict):
            [(name, value)] = condition.items()
            operator = "eq"
        else:
            operator, name, value = condition
            name = str(name).removeprefix("$")
        if operator == "content-length-range":
            _check_size(size, int(condition[1]), int(condition[2]))
            continue
        conditioned.add(name.lower())
        sent_value = sent.get(name.lower(), "")
        is_met = sent_value == value if operator == "eq" else operator == "starts-with" and sent_value.startswith(value)
        if not is_met:
            failed = json.dumps([operator, f"${name}", value])
            raise _denied(f"Invalid according to Policy: Policy Condition failed: {failed}")
    extra = [name for name in fields if not name.startswith("x-ignore-") and name not in conditioned | _UNCONDITIONAL]
    if extra:
        raise _denied(f"Invalid according to Policy: Extra input fields: {', '.join(extra)}")


def _check_size(size: int, least: int, most: int) -> None:
    if size > most:
        raise S3RefusalError(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
    if size < least:
        raise S3RefusalError(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")


def _check_time(until: datetime, now: datetime, message: str) -> None:
    if now > until:
        raise _denied(message)


def _check_signature(actual: str, expected: str) -> None:
    if not hmac.compare_digest(actual.encode(), expected.encode()):
        raise S3RefusalError(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
        )


def _check_digest(declared: str, content: bytes) -> None:
    if declared != base64.b64encode(hashlib.sha256(content).digest()).decode():
        message = "The SHA256 you specified did not match the calculated checksum."
        raise S3RefusalError(400, "BadDigest", message)


def _denied(message: str) -> S3RefusalError:
    return S3RefusalError(403, "AccessDenied", message)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _query(environ: Environ) -> list[tuple[str, str]]:
    """Return the query as it is signed: a plus is not a space."""
    pairs = (pair.partition("=") for pair in environ.get("QUERY_STRING", "").split("&") if pair)
    return [(_decode(name), _decode(value)) for name, _, value in pairs]


def _decode(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


def _headers(environ: Environ) -> dict[str, str]:
    return {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
