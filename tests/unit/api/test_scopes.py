"""image_pipeline.api.scopes"""

import pytest

from image_pipeline import keys
from image_pipeline.api import scopes
from image_pipeline.api.scopes import Access
from image_pipeline.errors import InvalidKeyError, NotPermittedError

ALL = frozenset(scopes.SCOPES)
SHOP = Access(folder="uploads/shop/")


def request(authorizer=None):
    return {"requestContext": {} if authorizer is None else {"authorizer": authorizer}}


def with_key(**fields):
    return request({"lambda": {"keyId": "0000EXAMPLE0", **fields}})


def with_token(**claims):
    return request({"jwt": {"claims": {"sub": "somebody", **claims}, "scopes": None}})


@pytest.mark.parametrize("authorizer", [None, {}, {"lambda": None}, {"lambda": {}}, {"iam": {"userId": "x"}}])
@pytest.mark.parametrize("scope", scopes.SCOPES)
def test_without_a_key_the_route_decides(authorizer, scope):
    """A route that always needs a key refuses a request without one, even if it has lost its authorizer."""
    with pytest.raises(NotPermittedError):
        scopes.authorize(request(authorizer), scope, needs_key=True)
    assert scopes.authorize(request(authorizer), scope) == Access()


@pytest.mark.parametrize("event", [with_key(), with_token()])
@pytest.mark.parametrize("scope", scopes.SCOPES)
def test_a_key_without_scopes_keeps_all_rights(event, scope):
    """Keys and tokens of the previous release contain no scopes."""
    assert scopes.authorize(event, scope) == Access(ALL, None)


@pytest.mark.parametrize("make", [lambda text: with_key(scopes=text), lambda text: with_token(scope=text)])
@pytest.mark.parametrize(
    ("text", "permitted"),
    [
        ("read", {"read"}),
        ("read upload", {"read", "upload"}),
        ("openid delete profile", {"delete"}),
        ("read upload delete", ALL),
        ("", set()),
        ("openid", set()),
        ("READ", set()),
        ("reads", set()),
        ("read,upload", set()),
        ("read\tupload", set()),
    ],
)
@pytest.mark.parametrize("needs_key", [False, True])
def test_a_scope_permits_only_what_it_names(make, text, permitted, needs_key):
    """The error names the missing scope, also on a route that may be open without a key."""
    for scope in scopes.SCOPES:
        if scope in permitted:
            assert scopes.authorize(make(text), scope, needs_key=needs_key).scopes == permitted
            continue
        with pytest.raises(NotPermittedError, match=f"`{scope}`"):
            scopes.authorize(make(text), scope, needs_key=needs_key)


@pytest.mark.parametrize(
    ("image_key", "allowed"),
    [
        ("uploads/shop/a.jpg", True),
        ("uploads/shop/2026/a.jpg", True),
        ("uploads/shop/..jpg", True),
        ("uploads/shop/a..b/c.jpg", True),
        ("uploads/shop", False),
        ("uploads/shopping/a.jpg", False),
        ("uploads/shop.jpg", False),
        ("uploads/Shop/a.jpg", False),
        ("uploads/other/shop/a.jpg", False),
        ("uploads/uploads/shop/a.jpg", False),
        ("uploads/shop/../other/a.jpg", False),
        ("uploads/shop/..", False),
        ("uploads/shop%2Fa.jpg", False),
        ("uploads/shop\\a.jpg", False),
        ("uploads//shop/a.jpg", False),
        ("shop/a.jpg", False),
        ("", False),
    ],
)
def test_a_folder_key_reaches_only_its_folder(image_key, allowed):
    """A folder is a whole part of the key, and no part leads out of it."""
    assert SHOP.allows(image_key) == allowed
    assert Access().allows(image_key)
    if not allowed:
        with pytest.raises(NotPermittedError):
            SHOP.check(image_key)
        with pytest.raises(NotPermittedError):
            SHOP.narrow([image_key])
    else:
        SHOP.check(image_key)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/images/uploads/shop/a.jpg/status", ("uploads/shop/a.jpg",)),
        ("/images/uploads/shop%2Fa%2Ejpg/status", ("uploads/shop/a.jpg",)),
        ("/images/uploads/shop/%2E%2E/status", ("uploads/shop/%2E%2E",)),
        ("/images/uploads/shop%2F%2E%2E%2Fother%2Ejpg/status", ()),
        ("/images/uploads/other%2Fa%2Ejpg/status", ()),
        ("/images/uploads/shopping/a.jpg/status", ()),
        ("/images/uploads/../shop/a.jpg/status", ()),
    ],
)
def test_an_encoded_name_is_checked_after_decoding(path, expected):
    """If a path may mean several keys, only those in the folder are read."""
    candidates = keys.image_keys(path)
    if not expected:
        with pytest.raises(NotPermittedError):
            SHOP.narrow(candidates)
    else:
        assert SHOP.narrow(candidates) == expected


def test_errors_do_not_reveal_uploads_outside_the_folder():
    """The error is the same for every upload outside, whether it exists or not."""
    errors = set()
    for image_key in ("uploads/other/a.jpg", "uploads/secret/b.jpg"):
        with pytest.raises(NotPermittedError) as caught:
            SHOP.check(image_key)
        errors.add(str(caught.value))
    assert len(errors) == 1


@pytest.mark.parametrize("access", [Access(), Access(frozenset()), SHOP, Access(frozenset({"read"}), "uploads/ü/")])
def test_rights_can_be_stored_as_text(access):
    """The table and the authorizer store rights as text, without a loss."""
    fields = access.to_fields()
    assert Access.from_fields(fields.get("scopes"), fields.get("folder")) == access


@pytest.mark.parametrize("text", ["shop", "shop/", "uploads/shop", "uploads/shop/"])
def test_a_folder_has_one_key(text):
    """A slash at the end and the prefix make no difference."""
    assert scopes.folder_key(text) == "uploads/shop/"


def test_a_folder_may_itself_be_named_uploads():
    """Such a folder is written with its full key."""
    assert scopes.folder_key("uploads/uploads") == "uploads/uploads/"
    assert scopes.folder_key("a/b") == "uploads/a/b/"


@pytest.mark.parametrize(
    "text", ["", "/", "uploads", "uploads/", "//", "shop//", "/shop", "a/../b", "..", ".", "a\n", "\ud800"]
)
def test_not_every_text_is_a_folder(text):
    """A key for all uploads has no folder, and no folder leads out of the uploads."""
    with pytest.raises(InvalidKeyError):
        scopes.folder_key(text)


@pytest.mark.parametrize(
    ("prefix", "narrowed"),
    [
        (None, "uploads/shop/"),
        ("shop", "uploads/shop/"),
        ("shop/", "uploads/shop/"),
        ("uploads/shop/2026", "uploads/shop/2026/"),
        ("uploads/", None),
        ("shopping", None),
        ("other/shop", None),
        ("shop/../other", None),
    ],
)
def test_a_list_is_limited_to_the_folder_of_the_key(prefix, narrowed):
    """Another prefix is refused, so a cursor never refers to an image outside the folder."""
    parameters = {"limit": "5"} | ({} if prefix is None else {"prefix": prefix})
    access = Access(folder="uploads/shop/")
    if narrowed is None:
        with pytest.raises(NotPermittedError):
            access.narrow_list(parameters)
    else:
        assert access.narrow_list(parameters) == {"limit": "5", "prefix": narrowed}
    assert Access().narrow_list(parameters) == parameters
