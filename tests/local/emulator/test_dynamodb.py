"""moto_seams/dynamodb.py: values and updates of DynamoDB."""

import json

import pytest
from moto.core.serialize import ResponseSerializer
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser
from moto.dynamodb.parsing.expressions import UpdateExpressionFunctionParser, UpdateExpressionParser
from moto.dynamodb.parsing.tokens import ExpressionTokenizer
from moto.dynamodb.parsing.validators import OverlappingPathsValidator
from moto.dynamodb.responses import DynamoHandler

from image_pipeline.feeds import entries
from local.emulator.moto_seams import dynamodb

KINDS = {
    "text": {"S": "é"},
    "number": {"N": "1.5"},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "list": {"L": [{"S": "a"}, {"M": {"in": {"L": []}, "bytes": {"B": b"\x00\xff"}}}]},
    "map": {"M": {"empty": {"M": {}}, "S": {"S": "named like a type"}}},
    "bytes": {"B": b"ab\x00"},
    "texts": {"SS": ["a", "b"]},
    "many bytes": {"BS": [b"x", b"\xff"]},
}


def test_values_of_every_type_are_returned_unchanged(pipeline):
    """Items, queries and streams return each value as it was written."""
    client, table, key = pipeline.client("dynamodb"), pipeline.outputs["ImageTableName"], {"ImageKey": {"S": "kinds"}}
    streams = pipeline.client("dynamodbstreams")
    arn = client.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    # From here on: a page of what other tests wrote before need not reach as far as this item.
    start = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "LATEST"}
    here = streams.get_shard_iterator(**start)["ShardIterator"]
    client.put_item(TableName=table, Item={**key, **KINDS})
    assert client.get_item(TableName=table, Key=key)["Item"] == {**key, **KINDS}
    answer = client.query(
        TableName=table, KeyConditionExpression="ImageKey = :key", ExpressionAttributeValues={":key": key["ImageKey"]}
    )
    assert answer["Items"] == [{**key, **KINDS}]
    records = streams.get_records(ShardIterator=here)["Records"]
    assert {**key, **KINDS} in [record["dynamodb"].get("NewImage") for record in records]


def test_a_failed_condition_returns_the_item(pipeline):
    """The item in an error has all its values."""
    client, table, key = pipeline.client("dynamodb"), pipeline.outputs["ImageTableName"], {"ImageKey": {"S": "there"}}
    client.put_item(TableName=table, Item={**key, "n": {"N": "1"}})
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as caught:
        client.put_item(
            TableName=table,
            Item=key,
            ConditionExpression="attribute_not_exists(ImageKey)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert json.loads(json.dumps(caught.value.response["Item"])) == {**key, "n": {"N": "1"}}


def test_functions_of_an_update_are_nested(pipeline):
    """In the grammar of AWS, a function is an operand of another function."""
    client, table, key = pipeline.client("dynamodb"), pipeline.outputs["ImageTableName"], {"ImageKey": {"S": "nested"}}

    def older(**item):
        client.put_item(TableName=table, Item={**key, **item})
        client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET older = if_not_exists(older, if_not_exists(#now, :none)), #now = :new",
            ExpressionAttributeNames={"#now": "now"},
            ExpressionAttributeValues={":none": {"NULL": True}, ":new": {"S": "c"}},
        )
        return client.get_item(TableName=table, Key=key)["Item"]["older"]

    assert older() == {"NULL": True}
    assert older(now={"S": "b"}) == {"S": "b"}
    assert older(now={"S": "b"}, older={"S": "a"}) == {"S": "a"}


def test_an_update_returns_exactly_the_attributes_it_sets(pipeline):
    """Unchanged attributes and complete maps are included."""
    client, table, key = pipeline.client("dynamodb"), pipeline.outputs["ImageTableName"], {"ImageKey": {"S": "updated"}}
    kept = {"M": {"a": {"S": "same"}, "b": {"S": "same"}}}
    client.put_item(TableName=table, Item={**key, "kept": kept, "gone": {"S": "x"}, "other": {"S": "x"}})
    answer = client.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET kept = :kept, #new = :new REMOVE gone",
        ExpressionAttributeNames={"#new": "new"},
        ExpressionAttributeValues={":kept": kept, ":new": {"S": "y"}},
        ReturnValues="UPDATED_NEW",
    )
    assert answer["Attributes"] == {"kept": kept, "new": {"S": "y"}}


def test_a_query_returns_one_partition_in_order(pipeline):
    """Items of other partitions are not found, from either end, also on later pages and in an unknown partition."""
    client, table = pipeline.client("dynamodb"), pipeline.outputs["ListingTableName"]
    for view in ("queried", "other"):
        for position in "bac":
            client.put_item(TableName=table, Item=entries.key(view, position))

    def query(view, **options):
        return client.query(
            TableName=table,
            KeyConditionExpression="#view = :view",
            ExpressionAttributeNames={"#view": entries.VIEW},
            ExpressionAttributeValues={":view": {"S": view}},
            **options,
        )

    def positions(answer):
        return [(item[entries.VIEW]["S"], item[entries.POSITION]["S"]) for item in answer["Items"]]

    assert positions(query("queried")) == [("queried", "a"), ("queried", "b"), ("queried", "c")]
    first = query("queried", ScanIndexForward=False, Limit=2)
    assert positions(first) == [("queried", "c"), ("queried", "b")]
    rest = query("queried", ScanIndexForward=False, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert positions(rest) == [("queried", "a")]
    assert query("unknown")["Items"] == []


SIZES = {"text": 2, "number": 3, "yes": 1, "list": 10, "map": 23, "bytes": 3, "texts": 2, "many bytes": 2}


@pytest.mark.parametrize("kind", SIZES)
def test_a_value_has_the_size_of_its_content(kind):
    """A value counts with its bytes and the names in it, as the limit of an item counts it."""
    assert dynamodb._size(DynamoType(KINDS[kind])) == SIZES[kind]
    assert dynamodb._size(DynamoType({"NS": ["1", "2.5"]})) == 4


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (DynamoType, "size"),
        (ResponseSerializer, "_serialize"),
        (ExpressionTokenizer, "make_list"),
        (UpdateExpressionParser, "make"),
        (DepthFirstTraverser, "traverse"),
        (OverlappingPathsValidator, "check_for_overlapping_paths"),
        (UpdateExpressionFunctionParser, "FUNCTIONS"),
        (DynamoHandler, "update_item"),
        (Table, "all_items"),
        (Table, "query"),
    ],
)
def test_a_moved_seam_is_reported(monkeypatch, owner, name):
    """If moto lacks a seam, the start fails and names the module to change."""
    monkeypatch.delattr(owner, name)
    with pytest.raises(RuntimeError, match=r"moto_seams/dynamodb\.py"):
        dynamodb.install()
