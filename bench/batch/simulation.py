"""`python -m bench.batch.simulation`: simulate how fast a burst of messages drains under the quotas of AWS.

A discrete-event simulation with a fixed seed, so the figures are reproducible. Durations of functions (`bench.cost`)
and quotas of us-east-1 are assumptions. The retries are those of the workflow.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import sys
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.cost import MAIN_PATH_STEPS, definition, lambda_seconds, memory_megabytes
from bench.report import RESULTS_FOLDER

ROOT = Path(__file__).parent.parent.parent

MESSAGES = 100_000
CONCURRENCIES = (2, 5, 20, 50, 100)
BATCH, BATCHES_AT_FIRST, MORE_BATCHES_A_MINUTE = 10, 5, 300
"""https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: five pollers, and so many more a minute."""
POLL_SECONDS, WAIT_SECONDS, VISIBILITY_SECONDS, RECEIVE_MOST = 0.1, 60.0, 540.0, 5
CRASH_SHARE = 0.001
"""Share of StartBatch invocations that crash: an assumption that exercises redelivery."""

Action = Callable[[], None]

_BUSY = "Lambda.TooManyRequestsException"


@dataclass(frozen=True)
class Quotas:
    """The default quotas of an account in us-east-1."""

    start_bucket: float = 1300
    start_rate: float = 300
    """StartExecution, https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html."""
    lambda_concurrency: int = 1000
    lambda_growth: float = 100
    """Additional environments of a function per second: 1,000 every 10 seconds."""
    detect_labels_rate: float = 50
    """https://docs.aws.amazon.com/general/latest/gr/rekognition.html."""


class Bucket:
    """A token bucket, which starts full."""

    def __init__(self, size: float, rate: float) -> None:
        self._size = size
        self._rate = rate
        self._tokens = size
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Take a token; return whether there was one."""
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Clock:
    """The queue of simulated events."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._events: list[tuple[float, int, Action]] = []

    def after(self, seconds: float, action: Action) -> None:
        """Schedule an action."""
        heapq.heappush(self._events, (self.now + seconds, next(self._order), action))

    def run(self) -> None:
        """Run all scheduled actions."""
        while self._events:
            self.now, _, action = heapq.heappop(self._events)
            action()


def retries(step: str) -> list[dict[str, Any]]:
    """Return the retry rules of a step from the workflow."""
    rules: list[dict[str, Any]] = definition("process_image")["States"][step]["Retry"]
    return rules


def rule_for(step: str, error: str) -> dict[str, Any]:
    """Return the rule that matches an error."""
    return next(rule for rule in retries(step) if error in rule["ErrorEquals"])


def step_seconds() -> dict[str, float]:
    """Return the warm duration of each step for a JPEG of 12 megapixels."""
    measured = json.loads((RESULTS_FOLDER / "handlers.json").read_text())["pictures"]["jpeg-12mp"]
    memory = memory_megabytes()
    folders = {name: "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_") for name in memory}
    return {name: lambda_seconds(measured[folders[name]], memory[name]) for name in MAIN_PATH_STEPS}


class Simulation:
    """The simulation of one burst.

    Args:
        messages: The number of messages, sent at once.
        concurrency: `BatchConcurrency`.
        quotas: The quotas of the account.
        seed: The seed of random values.
    """

    def __init__(self, messages: int, concurrency: int, quotas: Quotas | None = None, seed: int = 1) -> None:
        self._quotas = quotas or Quotas()
        self._clock = Clock()
        self._dice = random.Random(seed)  # noqa: S311 (not a secret)
        self._queue: deque[int] = deque(range(messages))
        self._receives = Counter[int]()
        self._started = dict[int, bool]()
        self._concurrency = concurrency
        self._pollers = 0
        self._starts = Bucket(self._quotas.start_bucket, self._quotas.start_rate)
        self._labels = Bucket(self._quotas.detect_labels_rate, self._quotas.detect_labels_rate)
        self._seconds = step_seconds()
        self._rules = {
            ("ExtractMetadata", "LabelsDelayedError"): rule_for("ExtractMetadata", "LabelsDelayedError"),
            **{(s, _BUSY): rule_for(s, _BUSY) for s in MAIN_PATH_STEPS},
        }
        self._busy = self._batches = self._under_way = 0
        self.counts: Counter[str] = Counter()
        self.most_under_way = self.most_functions = 0
        self.batch_seconds: list[float] = []
        self._messages = messages

    def run(self) -> dict[str, Any]:
        """Run until the queue is empty; return the figures."""
        for _ in range(self._concurrency):
            self._clock.after(0, self._poll)
        self._clock.run()
        finished = self.counts["completed"] + self.counts["partial"] + self.counts["failed"]
        return {
            "messages": self._messages,
            "batchConcurrency": self._concurrency,
            "completed": self.counts["completed"],
            "partial": self.counts["partial"],
            "failed": self.counts["failed"],
            "deadLetters": self.counts["dead"],
            "lost": self._messages - finished - self.counts["dead"],
            "redelivered": self.counts["redelivered"],
            "startThrottles": self.counts["startThrottles"],
            "labelThrottles": self.counts["labelThrottles"],
            "functionThrottles": self.counts["functionThrottles"],
            "mostUnderWay": self.most_under_way,
            "mostFunctions": self.most_functions,
            "minutes": round(self._last / 60, 1),
            "picturesPerSecond": round(finished / self._last, 2) if self._last else 0.0,
            "batchSeconds": round(sum(self.batch_seconds) / max(1, len(self.batch_seconds)), 2),
        }

    _last = 0.0

    def _allowed_batches(self) -> int:
        return min(self._concurrency, BATCHES_AT_FIRST + int(self._clock.now / 60 * MORE_BATCHES_A_MINUTE))

    def _poll(self) -> None:
        """Run one poller: it takes a batch when allowed, and is busy until that is done."""
        if self._batches >= self._allowed_batches():
            self._clock.after(1.0, self._poll)
            return
        batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        if not batch:
            if self._outstanding():
                self._clock.after(5.0, self._poll)
            return
        if not self._invoke():
            self.counts["functionThrottles"] += 1
            self._queue.extendleft(reversed(batch))  # pollers of Lambda keep the batch and retry
            self._clock.after(1.0, self._poll)
            return
        self._batches += 1
        self._receives.update(batch)
        Batch(self, batch).start()

    def _outstanding(self) -> bool:
        return bool(self._queue) or self._hidden > 0 or self._batches > 0

    _hidden = 0

    def _invoke(self) -> bool:
        limit = min(self._quotas.lambda_concurrency, 1000 + self._clock.now * self._quotas.lambda_growth)
        if self._busy >= limit:
            return False
        self._busy += 1
        self.most_functions = max(self.most_functions, self._busy)
        return True

    def redeliver(self, message: int) -> None:
        """Return a failed message to the queue after its visibility timeout."""
        if self._receives[message] >= RECEIVE_MOST:
            self.counts["dead"] += 1
            return
        self.counts["redelivered"] += 1
        self._hidden += 1

        def visible() -> None:
            self._hidden -= 1
            self._queue.append(message)

        self._clock.after(VISIBILITY_SECONDS, visible)

    def execute(self, message: int, ended: Action) -> bool:
        """Start the execution of a message; return False if Step Functions throttles. A name starts only once."""
        if message in self._started:
            ended()  # its record shows the execution, whose wait is not simulated twice
            return True
        if not self._starts.take(self._clock.now):
            self.counts["startThrottles"] += 1
            return False
        self._started[message] = True
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)

        def on_end(outcome: str) -> None:
            self._under_way -= 1
            self._last = self._clock.now
            self.counts[outcome] += 1
            ended()

        SimulatedExecution(self, on_end).next()
        return True


class Batch:
    """An invocation of StartBatch."""

    def __init__(self, simulation: Simulation, messages: list[int]) -> None:
        self._s = simulation
        self._messages = messages
        self._pending = 1
        self._over = False
        self._began = simulation._clock.now

    def start(self) -> None:
        """Start the executions and wait for them."""
        clock = self._s._clock
        crashes = self._s._dice.random() < CRASH_SHARE
        for number, message in enumerate(self._messages):
            if crashes and number == len(self._messages) // 2:
                break
            self._pending += 1
            if not self._s.execute(message, self._ended):
                self._pending -= 1
                if not crashes:
                    self._s.redeliver(message)
        if crashes:
            for message in self._messages:
                self._s.redeliver(message)
            self._over = True
            self._end()
        else:
            clock.after(WAIT_SECONDS, self._time_over)
            self._ended()  # for the start itself

    def _ended(self) -> None:
        self._pending -= 1
        self._check()

    def _check(self) -> None:
        if not self._pending and not self._over:
            self._over = True
            # The function polls the records at 0.5, 1.25, 2.4 … seconds, so it notices the end later.
            self._s._clock.after(0.3 * max(0.5, self._s._clock.now - self._began), self._end)

    def _time_over(self) -> None:
        if not self._over:
            self._over = True
            self._end()

    def _end(self) -> None:
        self._s._batches -= 1
        self._s._busy -= 1
        self._s.batch_seconds.append(self._s._clock.now - self._began)
        self._s._clock.after(POLL_SECONDS, self._s._poll)


class SimulatedExecution:
    """The execution of one image."""

    def __init__(self, simulation: Simulation, on_end: Callable[[str], None]) -> None:
        self._s = simulation
        self._on_end = on_end
        self._outcome = "completed"
        self._steps = list(MAIN_PATH_STEPS)
        self._tries = Counter[tuple[str, str]]()

    def next(self) -> None:
        """Run the next step, or end."""
        if not self._steps:
            self._on_end(self._outcome)
            return
        step = self._steps[0]
        if not self._s._invoke():
            self._s.counts["functionThrottles"] += 1
            self._again(step, _BUSY)
            return
        seconds = self._s._seconds[step] * self._s._dice.uniform(0.7, 1.6)
        self._s._clock.after(seconds, lambda: self._finish(step))

    def _finish(self, step: str) -> None:
        self._s._busy -= 1
        if step == "ExtractMetadata" and not self._s._labels.take(self._s._clock.now):
            self._s.counts["labelThrottles"] += 1
            self._again(step, "LabelsDelayedError")
            return
        self._steps.pop(0)
        self.next()

    def _again(self, step: str, error: str) -> None:
        """Retry by the rules of the workflow, with full jitter, or give up."""
        rule = self._s._rules[step, error]
        tries = self._tries[step, error]
        if tries >= rule["MaxAttempts"]:
            if step == "ExtractMetadata":
                self._outcome = "partial"
                self._steps.pop(0)
                self.next()
            else:
                self._on_end("failed")
            return
        self._tries[step, error] += 1
        longest = min(rule["IntervalSeconds"] * rule["BackoffRate"] ** tries, rule["MaxDelaySeconds"])
        self._s._clock.after(self._s._dice.uniform(0, longest), self.next)


def document(messages: int = MESSAGES) -> dict[str, Any]:
    """Return all figures."""
    runs = [Simulation(messages, concurrency).run() for concurrency in CONCURRENCIES]
    return {
        "quotas": asdict(Quotas()),
        "stepSeconds": {k: round(v, 3) for k, v in step_seconds().items()},
        "runs": runs,
    }


def table(figures: dict[str, Any]) -> str:
    """Return a Markdown table for docs/batches.md, with a row for each setting."""
    lines = [
        "| `BatchConcurrency` | minutes | images a second | most under way | without labels | lost |",
        "|---|---|---|---|---|---|",
    ]
    for run in figures["runs"]:
        values = (run["batchConcurrency"], round(run["minutes"]), round(run["picturesPerSecond"]))
        rest = (run["mostUnderWay"], run["partial"], run["lost"])
        lines.append("| " + " | ".join(str(value) for value in (*values, *rest)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    figures = document()
    (ROOT / "image_pipeline_cli" / "figures" / "batch.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(table(figures))
    sys.exit(0 if not any(run["lost"] for run in figures["runs"]) else 1)
