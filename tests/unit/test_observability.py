"""image_pipeline.observability"""

import io
import json
import os
import subprocess
import sys

import pytest

from image_pipeline import errors, observability
from tests.conftest import ROOT, emf, metrics

CORE = str(ROOT / "layers" / "core")


@pytest.fixture
def log(monkeypatch):
    """The output of the logger."""
    out = io.StringIO()
    monkeypatch.setattr(observability.logger.registered_handler, "stream", out)
    return out


def record(status="COMPLETED"):
    return {
        "status": status,
        "execution": {"startedAt": "2026-11-21T12:00:00.900Z", "finishedAt": "2026-11-21T12:00:03.150Z"},
        "image": {"sizeBytes": 5_000_000},
        "renditions": [{"sizeBytes": 3000}, {"sizeBytes": 40_000}],
    }


def raising(error):
    def handler(_event, _context):
        raise error

    return observability.step(handler)


def test_a_step_returns_its_duration_and_logs_with_its_execution(log):
    """Logs and durations carry the id of the execution."""
    handler = observability.step(lambda event, _context: {"seen": event["executionId"]})
    result = handler({"executionId": "execution-7"}, None)
    assert result["seen"] == "execution-7"
    assert 0 <= result["milliseconds"] < 1000
    line = json.loads(log.getvalue())
    assert line["correlation_id"] == "execution-7"


def test_every_line_contains_the_deployment():
    """Logs and metrics have version and commit; a commit that is unknown is missing, not empty."""
    code = "from image_pipeline import observability as o; o.logger.error('x'); o.record_oldest_age(1)"
    for commit in ("", "5e7ed83"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": CORE, "PIPELINE_VERSION": "1.2.3", "PIPELINE_COMMIT": commit},
            capture_output=True,
            text=True,
            check=True,
        )
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        assert len(lines) == 2
        for line in lines:
            assert line["version"] == "1.2.3"
            assert line.get("commit", "") == commit
            assert ("commit" in line) == bool(commit)


def test_a_log_line_is_ascii(log):
    """Object keys in AWS errors must not break a log line or control a terminal."""
    observability.logger.error("denied: uploads/\x1b[31m\r\n\x9b\u2028\u202e🦊\ud800.jpg")
    (line,) = log.getvalue().splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert "uploads/\x1b[31m\r\n\x9b\u2028\u202e🦊\ud800.jpg" in json.loads(line)["message"]


@pytest.mark.parametrize(
    ("error", "traced"), [(LookupError("as it is"), True), (errors.CorruptImageError("as it is", "Hint."), False)]
)
def test_an_error_is_logged_with_its_execution_and_raised(log, error, traced):
    """The workflow sees the class that was raised; only a bug needs a traceback."""
    with pytest.raises(type(error), match="as it is"):
        raising(error)({"executionId": "execution-8"}, None)
    line = json.loads(log.getvalue())
    assert (line["correlation_id"], line["error"]) == ("execution-8", type(error).__name__)
    assert ("exception" in line) == traced


def test_the_time_of_a_log_line_has_the_format_of_lambda(log):
    """With another time format, Lambda's filter would treat ERROR as INFO."""
    observability.logger.error("x")
    assert "T" in json.loads(log.getvalue())["timestamp"]


@pytest.mark.parametrize(
    ("status", "counted"), [("COMPLETED", "ImageCompleted"), ("PARTIAL", "ImagePartial")], ids=["completed", "partial"]
)
def test_a_success_is_counted_with_time_and_bytes(capsys, status, counted):
    """The metrics are the time from claim to outcome, the bytes of the upload and those of all renditions."""
    observability.count_success(record(status))
    outcomes = {"ImageCompleted": 0, "ImagePartial": 0, "ImageFailed": 0}
    figures = {"ProcessingMilliseconds": 2250, "BytesIn": 5_000_000, "BytesOut": 43_000}
    assert metrics(capsys) == [outcomes | {counted: 1} | figures]


@pytest.mark.parametrize("code", ["States.Timeout", "StorageUnavailableError", "LookupError", "", "uploads/me.jpg"])
def test_an_internal_failure_is_counted_without_a_dimension(capsys, code):
    """An unknown code must not create a new metric."""
    observability.count_failure(code)
    (line,) = emf(capsys.readouterr().out)
    assert line["ImageFailed"] == [1]
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]
    assert code == "" or code not in json.dumps(line)


def test_the_share_of_faults_can_be_read_from_one_metric(capsys):
    """An alarm reads the share of failures from the average of one metric; rejections do not count."""
    for outcome in ("COMPLETED", "COMPLETED", "PARTIAL"):
        observability.count_success(record(outcome))
    observability.count_failure("States.Timeout")
    observability.count_failure("EmptyUploadError")
    values = [line["ImageFailed"] for line in metrics(capsys) if "ImageFailed" in line]
    assert (sum(values), len(values)) == (1, 4)


@pytest.mark.parametrize("code", sorted(errors.REJECTIONS))
def test_a_rejection_is_counted_by_its_reason(capsys, code):
    """The dimension does not leak into the next metric."""
    observability.count_failure(code)
    observability.record_oldest_age(0)
    rejection, success = emf(capsys.readouterr().out)
    assert (rejection["ImageRejected"], rejection["Reason"], rejection["service"]) == ([1], code, "stack")
    assert set(rejection["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]) == {"service", "Reason"}
    assert "Reason" not in success


def test_the_watch_and_the_clean_up_have_metrics(capsys):
    """Both metrics have a value and no further dimension."""
    observability.record_oldest_age(71.5)
    observability.count_cleanup_failure()
    assert metrics(capsys) == [{"OldestProcessingSeconds": 71.5}, {"RenditionsNotCleaned": 1}]


def test_a_metric_has_the_id_of_its_execution(capsys):
    """A metric carries the id of its execution, as every log line does."""
    observability.step(lambda *_: observability.count_failure("X") or {})({"executionId": "execution-9"}, None)
    (line,) = emf(capsys.readouterr().out)
    assert line["correlation_id"] == "execution-9"
    assert "correlation_id" not in json.dumps(line["_aws"])
