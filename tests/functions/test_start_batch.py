"""functions/start_batch"""

import json

from image_pipeline.batch import batches
from tests.conftest import MACHINES, UPLOADS_BUCKET, aws_client, put_record, put_upload


def test_a_batch_is_reported_when_its_executions_have_ended(handler, monkeypatch):
    """Only failed messages are delivered again."""
    states = aws_client("stepfunctions")
    states.create_state_machine(name="process", definition="{}", roleArn="arn:aws:iam::123456789012:role/r")
    put_upload("uploads/a.jpg", b"x")
    looks = []

    def look(client, table, image_keys, pause):
        looks.append(image_keys)
        if len(looks) == 2:
            put_record("uploads/a.jpg", status="COMPLETED", execution={"id": "batch_1_0"})
        return records(client, table, image_keys, pause)

    records = batches._read_records
    monkeypatch.setattr(batches, "_read_records", look)
    monkeypatch.setattr(batches, "_FIRST_PAUSE_SECONDS", 0.01)
    bodies = [json.dumps({"bucket": UPLOADS_BUCKET, "key": "uploads/a.jpg"}), "words"]
    answer = handler({"Records": [{"messageId": str(n), "body": body} for n, body in enumerate(bodies, 1)]})
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert looks == [{"uploads/a.jpg"}] * 2
    assert len(states.list_executions(stateMachineArn=MACHINES["PROCESS_IMAGE_ARN"])["executions"]) == 1
