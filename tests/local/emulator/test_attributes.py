"""moto_seams/attributes.py: the members of answers."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from moto.core.serialize import AttributePicker, JSONSerializer, RestXMLSerializer, XFormedAttributePicker
from moto.core.utils import get_service_model

from local.emulator.moto_seams import attributes

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
EVENT = {"id": 1, "timestamp": MOMENT, "type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "A"}}
ANSWERS = {
    "exact names": (JSONSerializer, "stepfunctions", "GetExecutionHistory", {"events": [EVENT, EVENT]}),
    "snake case": (JSONSerializer, "stepfunctions", "DescribeExecution", {"execution_arn": "a", "start_date": MOMENT}),
    "without the name of the class": (JSONSerializer, "stepfunctions", "DescribeExecution", {"arn": "a"}),
    "objects": (JSONSerializer, "stepfunctions", "DescribeExecution", SimpleNamespace(execution_arn="a", status="B")),
    "a value of None": (JSONSerializer, "stepfunctions", "DescribeExecution", {"executionArn": None, "name": ""}),
    "names of elements": (RestXMLSerializer, "s3", "ListBuckets", {"Buckets": [{"Name": "b", "CreationDate": MOMENT}]}),
    "another name in the answer": (RestXMLSerializer, "s3", "ListObjectsV2", {"contents": [{"Key": "k", "Size": 1}]}),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_answers_do_not_change(answer, monkeypatch):
    """Each member has the same value as without the seam, for the first answer and for the next one."""
    serializer, service, operation, result = answer
    model = get_service_model(service).operation_model(operation)

    def serialized():
        return serializer(model, value_picker=XFormedAttributePicker()).serialize(result)

    monkeypatch.setattr(AttributePicker, "__call__", AttributePicker.__call__)  # restored at the end
    expected = serialized()
    attributes.install()
    assert [serialized(), serialized()] == [expected, expected]
