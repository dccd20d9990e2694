"""`python -m cli keys` against the local pipeline."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest

from cli.commands import LEFT, OK, USAGE, main
from local.pipeline import Pipeline


@pytest.fixture
def keys(running: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command with `--json`, and give its exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, Any]:
        code = main(["keys", *arguments, *running, "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return run


def let_in(pipeline: Pipeline, text: str) -> bool:
    pipeline.clear()  # the API forgets whom it has let in
    url = f"{pipeline.api_url}/images/uploads/none.jpg"
    try:
        urllib.request.urlopen(urllib.request.Request(url, headers={"x-api-key": text}, method="DELETE"))
    except HTTPError as error:
        with error:
            return {404: True, 403: False}[error.code]
    raise AssertionError("There should be nothing to delete.")


def listed(keys: Any, key_id: str) -> Any:
    (row,) = [row for row in keys("list")[1]["keys"] if row["keyId"] == key_id]
    return row


def test_a_created_key_opens_the_api(pipeline, keys):
    """And is listed without its secret."""
    code, made = keys("create", "--name", "Zoë's scanner", "--expires-days", "7")
    assert code == OK
    assert let_in(pipeline, made["key"])
    row = listed(keys, made["keyId"])
    assert (row["name"], row["state"]) == ("Zoë's scanner", "ACTIVE")
    assert row["expiresAt"][:10] > row["createdAt"][:10]
    assert made["key"].rpartition("_")[2] not in json.dumps(keys("list"))


def test_a_rotated_key_has_a_new_secret_under_its_id(pipeline, keys):
    """The old one is refused."""
    _, old = keys("create", "--name", "n")
    code, new = keys("rotate", old["keyId"])
    assert (code, new["keyId"]) == (OK, old["keyId"])
    assert let_in(pipeline, new["key"])
    assert not let_in(pipeline, old["key"])


def test_a_revoked_key_is_refused_and_stays_in_the_list(pipeline, keys):
    """So that one can see whose it was; it cannot be rotated."""
    _, made = keys("create", "--name", "n")
    assert keys("revoke", made["keyId"]) == (OK, {"revoked": made["keyId"]})
    assert not let_in(pipeline, made["key"])
    assert listed(keys, made["keyId"])["state"] == "REVOKED"
    assert keys("rotate", made["keyId"]) == (LEFT, None)


@pytest.mark.parametrize("action", ["rotate", "revoke"])
def test_a_key_that_is_not_there_is_named(running, action, capsys):
    """With what to do."""
    assert main(["keys", action, "nobody", *running]) == LEFT
    assert "'nobody'" in capsys.readouterr().err


def test_people_get_the_text_on_a_line_of_its_own(running, capsys):
    """To copy; and the list in words."""
    assert main(["keys", "create", "--name", "for people", *running]) == OK
    sentence, text = capsys.readouterr().out.splitlines()
    key_id = text.split("_")[1]
    assert key_id in sentence
    assert main(["keys", "rotate", key_id, *running]) == OK
    assert "five minutes" in capsys.readouterr().out
    assert main(["keys", "list", *running]) == OK
    assert f"{key_id}  ACTIVE   for people (created 2" in capsys.readouterr().out
    assert main(["keys", "revoke", key_id, *running]) == OK
    assert "five minutes" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
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
def test_wrong_arguments_make_no_key(running, wrong, capsys):
    """The usage says what was meant."""
    with pytest.raises(SystemExit) as caught:
        main(["keys", *wrong, *running])
    assert caught.value.code == USAGE
    assert "usage:" in capsys.readouterr().err
