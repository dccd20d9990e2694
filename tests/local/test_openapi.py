"""Schemathesis sends the API valid and invalid requests of docs/openapi.yaml over HTTP."""

import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

from image_pipeline.api import apikeys
from tests.conftest import ROOT
from tests.pictures import photo
from tests.workflow.conftest import silent_bucket

EXAMPLES = os.environ.get("API_EXAMPLES", "10" if "HEAVY" in os.environ else "5")


def test_the_api_keeps_what_its_document_promises(pipeline, tmp_path):
    """Every response is documented; invalid requests are refused, valid ones are accepted; none is a 500.

    Sequences of requests are checked, too: an upload is requested, processed again and deleted. Only with HEAVY, the
    pipeline processes the uploads of these requests.
    """
    pipeline.upload("uploads/summer/beach.jpg", photo(200, 150))  # the name in the document's examples
    pipeline.wait_for("uploads/summer/beach.jpg")
    key = apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="schemathesis").text
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", "tests/schemathesis.toml", "run"]
    options = ["--seed=1", f"--max-examples={EXAMPLES}", "--no-color"]
    if "HEAVY" not in os.environ:  # random requests follow the same schemas as those that cover them
        options.append("--phases=examples,coverage,stateful")
    with nullcontext() if "HEAVY" in os.environ else silent_bucket(pipeline):
        done = subprocess.run(
            [*command, "docs/openapi.yaml", f"--url={pipeline.api_url}", f"--header=x-api-key: {key}", *options],
            cwd=ROOT,
            env={**os.environ, "SCHEMATHESIS_HOME": str(tmp_path)},
            text=True,
            capture_output=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) generated", done.stdout)[1]) > 100
