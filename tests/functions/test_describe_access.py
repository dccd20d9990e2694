"""functions/describe_access"""

import json

import pytest


@pytest.fixture
def ask(handler):
    """Send a request with the context of an authorizer, and return status and body."""

    def ask(authorizer):
        answer = handler({"rawPath": "/access", "requestContext": {"requestId": "request-1", "authorizer": authorizer}})
        assert answer["headers"]["cache-control"] == "no-store"
        return answer["statusCode"], json.loads(answer["body"])

    return ask


def key(**limits):
    return {"lambda": {"keyId": "0000EXAMPLE0", **limits}}


def test_a_key_without_limits_has_all_rights(ask):
    """The answer contains all scopes and the limits of the stack."""
    rights = {"scopes": ["read", "upload", "delete"], "folder": None}
    limits = {"maxUploadBytes": 150_000_000, "renditionUrlSeconds": 900, "publicStatus": True}
    assert ask(key()) == (200, rights | limits)


@pytest.mark.parametrize(
    ("authorizer", "scopes"),
    [
        (key(scopes="upload read"), ["read", "upload"]),
        (key(scopes="delete"), ["delete"]),
        (key(scopes=""), []),
        ({"jwt": {"claims": {"sub": "x", "scope": "openid read"}}}, ["read"]),
        ({"jwt": {"claims": {"sub": "x"}}}, ["read", "upload", "delete"]),
        ({"jwt": {"claims": {"sub": "x", "scope": "openid"}}}, []),
    ],
)
def test_the_scopes_of_the_key_or_token_are_returned(ask, authorizer, scopes):
    """Any valid key may ask; the order is fixed, and scopes of other applications are left out."""
    status, body = ask(authorizer)
    assert (status, body["scopes"]) == (200, scopes)


def test_the_folder_has_the_form_of_upload_names(ask):
    """The folder has no `uploads/`, like `name` of an upload and `prefix` of a list."""
    assert ask(key(folder="uploads/shop/a/"))[1]["folder"] == "shop/a/"


def test_the_limits_are_the_settings_of_the_stack(ask, monkeypatch):
    """The names of the limits contain their units."""
    monkeypatch.setenv("MAX_UPLOAD_MEGABYTES", "25")
    monkeypatch.setenv("RENDITION_URL_SECONDS", "60")
    monkeypatch.setenv("STATUS_NEEDS_KEY", "true")
    body = ask(key())[1]
    assert (body["maxUploadBytes"], body["renditionUrlSeconds"], body["publicStatus"]) == (25_000_000, 60, False)


def test_there_are_no_rights_without_a_key(ask):
    """The answer is 403 even if the route were open by mistake."""
    status, body = ask({})
    assert (status, body["title"]) == (403, "Forbidden")
