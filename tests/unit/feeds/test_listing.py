"""image_pipeline.feeds.listing"""

import base64
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_pipeline import aws as clients
from image_pipeline import keys
from image_pipeline.errors import InvalidRequestError, StorageUnavailableError
from image_pipeline.feeds import listing
from tests.conftest import LISTING_TABLE

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
LABELS = ("Dog", "DOG", "Straße", "Cat")


@pytest.fixture(autouse=True)
def _aws(aws):
    """The listing's table."""
    clients.client.cache_clear()
    yield
    clients.client.cache_clear()


def record(key="uploads/a.jpg", status="COMPLETED", second=0, labels=(), **fields):
    """A record as plain JSON, uploaded that many seconds after the start."""
    uploaded = (START + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
    upload = {"key": key, "uploadedAt": uploaded, "sizeBytes": 46105}
    return {
        "ImageKey": key,
        "status": status,
        "upload": upload,
        "labels": [{"name": name, "confidence": 99.5} for name in labels],
        **fields,
    }


def apply(change, order, key=None):
    order = f"{order:0>6}" if order else ""
    return listing.apply(clients.client, LISTING_TABLE, key or change["ImageKey"], change, order)


def pages(limit=50, **wanted):
    """Every page of a listing."""
    cursor, chosen = None, listing.filtered(**wanted)
    while True:
        page = listing.query(clients.client, LISTING_TABLE, chosen, limit, cursor)
        yield page.images
        cursor = page.cursor
        if cursor is None:
            return


def listed(limit=50, **wanted):
    """The keys of a listing."""
    return [image["imageKey"] for page in pages(limit, **wanted) for image in page]


def items():
    answer = boto3.client("dynamodb").scan(TableName=LISTING_TABLE)
    return {(item["ViewShard"]["S"], item["ListPosition"]["S"]) for item in answer["Items"]}


# ---- What is listed


def test_an_entry_tells_what_a_list_shows():
    """And where the rest is."""
    rendition = {"name": "web", "format": "JPEG", "width": 600, "height": 400}
    apply(
        record(
            labels=["Coffee", "Cup"],
            image={"format": "JPEG", "width": 600, "height": 400, "sha256": "0"},
            summary={"thumbhash": "abc", "phash": "0"},
            renditions=[rendition, {**rendition, "name": "100x100", "width": 100, "height": 67}],
            exif={"make": "ACME"},
        ),
        1,
    )
    ((image,),) = pages()
    assert image == {
        "imageKey": "uploads/a.jpg",
        "status": "COMPLETED",
        "uploadedAt": "2026-11-21T12:00:00Z",
        "sizeBytes": 46105,
        "format": "JPEG",
        "width": 600,
        "height": 400,
        "thumbhash": "abc",
        "rendition": "100x100",
        "labels": ["Coffee", "Cup"],
        "statusPath": "/images/uploads/a.jpg/status",
        "renditionPath": "/images/uploads/a.jpg/renditions/100x100",
    }


def test_a_failure_is_listed_with_its_code():
    """What it means, its status tells."""
    apply(record(status="FAILED", error={"code": "CorruptImageError", "message": "m", "hint": "h"}), 1)
    ((image,),) = pages(status="FAILED")
    assert (image["status"], image["error"]) == ("FAILED", "CorruptImageError")


def test_a_picture_that_was_kept_is_listed_with_the_failure():
    """By its code, as an error is; the status is that of the picture."""
    apply(record(lastFailure={"code": "UploadArchivedError", "message": "m", "hint": "h"}), 1)
    ((image,),) = pages()
    assert (image["status"], image["lastFailure"]) == ("COMPLETED", "UploadArchivedError")
    assert "error" not in image


def test_each_image_is_in_the_views_that_show_it():
    """By status, and by label in any case; what was deleted is only with the deleted."""
    apply(record("uploads/done", labels=["Dog", "Straße"], second=1), 1)
    apply(record("uploads/busy", "PROCESSING", second=2), 1)
    apply(record("uploads/gone", "DELETED", second=3), 1)
    assert listed() == ["uploads/busy", "uploads/done"]
    assert listed(status="PROCESSING") == ["uploads/busy"]
    assert listed(status="DELETED") == ["uploads/gone"]
    assert listed(label="dOG") == listed(label="STRASSE") == ["uploads/done"]
    assert listed(label="do") == []
    assert listed(label="dog", status="COMPLETED") == ["uploads/done"]
    assert listed(label="dog", status="PROCESSING") == []


def test_what_a_change_takes_away_is_taken_out():
    """An image is in no view that it has left, and twice in none."""
    apply(record(status="PROCESSING"), 1)
    apply(record(labels=["Dog"]), 2)
    apply(record(labels=["Cat"], second=60), 3)
    assert (listed(status="PROCESSING"), listed(label="Dog")) == ([], [])
    assert listed() == listed(label="Cat") == listed(status="COMPLETED") == ["uploads/a.jpg"]


def test_the_picture_before_stands_for_what_is_processed():
    """A search by label does not lose an image while it is processed again."""
    apply(record(labels=["Dog"]), 1)
    apply(record(status="PROCESSING", labels=["Dog"]), 2)
    assert listed(label="dog", status="PROCESSING") == ["uploads/a.jpg"]


def test_a_record_that_is_gone_leaves_only_what_expires():
    """The ledger is kept for longer than any change may come late."""
    apply(record(labels=["Dog"]), 1)
    assert apply(None, 2, "uploads/a.jpg")
    assert listed() == []
    (item,) = boto3.client("dynamodb").scan(TableName=LISTING_TABLE)["Items"]
    assert float(item["expiresAt"]["N"]) > datetime.now(UTC).timestamp() + 86_400
    assert not apply(record(labels=["Dog"]), 1)
    assert listed() == []
    assert apply(record(), 3)
    assert not any("expiresAt" in item for item in boto3.client("dynamodb").scan(TableName=LISTING_TABLE)["Items"])


def test_a_change_that_was_lost_is_mended_by_the_next():
    """What is taken out is what the ledger says, and not what somebody believes was there."""
    apply(record(labels=["Dog"]), 1)
    apply(record(status="PROCESSING", second=9), 3)
    assert listed(label="dog") == []


def test_times_in_any_form_sort_as_times():
    """With and without fractions of a second, and with other offsets."""
    for name, given_time in (("c", "2026-11-21T14:00:00.600+02:00"), ("a", "2026-11-21T12:00:00Z")):
        apply({**record(f"uploads/{name}"), "upload": {"uploadedAt": given_time}}, 1)
    apply({**record("uploads/b"), "upload": {}, "createdAt": "2026-11-21T12:00:00.500Z"}, 1)
    assert listed() == ["uploads/c", "uploads/b", "uploads/a"]
    assert listed(since="2026-11-21T12:00:00.5Z") == ["uploads/c", "uploads/b"]


@pytest.mark.parametrize("upload", [{}, {"uploadedAt": "yesterday"}, {"uploadedAt": "0001-01-01T00:00+14:00"}])
def test_a_record_without_a_time_is_the_oldest(upload):
    """Whatever somebody has written into the table, the stream goes on."""
    apply({"ImageKey": "uploads/odd", "status": "FAILED", "upload": upload}, 1)
    apply(record(), 1)
    assert listed() == ["uploads/a.jpg", "uploads/odd"]


def test_the_longest_key_and_the_most_labels_fit():
    """DynamoDB sorts by at most 1,024 bytes; of very many labels, the surest count."""
    key = keys.UPLOADS_PREFIX + "é" * 508
    apply(record(key, labels=[f"Old {number}" for number in range(100)]), 1)
    apply(record(key, labels=[f"New {number}" for number in range(100)]), 2)
    assert listed(label="new 39") == [key]
    assert listed(label="new 40") == listed(label="old 0") == []
    assert len(next(pages())[0]["labels"]) == listing.MOST_LABELS


# ---- Which change counts


def test_a_change_that_comes_again_changes_nothing():
    """Also after a newer one."""
    first, second = record(labels=["Dog"]), record(labels=["Cat"])
    assert [apply(first, 1), apply(first, 1), apply(second, 2), apply(first, 1)] == [True, False, True, False]
    assert (listed(label="dog"), listed(label="cat")) == ([], ["uploads/a.jpg"])


def test_building_the_listing_anew_adds_only_what_is_not_known():
    """The stream is right, whatever a scan has read meanwhile."""
    assert apply(record(status="PROCESSING"), "")
    assert apply(record(), 1)
    assert not apply(record(status="PROCESSING"), "")
    assert listed(status="COMPLETED") == ["uploads/a.jpg"]


def test_of_two_at_the_same_time_the_newer_wins(monkeypatch):
    """An older one that has read the ledger before, and writes after, writes nothing."""
    apply(record(), 1)
    read = listing._ledger

    def slowly(*arguments):
        ledger = read(*arguments)
        monkeypatch.setattr(listing, "_ledger", read)
        apply(record(status="FAILED"), 3)
        return ledger

    monkeypatch.setattr(listing, "_ledger", slowly)
    assert not apply(record(status="PROCESSING"), 2)
    assert listed(status="FAILED") == ["uploads/a.jpg"]


def test_an_image_that_others_change_all_the_time_is_left_for_later():
    """The stream comes again."""
    with Stubber(clients.client("dynamodb")) as stub:
        for _ in range(listing._ATTEMPTS):
            stub.add_response("get_item", {})
            for _entry in range(2):
                stub.add_response("put_item", {})
            stub.add_client_error("put_item", "ConditionalCheckFailedException")
        with pytest.raises(StorageUnavailableError, match="others"):
            apply(record(), 1)


@pytest.mark.parametrize(
    ("code", "error"), [("ThrottlingException", StorageUnavailableError), ("ValidationException", ClientError)]
)
@pytest.mark.parametrize("written", [0, 2])
def test_a_write_that_is_refused_is_named(written, code, error):
    """What passes is tried again by the stream; what does not is a fault of ours."""
    client = clients.client("dynamodb")
    with Stubber(client) as stub:
        stub.add_response("get_item", {})
        for _ in range(written):
            stub.add_response("put_item", {})
        for _ in range(2):
            stub.add_client_error("put_item", code)
        with pytest.raises(error):
            apply(record(), 1)


# ---- Pages


def test_pages_join_to_the_whole_list():
    """Whatever their size; images of the same second, too."""
    for number in range(23):
        apply(record(f"uploads/{number}", second=number // 4), 1)
    everything = listed()
    assert sorted(everything) == sorted(f"uploads/{number}" for number in range(23))
    assert [int(key.removeprefix("uploads/")) // 4 for key in everything] == sorted(
        (number // 4 for number in range(23)), reverse=True
    )
    for limit in (1, 2, 3, 7, 22, 23, 24):
        assert listed(limit) == everything
        assert [len(page) for page in pages(limit)][:-1] == [limit] * (len(list(pages(limit))) - 1)


def test_what_is_uploaded_meanwhile_moves_no_page():
    """The cursor is a place in time and not a count."""
    for number in range(6):
        apply(record(f"uploads/{number}", second=number), 1)
    following = pages(2)
    first = next(following)
    apply(record("uploads/new", second=60), 1)
    rest = [image["imageKey"] for page in following for image in page]
    assert [image["imageKey"] for image in first] + rest == [f"uploads/{number}" for number in reversed(range(6))]


def test_a_page_of_two_conditions_costs_no_more_than_another(monkeypatch):
    """It may be short, or empty, and the next goes on: no request reads the whole view."""
    for number in range(30):
        apply(record(f"uploads/{number}", "COMPLETED" if number else "PROCESSING", number, ["Dog"]), 1)
    sizes = [len(page) for page in pages(2, label="dog", status="PROCESSING")]
    assert sum(sizes) == 1
    assert len(sizes) > 3
    client = clients.client("dynamodb")
    asked = []
    client.meta.events.register(
        "provide-client-params.dynamodb.Query", lambda params, **_: asked.append(params["Limit"])
    )
    next(pages(2, label="dog", status="PROCESSING"))
    assert asked == [2] * 4


def test_the_tried_keys_share_shards():
    """Else no page of the tests below would end within one."""
    shards = [listing._partition("all", f"#{listing._digest(key)}") for key in KEYS]
    assert len(set(shards)) == 2
    assert len(set(shards[:3])) == 1


def test_what_one_shard_has_not_shown_yet_no_other_overtakes():
    """The one is read down to what is old, the other, full of what is not wanted, is not."""
    for number, name in enumerate("dfn"):
        apply(record(f"uploads/{name}", "PROCESSING" if number == 0 else "COMPLETED", 10 + number, ["Dog"]), 1)
    apply(record("uploads/c", "PROCESSING", 1, ["Dog"]), 1)
    expected = ["uploads/d", "uploads/c"]
    for limit in (1, 2, 3):
        assert listed(limit, label="dog", status="PROCESSING") == expected


def test_from_is_included_and_to_is_not():
    """So days follow each other without gap or double."""
    for number in range(4):
        apply(record(f"uploads/{number}", second=number), 1)
    middle = {"since": "2026-11-21T12:00:01Z", "until": "2026-11-21T12:00:03+00:00"}
    assert listed(**middle) == listed(1, **middle) == ["uploads/2", "uploads/1"]
    assert listed(since="2026-11-21", until="2026-11-22T02:00:00+02:00", limit=3) == listed()


@pytest.mark.parametrize(
    "wanted",
    [
        {"status": "completed"},
        {"status": ""},
        {"label": ""},
        {"label": "x" * 201},
        {"since": "yesterday"},
        {"since": ""},
        {"until": "0001-01-01T00:00:00+14:00"},
        {"since": "2026-11-21T12:00:00 02:00"},
        {"since": "2026-11-22", "until": "2026-11-21"},
        {"since": "2026-11-22", "until": "2026-11-22"},
    ],
)
def test_nonsense_is_refused(wanted):
    """And not taken for a list without images."""
    with pytest.raises(InvalidRequestError):
        listing.filtered(**wanted)


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_a_limit_out_of_range_is_refused(limit):
    """It bounds the work."""
    with pytest.raises(InvalidRequestError, match="from 1 to 100"):
        next(pages(limit))


def cursor_of(**wanted):
    return listing.query(clients.client, LISTING_TABLE, listing.filtered(**wanted), 1).cursor


def test_a_cursor_that_is_none_is_refused():
    """Another listing's, one that was changed, or nonsense: 400 and not 500."""
    for number in range(3):
        apply(record(f"uploads/{number}", second=number, labels=["Dog"]), 1)
    chosen, cursor = listing.filtered(since="2026-11-21"), cursor_of(since="2026-11-21")
    outside = base64.urlsafe_b64encode(f"{chosen.digest}2020-01-01T00:00:00.000Z#{'0' * 64}".encode()).decode()
    others = [cursor_of(), cursor_of(label="Dog"), cursor_of(status="COMPLETED"), cursor_of(since="2026-11-20")]
    for wrong in ("", "x", "é", "\ud800", "====", cursor[:-4], cursor + "AAAA", outside, *others):
        with pytest.raises(InvalidRequestError, match="cursor"):
            listing.query(clients.client, LISTING_TABLE, chosen, 1, wrong)
    assert listing.query(clients.client, LISTING_TABLE, chosen, 1, cursor).images


def test_a_table_that_does_not_answer_is_named():
    """So that it is tried again, or answered with 503."""
    with Stubber(clients.client("dynamodb")) as stub:
        stub.add_client_error("query", "ThrottlingException")
        with pytest.raises(StorageUnavailableError):
            next(pages())


# ---- The same as a plain model of it

KEYS = [f"uploads/{name}" for name in "dfncgh"]  # three of each of two shards
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(KEYS),
        st.sampled_from([None, *listing.STATUSES]),
        st.integers(0, 3),
        st.lists(st.sampled_from(LABELS), max_size=2),
    ),
    max_size=12,
)


def expected(state, **wanted):
    """The keys that a listing has, newest first, from records in a dict."""
    status, label = wanted.get("status"), wanted.get("label", "").casefold()
    chosen = [
        (listing.listed(each)["position"], key)
        for key, each in state.items()
        if (each["status"] == status if status else each["status"] != "DELETED")
        and (not label or each["status"] != "DELETED")
        and (not label or label in {known["name"].casefold() for known in each["labels"]})
    ]
    return [key for _, key in sorted(chosen, reverse=True)]


WANTED = [
    {},
    *({"status": status} for status in listing.STATUSES),
    *({"label": label} for label in LABELS),
    *({"label": "dog", "status": status} for status in ("PROCESSING", "COMPLETED")),
]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES, st.data())
def test_any_changes_repeated_in_any_way_list_what_a_model_lists(changes, data):
    """Batches that come again, from any change on, and late: the last change of each key is what is listed."""
    for view, position in items():
        key = {"ViewShard": {"S": view}, "ListPosition": {"S": position}}
        boto3.client("dynamodb").delete_item(TableName=LISTING_TABLE, Key=key)
    stream, state = [], {}
    for order, (key, status, second, labels) in enumerate(changes, 1):
        now = None if status is None else record(key, status, second, labels)
        stream.append((now, order, key))
        state.pop(key, None)
        if now:
            state[key] = now
    done = 0
    while done < len(stream):
        begun = data.draw(st.integers(0, done), "comes again from")
        done = data.draw(st.integers(done + 1, len(stream)), "gets through to")
        for change in stream[begun:done]:
            apply(*change)
    for change in data.draw(st.lists(st.sampled_from(stream)) if stream else st.just([]), "come late"):
        apply(*change)
    limit = data.draw(st.integers(1, 6), "limit")
    for wanted in WANTED:
        assert listed(limit, **wanted) == expected(state, **wanted), wanted
    entries = sum(len(listing.listed(each)["partitions"]) for each in state.values())
    assert len(items()) == entries + len({key for _, _, key in stream})
