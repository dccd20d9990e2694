"""Read AWS requests: their service and operation, their signer, and the permissions that they need.

The permissions follow the Service Authorization Reference
(https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html). A call that is not listed here is
an error, because a missing permission must not go unnoticed.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

from local.emulator.policy import Request
from local.emulator.template import ACCOUNT_ID, STREAM_LABEL
from local.emulator.wsgi import Environ

CONDITION_KEYS = frozenset({"aws:principalaccount", "aws:requestedregion", "aws:securetransport", "s3:prefix"})
"""The condition keys that every request has."""

SERVICE_CONDITION_KEYS = CONDITION_KEYS | {"aws:sourceaccount", "aws:sourcearn"}
"""The condition keys of requests by services, for policies of resources."""

FORM_KEY = "local.form_key"
"""The WSGI variable with the key of an upload by form; its signer is in `HTTP_AUTHORIZATION`."""

INVOCATION = re.compile(r"^/2015-03-31/functions/([^/]+)/invocations$")

_BUCKET_HOST = re.compile(r"([^.:]+)\.localhost(?::\d+)?", re.IGNORECASE)
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/")
_NAMES = {"states": "stepfunctions", "monitoring": "cloudwatch"}  # names of boto3 that differ from those in signatures
_PREFIXES = {"monitoring": "cloudwatch"}  # prefixes of actions that differ from those in signatures

# Query parameters of S3 that do not name a subresource.
_OTHER_PARAMETERS = frozenset({
    "AWSAccessKeyId", "Expires", "Signature",
    "continuation-token", "delimiter", "encoding-type", "fetch-owner", "key-marker", "marker", "max-keys",
    "partNumber", "prefix", "start-after", "version-id-marker", "versionId", "x-id",
})  # fmt: skip
_S3_OBJECT = {
    ("GET", ""): ("GetObject", "s3:GetObject"),
    ("HEAD", ""): ("HeadObject", "s3:GetObject"),
    ("PUT", ""): ("PutObject", "s3:PutObject"),
    ("DELETE", ""): ("DeleteObject", "s3:DeleteObject"),
    ("PUT", "uploadId"): ("UploadPart", "s3:PutObject"),
    ("POST", ""): ("PostObject", "s3:PutObject"),
    ("POST", "uploads"): ("CreateMultipartUpload", "s3:PutObject"),
    ("POST", "uploadId"): ("CompleteMultipartUpload", "s3:PutObject"),
    ("DELETE", "uploadId"): ("AbortMultipartUpload", "s3:AbortMultipartUpload"),
    ("GET", "uploadId"): ("ListParts", "s3:ListMultipartUploadParts"),
    ("GET", "tagging"): ("GetObjectTagging", "s3:GetObjectTagging"),
    ("PUT", "tagging"): ("PutObjectTagging", "s3:PutObjectTagging"),
}
_S3_BUCKET = {
    ("GET", ""): ("ListObjects", "s3:ListBucket"),
    ("GET", "list-type"): ("ListObjectsV2", "s3:ListBucket"),
    ("GET", "versions"): ("ListObjectVersions", "s3:ListBucketVersions"),
    ("GET", "uploads"): ("ListMultipartUploads", "s3:ListBucketMultipartUploads"),
    ("GET", "location"): ("GetBucketLocation", "s3:GetBucketLocation"),
    ("HEAD", ""): ("HeadBucket", "s3:ListBucket"),
    ("PUT", ""): ("CreateBucket", "s3:CreateBucket"),
    ("DELETE", ""): ("DeleteBucket", "s3:DeleteBucket"),
    ("POST", "delete"): ("DeleteObjects", ""),  # needs a permission for each object in the body
}
_VERSION_ACTIONS = {
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:DeleteObject": "s3:DeleteObjectVersion",
    "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
    "s3:PutObjectTagging": "s3:PutObjectVersionTagging",
}
_STREAM_OPERATIONS = ("DescribeStream", "GetRecords", "GetShardIterator")
_WITHOUT_RESOURCE = {("rekognition", "DetectLabels"), ("monitoring", "PutMetricData")}


class UnknownCallError(Exception):
    """The permissions that a call needs are not known here."""


def access_key_of(environ: Environ) -> str:
    """Return the access key that signed a request, in a header or a presigned URL; empty if it is not signed."""
    header = environ.get("HTTP_AUTHORIZATION", "")
    if match := _CREDENTIAL.search(header):
        return match[1]
    query = _query(environ)
    credential = query.get("X-Amz-Credential") or query.get("AWSAccessKeyId") or [""]  # signature version 4 or 2
    return credential[0].partition("/")[0]


def identify(environ: Environ) -> tuple[str, str]:
    """Return service and operation of a request in the names of boto3, such as `("dynamodb", "UpdateItem")`."""
    service, operation = _service_and_operation(environ)
    return _NAMES.get(service, service), operation


def region_of(environ: Environ) -> str:
    """Return the region that a request was signed for."""
    credential = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if credential:
        return credential[2]
    parts = _query(environ).get("X-Amz-Credential", [""])[0].split("/")
    return parts[2] if len(parts) > 2 else ""


def needs(environ: Environ) -> list[Request]:
    """Return the permissions that a request needs.

    Raises:
        UnknownCallError: They are not known.
    """
    service, operation = _service_and_operation(environ)
    region = region_of(environ)
    try:
        permissions = list(_READERS[service](environ, operation, region))
    except (KeyError, TypeError, ValueError, ElementTree.ParseError) as error:
        raise UnknownCallError(
            f"The permissions of {service} {operation or environ['REQUEST_METHOD']} are not known: "
            "add them to emulator/actions.py."
        ) from error
    return [_request(need.action, need.resource, region, need.context) for need in permissions]


def read_permission(*, bucket: str, key: str, version: str | None, region: str) -> Request:
    """Return the permission to read an object, or one version of it."""
    return _request("s3:GetObjectVersion" if version else "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}", region)


def list_permission(environ: Environ) -> Request | None:
    """Return the permission without which S3 hides that the object of this request is missing; None for other calls.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html#API_GetObject_RequestSyntax, under Permissions.
    """
    if identify(environ) not in (("s3", "GetObject"), ("s3", "HeadObject")):
        return None
    return _request("s3:ListBucket", f"arn:aws:s3:::{bucket_and_key(environ)[0]}", region_of(environ))


def send_permission(queue_arn: str, source_arn: str) -> Request:
    """Return the permission that a service needs to send messages to a queue on behalf of a resource."""
    source = {"aws:sourceaccount": ACCOUNT_ID, "aws:sourcearn": source_arn}
    return _request("sqs:SendMessage", queue_arn, queue_arn.split(":")[3], source)


def body(environ: Environ) -> bytes:
    """Read and consume the body of a request."""
    length = environ.get("CONTENT_LENGTH")
    data: bytes = environ["wsgi.input"].read(int(length)) if length else b""
    return data


def peek(environ: Environ) -> bytes:
    """Read the body of a request without consuming it."""
    data = body(environ)
    environ["wsgi.input"] = io.BytesIO(data)
    return data


def _request(action: str, resource: str, region: str, context: Mapping[str, str] | None = None) -> Request:
    circumstances = {
        "aws:principalaccount": ACCOUNT_ID,
        "aws:requestedregion": region,
        "aws:securetransport": "true",  # loopback counts as TLS, because it cannot be intercepted
    }
    return Request(action, resource, circumstances | dict(context or {}))


def _service_and_operation(environ: Environ) -> tuple[str, str]:
    """Return service and operation; the service has its name in signatures."""
    if INVOCATION.match(environ["PATH_INFO"]):
        return "lambda", "Invoke"
    credential = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = credential[3] if credential else "s3"
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return service, target.rpartition(".")[2]
    if service == "s3":
        return service, _s3_call(environ)[0]
    return service, _form(environ).get("Action", "")


def _query(environ: Environ) -> dict[str, list[str]]:
    return parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)


def _form(environ: Environ) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(peek(environ).decode("utf-8", "replace")).items()}


def bucket_and_key(environ: Environ) -> tuple[str, str]:
    """Return bucket and key of a request to S3, from its host, its path or its form."""
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")  # WSGI encodes bytes so
    bucket, _, key = path.removeprefix("/").partition("/")
    if host := _BUCKET_HOST.fullmatch(environ.get("HTTP_HOST", "")):
        bucket = host[1].lower()
        key = path.removeprefix("/")
    return bucket, environ.get(FORM_KEY, key)


def _s3_call(environ: Environ) -> tuple[str, str]:
    """Return operation and action; both are empty if they are not known."""
    names = {
        name
        for name in _query(environ)
        if name not in _OTHER_PARAMETERS and not name.startswith(("X-Amz-", "response-"))
    }
    subresource = names.pop() if len(names) == 1 else " ".join(names)
    _, key = bucket_and_key(environ)
    method = environ["REQUEST_METHOD"]
    operation, action = (_S3_OBJECT if key else _S3_BUCKET).get((method, subresource), ("", ""))
    if operation == "PutObject" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        operation = "CopyObject"
    return operation, action


def _s3(environ: Environ, operation: str, region: str) -> Iterator[Request]:
    bucket, key = bucket_and_key(environ)
    arn = f"arn:aws:s3:::{bucket}"
    query = _query(environ)
    if operation == "DeleteObjects":
        for entry in ElementTree.fromstring(peek(environ)).iterfind("{*}Object"):  # noqa: S314 (the body is from a function)
            versioned = entry.find("{*}VersionId") is not None
            action = "s3:DeleteObjectVersion" if versioned else "s3:DeleteObject"
            yield Request(action, f"{arn}/{entry.findtext('{*}Key')}")
        return
    _, action = _s3_call(environ)
    if not action:
        raise KeyError(operation)
    if not key:
        yield Request(action, arn, {"s3:prefix": query["prefix"][0]} if "prefix" in query else {})
        return
    yield Request(_VERSION_ACTIONS.get(action, action) if "versionId" in query else action, f"{arn}/{key}")
    if "HTTP_X_AMZ_TAGGING" in environ:
        yield Request("s3:PutObjectTagging", f"{arn}/{key}")
    if operation == "DeleteObject" and environ.get("HTTP_IF_MATCH", "*") != "*":
        yield Request("s3:GetObject", f"{arn}/{key}")  # comparing an etag requires permission to read it
    if operation == "CopyObject":
        source, _, version = environ["HTTP_X_AMZ_COPY_SOURCE"].partition("?versionId=")
        bucket, _, key = unquote(source).removeprefix("/").partition("/")
        yield read_permission(bucket=bucket, key=key, version=version, region=region)


def _dynamodb(environ: Environ, operation: str, region: str) -> Iterator[Request]:
    request = json.loads(peek(environ))

    def arn(table: str) -> str:
        return table if table.startswith("arn:") else f"arn:aws:dynamodb:{region}:{ACCOUNT_ID}:table/{table}"

    if operation in _STREAM_OPERATIONS:
        # An iterator starts with the ARN of its stream, whose label differs from the one that the template knows.
        stream = (request.get("StreamArn") or request["ShardIterator"]).partition("/stream/")[0]
        yield Request(f"dynamodb:{operation}", f"{stream}/stream/{STREAM_LABEL}")
    elif operation.startswith("Batch"):
        for table in request["RequestItems"]:
            yield Request(f"dynamodb:{operation}", arn(table))
    else:
        index = f"/index/{request['IndexName']}" if "IndexName" in request else ""
        yield Request(f"dynamodb:{operation}", arn(request["TableName"]) + index)


def _sns(environ: Environ, operation: str, _: str) -> Iterator[Request]:
    if operation not in ("Publish", "PublishBatch"):
        raise KeyError(operation)
    form = _form(environ)
    yield Request("sns:Publish", form.get("TopicArn") or form.get("TargetArn") or "*")


def _sqs(environ: Environ, operation: str, region: str) -> Iterator[Request]:
    name = json.loads(peek(environ))["QueueUrl"].rpartition("/")[2]
    yield Request(f"sqs:{operation.removesuffix('Batch')}", f"arn:aws:sqs:{region}:{ACCOUNT_ID}:{name}")


def _states(environ: Environ, operation: str, _: str) -> Iterator[Request]:
    request = json.loads(peek(environ))
    yield Request(f"states:{operation}", request.get("executionArn") or request["stateMachineArn"])


def _events(environ: Environ, operation: str, region: str) -> Iterator[Request]:
    for entry in json.loads(peek(environ))["Entries"]:
        bus = entry.get("EventBusName", "default")
        arn = bus if bus.startswith("arn:") else f"arn:aws:events:{region}:{ACCOUNT_ID}:event-bus/{bus}"
        yield Request(f"events:{operation}", arn)


def _lambda(environ: Environ, operation: str, region: str) -> Iterator[Request]:
    match = INVOCATION.match(environ["PATH_INFO"])
    if match is None:
        raise KeyError(operation)
    name = unquote(match[1])
    qualifier = "".join(f":{qualifier}" for qualifier in _query(environ).get("Qualifier", []))
    arn = name if name.startswith("arn:") else f"arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{name}"
    yield Request("lambda:InvokeFunction", arn + qualifier)


def _without_resource(environ: Environ, operation: str, _: str) -> Iterator[Request]:
    service, _ = _service_and_operation(environ)
    if (service, operation) not in _WITHOUT_RESOURCE:
        raise KeyError(operation)
    yield Request(f"{_PREFIXES.get(service, service)}:{operation}", "*")


_READERS: Mapping[str, Callable[[Environ, str, str], Iterator[Request]]] = {
    "s3": _s3,
    "dynamodb": _dynamodb,
    "sns": _sns,
    "sqs": _sqs,
    "states": _states,
    "events": _events,
    "lambda": _lambda,
    "rekognition": _without_resource,
    "monitoring": _without_resource,
}
