"""Upload a thousand files at once to the local pipeline: each must have exactly one outcome.

`python -m bench.load` uploads, waits, checks, and writes figures to `bench/results/load.json`, `docs/load.svg` and
`docs/performance.md`. The files and their expected outcomes are in `bench.load.mix`, the checks in `bench.load.check`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import shutil
import sys
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import psutil
from boto3.dynamodb.types import TypeDeserializer

from bench.load import report as load_report
from bench.load.check import LoadFault, Results, Sent, check, newest
from bench.load.mix import Upload, uploads
from local.lock import AlreadyRunningError, Lock
from local.pipeline import ROOT, UPLOADS_MACHINE, Execution, Pipeline, StartError

COUNT = 1000
RUN_DIR = ROOT / ".bench" / "load"
CONNECTIONS = 100
"""Parallel uploads: the endpoint accepts at most 128 waiting connections. All uploads are stored within seconds, and
their processing takes minutes."""
POLL_SECONDS = 1.0
REPORT_SECONDS = 5.0
TIMEOUT_SECONDS = 60.0
"""Maximum time without any change."""

BOUNDS = {"server": (400, 0.4), "workers": (1600, 0.0), "uploader": (250, 0.2)}
"""Maximum resident memory in MB: a base, and an amount per upload. moto keeps objects, records and histories in memory,
the uploader keeps results to check them, and the functions keep nothing."""

OK, FAILED, CANNOT_START, INTERRUPTED = 0, 1, 3, 130

Tell = Callable[[str, Mapping[str, Any]], None]


class Memory(threading.Thread):
    """Samples resident memory until it is stopped: seconds since the start, and MB of server, workers and uploader."""

    def __init__(self, server: int | None) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float, float, float]] = []
        self._server = psutil.Process(server)
        self._uploader = psutil.Process()
        self._zero = time.monotonic()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Take samples."""
        while not self._stopped.wait(POLL_SECONDS):
            workers = sum(_megabytes(worker) for worker in self._server.children(recursive=True))
            seconds = time.monotonic() - self._zero
            self.samples.append((seconds, _megabytes(self._server), workers, _megabytes(self._uploader)))

    def stop(self) -> None:
        """Stop sampling."""
        self._stopped.set()
        self.join()


def _megabytes(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.Error:  # the process has ended
        return 0.0


def send(pipeline: Pipeline, planned: Sequence[Upload]) -> list[Sent]:
    """Upload everything as fast as possible; uploads of the same key are sequential."""
    by_key: dict[str, list[Upload]] = defaultdict(list)
    for upload in planned:
        by_key[upload.key].append(upload)
    pipeline.client("s3")  # create it before threads would create it twice

    def send_key(uploads_of_key: list[Upload]) -> list[Sent]:
        sent = []
        for upload in uploads_of_key:
            started = time.time()
            sent.append(Sent(upload, pipeline.upload(upload.key, upload.body), started))
        return sent

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return [result for results in pool.map(send_key, by_key.values()) for result in results]


def follow(pipeline: Pipeline, sent: Sequence[Sent], memory: Memory, tell: Tell) -> None:
    """Wait until all executions have ended or stop changing; meanwhile deliver duplicate events."""
    duplicates: set[tuple[str | None, str | None]]
    duplicates = {(item.upload.key, item.version_id) for item in sent if item.upload.delivered_twice}
    expected = len(sent) + len(duplicates)
    previous = (0, 0)
    changed = reported = time.monotonic()
    while pipeline.alive and time.monotonic() - changed < TIMEOUT_SECONDS:
        executions = pipeline.executions()
        processing = [execution for execution in executions if execution.state_machine == UPLOADS_MACHINE]
        for execution in processing:
            if (execution.key, execution.version_id) in duplicates:
                duplicates.remove((execution.key, execution.version_id))
                _start_again(pipeline, execution)
        now = (len(executions), sum(execution.running for execution in executions))
        if len(processing) >= expected and not now[1]:
            return
        if now != previous:
            previous = now
            changed = time.monotonic()
        if time.monotonic() - reported >= REPORT_SECONDS:
            reported = time.monotonic()
            seconds, server, *_ = memory.samples[-1]
            ended = sum(not execution.running for execution in processing)
            facts = {"seconds": round(seconds), "ended": ended, "of": expected, "running": len(processing) - ended}
            tell("progress", facts | {"server": round(server)})
        time.sleep(POLL_SECONDS)


def _start_again(pipeline: Pipeline, execution: Execution) -> None:
    """Deliver the event of an execution again, as EventBridge may."""
    machine = pipeline.state_machines[UPLOADS_MACHINE]
    event = json.dumps(execution.event)
    pipeline.client("stepfunctions").start_execution(stateMachineArn=machine, name=f"again_{uuid.uuid4()}", input=event)


def collect(pipeline: Pipeline) -> Results:
    """Collect the results that the checks need."""
    executions = pipeline.executions(UPLOADS_MACHINE)
    arn_pattern = re.compile(r"arn:\S+:execution:\S+")
    notified = [
        match[0] for notification in pipeline.notifications() if (match := arn_pattern.search(notification["Message"]))
    ]
    with_notification = frozenset(notified)
    without_notification = [execution for execution in executions if execution.arn not in with_notification]
    notifying = {"NotifySuccess", "NotifyFailure"}  # an execution that entered one was not superseded
    outcomes = with_notification.union(
        execution.arn for execution in without_notification if notifying & set(pipeline.states_entered(execution))
    )
    pages = pipeline.client("dynamodb").get_paginator("scan").paginate(TableName=pipeline.outputs["ImageTableName"])
    plain = TypeDeserializer().deserialize
    records = [{name: plain(value) for name, value in item.items()} for page in pages for item in page["Items"]]
    return Results(executions, outcomes, notified, {record["ImageKey"]: record for record in records})


def run(pipeline: Pipeline, count: int, tell: Tell) -> tuple[dict[str, Any], list[LoadFault]]:
    """Upload files and measure their processing.

    Returns:
        The figures, and the uploads that were lost, doubled or wrong.
    """
    planned = uploads(count)
    load = os.getloadavg()[0]
    memory = Memory(pipeline.pid)
    memory.start()
    started = time.time()
    sent = send(pipeline, planned)
    sending = time.time() - started
    tell("sent", {"uploads": len(sent), "seconds": round(sending, 1)})
    follow(pipeline, sent, memory, tell)
    tell("checking", {})
    results = collect(pipeline)
    memory.stop()
    faults = check(sent, results)
    figures = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": {
            "cores": os.cpu_count(),
            "architecture": platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
            "load": round(load, 1),
        },
        "uploads": {
            "count": count,
            "keys": len(newest(sent)),
            "kinds": dict(Counter(upload.kind for upload in planned)),
            "delivered_twice": sum(upload.delivered_twice for upload in planned),
            "executions": len(results.executions),
            "superseded": len(results.executions) - len(results.outcomes),
        },
        **{kind: sum(fault.kind == kind for fault in faults) for kind in ("lost", "doubled", "wrong")},
        "sending_seconds": round(sending, 1),
        **_times(sent, results, started),
        "memory": _memory(memory.samples, count),
    }
    return figures, faults + [LoadFault("memory", text) for text in _over_bounds(figures["memory"])]


def _times(sent: Sequence[Sent], results: Results, started: float) -> dict[str, Any]:
    """Return throughput, and latency from the first byte of an upload to its final record, for the newest uploads."""
    ended = [
        (item.started, datetime.fromisoformat(record["execution"]["finishedAt"]).timestamp())
        for key, item in newest(sent).items()
        if (record := results.records.get(key)) and "finishedAt" in record["execution"]
    ]
    if not ended:
        return {}
    latencies = sorted(end - start for start, end in ended)
    seconds = max(end for _, end in ended) - started
    return {
        "seconds": round(seconds, 1),
        "uploads_per_second": round(len(sent) / seconds, 2),
        "latency": {
            **{f"p{part}": round(latencies[math.ceil(len(latencies) * part / 100) - 1], 1) for part in (50, 90, 99)},
            "max": round(latencies[-1], 1),
        },
        "ends": [[round(end - start, 2), round(end - started, 2)] for start, end in ended],
    }


def _memory(samples: Sequence[tuple[float, float, float, float]], count: int) -> dict[str, Any]:
    peaks = {name: round(max(sample[1 + index] for sample in samples)) for index, name in enumerate(BOUNDS)}
    bounds = {
        name: {"base": base, "each": per_upload, "all": round(base + per_upload * count)}
        for name, (base, per_upload) in BOUNDS.items()
    }
    step = math.ceil(len(samples) / 200)
    return {
        "peak": peaks,
        "bound": bounds,
        "samples": [[round(value, 1) for value in sample] for sample in samples[::step]],
    }


def _over_bounds(memory: Mapping[str, Any]) -> list[str]:
    return [
        f"The {name} used {peak} MB, more than {memory['bound'][name]['all']} MB."
        for name, peak in memory["peak"].items()
        if peak > memory["bound"][name]["all"]
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and save."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="number of uploads (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    options = parser.parse_args(arguments)
    if options.count < 1:
        parser.error("--count must be at least 1.")
    display = load_report.LoadJsonLines() if options.json else load_report.LoadText()
    try:
        with Lock(RUN_DIR):
            shutil.rmtree(RUN_DIR / "logs", ignore_errors=True)
            with Pipeline(RUN_DIR, warm=True) as pipeline:
                figures, faults = run(pipeline, options.count, display.tell)
    except (AlreadyRunningError, StartError) as error:
        print(error, file=sys.stderr)
        return CANNOT_START
    except KeyboardInterrupt:
        print("Interrupted; all processes were stopped.", file=sys.stderr)
        return INTERRUPTED
    display.result(figures, faults)
    if faults:
        return FAILED
    load_report.write(figures)
    return OK


if __name__ == "__main__":
    sys.exit(main())
