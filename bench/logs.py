"""`python -m bench.logs`: measure the log lines of one upload in the local run.

The workflow logs at level ERROR, so an upload that succeeds leaves no line of the workflow, only lines of functions.
The local run has the lines of the application and the metrics. Lambda's own lines are added in their documented form;
only with `LogLevel=DEBUG` are there any about an invocation that succeeds.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from bench.report import RESULTS_FOLDER
from local.pipeline import Pipeline

RESULTS = RESULTS_FOLDER / "logs.json"
UPLOADS = 5

EVENT_BYTES = 26
"""CloudWatch Logs counts these for each event besides its text (PutLogEvents in the API reference)."""
START = (
    '{"time":"2026-11-28T01:17:09.355Z","type":"platform.start","record":{"requestId":'
    '"6d68ca91-49c9-448d-89b8-7ca3e6dc66aa","version":"$LATEST"}}'
)
REPORT = (
    '{"time":"2026-11-28T01:17:09.955Z","type":"platform.report","record":{"requestId":'
    '"6d68ca91-49c9-448d-89b8-7ca3e6dc66aa","metrics":{"durationMs":128.411,"billedDurationMs":129,"memorySizeMB":512,'
    '"maxMemoryUsedMB":105},"tracing":{"spanId":"2f5b7c1d9e0a4b68","type":"X-Amzn-Trace-Id","value":'
    '"Root=1-6b0a2b97-7d02bebaca2d422e98e6322d;Parent=53a6c0d1e2f30415;Sampled=0"},"status":"success"}}'
)
"""Lambda's lines of a warm invocation, as its developer guide shows them ("System logs"), with values of this stack."""


def kilobytes(reported: float = 0) -> float:
    """Return the kilobytes of logs of one upload.

    Args:
        reported: The number of invocations about which Lambda writes its lines: none, except with `LogLevel=DEBUG`.
    """
    measured: dict[str, Any] = json.loads(RESULTS.read_text())
    own = measured["bytes"] + EVENT_BYTES * measured["events"]
    return float(own + reported * (len(START) + len(REPORT) + 2 * EVENT_BYTES)) / 1000


def measure(run_dir: Path) -> dict[str, float]:
    """Process uploads; return bytes and events of one upload, without the lines of polls and of failures."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize((2000, 1500)).save(out, "JPEG")
    with Pipeline(run_dir) as pipeline:
        keys = [f"uploads/{number}.jpg" for number in range(UPLOADS)]
        for key in keys:
            pipeline.upload(key, out.getvalue())
            pipeline.wait_for(key)
        pipeline.wait_until(lambda: len(pipeline.events()) == UPLOADS, "the events of the outcomes")
    lines = [
        line for path in (run_dir / "logs").glob("*Function.log") for line in path.read_bytes().splitlines() if line
    ]
    return {"bytes": round(sum(map(len, lines)) / UPLOADS), "events": round(len(lines) / UPLOADS, 2)}


def main() -> int:
    """Measure, print and save."""
    with tempfile.TemporaryDirectory() as folder:
        results = {"date": time.strftime("%Y-%m-%d"), "uploads": UPLOADS, **measure(Path(folder))}
    print(results)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
