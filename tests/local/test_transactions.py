"""Transactions of the local DynamoDB: all or nothing, at the price of what they touch."""

import uuid

import pytest
from moto.dynamodb import models

from local import transactions


@pytest.fixture
def table(pipeline):
    """A table of this test's own."""
    name = f"transactions-{uuid.uuid4()}"
    pipeline.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in ("H", "R")],
        KeySchema=[{"AttributeName": "H", "KeyType": "HASH"}, {"AttributeName": "R", "KeyType": "RANGE"}],
    )
    yield name
    pipeline.client("dynamodb").delete_table(TableName=name)


def item(hash_key, value):
    return {"H": {"S": hash_key}, "R": {"S": "-"}, "value": {"S": value}}


def all_items(pipeline, table):
    found = pipeline.client("dynamodb").scan(TableName=table)["Items"]
    return {each["H"]["S"]: each["value"]["S"] for each in found}


@pytest.mark.parametrize("met", [True, False])
def test_a_transaction_does_all_or_nothing(pipeline, table, met):
    """What was put, changed and deleted before the condition that is not met is as it was."""
    dynamodb = pipeline.client("dynamodb")
    for name in ("kept", "changed", "deleted"):
        dynamodb.put_item(TableName=table, Item=item(name, "before"))
    condition = {"ConditionExpression": "attribute_not_exists(H)"}
    last = {"TableName": table, "Item": item("last" if met else "kept", "after"), **condition}
    change = {
        "TableName": table,
        "Key": {"H": {"S": "changed"}, "R": {"S": "-"}},
        "UpdateExpression": "SET #v = :v",
        "ExpressionAttributeNames": {"#v": "value"},
        "ExpressionAttributeValues": {":v": {"S": "after"}},
    }
    writes = [
        {"Put": {"TableName": table, "Item": item("new", "after")}},
        {"Update": change},
        {"Delete": {"TableName": table, "Key": {"H": {"S": "deleted"}, "R": {"S": "-"}}}},
        {"Put": last},
    ]
    if met:
        dynamodb.transact_write_items(TransactItems=writes)
        assert all_items(pipeline, table) == {"kept": "before", "changed": "after", "new": "after", "last": "after"}
        return
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
        dynamodb.transact_write_items(TransactItems=writes)
    assert all_items(pipeline, table) == {"kept": "before", "changed": "before", "deleted": "before"}


def test_a_moved_seam_says_so(monkeypatch):
    """When moto copies in another way, starting fails with the file that must follow."""
    monkeypatch.setattr(models, "copy", None)
    with pytest.raises(RuntimeError, match=r"local/transactions\.py must follow"):
        transactions.install()
