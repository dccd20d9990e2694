"""Measure each function: cold start, warm time, and every AWS call with its bytes.

`python -m bench.handlers` starts each function as `sam build` built it (`bench/cold_start.py`); without a build, the
figures of the last starts stay. Then it processes one image of each kind with the real handlers, in the order of the
workflow, against moto in this process. So the times are those of the application and botocore, without a network. They
are CPU times of all threads, because a function has one vCPU at most, and the least of several rounds, because other
work of the machine only adds to them.

`--image` measures the starts in a container of Lambda, `--before` also those of an earlier build, and `--starts`
keeps the other figures of the last run.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws

from bench.cold_start import ENVIRONMENT
from bench.report import RESULTS_FOLDER, write_document

ROOT = Path(__file__).parent.parent
CORE = ROOT / "layers" / "core"
RESULTS = RESULTS_FOLDER / "handlers.json"
STEPS = ("validate_image", "generate_thumbnails", "extract_metadata", "store_results", "get_status")
ROUNDS = 5
BUILD = ROOT / ".aws-sam" / "build"
PYTHON = "python3.13"
"""The Python of the functions, for which the packages of a build are."""
WITHOUT_CLIENTS = {"describe_access", "refuse_request", "serve_page"}
TARGETS = {False: 0.75, True: 0.5}
"""The most that an import may take of that before, for functions with and without clients of AWS."""


def cold_starts(build: Path, before: Path | None, image: str | None) -> dict[str, Any]:
    """Measure the starts of a build, and of one before it, on this machine or in a container."""
    builds = {"before": before, "now": build} if before else {"now": build}
    program: list[str] = [PYTHON]
    if image:
        folders = [ROOT, *builds.values()]
        mounts = [f"--volume={path.absolute()}:{path.absolute()}:ro" for path in folders]
        program = ["docker", "run", "--rm", *mounts, "--entrypoint=python3", image]
    paths = [str(path.absolute()) for path in builds.values()]
    command = [*program, str(ROOT / "bench" / "cold_start.py"), *paths]
    measured = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)  # noqa: S603  our own code
    starts = {name: measured["starts"][path] for name, path in zip(builds, paths, strict=True)}
    ratios = {"ratios": measured["ratios"]} if before else {}
    return {"date": time.strftime("%Y-%m-%d"), "python": measured["python"], **starts, **ratios}


def reason_to_skip_starts(build: Path, image: str | None) -> str | None:
    """Return why the starts cannot be measured; None if they can."""
    if not (build / "template.yaml").is_file():
        return f"there is no build; `make build` makes one, with the SAM CLI and {PYTHON}"
    try:
        subprocess.run([PYTHON if not image else "docker", "--version"], capture_output=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return f"{'Docker' if image else PYTHON} is not installed"
    return None


def photograph(image_format: str, **options: Any) -> bytes:
    """Return a photograph of 12 megapixels in any format."""
    from bench.engine import inputs

    out = io.BytesIO()
    inputs.photograph(4000, 3000).save(out, image_format, **options)
    return out.getvalue()


IMAGES: dict[str, Callable[[], bytes]] = {
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
    """Run every step for one image as the workflow does; return milliseconds and calls of each."""
    answer = boto3.client("s3").put_object(Bucket="uploads", Key="uploads/a", Body=data)
    upload = {"bucket": "uploads", "key": "uploads/a", "versionId": None, "sizeBytes": len(data)}
    upload["etag"] = answer["ETag"].strip('"')
    execution = {"M": {"id": {"S": "bench"}}}
    boto3.client("dynamodb").put_item(TableName="table", Item={"ImageKey": {"S": "uploads/a"}, "execution": execution})
    steps: dict[str, dict[str, Any]] = {}

    def run(name: str, event: dict[str, Any]) -> dict[str, Any]:
        calls.take()
        started = time.process_time()
        with redirect_stdout(io.StringIO()):  # metrics are log lines
            result: dict[str, Any] = handlers[name]({**event, "executionId": "bench"}, None)
        steps[name] = {"milliseconds": (time.process_time() - started) * 1000, "calls": calls.take()}
        return result

    source = run("validate_image", {"upload": upload})["source"]
    thumbnails = run("generate_thumbnails", {"imageKey": "uploads/a", "source": source})
    metadata = run("extract_metadata", {"picture": thumbnails["picture"]})
    results = {"imageKey": "uploads/a", "thumbnails": thumbnails, "metadata": metadata, "overwrites": False}
    run("store_results", {**results, "startedAt": "2026-11-21T12:00:00Z", "milliseconds": {}})
    context = {"requestId": "bench", "http": {"method": "GET"}}
    run("get_status", {"rawPath": "/images/uploads/a/status", "requestContext": context})
    return steps


def measure() -> dict[str, Any]:
    """Measure all images: {image: {step: {milliseconds, calls}}}."""
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
        for name, make in IMAGES.items():
            data = make()
            runs = [one_upload(data, handlers, calls) for _ in range(ROUNDS)]
            results[name] = {
                step: {
                    "milliseconds": round(min(run[step]["milliseconds"] for run in runs), 1),
                    "calls": runs[-1][step]["calls"],
                }
                for step in STEPS
            }
            results[name]["upload"] = {"bytes": len(data)}
            print_image(name, results[name])
    return results


def print_image(name: str, result: dict[str, Any]) -> None:
    """Print one line for each step."""
    print(f"\n{name}, {result['upload']['bytes'] / 1e6:.1f} MB")
    for step in STEPS:
        calls = result[step]["calls"]
        summary = ", ".join(
            f"{call['operation']} ↑{call['sent'] / 1e3:.0f} ↓{call['received'] / 1e3:.0f} kB" for call in calls
        )
        print(f"  {step:20} {result[step]['milliseconds']:7.1f} ms  {summary}")


def start_table(starts: dict[str, Any]) -> list[str]:
    """Return a Markdown table of the cold starts."""
    ratios = starts.get("ratios", {})
    before = starts["before"] if ratios else {}
    columns = ["CPU ms", "import", "first call"]
    if before:
        columns += ["before: import", "first call", "import, now / before", "both, now / before"]
    lines = [f"Starts measured {starts['date']} with Python {starts['python']}.", ""]
    lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for name, figures in starts["now"].items():
        cells = [name, *figures.values()]
        if name in before:
            cells += [*before[name].values(), *(f"{ratio:.2f}" for ratio in ratios[name].values())]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    if ratios:
        lines += ["", targets_met(ratios)]
    return lines


def targets_met(ratios: dict[str, dict[str, float]]) -> str:
    """Return a sentence that compares the imports with their targets."""
    missed = [name for name, ratio in ratios.items() if ratio["import"] > TARGETS[name in WITHOUT_CLIENTS]]
    met = len(ratios) - len(missed)
    sentence = (
        f"The import takes at most {TARGETS[False]} of before with AWS clients, and {TARGETS[True]} without, for "
    )
    return f"{sentence}{met} of {len(ratios)} functions" + (f"; missed by {', '.join(missed)}." if missed else ".")


def tables(results: dict[str, Any]) -> str:
    """Return Markdown tables: cold starts, then time and calls for each step and image."""
    lines = [*start_table(results["starts"]), "", f"Calls measured {results['date']}."]
    lines += ["", "| step | image | warm, CPU ms | calls (kB sent, received) |", "|---|---|---|---|"]
    for step in STEPS:
        for name, image_result in results["pictures"].items():
            calls = ", ".join(
                f"{call['operation']} ({call['sent'] / 1e3:.0f}, {call['received'] / 1e3:.0f})"
                for call in image_result[step]["calls"]
            )
            lines.append(f"| {step} | {name} | {image_result[step]['milliseconds']} | {calls} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m bench.handlers")
    parser.add_argument("--build", type=Path, default=BUILD, help="folder that `sam build` wrote")
    parser.add_argument("--before", type=Path, help="folder of an earlier build, to compare with")
    parser.add_argument("--image", help="image of a container with Python and boto3 of Lambda")
    parser.add_argument("--starts", action="store_true", help="measure only the starts")
    options = parser.parse_args(arguments)
    os.environ |= ENVIRONMENT
    sys.path.insert(0, str(CORE))
    results = json.loads(RESULTS.read_text())
    if reason := reason_to_skip_starts(options.build, options.image):
        print(f"The starts are not measured again, and stay those of {results['starts']['date']}: {reason}.")
    else:
        results["starts"] = cold_starts(options.build, options.before, options.image)
        print("\n".join(start_table(results["starts"])))
    if not options.starts:
        results |= {"date": time.strftime("%Y-%m-%d"), "pictures": measure()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_document("handlers", tables(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
