"""Record the resources and data that a release leaves in a deployed stack; tests check later versions against them.

`make snapshot` writes four files below `tests/releases/<version>/`. `tests/contracts/test_releases.py` reads the JSON
files of every release, and `tests/local/test_updates.py` updates a stack of the release:

- `template.json`: each resource of the translated template with its type, and for a resource that an update must not
  replace also the properties whose change would; the names of parameters and outputs. A resource of a nested
  application has the name of the application before its own: `Monitoring.AlarmTopic`.
- `records.json`: one item of ImageTable for every status, as the local pipeline stores it.
- `listing.json`: the items of ListingTable for one image.
- `stack.tar.xz`: the templates, the workflows, the functions and the core.
"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from local.emulator.deploy import plan
from local.emulator.template import Template, load
from local.pipeline import ROOT, Pipeline
from local.samples import samples

Json = dict[str, Any]

RELEASES = ROOT / "tests" / "releases"
STATEFUL_TYPES = {
    "AWS::ApiGatewayV2::Api": "its URL, which clients use",
    "AWS::CloudFormation::Stack": "its resources",
    "AWS::DynamoDB::Table": "its items",
    "AWS::S3::Bucket": "its objects",
    "AWS::SNS::Topic": "its confirmed subscriptions",
    "AWS::SQS::Queue": "its messages",
    "AWS::StepFunctions::StateMachine": "its executions",
}
"""The types of resources that an update must not replace, and what a replacement would lose."""

STACK = "stack.tar.xz"
_STACK_PATHS = ("template.yml", "monitoring", "statemachine", "functions", "layers")
_ALSO_REPLACING = {"AWS::DynamoDB::Table": {"KeySchema", "LocalSecondaryIndexes"}}
"""Missing in the list of the schema, because CloudFormation can change them in some cases."""
_TEXT = b"This is a text, whatever its name says.\n"


def template(path: Path = ROOT / "template.yml") -> Json:
    """Describe the parts of a template that matter for the update of a stack."""
    loaded = load(path, "image-pipeline", "eu-west-1")
    plan(loaded, "", "")  # loads the nested applications
    return {
        "resources": _resources(loaded),
        "parameters": sorted(loaded.document["Parameters"]),
        "outputs": sorted(loaded.document["Outputs"]),
    }


def store_records(pipeline: Pipeline) -> tuple[Json, Json]:
    """Create records of every status in a running pipeline, and read them.

    Returns:
        The items of ImageTable by status, and the items of ListingTable for one completed image.
    """
    photo = samples()[0].data
    records = {
        "PROCESSING": _stored_during(pipeline, "uploads/releases/processing.jpg", photo),
        "COMPLETED": _stored_after(pipeline, "uploads/releases/completed.jpg", photo),
        "FAILED": _stored_after(pipeline, "uploads/releases/failed.jpg", _TEXT),
        "DELETED": _stored_after_deletion(pipeline, "uploads/releases/deleted.jpg", photo),
    }
    listing = _listing(pipeline, "uploads/releases/completed.jpg")
    pipeline.fault("rekognition", "DetectLabels", "AccessDeniedException", times=-1)
    records["PARTIAL"] = _stored_after(pipeline, "uploads/releases/partial.jpg", photo)
    pipeline.clear()
    _stored_after(pipeline, "uploads/releases/overwritten.jpg", photo)
    records["PROCESSING over a picture"] = _stored_during(pipeline, "uploads/releases/overwritten.jpg", photo)
    return records, {"items": listing}


def pack(root: Path, names: list[str], archive: Path) -> None:
    """Write files into an archive, which depends only on their names and contents."""
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for name in sorted(names):
            data = (root / name).read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def unpack(version: str, folder: Path) -> Path:
    """Write the files of a released stack into a folder.

    Returns:
        Its template.
    """
    with tarfile.open(RELEASES / version / STACK) as tar:
        tar.extractall(folder, filter="data")
    return folder / "template.yml"


def main() -> int:
    """Write the snapshot of the version in pyproject.toml."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    folder = RELEASES / version
    if folder.exists():
        print(
            f"{folder} already exists; a release never changes. Increase the version in pyproject.toml.",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory() as run_dir, Pipeline(Path(run_dir), wait_scale=0.0) as pipeline:
        records, listing = store_records(pipeline)
    folder.mkdir(parents=True)
    for name, content in (("template", template()), ("records", records), ("listing", listing)):
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    tracked = subprocess.run(  # noqa: S603 (constants)
        ["git", "ls-files", "-z", "--", *_STACK_PATHS],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    pack(ROOT, tracked.stdout.rstrip("\0").split("\0"), folder / STACK)
    print(f"Wrote {folder}.")
    return 0


def _resources(loaded: Template, prefix: str = "") -> Json:
    described = {f"{prefix}{name}": _resource(body) for name, body in loaded.document["Resources"].items()}
    for application, nested in loaded.nested.items():
        described |= _resources(nested, f"{prefix}{application}.")
    return described


def _resource(body: Json) -> Json:
    kind = body["Type"]
    properties = body.get("Properties", {})
    if kind not in STATEFUL_TYPES:
        return {"type": kind}
    replacing = {name: properties[name] for name in sorted(_replacing(kind)) if name in properties}
    described = {"type": kind, "replacing": replacing}
    if kind == "AWS::DynamoDB::Table":
        described["attributes"] = {
            attribute["AttributeName"]: attribute["AttributeType"] for attribute in properties["AttributeDefinitions"]
        }
        described["indexes"] = {
            index["IndexName"]: index["KeySchema"] for index in properties.get("GlobalSecondaryIndexes", [])
        }
    return described


def _replacing(kind: str) -> set[str]:
    """Return the properties whose change makes CloudFormation replace the resource."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]  # slow

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    paths = schema.get("createOnlyProperties", [])
    return {path.removeprefix("/properties/") for path in paths} | _ALSO_REPLACING.get(kind, set())


def _stored_after(pipeline: Pipeline, key: str, data: bytes) -> Json:
    pipeline.upload(key, data)
    pipeline.wait_for(key)
    return _record(pipeline, key)


def _stored_during(pipeline: Pipeline, key: str, data: bytes) -> Json:
    """Return the item while the first step after the claim runs."""
    items: list[Json] = []

    def validate(_event: Any) -> None:
        items.append(_record(pipeline, key))
        raise RuntimeError("The snapshot does not need the rest of this execution.")

    pipeline.replace("ValidateImageFunction", validate)
    pipeline.upload(key, data)
    pipeline.wait_for(key)
    pipeline.clear()
    return items[0]


def _stored_after_deletion(pipeline: Pipeline, key: str, data: bytes) -> Json:
    _stored_after(pipeline, key, data)
    pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=key)

    def deleted() -> bool:
        return bool(_record(pipeline, key)["status"] == {"S": "DELETED"})

    pipeline.wait_until(deleted, "the deletion")
    return _record(pipeline, key)


def _record(pipeline: Pipeline, key: str) -> Json:
    table = pipeline.outputs["ImageTableName"]
    item: Json = pipeline.client("dynamodb").get_item(TableName=table, Key={"ImageKey": {"S": key}})["Item"]
    return item


def _listing(pipeline: Pipeline, key: str) -> list[Json]:
    """Return all items of ListingTable for one image: its ledger, and an entry for each view."""
    items: list[Json] = []

    def completed() -> bool:
        items[:] = _items_of(pipeline, key)
        return any(item.get("image", {}).get("M", {}).get("status") == {"S": "COMPLETED"} for item in items)

    pipeline.wait_until(completed, "the listing")
    return sorted(items, key=lambda item: str(item["ViewShard"]["S"]))


def _items_of(pipeline: Pipeline, key: str) -> list[Json]:
    pages = pipeline.client("dynamodb").get_paginator("scan").paginate(TableName=pipeline.outputs["ListingTableName"])
    digest = hashlib.sha256(key.encode()).hexdigest()
    items = [item for page in pages for item in page["Items"]]
    return [item for item in items if digest in item["ViewShard"]["S"] + item["ListPosition"]["S"]]


if __name__ == "__main__":
    sys.exit(main())
