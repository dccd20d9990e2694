"""`image-pipeline keys` against the local pipeline."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest

from image_pipeline_cli.commands import INCOMPLETE, OK, USAGE, main
from local.pipeline import Pipeline


@pytest.fixture
def keys(running: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """A function that runs a command with `--json` and returns its exit code and its document."""

    def run(*arguments: str) -> tuple[int, Any]:
        code = main(["keys", *arguments, *running, "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return run


def accepts(pipeline: Pipeline, text: str) -> bool:
    pipeline.clear()  # the API caches decisions about keys
    url = f"{pipeline.api_url}/images/uploads/none.jpg"
    try:
        urllib.request.urlopen(urllib.request.Request(url, headers={"x-api-key": text}, method="DELETE"))
    except HTTPError as error:
        with error:
            return {404: True, 403: False}[error.code]
    raise AssertionError("The upload exists.")


def find_row(keys: Any, key_id: str) -> Any:
    (row,) = [row for row in keys("list")[1]["keys"] if row["keyId"] == key_id]
    return row


def test_the_api_accepts_a_created_key(pipeline, keys):
    """The list shows it without its secret."""
    code, created = keys("create", "--name", "Zoë's scanner", "--expires-days", "7")
    assert code == OK
    assert accepts(pipeline, created["key"])
    row = find_row(keys, created["keyId"])
    assert (row["name"], row["state"]) == ("Zoë's scanner", "ACTIVE")
    assert row["expiresAt"][:10] > row["createdAt"][:10]
    assert created["key"].rpartition("_")[2] not in json.dumps(keys("list"))


def test_a_rotated_key_has_a_new_secret_under_its_id(pipeline, keys):
    """The API rejects the old secret."""
    _, old = keys("create", "--name", "n")
    code, new = keys("rotate", old["keyId"])
    assert (code, new["keyId"]) == (OK, old["keyId"])
    assert accepts(pipeline, new["key"])
    assert not accepts(pipeline, old["key"])


def test_a_revoked_key_is_rejected_and_stays_in_the_list(pipeline, keys):
    """The list still shows its owner; it cannot be rotated."""
    _, created = keys("create", "--name", "n")
    assert keys("revoke", created["keyId"]) == (OK, {"revoked": created["keyId"]})
    assert not accepts(pipeline, created["key"])
    assert find_row(keys, created["keyId"])["state"] == "REVOKED"
    assert keys("rotate", created["keyId"]) == (INCOMPLETE, None)


@pytest.mark.parametrize("action", ["rotate", "revoke"])
def test_a_missing_key_is_reported(running, action, capsys):
    """The message names the id."""
    assert main(["keys", action, "nobody", *running]) == INCOMPLETE
    assert "'nobody'" in capsys.readouterr().err


def test_text_output_has_the_key_on_its_own_line(running, capsys):
    """It can be copied; the list has one line per key."""
    assert main(["keys", "create", "--name", "for people", *running]) == OK
    sentence, text = capsys.readouterr().out.splitlines()
    key_id = text.split("_")[1]
    assert key_id in sentence
    assert main(["keys", "rotate", key_id, *running]) == OK
    assert capsys.readouterr().out.splitlines()[-1].split("_")[1] == key_id
    assert main(["keys", "list", *running]) == OK
    assert f"{key_id}  ACTIVE   for people" in capsys.readouterr().out
    assert main(["keys", "revoke", key_id, *running]) == OK
    assert key_id in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["create"],
        ["create", "--name", ""],
        ["create", "--name", "a\x1b[2J"],
        ["create", "--name", "x" * 101],
        ["create", "--name", "n", "--expires-days", "0"],
        ["create", "--name", "n", "--expires-days", "soon"],
        ["rotate"],
        [],
    ],
)
def test_invalid_arguments_create_no_key(running, arguments, capsys):
    """The command prints its usage."""
    with pytest.raises(SystemExit) as exit_info:
        main(["keys", *arguments, *running])
    assert exit_info.value.code == USAGE
    assert "usage:" in capsys.readouterr().err


def test_a_key_is_limited_to_scopes_and_a_folder(keys):
    """The list shows both, and a rotation keeps them."""
    _, created = keys("create", "--name", "shop", "--scope", "read", "upload", "--folder", "shop")
    limits = (["read", "upload"], "uploads/shop/")
    row = find_row(keys, created["keyId"])
    assert (row["scopes"], row["folder"]) == limits
    keys("rotate", created["keyId"])
    row = find_row(keys, created["keyId"])
    assert (row["scopes"], row["folder"]) == limits


def test_a_key_has_all_rights_by_default(keys):
    """A key without limits has the rights of a key of an earlier release."""
    _, created = keys("create", "--name", "all")
    row = find_row(keys, created["keyId"])
    assert (row["scopes"], row["folder"]) == (["read", "upload", "delete"], None)


@pytest.mark.parametrize(
    "limits", [("--scope", "write"), ("--scope",), ("--folder", ""), ("--folder", "../x"), ("--folder", "uploads/")]
)
def test_invalid_limits_are_rejected(keys, limits):
    """An unknown scope or an invalid folder creates no key."""
    with pytest.raises(SystemExit) as caught:
        keys("create", "--name", "n", *limits)
    assert caught.value.code == USAGE
