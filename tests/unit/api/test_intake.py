"""image_pipeline.api.intake"""

import base64
import json
import random
import re

import pytest
from urllib3.filepost import encode_multipart_formdata

from image_pipeline.api import intake
from image_pipeline.errors import (
    EmptyUploadError,
    InvalidKeyError,
    InvalidRequestError,
    UnsupportedFormatError,
    UploadTooLargeError,
)
from image_pipeline.imaging.formats.limits import FORMATS
from local.emulator.workers import MAX_REQUEST_BYTES
from tests.conftest import ROOT
from tests.pictures import encoded, gradient, photo

PHOTO = photo(60, 40)
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def request(data=PHOTO, name=None, **headers):
    """A request as API Gateway passes it to the function."""
    event = {
        "headers": {key.replace("_", "-"): value for key, value in headers.items()},
        "body": base64.b64encode(data).decode(),
        "isBase64Encoded": True,
    }
    return event if name is None else event | {"queryStringParameters": {"name": name}}


def receive(data=PHOTO, name=None, **headers):
    return intake.receive(request(data, name, **headers), FORMATS)


def form(*files, **fields):
    """A form as urllib3 sends it."""
    data, content_type = encode_multipart_formdata([*files, *fields.items()], boundary="x-edge")
    return {"data": data, "content_type": content_type}


def part(disposition, content=PHOTO):
    return b"--e\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + content + b"\r\n--e--\r\n"


def with_focus(event, focus):
    """Add a query parameter to a request."""
    return event | {"queryStringParameters": event.get("queryStringParameters", {}) | {"focus": focus}}


@pytest.mark.parametrize(
    "upload_request", [{}, form(("file", ("a.jpg", PHOTO)), focus="0.3, 0.4")], ids=["bytes", "form"]
)
def test_a_focus_becomes_metadata_of_the_object(upload_request):
    """A query parameter and a form field set the same point; an upload without a focus has no metadata."""
    event = with_focus(request(name="a.jpg", **upload_request), "0.3, 0.4")
    assert intake.receive(event, FORMATS).metadata == {"focus": "0.3,0.4"}
    assert receive(name="a.jpg").metadata == {}


def test_a_form_field_alone_names_the_focus():
    """A page can send a form without a query, and an empty input is ignored."""
    file = ("file", ("a.jpg", PHOTO))
    assert receive(**form(file, focus="1,0")).metadata == {"focus": "1,0"}
    assert receive(**form(file, focus="")).metadata == {}


@pytest.mark.parametrize("focus", ["", "0.3", "2,0", "0.3,0.4,0.5", "0,4\ufffd"])
def test_an_invalid_focus_is_refused(focus):
    """No file is stored without the focus that the caller asked for."""
    with pytest.raises((InvalidRequestError, InvalidKeyError)):
        intake.receive(with_focus(request(name="a.jpg"), focus), FORMATS)


def test_two_focuses_are_refused():
    """Two different points are an error."""
    with pytest.raises(InvalidRequestError, match="`focus`"):
        intake.receive(with_focus(request(**form(("file", ("a.jpg", PHOTO)), focus="0,0")), "1,1"), FORMATS)
    with pytest.raises(InvalidRequestError, match="2 different fields `focus`"):
        receive(**form(("file", ("a.jpg", PHOTO)), ("focus", "0,0"), ("focus", "1,1")))


def test_the_query_names_the_upload():
    """The query parameter keeps its folders and wins over the header."""
    upload = receive(name="summer/bea,ch ü?.jpg", content_disposition='attachment; filename="x.jpg"')
    assert upload == intake.ReceivedUpload("uploads/summer/bea,ch ü?.jpg", PHOTO, "image/jpeg", overwrite=True)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="a b.jpg"', "a b.jpg"),
        ("inline;FILENAME=plain.jpg", "plain.jpg"),
        ("attachment; filename=plain.jpg ; x=y", "plain.jpg"),
        (r'attachment; filename="say \"hi\".jpg"', 'say "hi".jpg'),
        ("attachment; filename=\"EURO.jpg\"; filename*=UTF-8''%e2%82%ac%20rates.jpg", "€ rates.jpg"),
        ("attachment; filename*=utf-8'en'%e2%82%ac.jpg; filename=EURO.jpg", "€.jpg"),
        ("attachment; filename*=iso-8859-1''stra%DFe.jpg", "straße.jpg"),
        ("attachment; filename=EURO.jpg; filename*=klingon''x.jpg", "EURO.jpg"),
        ('attachment; name="a; filename=no.jpg"; filename="yes.jpg"', "yes.jpg"),
        ('attachment; filename="first.jpg"; filename="second.jpg"', "first.jpg"),
        ('attachment; filename="\xc3\xbc.jpg"', "ü.jpg"),
        ('attachment; filename="\xfc.jpg"', "ü.jpg"),
        ('attachment; filename="🏖.jpg"', "🏖.jpg"),
        ('attachment; filename="../../etc/passwd.jpg"', "passwd.jpg"),
        ("attachment; filename*=UTF-8''..%2F..%2Fpasswd.jpg", "passwd.jpg"),
        (r'attachment; filename="C:\fakepath\beach.jpg"', "beach.jpg"),
        ('attachment; filename="unterminated.jpg', '"unterminated.jpg'),
    ],
)
def test_content_disposition_names_an_upload(header, name):
    """RFC 6266: the extended form wins over the plain one, and the sender's folders are dropped."""
    assert receive(content_disposition=header).image_key == f"uploads/{name}"


@pytest.mark.parametrize("header", ["", "attachment", 'attachment; filename=""', "attachment; filename=a/"])
def test_a_request_without_a_name_gets_a_random_one(header):
    """A random name is never repeated."""
    keys = {receive(content_disposition=header).image_key for _ in range(2)}
    assert len(keys) == 2
    assert all(re.fullmatch(rf"uploads/{UUID}\.jpg", key) for key in keys)


@pytest.mark.parametrize(
    ("data", "kind", "suffix"),
    [
        (encoded(gradient(32, 32), "PNG"), "PNG", "png"),
        (encoded(gradient(32, 32), "WEBP"), "WEBP", "webp"),
        ((ROOT / "tests" / "corpus" / "deep.heic").read_bytes(), "HEIF", "heic"),
    ],
)
def test_a_random_name_has_the_suffix_of_the_format(data, kind, suffix):
    """The bytes determine the suffix and the content type, not the request."""
    upload = receive(data, content_type="image/jpeg")
    assert upload.image_key.endswith(f".{suffix}")
    assert upload.content_type == f"image/{kind.lower()}"


@pytest.mark.parametrize(
    "name",
    [
        *("", "/x.jpg", "x/", "a//b.jpg", "../x.jpg", "a/../b.jpg", "..", ".", "./x.jpg"),
        *("x\n.jpg", "x\0", "\x9b.jpg", "x" * 1017, "\ud800.jpg"),
        "\ufffd.jpg",  # bytes that were no text
    ],
)
def test_an_ambiguous_name_is_refused(name):
    """A name is never changed, because the caller would not find the upload again."""
    with pytest.raises(InvalidKeyError):
        receive(name=name)


def test_a_file_name_that_is_a_folder_is_refused():
    """The rules for the query parameter apply to the file name as well."""
    with pytest.raises(InvalidKeyError):
        receive(content_disposition='attachment; filename=".."')


@pytest.mark.parametrize(
    "name", ["x" * 1016, "100%.jpg", "a+b c.jpg", "..x", "x\\y.jpg", "-", "💥", "uploads", "Uploads/x"]
)
def test_other_names_are_accepted_unchanged(name):
    """Names are accepted up to the length of a key."""
    assert receive(name=name).image_key == f"uploads/{name}"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("uploads/x.jpg", "uploads/x.jpg"),
        ("uploads/a/x.jpg", "uploads/a/x.jpg"),
        ("uploads/uploads/x.jpg", "uploads/uploads/x.jpg"),
        ("a/uploads/x.jpg", "uploads/a/uploads/x.jpg"),
        ("uploads/" + "x" * 1016, "uploads/" + "x" * 1016),
    ],
)
def test_a_name_may_be_the_key_itself(name, key):
    """Users copy full keys; an upload in a folder named `uploads` needs its full key."""
    assert receive(name=name).image_key == key
    assert receive(**form(("file", ("y.jpg", PHOTO)), ("name", name))).image_key == key


@pytest.mark.parametrize(
    "name", ["uploads/", "uploads//x.jpg", "uploads/../x.jpg", "/uploads/x.jpg", "uploads/" + "x" * 1017]
)
def test_an_impossible_key_is_refused(name):
    """The rules for names apply to the part after `uploads/`."""
    with pytest.raises(InvalidKeyError):
        receive(name=name)


def test_a_repeated_name_is_refused():
    """API Gateway would join the two names into a third one."""
    with pytest.raises(InvalidRequestError):
        intake.receive(request(name="a.jpg,b.jpg") | {"rawQueryString": "name=a.jpg&name=b.jpg"}, FORMATS)


def test_a_form_contains_one_file():
    """Other fields are ignored; the name comes from the file or the query."""
    upload_form = form(("file", ("dir/ü 1.jpg", PHOTO, "image/png")), note="hello")
    assert receive(**upload_form).image_key == "uploads/ü 1.jpg"
    assert receive(**upload_form).data == PHOTO
    assert receive(**upload_form).content_type == "image/jpeg"
    assert receive(**upload_form, name="a/b.jpg").image_key == "uploads/a/b.jpg"


def test_a_form_of_a_browser_is_understood():
    """Browsers use boundaries with hyphens and names in raw UTF-8."""
    boundary = "----WebKitFormBoundaryOfAForm"
    data = part('form-data; name="file"; filename="Größe.jpg"'.encode()).replace(b"--e", b"--" + boundary.encode())
    assert receive(data, content_type=f"multipart/form-data; boundary={boundary}").image_key == "uploads/Größe.jpg"
    quoted = f'Multipart/Form-Data; charset=utf-8; boundary="{boundary}"'
    assert receive(data, content_type=quoted).image_key == "uploads/Größe.jpg"


FILE = ("file", ("x.jpg", PHOTO))


def test_the_field_name_of_a_form_names_the_upload():
    """The form field keeps its folders and wins over the file name; it must equal the query parameter."""
    assert receive(**form(FILE, ("name", "summer/ü 1.jpg"))).image_key == "uploads/summer/ü 1.jpg"
    assert receive(**form(FILE, ("name", "a/b.jpg")), name="a/b.jpg").image_key == "uploads/a/b.jpg"
    assert receive(**form(("name", "a.jpg"), FILE, ("name", "a.jpg"))).image_key == "uploads/a.jpg"


@pytest.mark.parametrize("field", [("name", ""), ("title", "a.jpg"), ("Name", "a.jpg")])
def test_an_empty_field_is_ignored(field):
    """Browsers send an empty text input."""
    assert receive(**form(FILE, field)).image_key == "uploads/x.jpg"
    assert receive(**form(FILE, field), name="b.jpg").image_key == "uploads/b.jpg"


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ([("name", "a.jpg")], "b.jpg"),
        ([("name", "a.jpg")], ""),
        ([("name", "a.jpg"), ("name", "b.jpg")], None),
        ([("name", "a.jpg"), ("name", "b.jpg")], "a.jpg"),
    ],
)
def test_two_names_are_refused(fields, parameter):
    """Contradictory names are an error."""
    with pytest.raises(InvalidRequestError, match="name"):
        receive(**form(FILE, *fields), name=parameter)


@pytest.mark.parametrize("name", [b"\xff.jpg", b"a\0.jpg", b"../a.jpg", b"/a.jpg"])
def test_a_field_that_cannot_be_a_name_is_refused(name):
    """The rules for the query parameter apply to the form field as well."""
    with pytest.raises(InvalidKeyError):
        receive(**form(FILE, ("name", name)))


UNTOUCHED = ("second", ("", b"", "application/octet-stream"))  # as every browser sends a file input without a file


@pytest.mark.parametrize("files", [[FILE, UNTOUCHED], [UNTOUCHED, FILE], [UNTOUCHED, FILE, UNTOUCHED]])
def test_an_untouched_file_input_is_not_a_file(files):
    """Browsers send an empty file input without a name and bytes."""
    assert receive(**form(*files)).image_key == "uploads/x.jpg"


@pytest.mark.parametrize(
    "files",
    [
        [UNTOUCHED],
        [FILE, ("second", ("y.jpg", b""))],  # a chosen file that is empty
        [FILE, ("second", ("", PHOTO))],
        [FILE, UNTOUCHED, FILE],
    ],
)
def test_any_other_number_of_files_is_refused(files):
    """A file with a name but no bytes counts, and so does one with bytes but no name."""
    with pytest.raises(InvalidRequestError):
        receive(**form(*files))


def test_a_file_without_a_name_gets_a_new_one():
    """Scripts may send files without a name."""
    assert re.fullmatch(rf"uploads/{UUID}\.jpg", receive(**form(("file", ("", PHOTO)))).image_key)


@pytest.mark.parametrize("seed", range(40))
def test_a_form_keeps_the_bytes_of_its_file(seed):
    """The bytes are unchanged, even if they contain line breaks, hyphens and almost the boundary."""
    dice = random.Random(seed)
    pieces = [b"\r", b"\n", b"\r\n", b"--", b"\r\n--x-edg", b"\r\n\r\n", b"--x-edge", dice.randbytes(3)]
    data = PHOTO + b"".join(dice.choices(pieces, k=dice.randrange(30))).replace(b"\r\n--x-edge", b"#")
    assert receive(**form(("file", ("x.jpg", data)))).data == data


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (part(b'form-data; name="file"; filename="x.jpg"'), "multipart/form-data"),
        (part(b'form-data; name="file"; filename="x.jpg"'), "multipart/form-data; boundary=other"),
        (part(b'form-data; name="file"; filename="x.jpg"')[:-8], "multipart/form-data; boundary=e"),
        (part(b'form-data; name="file"; filename="x.jpg"')[:-4], "multipart/form-data; boundary=e"),
        (part(b'form-data; name="file"'), "multipart/form-data; boundary=e"),
        (part(b"x; filename=x")[:-7] + part(b"x; filename=y"), "multipart/form-data; boundary=e"),
        (PHOTO, "multipart/form-data; boundary=e"),
        (b"", "multipart/form-data; boundary=e"),
        (part(b'form-data; name="' + b"x" * 9000 + b'"; filename="x.jpg"'), "multipart/form-data; boundary=e"),
    ],
)  # fmt: skip
def test_a_form_without_exactly_one_file_is_refused(data, content_type):
    """A truncated form, or one without exactly one file, is an error."""
    with pytest.raises(InvalidRequestError):
        receive(data, content_type=content_type)


def test_nested_forms_are_not_parsed():
    """Nested parts are treated as bytes."""
    nested = b"".join(
        b"--e%d\r\nContent-Type: multipart/mixed; boundary=e%d\r\n\r\n" % (n, n + 1) for n in range(50_000)
    )
    with pytest.raises(InvalidRequestError):
        receive(nested[: intake.MAX_BYTES], content_type="multipart/form-data; boundary=e0")


def test_content_that_is_not_an_image_is_refused():
    """The name and the type are ignored, and the error contains the detected content."""
    with pytest.raises(UnsupportedFormatError, match="its content is PDF"):
        receive(b"%PDF-1.7 ...", name="x.jpg", content_type="image/jpeg")
    with pytest.raises(UnsupportedFormatError, match="Convert it to one of PNG"):
        intake.receive(request(), frozenset({"PNG"}))


def test_bytes_sent_as_text_are_recognised():
    """API Gateway has damaged the bytes; the error contains the content type that caused it."""
    event = {"headers": {"content-type": "text/plain; x=y"}, "body": PHOTO.decode(errors="replace")}
    with pytest.raises(UnsupportedFormatError, match=r"text/plain.*image/jpeg"):
        intake.receive(event, FORMATS)


@pytest.mark.parametrize("empty_request", [{"data": b""}, form(("file", ("x.jpg", b"")))])
def test_an_empty_upload_is_refused(empty_request):
    """An empty upload is rejected, for example when a shell variable was empty."""
    with pytest.raises(EmptyUploadError):
        receive(**empty_request)
    with pytest.raises(EmptyUploadError):
        intake.receive({"headers": {}, "isBase64Encoded": False}, FORMATS)


def test_the_largest_request_fits_into_an_invocation():
    """The largest request fits into a Lambda event; a larger one gets a hint to presigned uploads."""
    padding = b"\0" * (intake.MAX_BYTES - len(PHOTO))
    event = request(PHOTO + padding, "x.jpg", x="h" * 10_240)  # API Gateway's limit of all headers
    assert len(intake.receive(event, FORMATS).data) == intake.MAX_BYTES
    assert len(json.dumps(event)) + 30_000 < MAX_REQUEST_BYTES
    with pytest.raises(UploadTooLargeError, match="/images/presigned"):
        receive(PHOTO + padding + b"\0")


def test_only_the_condition_of_s3_is_accepted():
    """S3 supports only this condition, so others must not be ignored."""
    assert receive(if_none_match="*").overwrite is False
    for headers in ({"if_none_match": '"abc"'}, {"if_match": "*"}, {"if_match": '"abc"', "if_none_match": "*"}):
        with pytest.raises(InvalidRequestError, match="If-None-Match"):
            receive(**headers)
