"""Remove what no function needs from the botocore of a layer, because each cold start would read it.

`python trim_botocore.py FOLDER` changes the botocore in FOLDER, and then prepares a request to each service with it.
Every operation, shape, endpoint and rule of the services that functions call remains; the code is not changed.
"""

import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

CALLS: dict[str, tuple[str, dict[str, str]]] = {
    "dynamodb": ("list_tables", {}),
    "events": ("list_rules", {}),
    "rekognition": ("list_collections", {}),
    "s3": ("get_object", {"Bucket": "bucket", "Key": "key"}),
    "sqs": ("list_queues", {}),
    "stepfunctions": ("list_state_machines", {}),
}
"""botocore's names of the services that functions call, and for each an operation with parameters to try."""
SERVICES = CALLS.keys()


def keep_services(data: Path) -> None:
    """Remove the descriptions of other services, and all examples."""
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in SERVICES:
            shutil.rmtree(folder)
    for examples in data.glob("*/*/examples-1.json*"):
        examples.unlink()


def describe_briefly(data: Path) -> None:
    """Write the descriptions of services without texts and without compression: a fifth of the bytes to parse."""
    for packed in data.glob("*/*/*.json.gz"):
        description = without_texts(json.loads(gzip.decompress(packed.read_bytes())))
        packed.with_suffix("").write_text(json.dumps(description, separators=(",", ":")))
        packed.unlink()


def without_texts(description: Any) -> Any:
    """Return a description with empty texts. Some code reads them, so each stays where it was.

    A shape may have the name `documentation`, too; it is not a text.
    """
    if isinstance(description, list):
        return [without_texts(item) for item in description]
    if isinstance(description, dict):
        is_text = {key: key == "documentation" and isinstance(value, str) for key, value in description.items()}
        return {key: "" if is_text[key] else without_texts(value) for key, value in description.items()}
    return description


def keep_endpoints(data: Path) -> None:
    """Remove the endpoints of other services, which are most of a megabyte."""
    path = data / "endpoints.json"
    endpoints = json.loads(path.read_text())
    models = [json.loads(model.read_text()) for model in data.glob("*/*/service-2.json")]
    prefixes = {model["metadata"]["endpointPrefix"] for model in models}
    for partition in endpoints["partitions"]:
        partition["services"] = {name: body for name, body in partition["services"].items() if name in prefixes}
    path.write_text(json.dumps(endpoints, separators=(",", ":")))


def try_clients(folder: Path) -> None:
    """Prepare a request to each service, so that a build with a botocore that needs more fails here."""
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    from botocore.session import Session

    session = Session()
    session.set_credentials("none", "none")
    for service in sorted(SERVICES):
        operation, parameters = CALLS[service]
        client: Any = session.create_client(service, region_name="us-east-1")
        client.generate_presigned_url(operation, Params=parameters)


if __name__ == "__main__":
    layer = Path(sys.argv[1])
    keep_services(layer / "botocore" / "data")
    describe_briefly(layer / "botocore" / "data")
    keep_endpoints(layer / "botocore" / "data")
    try_clients(layer)
