"""Measure the CPU time of a cold start: importing each handler, and what its first call takes longer than the second.

`python3 bench/cold_start.py BUILD…` needs only the standard library and botocore, so it also runs in the container of
Lambda. A build is a folder that `sam build` wrote. Several builds take turns, so that they share the load of the
machine. Each start is a fresh process that cannot write byte code, as in Lambda.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

EVENTS = Path(__file__).parent.parent / "events"
RUNTIME = Path("/var/runtime")  # where Lambda has boto3
LAYERS = ("VendorLayer", "CoreLayer", "VipsLayer", "SimdLayer")
ROUNDS = 5
ENVIRONMENT = {
    "THUMBNAILS_BUCKET": "thumbnails",
    "UPLOADS_BUCKET": "uploads",
    "IMAGE_TABLE": "table",
    "API_KEY_TABLE": "keys",
    "LISTING_TABLE": "listing",
    "BACKFILL_TABLE": "backfill",
    "BATCH_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/batch",
    "EVENT_BUS": "default",
    "PROCESS_IMAGE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:process",
    "SETTLE_IMAGE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:settle",
    "STATUS_API_URL": "https://api.example",
    "IMAGE_FORMATS": "JPEG,PNG,WEBP,GIF,AVIF,HEIF,TIFF,BMP",
    "MAX_UPLOAD_MEGABYTES": "150",
    "MAX_MEGAPIXELS": "250",
    "RENDER_MEMORY_MEGABYTES": "1769",
    "LABELS": "REKOGNITION",
    "LABELS_MAX": "10",
    "LABELS_MIN_CONFIDENCE": "75",
    "RENDITION_URL_SECONDS": "900",
    "PRESIGNED_UPLOAD_SECONDS": "900",
    "REPROCESS_COOLDOWN_SECONDS": "10",
    "WORKFLOW_TYPE": "STANDARD",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "POWERTOOLS_LOG_LEVEL": "ERROR",
}
OUTPUTS = {
    "UploadsBucketName": ENVIRONMENT["UPLOADS_BUCKET"],
    "ThumbnailsBucketName": ENVIRONMENT["THUMBNAILS_BUCKET"],
    "ImageTableName": ENVIRONMENT["IMAGE_TABLE"],
}
"""The outputs of a stack that events refer to."""
START = """
import json, sys, time
moments = [time.process_time()]
import app
moments.append(time.process_time())
for _ in range(2):
    try:
        app.lambda_handler(json.loads(sys.argv[1]), None)
    except Exception:
        pass  # AWS refuses every call
    moments.append(time.process_time())
print("\\n" + json.dumps([later - earlier for earlier, later in zip(moments, moments[1:])]))
"""


class _Refusal(BaseHTTPRequestHandler):
    """Answers every AWS call with 403, which is not retried."""

    protocol_version = "HTTP/1.1"

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b"<Error><Code>AccessDenied</Code></Error>"
        self.send_response(403)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _refuse  # noqa: N815  names of http.server

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def event_of(function: str) -> str:
    """Return the event that leads a function, by the name of its folder, to its first AWS call."""
    names = (f"{function}{suffix}.json" for suffix in ("", "_unknown", "_unknown_key"))
    path = next(path for path in map(EVENTS.joinpath, names) if path.exists())
    return re.sub(r"\$\{(\w+)\}", lambda match: OUTPUTS[match[1]], path.read_text(encoding="utf-8"))


def folder_of(logical_id: str) -> str:
    """Return the folder of a function: `ValidateImageFunction` is in `validate_image`."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", logical_id.removesuffix("Function")).lower()


def start(build: Path, logical_id: str, endpoint: str) -> tuple[float, float]:
    """Start a function once; return the CPU milliseconds of the import, and of the first call beyond the second."""
    folders = [build / logical_id, *(build / layer / "python" for layer in LAYERS), RUNTIME]
    variables = {
        **ENVIRONMENT,
        "AWS_ENDPOINT_URL": endpoint,
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-c", START, event_of(folder_of(logical_id))]
    process = subprocess.run(command, env=variables, stdout=subprocess.PIPE, check=True)  # noqa: S603  our own code
    imported, first, second = json.loads(process.stdout.splitlines()[-1])
    return imported * 1000, (first - second) * 1000


def measure(builds: list[Path]) -> dict[str, Any]:
    """Measure all functions of all builds: `starts` by build, and `ratios` of the last build to the first one.

    A figure is the least of several rounds. A ratio is the median of those of each round, whose starts follow each
    other, so that other work of the machine changes it little.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    rounds: dict[Path, dict[str, list[tuple[float, float]]]] = {build: {} for build in builds}
    for _ in range(ROUNDS):
        for logical_id in sorted(path.name for path in builds[-1].glob("*Function")):
            for build in builds:
                if (build / logical_id).is_dir():
                    figures = start(build, logical_id, endpoint)
                    rounds[build].setdefault(folder_of(logical_id), []).append(figures)
    server.shutdown()
    first, last = rounds[builds[0]], rounds[builds[-1]]
    return {
        "starts": {str(build): {name: least(figures) for name, figures in rounds[build].items()} for build in builds},
        "ratios": {name: ratios(first[name], last[name]) for name in last if name in first},
    }


def least(figures: list[tuple[float, float]]) -> dict[str, float]:
    """Return the least of the import and of the first call."""
    imports, calls = zip(*figures, strict=True)
    return {"import": round(min(imports)), "firstCall": max(0, round(min(calls)))}


def ratios(before: list[tuple[float, float]], now: list[tuple[float, float]]) -> dict[str, float]:
    """Return how the import, and the import with the first call, compare with those of another build."""
    pairs = list(zip(before, now, strict=True))
    return {
        "import": round(median(later[0] / earlier[0] for earlier, later in pairs), 2),
        "both": round(median(sum(later) / sum(earlier) for earlier, later in pairs), 2),
    }


if __name__ == "__main__":
    print(json.dumps({"python": sys.version.split()[0], **measure([Path(path) for path in sys.argv[1:]])}))
