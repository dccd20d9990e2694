"""image_pipeline.observability"""

import io
import json

import pytest

from image_pipeline import observability


def test_a_step_tells_how_long_it_took_and_logs_under_its_execution(monkeypatch):
    """The record's durations and the logs of one picture hang together by the execution's id."""
    out = io.StringIO()
    monkeypatch.setattr(observability.logger.registered_handler, "stream", out)
    handler = observability.step(lambda event, _context: {"seen": event["executionId"]})
    result = handler({"executionId": "execution-7"}, None)
    assert result["seen"] == "execution-7"
    assert 0 <= result["milliseconds"] < 1000
    line = json.loads(out.getvalue())
    assert line["correlation_id"] == "execution-7"


def test_a_log_line_is_ascii(monkeypatch):
    """AWS names objects in its errors: no name breaks a line or moves the terminal of whoever reads the log."""
    out = io.StringIO()
    monkeypatch.setattr(observability.logger.registered_handler, "stream", out)
    observability.logger.error("denied: uploads/\x1b[31m\r\n\x9b\u2028\u202e🦊\ud800.jpg")
    (line,) = out.getvalue().splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert "uploads/\x1b[31m\r\n\x9b\u2028\u202e🦊\ud800.jpg" in json.loads(line)["message"]


def test_an_error_passes_through_as_it_is():
    """The workflow sees the class that was raised."""

    def fails(event, context):
        raise LookupError("as it is")

    with pytest.raises(LookupError, match="as it is"):
        observability.step(fails)({"executionId": "1"}, None)
