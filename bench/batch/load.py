"""Send thousands of messages through the local BatchQueue: every image must be processed exactly once.

`python -m bench.batch.load` stores small images while events of S3 are off, sends a message for each and a second one
for every tenth, waits until the queue is empty, checks every record and notification, and writes the figures to
`bench/results/batch_load.json`.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image

from bench.report import RESULTS_FOLDER
from local.lock import AlreadyRunningError, Lock
from local.pipeline import ROOT, UPLOADS_MACHINE, Pipeline, StartError

COUNT = 2000
RESULTS = RESULTS_FOLDER / "batch_load.json"
RUN_DIR = ROOT / ".bench" / "batch_load"
OK, FAILED, CANNOT_START = 0, 1, 3

_CONNECTIONS = 50
_DUPLICATE_INTERVAL = 10  # every tenth message is sent twice
_POLL_SECONDS = 1.0
_REPORT_SECONDS = 10.0
_SAMPLES = 3  # both numbers are approximate: a message that becomes visible may be in neither
_TIMEOUT_SECONDS = 120.0  # without any change


def small_image(number: int) -> bytes:
    """Return a small JPEG that is unique to its number."""
    out = io.BytesIO()
    Image.new("RGB", (48, 32), (number % 256, number // 256 % 256, 128)).save(out, "JPEG")
    return out.getvalue()


def store(pipeline: Pipeline, count: int) -> list[str]:
    """Store images without events, and return their keys."""
    pipeline.client("s3").put_bucket_notification_configuration(
        Bucket=pipeline.uploads_bucket, NotificationConfiguration={}
    )
    keys = [f"uploads/batch/{number:06}.jpg" for number in range(count)]
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        list(pool.map(lambda number: pipeline.upload(keys[number], small_image(number)), range(count)))
    return keys


def send(pipeline: Pipeline, keys: list[str]) -> int:
    """Send the messages, some of them twice; return their number."""
    sqs = pipeline.client("sqs")
    url = pipeline.outputs["BatchQueueUrl"]
    bodies = [
        json.dumps({"bucket": pipeline.uploads_bucket, "key": key}) for key in [*keys, *keys[::_DUPLICATE_INTERVAL]]
    ]
    for start in range(0, len(bodies), 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
        if failed := sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed"):
            raise RuntimeError(f"SQS rejected {len(failed)} messages: {failed[0]}")
    return len(bodies)


def drain(pipeline: Pipeline) -> Iterator[tuple[float, int]]:
    """Yield seconds and remaining messages until the queue is empty or stops changing."""
    started = changed = time.monotonic()
    previous = -1
    while pipeline.alive and time.monotonic() - changed < _TIMEOUT_SECONDS:
        remaining = max(waiting(pipeline, "BatchQueueUrl") for _ in range(_SAMPLES))
        yield time.monotonic() - started, remaining
        if remaining == 0:
            return
        if remaining != previous:
            previous = remaining
            changed = time.monotonic()
        time.sleep(_POLL_SECONDS)


def waiting(pipeline: Pipeline, output: str) -> int:
    """Count the messages of a queue, including messages in flight."""
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = pipeline.client("sqs").get_queue_attributes(QueueUrl=pipeline.outputs[output], AttributeNames=names)
    return sum(int(number) for number in answer["Attributes"].values())


def check(pipeline: Pipeline, keys: list[str]) -> dict[str, int]:
    """Count images that were lost or notified twice, executions, and dead letters."""
    statuses = {key: (pipeline.record(key) or {}).get("status") for key in keys}
    processed = Counter(execution.key for execution in pipeline.executions(UPLOADS_MACHINE))
    notified = Counter(
        notification["MessageAttributes"]["imageKey"]["Value"] for notification in pipeline.notifications()
    )
    return {
        "lost": sum(status != "COMPLETED" for status in statuses.values()),
        "doubled": sum(notified[key] > 1 for key in keys),
        "untold": sum(notified[key] == 0 for key in keys),
        "executions": sum(processed.values()),
        "dead": waiting(pipeline, "BatchDeadLetterQueueUrl"),
    }


def run(pipeline: Pipeline, count: int) -> dict[str, Any]:
    """Store, send, drain and check; return the figures."""
    keys = store(pipeline, count)
    messages = send(pipeline, keys)
    print(f"{messages:,} messages for {count:,} images", flush=True)
    seconds = reported = 0.0
    for seconds, remaining in drain(pipeline):
        if seconds - reported >= _REPORT_SECONDS:
            reported = seconds
            print(f"{seconds:6.0f} s  {remaining:,} messages left", flush=True)
    # Executions that take longer than StartBatch waits have no message any more.
    pipeline.wait_until(
        lambda: not any(execution.running for execution in pipeline.executions(UPLOADS_MACHINE)),
        "the last executions to end",
    )
    figures = {"date": time.strftime("%Y-%m-%d"), "pictures": count, "messages": messages, "seconds": round(seconds, 1)}
    return figures | check(pipeline, keys)


def main() -> int:
    """Run, print and save."""
    parser = argparse.ArgumentParser(prog="python -m bench.batch.load", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="number of images (default %(default)s)")
    options = parser.parse_args()
    try:
        with Lock(RUN_DIR):
            shutil.rmtree(RUN_DIR / "logs", ignore_errors=True)
            with Pipeline(RUN_DIR, warm=True) as pipeline:
                figures = run(pipeline, options.count)
    except (AlreadyRunningError, StartError) as error:
        print(error, file=sys.stderr)
        return CANNOT_START
    print(json.dumps(figures))
    if figures["lost"] or figures["doubled"] or figures["untold"] or figures["dead"]:
        return FAILED
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")
    return OK


if __name__ == "__main__":
    sys.exit(main())
