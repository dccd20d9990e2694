"""Pages in a real browser: the requests that it sends, and the answers that it lets pages read."""

from __future__ import annotations

import json
import re

import pytest

from image_pipeline.api import apikeys
from local.pipeline import Pipeline
from tests.conftest import HEAVY, ROOT
from tests.local.browser import Site
from tests.pictures import encoded, gradient

PICTURE = encoded(gradient(24, 16))
HEIC = ROOT / "tests" / "corpus" / "deep.heic"
DOCUMENT = (ROOT / "docs" / "uploading.md").read_text()

# Everything that a page can make a browser send, and whether the page could read the answer.
ATTACK = """
const results = {};
const attempt = async (name, ask) => {
  try { const answer = await ask(); results[name] = answer.type === "opaque" ? "opaque" : answer.status; }
  catch (error) { results[name] = "refused"; }
};
const { aws, api, bucket, key, control, signed } = FACTS;
const simple = { method: "POST", mode: "no-cors", headers: { "content-type": "text/plain" } };
await attempt("control", () => fetch(`${aws}${control}`, { ...simple, body: "{}" }));
await attempt("reset", () => fetch(`${aws}/moto-api/reset`, { ...simple, body: "{}" }));
await attempt("list", () => fetch(`${aws}/`));
await attempt("read", () => fetch(`${aws}/${bucket}/elsewhere/secret`));
await attempt("put", () => fetch(`${aws}/${bucket}/uploads/stolen.jpg`, { method: "PUT", body: "x" }));
const keyed = { method: "POST", body: "x", headers: { "x-api-key": key } };
await attempt("upload", () => fetch(`${api}/images?name=stolen.jpg`, keyed));
await attempt("status", () => fetch(`${api}/images/uploads/x.jpg/status`));
results.image = await new Promise((done) => {
  const image = new Image();
  image.onload = () => done("shown");
  image.onerror = () => done("refused");
  image.src = signed;
});
const frame = document.createElement("iframe");
frame.name = "target";
document.body.append(frame);
const form = document.createElement("form");
const action = `${aws}/${bucket}/uploads/stolen.jpg`;
Object.assign(form, { method: "POST", action, target: "target", enctype: "text/plain" });
document.body.append(form);
const loaded = new Promise((done) => { frame.onload = done; });
form.submit();
await loaded;
return results;
"""

UPLOAD = """
const { api, key, picture, name } = FACTS;
const file = new Blob([Uint8Array.from(picture)], { type: "image/jpeg" });
const headers = { "x-api-key": key, "content-type": "application/json" };
const wish = { name, contentType: file.type, sizeBytes: file.size, method: "POST" };
const asked = { method: "POST", headers, body: JSON.stringify(wish) };
const signed = await (await fetch(`${api}/images/presigned`, asked)).json();
const form = new FormData();
for (const [field, value] of Object.entries(signed.post.fields)) form.append(field, value);
form.append("file", file);
const stored = await fetch(signed.post.url, { method: "POST", body: form });
let status;
do {
  const answer = await fetch(`${api}/images/uploads/${name}/status?wait=10`);
  status = answer.ok ? await answer.json() : { status: "PROCESSING" };
} while (status.status === "PROCESSING");
const image = new Image();
const shown = new Promise((done) => {
  image.onload = () => done(image.naturalWidth);
  image.onerror = () => done(0);
});
image.src = status.renditions[0].url;
return { stored: stored.status, status: status.status, shown: await shown };
"""


READ = """
const { signed, head } = FACTS;
const answer = await fetch(signed);
const bytes = (await answer.arrayBuffer()).byteLength;
const image = new Image();
image.crossOrigin = "anonymous";
const loaded = new Promise((done) => { image.onload = () => done("shown"); image.onerror = () => done("refused"); });
image.src = signed;
const shown = await loaded;
const canvas = document.createElement("canvas");
canvas.getContext("2d").drawImage(image, 0, 0);
const pixels = canvas.toDataURL("image/png").slice(0, 14);
return { bytes, shown, pixels, head: (await fetch(head, { method: "HEAD" })).headers.get("content-length") };
"""


@pytest.fixture(scope="module")
def key(open_to_pages: Pipeline) -> str:
    return apikeys.create(open_to_pages.client, table=open_to_pages.outputs["ApiKeyTableName"], name="browser").text


def with_facts(script: str, pipeline: Pipeline, **facts: object) -> str:
    known = {"aws": pipeline.aws_url, "api": pipeline.api_url, "bucket": pipeline.uploads_bucket, **facts}
    return script.replace("FACTS", json.dumps(known))


@pytest.mark.parametrize("host", ["127.0.0.1", "evil.example", pytest.param("page.example", marks=HEAVY)])
def test_a_foreign_page_cannot_reach_the_local_run(open_to_pages, site: Site, browser, key, host):
    """A page of another site or port can neither read nor change anything."""
    open_to_pages.upload("elsewhere/secret", PICTURE, ContentType="image/jpeg")
    address = {"Bucket": open_to_pages.uploads_bucket, "Key": "elsewhere/secret"}
    signed = open_to_pages.client("s3").generate_presigned_url("get_object", Params=address)
    facts = {"key": key, "control": "/_local/clear", "signed": signed}
    results = site.visit(browser, host, with_facts(ATTACK, open_to_pages, **facts))
    # "opaque" is the 403: a page that asks without CORS never learns more. Another port is the same site; its pages can
    # show a picture whose signed address they know, and cannot read it.
    image = "shown" if host == "127.0.0.1" else "refused"
    assert results == {
        **{"control": "opaque", "reset": "opaque", "list": "refused", "read": "refused", "put": "refused"},
        **{"upload": "refused", "status": "refused", "image": image},
    }
    versions = open_to_pages.client("s3").list_object_versions(Bucket=open_to_pages.uploads_bucket)["Versions"]
    assert "uploads/stolen.jpg" not in {version["Key"] for version in versions}
    assert "elsewhere/secret" in {version["Key"] for version in versions}


def test_an_allowed_page_uploads_and_shows(open_to_pages, site: Site, browser, key):
    """A page of an allowed origin signs, uploads, follows and shows a rendition."""
    facts = with_facts(UPLOAD, open_to_pages, key=key, picture=list(PICTURE), name="browser.jpg")
    results = site.visit(browser, "localhost", facts)
    assert results == {"stored": 204, "status": "COMPLETED", "shown": 24}


def test_an_allowed_page_reads_pixels(open_to_pages, site: Site, browser):
    """`fetch` and a canvas read a rendition; without CORS, a browser would let a page only show it."""
    s3, place = (
        open_to_pages.client("s3"),
        {"Bucket": open_to_pages.outputs["ThumbnailsBucketName"], "Key": "thumbnails/page/web.png"},
    )
    s3.put_object(**place, Body=PICTURE, ContentType="image/png")
    signed, head = (s3.generate_presigned_url(name, place) for name in ("get_object", "head_object"))
    results = site.visit(browser, "localhost", with_facts(READ, open_to_pages, signed=signed, head=head))
    size = len(PICTURE)
    assert results == {"bytes": size, "shown": "shown", "pixels": "data:image/png", "head": str(size)}


def snippets() -> list[str]:
    """The client in the document, and its use."""
    return re.findall(r"^```js\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def test_the_snippets_of_the_document_work(open_to_pages, site: Site, browser, key):
    """The snippets work for a type that the browser does not know, and for an image that replaces another."""
    client, use = snippets()
    before = (
        "const { api, key, pictures } = FACTS; const bar = {}; const results = []; for (const picture of pictures) {\n"
    )
    file = 'const file = new File([Uint8Array.from(picture)], "IMG_0001.HEIC");\n'
    facts = "file.type, bar.value, image.status, image.image.format, image.upload.versionId"
    script = f"{client}{before}{file}{use}results.push([{facts}]);\n}}\nreturn results;"
    pictures = [list(HEIC.read_bytes()), list(PICTURE)] * 2
    results = site.visit(browser, "localhost", with_facts(script, open_to_pages, key=key, pictures=pictures))
    versions = open_to_pages.client("s3").list_object_versions(
        Bucket=open_to_pages.uploads_bucket, Prefix="uploads/IMG_0001.HEIC"
    )["Versions"]
    oldest_first = [version["VersionId"] for version in reversed(versions)]
    formats = ["HEIF", "JPEG"] * 2
    assert results == [["", 1, "COMPLETED", *pair] for pair in zip(formats, oldest_first, strict=True)]


# The first sends fail in the given ways: without a connection, or with a status of a server.
TRIES = """
const { api, key, failures, size, name } = FACTS;
const sends = [], shares = [];
const later = window.setTimeout;
window.setTimeout = (resolve, milliseconds) => later(resolve, milliseconds / 100);
const original = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (body) {
  sends.push(typeof body);
  const failure = failures.shift();
  if (failure === undefined || failure === "none") return original.call(this, body);
  Object.defineProperty(this, "status", { value: failure });
  queueMicrotask(failure ? this.onload : this.onerror);
};
const file = new File([new Uint8Array(size)], name, { type: "video/mp4" });
const report = { sends, shares };
try {
  report.stored = await upload(file, { api, key, attempts: 3, onProgress: (share) => shares.push(share) });
} catch (error) {
  report.error = error.status;
}
return report;
"""


@pytest.mark.parametrize(
    ("failures", "size", "error", "sends"),
    [
        ([], 12_000_000, None, ["string", "object"]),
        ([0, 503, "none"], 7, None, ["string", "string", "string", "object"]),
        (["none", 0, "none", 500], 7, None, ["string", "object"] * 3),
        ([429, 429, 429], 7, 429, ["string"] * 3),
        pytest.param(["none", 403], 7, 403, ["string", "object"], marks=HEAVY),
        pytest.param([], 0, 400, ["string"], marks=HEAVY),
        ([], 150_000_001, 413, ["string"]),
    ],
)
def test_the_client_of_the_document_retries(open_to_pages, site: Site, browser, key, failures, size, error, sends):
    """The client retries only temporary failures, stores files of any type and size, and reports progress."""
    name = f"clips/{len(sends)}-{size}-{error}.mp4"
    facts = {"key": key, "failures": failures, "size": size, "name": name}
    report = site.visit(browser, "localhost", with_facts(snippets()[0] + TRIES, open_to_pages, **facts))
    assert (report.get("error"), report["sends"]) == (error, sends)
    if error is None:
        place = {"Bucket": open_to_pages.uploads_bucket, "Key": f"uploads/{name}"}
        version = open_to_pages.client("s3").head_object(**place, VersionId=report["stored"]["versionId"])
        assert version["ContentLength"] == size
        assert report["shares"] == sorted(report["shares"])
        assert report["shares"][-1] == 1
