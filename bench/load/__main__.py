"""A thousand uploads at once against the local pipeline: every one must end, none be lost, none be doubled.

`python -m bench.load` uploads, watches, checks, and writes figures to `bench/results/load.json`, `docs/load.svg` and
`docs/performance.md`. What is uploaded, and how it must end, is in `bench.load.mix`; what counts as lost, in
`bench.load.check`.
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
from bench.load.check import Fault, Seen, Sent, check, newest
from bench.load.mix import Upload, uploads
from local.lock import AlreadyRunningError, Lock
from local.pipeline import ROOT, UPLOADS_MACHINE, Execution, Pipeline, StartError

COUNT = 1000
RUN_DIR = ROOT / ".bench" / "load"
CONNECTIONS = 100
"""Uploads at the same moment: the endpoint lets no more than 128 wait for an answer. All have been taken within
seconds, and the pipeline works on them for minutes."""
LOOK_SECONDS = 1.0
TELL_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
"""When nothing changes for so long, nothing will."""

BOUNDS = {"server": (400, 0.4), "workers": (1600, 0.0), "uploader": (250, 0.2)}
"""Most resident memory, in MB: in itself, and for each upload. moto keeps objects, records and histories in memory; the
uploader keeps what it has read to check it; the functions keep nothing."""

OK, FAILED, CANNOT_START, INTERRUPTED = 0, 1, 3, 130

Tell = Callable[[str, Mapping[str, Any]], None]


class Memory(threading.Thread):
    """Samples resident memory until it is stopped: seconds since the start, then MB of server, workers and uploader."""

    def __init__(self, server: int | None) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float, float, float]] = []
        self._server, self._uploader = psutil.Process(server), psutil.Process()
        self._zero = time.monotonic()
        self._over = threading.Event()

    def run(self) -> None:
        """Sample."""
        while not self._over.wait(LOOK_SECONDS):
            workers = sum(_megabytes(worker) for worker in self._server.children())
            seconds = time.monotonic() - self._zero
            self.samples.append((seconds, _megabytes(self._server), workers, _megabytes(self._uploader)))

    def stop(self) -> None:
        """Take no more samples."""
        self._over.set()
        self.join()


def _megabytes(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.Error:  # it has ended
        return 0.0


def send(pipeline: Pipeline, planned: Sequence[Upload]) -> list[Sent]:
    """Upload everything as fast as the endpoint takes it; uploads of the same key come one after the other."""
    by_key: dict[str, list[Upload]] = defaultdict(list)
    for upload in planned:
        by_key[upload.key].append(upload)
    pipeline.client("s3")  # made before there are threads to make it twice

    def send_key(own: list[Upload]) -> list[Sent]:
        sent = []
        for upload in own:
            started = time.time()
            sent.append(Sent(upload, pipeline.upload(upload.key, upload.body), started))
        return sent

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return [each for group in pool.map(send_key, by_key.values()) for each in group]


def follow(pipeline: Pipeline, sent: Sequence[Sent], memory: Memory, tell: Tell) -> None:
    """Wait until everything has ended, or nothing changes any more; deliver meanwhile again what is to come twice."""
    again: set[tuple[str | None, str | None]]
    again = {(each.upload.key, each.version_id) for each in sent if each.upload.delivered_twice}
    expected = len(sent) + len(again)
    before = (0, 0)
    changed = told = time.monotonic()
    while pipeline.alive and time.monotonic() - changed < PATIENCE_SECONDS:
        executions = pipeline.executions()
        own = [execution for execution in executions if execution.state_machine == UPLOADS_MACHINE]
        for execution in own:
            if (execution.key, execution.version_id) in again:
                again.remove((execution.key, execution.version_id))
                _start_again(pipeline, execution)
        now = (len(executions), sum(execution.running for execution in executions))
        if len(own) >= expected and not now[1]:
            return
        if now != before:
            before, changed = now, time.monotonic()
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            seconds, server, *_ = memory.samples[-1]
            ended = sum(not execution.running for execution in own)
            facts = {"seconds": round(seconds), "ended": ended, "of": expected, "running": len(own) - ended}
            tell("progress", facts | {"server": round(server)})
        time.sleep(LOOK_SECONDS)


def _start_again(pipeline: Pipeline, execution: Execution) -> None:
    """Deliver its event once more, as EventBridge may."""
    machine, event = pipeline.state_machines[UPLOADS_MACHINE], json.dumps(execution.event)
    pipeline.client("stepfunctions").start_execution(stateMachineArn=machine, name=f"again_{uuid.uuid4()}", input=event)


def see(pipeline: Pipeline) -> Seen:
    """Gather what the check needs."""
    executions = pipeline.executions(UPLOADS_MACHINE)
    named = re.compile(r"arn:\S+:execution:\S+")
    notified = [found[0] for each in pipeline.notifications() if (found := named.search(each["Message"]))]
    told = frozenset(notified)
    silent = [execution for execution in executions if execution.arn not in told]
    ends = {"NotifySuccess", "NotifyFailure"}  # who was to tell, and is not heard of, was not superseded
    outcomes = told.union(each.arn for each in silent if ends & set(pipeline.states_entered(each)))
    pages = pipeline.client("dynamodb").get_paginator("scan").paginate(TableName=pipeline.outputs["ImageTableName"])
    plain = TypeDeserializer().deserialize
    records = [{name: plain(value) for name, value in item.items()} for page in pages for item in page["Items"]]
    return Seen(executions, outcomes, notified, {record["ImageKey"]: record for record in records})


def run(pipeline: Pipeline, count: int, tell: Tell) -> tuple[dict[str, Any], list[Fault]]:
    """Upload so many files and measure what becomes of them.

    Returns:
        The figures, and what was lost, doubled or wrong.
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
    seen = see(pipeline)
    memory.stop()
    faults = check(sent, seen)
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
            "executions": len(seen.executions),
            "superseded": len(seen.executions) - len(seen.outcomes),
        },
        **{kind: sum(fault.kind == kind for fault in faults) for kind in ("lost", "doubled", "wrong")},
        "sending_seconds": round(sending, 1),
        **_times(sent, seen, started),
        "memory": _memory(memory.samples, count),
    }
    return figures, faults + [Fault("memory", text) for text in _over_bounds(figures["memory"])]


def _times(sent: Sequence[Sent], seen: Seen, started: float) -> dict[str, Any]:
    """Throughput, and latency from the first byte of an upload to its final record, of the uploads that count."""
    ended = [
        (each.started, datetime.fromisoformat(record["execution"]["finishedAt"]).timestamp())
        for key, each in newest(sent).items()
        if (record := seen.records.get(key)) and "finishedAt" in record["execution"]
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
        name: {"base": base, "each": each, "all": round(base + each * count)} for name, (base, each) in BOUNDS.items()
    }
    step = math.ceil(len(samples) / 200)
    return {
        "peak": peaks,
        "bound": bounds,
        "samples": [[round(value, 1) for value in each] for each in samples[::step]],
    }


def _over_bounds(memory: Mapping[str, Any]) -> list[str]:
    return [
        f"The {name} took {peak} MB, more than its {memory['bound'][name]['all']} MB."
        for name, peak in memory["peak"].items()
        if peak > memory["bound"][name]["all"]
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, tell, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="how many uploads (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line, for programs")
    options = parser.parse_args(arguments)
    if options.count < 1:
        parser.error("--count must be at least 1.")
    display = load_report.JsonLines() if options.json else load_report.Words()
    try:
        with Lock(RUN_DIR):
            shutil.rmtree(RUN_DIR / "logs", ignore_errors=True)
            with Pipeline(RUN_DIR) as pipeline:
                figures, faults = run(pipeline, options.count, display.tell)
    except (AlreadyRunningError, StartError) as error:
        print(error, file=sys.stderr)
        return CANNOT_START
    except KeyboardInterrupt:
        print("Interrupted; nothing is left running.", file=sys.stderr)
        return INTERRUPTED
    display.result(figures, faults)
    if faults:
        return FAILED
    load_report.write(figures)
    return OK


if __name__ == "__main__":
    sys.exit(main())
