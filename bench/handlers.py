"""Measure each function: cold import, warm time, and every AWS call with its bytes.

`python -m bench.handlers` processes one picture of each kind with the real handlers, in the order of the workflow,
against moto in this process. So the times are those of the application and botocore, without a network.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws

from bench.report import RESULTS_FOLDER, write_document

ROOT = Path(__file__).parent.parent
CORE = ROOT / "layers" / "core"
RESULTS = RESULTS_FOLDER / "handlers.json"
STEPS = ("validate_image", "generate_thumbnails", "extract_metadata", "store_results", "get_status")
ROUNDS = 5
ENVIRONMENT = {
    "THUMBNAILS_BUCKET": "thumbnails",
    "IMAGE_TABLE": "table",
    "IMAGE_FORMATS": "JPEG,PNG,WEBP,GIF,AVIF,HEIF,TIFF,BMP",
    "MAX_UPLOAD_MEGABYTES": "100",
    "MAX_MEGAPIXELS": "100",
    "RENDER_MEMORY_MEGABYTES": "1769",
    "LABELS": "REKOGNITION",
    "LABELS_MAX": "10",
    "LABELS_MIN_CONFIDENCE": "75",
    "RENDITION_URL_SECONDS": "900",
    "WORKFLOW_TYPE": "STANDARD",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "POWERTOOLS_LOG_LEVEL": "ERROR",
}


def cold_imports() -> dict[str, float]:
    """Return the milliseconds that each handler takes to import, without the start of the interpreter."""
    codes = {"nothing": "pass", "boto3 client": "import boto3; boto3.client('s3', 'eu-west-1')"}
    codes |= dict.fromkeys(STEPS, "import app")
    least: dict[str, float] = {}
    for _ in range(ROUNDS + 4):
        for name, code in codes.items():
            path = os.pathsep.join((str(ROOT / "functions" / name), str(CORE)))
            started = time.perf_counter()
            subprocess.run(  # noqa: S603  our own code
                [sys.executable, "-c", code], env={**ENVIRONMENT, "PYTHONPATH": path}, check=True
            )
            least[name] = min(least.get(name, 1e9), (time.perf_counter() - started) * 1000)
    return {name: round(value - least["nothing"]) for name, value in least.items() if name != "nothing"}


def photograph(image_format: str, **options: Any) -> bytes:
    """Return a photograph of 12 megapixels in any format."""
    from bench.engine.pictures import mosaic

    out = io.BytesIO()
    mosaic(4000, 3000).save(out, image_format, **options)
    return out.getvalue()


PICTURES: dict[str, Callable[[], bytes]] = {
    "jpeg-12mp": lambda: photograph("JPEG", quality=90),
    "png-12mp": lambda: photograph("PNG", compress_level=1),
    "webp-12mp": lambda: photograph("WEBP", quality=85, method=0),
}


class Calls:
    """Records every AWS call: operation, bytes sent and received."""

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] = []

    def watch(self, client: Any) -> None:
        """Record the calls of this client from now on."""
        client.meta.events.register("before-call", self._before)
        client.meta.events.register("after-call", self._after)

    def _before(self, model: Any, params: dict[str, Any], **_: Any) -> None:
        body = params.get("body")
        sent = len(body) if isinstance(body, bytes | bytearray) else body.getbuffer().nbytes if body else 0
        self._calls.append({"operation": model.name, "sent": sent, "received": 0})

    def _after(self, parsed: dict[str, Any], **_: Any) -> None:
        self._calls[-1]["received"] = parsed.get("ContentLength", 0)

    def take(self) -> list[dict[str, Any]]:
        """Return the calls since the last time."""
        calls, self._calls = self._calls, []
        return calls


def handler(name: str) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Load the `lambda_handler` of a function."""
    spec = importlib.util.spec_from_file_location(f"{name}_app", ROOT / "functions" / name / "app.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(name)
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    function: Callable[[dict[str, Any], Any], dict[str, Any]] = app.lambda_handler
    return function


def one_upload(data: bytes, handlers: dict[str, Any], calls: Calls) -> dict[str, dict[str, Any]]:
    """Run every step for one picture as the workflow does; return milliseconds and calls of each."""
    answer = boto3.client("s3").put_object(Bucket="uploads", Key="uploads/a", Body=data)
    upload = {"bucket": "uploads", "key": "uploads/a", "versionId": None, "sizeBytes": len(data)}
    upload["etag"] = answer["ETag"].strip('"')
    execution = {"M": {"id": {"S": "bench"}}}
    boto3.client("dynamodb").put_item(TableName="table", Item={"ImageKey": {"S": "uploads/a"}, "execution": execution})
    steps: dict[str, dict[str, Any]] = {}

    def run(name: str, event: dict[str, Any]) -> dict[str, Any]:
        calls.take()
        started = time.perf_counter()
        with redirect_stdout(io.StringIO()):  # metrics are log lines
            result: dict[str, Any] = handlers[name]({**event, "executionId": "bench"}, None)
        steps[name] = {"milliseconds": (time.perf_counter() - started) * 1000, "calls": calls.take()}
        return result

    source = run("validate_image", {"upload": upload})["source"]
    thumbnails = run("generate_thumbnails", {"imageKey": "uploads/a", "source": source})
    metadata = run("extract_metadata", {"picture": thumbnails["picture"]})
    results = {"imageKey": "uploads/a", "thumbnails": thumbnails, "metadata": metadata, "overwrites": False}
    run("store_results", {**results, "startedAt": "2026-11-21T12:00:00Z", "milliseconds": {}})
    request = {"rawPath": "/images/uploads/a/status", "requestContext": {"requestId": "bench"}}
    run("get_status", request)
    return steps


def measure() -> dict[str, Any]:
    """Measure all pictures: {picture: {step: {milliseconds, calls}}}; times are medians."""
    from image_pipeline import aws

    handlers = {name: handler(name) for name in STEPS}
    results: dict[str, Any] = {}
    with mock_aws():
        s3: Any = boto3.client("s3")
        for bucket in ("uploads", "thumbnails"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        boto3.client("dynamodb").create_table(
            TableName="table",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "ImageKey", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "ImageKey", "KeyType": "HASH"}],
        )
        calls = Calls()
        for service in ("s3", "dynamodb", "rekognition"):
            calls.watch(aws.client(service))
        for name, make in PICTURES.items():
            data = make()
            runs = [one_upload(data, handlers, calls) for _ in range(ROUNDS)]
            results[name] = {
                step: {
                    "milliseconds": round(statistics.median(run[step]["milliseconds"] for run in runs), 1),
                    "calls": runs[-1][step]["calls"],
                }
                for step in STEPS
            }
            results[name]["upload"] = {"bytes": len(data)}
            print_picture(name, results[name])
    return results


def print_picture(name: str, result: dict[str, Any]) -> None:
    """Print one line for each step."""
    print(f"\n{name}, {result['upload']['bytes'] / 1e6:.1f} MB")
    for step in STEPS:
        calls = result[step]["calls"]
        summary = ", ".join(
            f"{call['operation']} ↑{call['sent'] / 1e3:.0f} ↓{call['received'] / 1e3:.0f} kB" for call in calls
        )
        print(f"  {step:20} {result[step]['milliseconds']:7.1f} ms  {summary}")


def tables(results: dict[str, Any]) -> str:
    """Return Markdown tables: cold imports, then time and calls for each step and picture."""
    lines = [f"Measured {results['date']}.", "", "| | cold import, ms |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in results["imports"].items()]
    lines += ["", "| step | picture | warm, ms | calls (kB sent, received) |", "|---|---|---|---|"]
    for step in STEPS:
        for name, picture in results["pictures"].items():
            calls = ", ".join(
                f"{call['operation']} ({call['sent'] / 1e3:.0f}, {call['received'] / 1e3:.0f})"
                for call in picture[step]["calls"]
            )
            lines.append(f"| {step} | {name} | {picture[step]['milliseconds']} | {calls} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print and save."""
    os.environ |= ENVIRONMENT
    sys.path.insert(0, str(CORE))
    imports = cold_imports()
    print("cold import, ms: " + ", ".join(f"{name} {value}" for name, value in imports.items()))
    results = {"date": time.strftime("%Y-%m-%d"), "imports": imports, "pictures": measure()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_document("handlers", tables(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
