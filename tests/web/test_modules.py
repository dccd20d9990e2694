"""The modules of the page that need no API, imported in the browser."""

from __future__ import annotations

import base64
import itertools
import random
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

from image_pipeline import keys
from image_pipeline.errors import InvalidKeyError
from image_pipeline.imaging import resize, summary
from tests.conftest import heavy
from tests.local.test_hostile_names import ALL_NAMES as NAMES
from tests.pictures import gradient
from tests.web.conftest import Call

# layout ---------------------------------------------------------------------------------------------------------------

JUSTIFY = "return (await load('layout')).justify(pictures, width, { height: 180, gap: 8 });"


def sized(*sizes: tuple[int | None, int | None], state: str = "COMPLETED") -> list[dict[str, Any]]:
    """Pictures of these sizes, as far as the layout reads them."""
    return [
        {"key": str(number), "state": state, "width": width, "height": height}
        for number, (width, height) in enumerate(sizes)
    ]


def random_sizes() -> list[tuple[int, int]]:
    """Sizes of cameras, screens and strips in a random, but always the same order."""
    dice = random.Random(14)
    return [dice.choice([(4000, 3000), (3000, 4000), (1, 1), (1920, 1080), (300, 2), (2, 300)]) for _ in range(400)]


@pytest.mark.parametrize("width", [120, 344, 1000, 1264, 3808])
def test_rows_are_justified(call: Call, width):
    """All rows but the last fill the width exactly; no picture is missing, moved, too narrow or too wide."""
    pictures = sized(*random_sizes())
    rows = call(JUSTIFY, pictures=pictures, width=width)
    boxes = [box for row in rows for box in row["boxes"]]
    assert [box["picture"]["key"] for box in boxes] == [picture["key"] for picture in pictures]
    bottom = -8
    for row in rows:
        assert row["top"] == bottom + 8
        bottom = row["top"] + row["height"]
        left = 0
        for box in row["boxes"]:
            assert (box["left"], box["top"], box["height"]) == (pytest.approx(left, abs=1), row["top"], row["height"])
            assert box["width"] > 0
            left = box["left"] + box["width"] + 8
        assert left - 8 <= width
    assert all(row["boxes"][-1]["left"] + row["boxes"][-1]["width"] == width for row in rows[:-1])
    if width >= 1000:
        assert all(180 * 0.6 <= row["height"] <= 180 * 1.5 for row in rows)


def test_pictures_keep_their_proportions(call: Call):
    """Only strips are cropped, and only in the gallery."""
    for row in call(JUSTIFY, pictures=sized((4000, 3000), (3000, 4000), (1920, 1080), (500, 500)), width=900):
        for box in row["boxes"]:
            size = box["picture"]
            assert box["width"] / box["height"] == pytest.approx(size["width"] / size["height"], rel=0.02)


def test_a_last_row_is_not_stretched(call: Call):
    """One picture alone has the usual height."""
    (row,) = call(JUSTIFY, pictures=sized((400, 300)), width=1200)
    assert (row["height"], row["boxes"][0]["width"]) == (180, 240)


def test_a_picture_of_unknown_size_has_a_place(call: Call):
    """An upload has no size before it is processed; a failed one never has, and its text needs room."""
    (row,) = call(JUSTIFY, pictures=sized((None, None), (0, 0)) + sized((None, None), state="FAILED"), width=1200)
    assert [box["width"] > 0 for box in row["boxes"]] == [True] * 3
    assert row["boxes"][2]["width"] >= 280
    assert call(JUSTIFY, pictures=[], width=1200) == []


def test_days_are_those_of_the_visitor(call: Call):
    """Half past eleven at night in UTC is the next day in Berlin; an upload without a time is of today."""
    times = ["2026-03-02T00:30:00Z", "2026-03-01T23:30:00Z", "2026-03-01T22:30:00Z"]
    pictures = [{"key": time, "uploadedAt": time} for time in times]
    days = call("return (await load('layout')).groupByDay(pictures);", pictures=pictures)
    assert [[picture["key"] for picture in day["pictures"]] for day in days] == [times[:2], times[2:]]
    body = "const [day] = (await load('layout')).groupByDay([{ uploadedAt: null }]); return Date.now() - day.date;"
    assert call(body) < 60_000


# thumbhash ------------------------------------------------------------------------------------------------------------

DRAW = """
const canvas = document.createElement('canvas');
const drawn = (await load('thumbhash')).drawThumbhash(canvas, text);
const { width, height } = canvas;
return [drawn, width, height, drawn ? [...canvas.getContext('2d').getImageData(0, 0, width, height).data] : []];
"""


def clear_at_the_edges() -> Image.Image:
    """A picture that is opaque only in its middle."""
    image = gradient(60, 80).convert("RGBA")
    image.putalpha(Image.radial_gradient("L").resize(image.size).point(lambda value: max(0, 255 - 2 * value)))
    return image


@pytest.mark.parametrize(
    ("image", "difference"),
    [
        (Image.new("RGB", (100, 100), "#c85a14"), 6),
        (Image.new("RGB", (100, 50), "#0a3c8c"), 6),
        (Image.new("RGB", (20, 80), "white"), 3),
        (gradient(80, 60), 16),
        (gradient(60, 80), 16),
        (clear_at_the_edges(), 24),
    ],
    ids=["orange", "blue", "white", "landscape", "portrait", "transparent"],
)
def test_a_placeholder_looks_like_its_picture(call: Call, image: Image.Image, difference):
    """The page draws what the pipeline wrote: proportions, colours and transparency."""
    small = image.resize((max(1, image.width * 32 // max(image.size)), max(1, image.height * 32 // max(image.size))))
    text = summary.summarise(image, resize.reduce).thumbhash
    drawn, width, height, data = call(DRAW, text=text)
    assert drawn
    assert width / height == pytest.approx(image.width / image.height, rel=0.35)
    placeholder = Image.frombytes("RGBA", (width, height), bytes(data)).resize(small.size)
    black = Image.new("RGBA", small.size, "black")
    pairs = zip(
        Image.alpha_composite(black, placeholder).tobytes(),
        Image.alpha_composite(black, small.convert("RGBA")).tobytes(),
        strict=True,
    )
    assert sum(abs(one - other) for one, other in pairs) / (small.width * small.height * 3) < difference
    alpha = placeholder.getchannel("A")
    assert abs(alpha.getpixel((0, 0)) - small.convert("RGBA").getchannel("A").getpixel((0, 0))) < 48


@pytest.mark.parametrize("text", ["", "!", "AAAA", "ä", "A"])
def test_what_is_no_placeholder_is_not_drawn(call: Call, text):
    """A record of another writer must not break the gallery."""
    assert call(DRAW, text=text)[0] is False


def test_a_short_placeholder_is_drawn_without_its_end(call: Call):
    """Missing frequencies count as the least ones; nothing is raised."""
    whole = base64.b64decode(summary.summarise(gradient(80, 60), resize.reduce).thumbhash)
    assert call(DRAW, text=base64.b64encode(whole[:7]).decode())[0] is True


# names ----------------------------------------------------------------------------------------------------------------


def test_paths_are_those_of_the_api(call: Call):
    """Every name has the path of its status and of its original that the API documents."""
    uploads = [f"uploads/{name}" for name in NAMES.values()]
    body = """
    const { pathOf, segmentPathOf } = await load('picture');
    return uploads.map((key) => [`${pathOf(key)}/status`, `${segmentPathOf(key)}/original`]);
    """
    paths = dict(zip(uploads, call(body, uploads=uploads), strict=True))
    assert paths == {key: [keys.status_path(key), keys.original_path(key)] for key in uploads}


def is_accepted(name: str) -> bool:
    """Whether the API accepts a name for a new upload."""
    try:
        return keys.key_for_name(name) == f"uploads/{name}"
    except InvalidKeyError:
        return False


def test_names_are_refused_as_the_api_does(call: Call):
    """The page says before an upload which names the API refuses, and offers one that it accepts."""
    names = [*NAMES.values(), "x" * 1016, "x" * 1017, "ä" * 508 + ".jpg", "a/" * 507 + "b", "\x85.jpg", "\ud800.jpg"]
    problems, usable = call(
        "const { nameProblem, usableName } = await load('upload-names');"
        "return [names.map((name) => nameProblem(name) !== null), names.map(usableName)];",
        names=names,
    )
    assert dict(zip(names, problems, strict=True)) == {name: not is_accepted(name) for name in names}
    assert [name for name in usable if not is_accepted(name)] == []


@pytest.mark.parametrize(
    ("name", "numbered"),
    [
        ("summer/beach.jpg", "summer/beach-1.jpg"),
        ("a.b/beach", "a.b/beach-1"),
        (".hidden", ".hidden-1"),
        ("a/.hidden", "a/.hidden-1"),
        ("x.tar.gz", "x.tar-1.gz"),
        ("🦊.jpg", "🦊-1.jpg"),
    ],
)
def test_a_second_copy_has_a_number(call: Call, name, numbered):
    """The number is in front of the suffix, and not in the folder."""
    assert call("return (await load('upload-names')).numberedName(name, 1);", name=name) == numbered


SHOW = """
const { ImageTile } = await load('tile');
const { makePicture } = await load('picture');
const { UploadPanel } = await load('upload-panel');
const { ToastList } = await load('toast');
const { Actions } = await load('actions');
const { printable } = await load('format');
const box = { left: 0, top: 0, width: 200, height: 180 };
const view = { href: '/', selected: false, opened: false, reachable: true, position: 1, count: 1, selectable: true };
const until = async (condition) => { while (!condition()) await new Promise((done) => setTimeout(done)); };

const tileOf = (name, state) => {
  const tile = new ImageTile();
  const text = printable(name); // texts of the API are printable
  const error = state === 'FAILED' ? { code: 'CorruptImageError', message: text, hint: text } : null;
  const picture = makePicture({ key: `uploads/${name}`, state, error });
  tile.show(picture, box, { ...view, canUpload: true, canChange: true });
  return tile;
};
const toastOf = async (name) => {
  const toasts = new ToastList();
  document.body.replaceChildren(toasts);
  const others = { api: { remove() {} }, listing: { find() {} }, statuses: { watch() {} }, selection: { remove() {} } };
  await new Actions({ ...others, toasts }).remove([`uploads/${name}`]);
  return toasts.querySelector('.toast-text');
};
const rowsOf = async (names) => {
  const meter = { speed: () => null };
  const items = names.map((name, id) => ({ id, name, size: 1, sent: 0, state: 'sending', meter }));
  const counts = { count: items.length, sent: 0, finished: 0, failed: 0, unsent: 1 };
  const totals = { ...counts, bytes: 1, sentBytes: 0, speed: null };
  const queue = Object.assign(new EventTarget(), { items, totals });
  const listing = Object.assign(new EventTarget(), { find() {} });
  const panel = new UploadPanel({ queue, listing, actions: {}, toasts: { announce() {} } });
  document.body.replaceChildren(panel);
  queue.dispatchEvent(new CustomEvent('change', { detail: null }));
  await until(() => panel.querySelector('li'));
  const more = [...panel.querySelectorAll('button')].find(({ textContent }) => /^Show .* more$/.test(textContent));
  while (!more.hidden) {
    const { textContent } = more;
    more.click();
    await until(() => more.hidden || more.textContent !== textContent);
  }
  return Object.fromEntries([...panel.querySelectorAll('li')].map((row) => [row.dataset.upload, row]));
};
const seen = (element) => {
  const all = [element, ...element.querySelectorAll('*')];
  return [
    all.map(({ localName }) => localName).join(' '),
    element.querySelector('bdi')?.textContent ?? element.textContent,
    all.flatMap((each) => ['aria-label', 'title'].map((attribute) => each.getAttribute(attribute) ?? '')).join(' '),
  ];
};
const rows = await rowsOf(names);
const states = ['COMPLETED', 'FAILED', 'DELETED', 'UPLOADING'];
const shown = [];
for (const name of names) {
  shown.push([...states.map((state) => tileOf(name, state)), await toastOf(name), rows[name]].map(seen));
}
return shown;
"""


def test_names_are_only_text(call: Call):
    """Tiles, rows and messages show each name, and have the elements that a harmless name has."""
    harmless = {name: re.sub("[^/]", "x", name) for name in NAMES.values()}
    names = list({*harmless, *harmless.values()})
    shown = dict(zip(names, call(SHOW, names=names), strict=True))
    for name, double in harmless.items():
        file = keys.printable(name.rpartition("/")[2] or name)
        whole = keys.printable(name)
        assert [text for _, text, _ in shown[name]] == [file] * 4 + [f"Deleted “\u2068{whole}\u2069”.", whole]
        assert [elements for elements, _, _ in shown[name]] == [elements for elements, _, _ in shown[double]]
        assert not [spoken for _, _, spoken in shown[name] if keys.printable(spoken) != spoken]


# markup ---------------------------------------------------------------------------------------------------------------

MARK_UP = "return (await load('markup')).pictureMarkup(key, shown, { origin: 'https://api.example', isPublic });"
KEY = 'uploads/sea & sand/"<1>".jpg'


def rendition(name: str, image_format: str, width: int, height: int) -> dict[str, Any]:
    """A rendition as a status contains it."""
    file = f"{name}.{image_format.lower()}"
    return {
        **{"name": name, "format": image_format, "width": width, "height": height, "key": f"thumbnails/0/{file}"},
        "url": f"https://bucket.example/{file}?a=1&b=2",
    }


def mark_up(call: Call, renditions: list[dict[str, Any]], *, public: bool = True, **fields: Any) -> Any:
    """Return the elements of a `<picture>` with their attributes; None if there is none."""
    shown = {"image": {"width": 1600, "height": 1200}, "renditions": renditions, **fields}
    text = call(MARK_UP, key=KEY, shown=shown, isPublic=public)
    if text is None:
        return None
    elements: list[tuple[str, dict[str, str | None]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: elements.append((tag, dict(attributes)))  # type: ignore[method-assign]
    parser.feed(text)
    return elements


def test_a_picture_offers_each_format_and_width(call: Call):
    """The smallest format comes first; the last one, for all browsers, is the `<img>`, in its largest size."""
    sizes = [("web", 1200, 900), ("thumb", 400, 300)]
    files = [rendition(name, kind, *size) for name, *size in sizes for kind in ("JPEG", "WEBP", "AVIF")]
    picture, avif, webp, img = mark_up(call, [*files, rendition("square", "JPEG", 200, 200)])
    assert [picture[0], avif[0], webp[0], img[0]] == ["picture", "source", "source", "img"]
    folder = f"https://api.example{keys.status_path(KEY).removesuffix('/status')}/renditions"
    for (_, attributes), kind in ((avif, "avif"), (webp, "webp"), (img, "jpeg")):
        assert attributes["srcset"] == f"{folder}/thumb.{kind} 400w, {folder}/web.{kind} 1200w"
        assert attributes["sizes"] == "(max-width: 1200px) 100vw, 1200px"
    assert [avif[1]["type"], webp[1]["type"]] == ["image/avif", "image/webp"]
    assert (img[1]["src"], img[1]["width"], img[1]["height"]) == (f"{folder}/web.jpeg", "1200", "900")


def test_a_picture_has_signed_addresses_if_renditions_need_a_key(call: Call):
    """An address of the API would show nothing to the readers of the other page."""
    _, img = mark_up(call, [rendition("web", "JPEG", 1200, 900)], public=False)
    assert img[1]["src"] == "https://bucket.example/web.jpeg?a=1&b=2"
    assert img[1]["srcset"] == "https://bucket.example/web.jpeg?a=1&b=2 1200w"


def test_a_picture_is_described_by_sure_labels(call: Call):
    """At most three, and none that is a guess; a label is only text."""
    labels = [("Dog", 99), ('"><script>', 95), ("Cat", 79), ("Sand", 80), ("Sea", 90)]
    listed = [{"name": name, "confidence": confidence} for name, confidence in labels]
    _, img = mark_up(call, [rendition("web", "JPEG", 1200, 900)], labels=listed)
    assert img[1]["alt"] == 'Dog, "><script>, Sand'


def test_a_picture_of_crops_has_the_largest(call: Call):
    """Without a rendition of the whole image, one is better than none; without any, there is no `<picture>`."""
    crops = [rendition("small", "JPEG", 100, 100), rendition("square", "JPEG", 200, 200)]
    _, img = mark_up(call, crops)
    assert img[1]["src"].endswith("/square.jpeg")
    assert img[1]["srcset"].endswith("/square.jpeg 200w")
    assert mark_up(call, []) is None


COPY = """
const { Copies } = await load('copies');
const session = { access: { publicStatus: true } };
const copies = new Copies({ key: 'uploads/a.jpg', image: { renditions }, session, toasts: {} });
copies.copy = (text) => text;
return copies.copyLink().slice(location.origin.length);
"""


@pytest.mark.parametrize(
    ("files", "link"),
    [
        ([("thumb", "JPEG", 400), ("web", "AVIF", 1200), ("web", "JPEG", 1200), ("tiny", "JPEG", 40)], "web.jpeg"),
        ([("thumb", "PNG", 400), ("web", "PNG", 640), ("web", "WEBP", 1200)], "web.png"),
        ([("thumb", "WEBP", 400), ("web", "WEBP", 1200), ("tiny", "AVIF", 40)], "web.webp"),
    ],
    ids=["JPEG", "PNG", "neither"],
)
def test_a_copied_link_leads_to_the_largest_rendition(call: Call, files, link):
    """Its format is one that every program shows, if there is such a rendition, wherever it is in the record."""
    renditions = [rendition(name, image_format, width, width) for name, image_format, width in files]
    assert call(COPY, renditions=renditions) == f"/images/uploads/a.jpg/renditions/{link}"


# conflicts ------------------------------------------------------------------------------------------------------------

SETTLE = """
const asked = [], names = [];
const world = {
  find: async (wanted) => new Map(wanted.filter((name) => existing.includes(name)).map((name) => [name, { name }])),
  isReserved: (name) => reserved.includes(name),
  ask: async ({ candidate }, others) => { asked.push([candidate.name, others]); return answers.shift(); },
  settle: ({ name }, decided) => names.push([name, decided]),
};
await (await load('conflicts')).settleNames(files.map((name) => ({ name })), world);
return [asked, names];
"""


def choose(choice: str, for_all: bool = False) -> dict[str, Any]:
    """An answer to a conflict."""
    return {"choice": choice, "forAll": for_all}


@pytest.mark.parametrize(
    ("answers", "questions", "names"),
    [
        ([choose("replace"), choose("skip")], [["a.jpg", 1], ["b.jpg", 0]], {"a.jpg": "a.jpg", "b.jpg": None}),
        ([choose("keep-both", True)], [["a.jpg", 1]], {"a.jpg": "a-3.jpg", "b.jpg": "b-1.jpg"}),
        ([choose("skip", True)], [["a.jpg", 1]], {"a.jpg": None, "b.jpg": None}),
    ],
)
def test_conflicts_are_settled(call: Call, answers, questions, names):
    """Other files do not wait for an answer, and an answer for all is the last."""
    arguments = {"files": ["new.jpg", "a.jpg", "b.jpg"], "existing": ["a.jpg", "a-1.jpg", "b.jpg"], "answers": answers}
    result = call(SETTLE, reserved=["a-2.jpg"], **arguments)
    assert result[0] == questions
    assert result[1][0] == ["new.jpg", "new.jpg"]
    assert dict(result[1][1:]) == names


def test_two_files_of_one_name_are_a_conflict(call: Call):
    """Otherwise the second would replace the first without a question; copies get different numbers."""
    files = ["x.jpg"] * 3
    questions, names = call(
        SETTLE, files=files, existing=[], reserved=[], answers=[choose("keep-both"), choose("keep-both")]
    )
    assert questions == [["x.jpg", 1], ["x.jpg", 0]]
    assert [name for _, name in names] == ["x.jpg", "x-1.jpg", "x-2.jpg"]


def test_many_free_names_are_found(call: Call):
    """A name with many copies gets the next number, with few requests."""
    existing = ["x.jpg", *(f"x-{number}.jpg" for number in range(1, 25))]
    _, names = call(SETTLE, files=["x.jpg"], existing=existing, reserved=[], answers=[choose("keep-both")])
    assert names == [["x.jpg", "x-25.jpg"]]


# selection ------------------------------------------------------------------------------------------------------------

SELECT = """
const selection = new (await load('selection')).Selection();
for (const [method, ...values] of steps) selection[method](...values);
return [...selection.keys].sort().join('');
"""
ORDER = list("abcdef")


@pytest.mark.parametrize(
    ("steps", "selected"),
    [
        ([["toggle", "b"], ["extendTo", "d", ORDER]], "bcd"),
        ([["toggle", "d"], ["extendTo", "b", ORDER]], "bcd"),
        ([["extendTo", "c", ORDER], ["extendTo", "e", ORDER]], "cde"),
        ([["toggle", "b"], ["toggle", "b"], ["extendTo", "d", ORDER]], "bcd"),
        ([["toggle", "b"], ["extendTo", "x", ORDER]], "b"),
        ([["toggle", "x"], ["extendTo", "b", ORDER]], "bx"),
        ([["toggle", "b"], ["extendTo", "d", ORDER], ["clear"], ["extendTo", "f", ORDER]], "f"),
        ([["toggle", "b"], ["remove", ["a", "b"]]], ""),
    ],
)
def test_a_range_is_selected(call: Call, steps, selected):
    """A range goes from the last toggled picture, in both directions; one that is gone starts a new range."""
    assert call(SELECT, steps=steps) == selected


# the address ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "times"),
    [
        (
            {"from": "2026-01-05", "to": "2026-01-05"},
            {"from": "2026-01-04T23:00:00.000Z", "to": "2026-01-05T23:00:00.000Z"},
        ),
        ({"to": "2026-03-29"}, {"to": "2026-03-29T22:00:00.000Z"}),
        (
            {"from": "2026-10-25", "to": "2026-12-31"},
            {"from": "2026-10-24T22:00:00.000Z", "to": "2026-12-31T23:00:00.000Z"},
        ),
    ],
    ids=["winter", "summer time begins", "summer time ends"],
)
def test_days_become_times(call: Call, days, times):
    """The last day belongs to the range, and a day starts at midnight of the visitor."""
    assert call("return (await load('query')).toParameters(days);", days=days) == times


ADDRESSES = """
const { Query } = await load('query');
return names.map((name) => {
  history.replaceState(null, '', '/');
  const query = new Query();
  query.set({ ...filters, label: name, prefix: `${name}/` });
  query.open(`uploads/${name}`);
  const other = new Query();
  const address = location.search;
  history.replaceState(null, '', '/');
  return [other.filters, other.image, address];
});
"""


def test_an_address_keeps_what_is_shown(call: Call):
    """A page that opens the address shows the same image with the same filters, whatever its name."""
    names = [*NAMES.values(), "a&b=c#d.jpg", "100 % ü+🦊 \u202e.jpg"]
    filters = {"status": "FAILED", "from": "2026-01-01", "to": "2026-02-01"}
    for name, (shown, image, address) in zip(names, call(ADDRESSES, filters=filters, names=names), strict=True):
        assert shown == {**filters, "label": name, "prefix": f"{name}/"}
        assert image == f"uploads/{name}"
        assert "#" not in address


@pytest.mark.parametrize(
    "search", ["?status=x", "?from=yesterday", "?to=2026-13-01", "?label=", "?other=1", "?key=ip_1"]
)
def test_an_invalid_filter_is_none(call: Call, search):
    """A page that is opened with a wrong address shows everything."""
    body = """
    history.replaceState(null, '', `/${search}`);
    const query = new (await load('query')).Query();
    history.replaceState(null, '', '/');
    return [query.filters, query.isFiltered];
    """
    assert call(body, search=search) == [{}, False]


@pytest.mark.parametrize(
    ("filters", "is_shown"),
    [
        ({}, True),
        ({"status": "COMPLETED"}, True),
        ({"status": "FAILED"}, False),
        ({"label": "DOG"}, True),
        ({"label": "do"}, False),
        ({"prefix": "summer/"}, True),
        ({"prefix": "summer/b"}, True),
        ({"prefix": "winter/"}, False),
        ({"from": "2026-03-02", "to": "2026-03-02"}, True),
        ({"to": "2026-03-01"}, False),
        ({"from": "2026-03-03"}, False),
    ],
    ids=str,
)
def test_a_picture_is_shown_if_the_filters_include_it(call: Call, filters, is_shown):
    """The page decides as the API does, so that nothing flickers."""
    picture = {
        "state": "COMPLETED",
        "name": "summer/beach.jpg",
        "labels": ["Dog"],
        "uploadedAt": "2026-03-01T23:30:00Z",
    }
    assert call("return (await load('query')).matches(picture, filters);", picture=picture, filters=filters) == is_shown


# texts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        ("formatBytes", 0, "0 bytes"),
        ("formatBytes", 999, "999 bytes"),
        ("formatBytes", 1000, "1 kB"),
        ("formatBytes", 46_105, "46 kB"),
        ("formatBytes", 1_550_000, "1.6 MB"),
        ("formatBytes", 5e12, "5,000 GB"),
        ("formatPercent", 0.996, "100%"),
        ("formatDuration", 12, "12 ms"),
        ("formatDuration", 1540, "1.5 secs"),
        ("formatDuration", 30_000, "30 secs"),
        ("formatDuration", 300_000, "5 mins"),
        ("formatNumber", 10_000, "10,000"),
    ],
)
def test_numbers_are_for_people(call: Call, function, value, text):
    """In the language of the browser, with few digits."""
    assert call(f"return (await load('format')).{function}(value);", value=value).replace("\u202f", " ") == text


def test_days_have_names(call: Call):
    """Near days are named; a year is given if it is not this one."""
    body = """
    const { formatDay } = await load('format');
    const now = new Date();
    const day = (days) => new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, 12);
    return [formatDay(day(0)), formatDay(day(-1)), formatDay(new Date(2019, 0, 5))];
    """
    today, yesterday, date = call(body)
    assert (today, yesterday) == ("Today", "Yesterday")
    assert re.fullmatch("Sat,? 5 January 2019", date)


# transparent pictures -------------------------------------------------------------------------------------------------

SRCSET = """
const { mergedSrcset, hasTransparency } = await load('picture');
return [hasTransparency({ thumbhash }), mergedSrcset({ thumbhash, srcsets })];
"""


def thumbhash(mode: str) -> str:
    """The placeholder of a picture, as the pipeline stores it; with an alpha channel, half of it is transparent."""
    image = gradient(60, 40).convert(mode)
    if mode == "RGBA":
        image.paste((0, 0, 0, 0), (0, 0, 30, 40))
    return base64.b64encode(summary.thumbhash(image)).decode()


@pytest.mark.parametrize(
    ("mode", "srcsets", "expected"),
    [
        ("RGBA", {"image/webp": "w 1200w", "image/jpeg": "s 100w, j 1200w"}, "w 1200w"),
        ("RGBA", {"image/png": "p 640w", "image/jpeg": "j 1200w"}, "p 640w"),
        ("RGBA", {"image/jpeg": "s 100w, j 1200w"}, "s 100w, j 1200w"),
        ("RGB", {"image/webp": "w 1200w", "image/jpeg": "s 100w, j 1200w"}, "w 1200w, s 100w"),
    ],
)
def test_a_transparent_picture_is_shown_as_such(call: Call, mode, srcsets, expected):
    """A JPEG has white in place of transparency, so it is the last choice; others may use it for every width."""
    assert call(SRCSET, thumbhash=thumbhash(mode), srcsets=srcsets) == [mode == "RGBA", expected]


@pytest.mark.parametrize("text", [None, "", "!", "AAA="])
def test_a_picture_without_a_thumbhash_is_not_transparent(call: Call, text):
    """An older record has none, and a foreign one may have nonsense."""
    assert call(SRCSET, thumbhash=text, srcsets={"image/jpeg": "j 1w"}) == [False, "j 1w"]


# Failed images --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(328, 124), (520, 124), (757, 160), (1232, 184)])
def test_the_reason_of_a_failure_has_room(call: Call, width, height):
    """Its card is large enough for a reason, a hint and a button; all images keep their order, and rows are full."""
    pictures = sized(*random_sizes())
    for picture in pictures[::3]:
        picture |= {"state": "FAILED", "width": None, "height": None}
    body = "return (await load('layout')).justify(pictures, width, { height, gap: 8 });"
    rows = call(body, pictures=pictures, width=width, height=height)
    boxes = [box for row in rows for box in row["boxes"]]
    assert [box["picture"]["key"] for box in boxes] == [picture["key"] for picture in pictures]
    cards = [box for box in boxes if box["picture"]["state"] == "FAILED"]
    assert all(175 <= box["height"] <= 220 and box["width"] >= 300 for box in cards)
    full = [row for row in rows if any(box["picture"]["state"] == "FAILED" for box in row["boxes"])][:-1]
    assert all(row["boxes"][-1]["left"] + row["boxes"][-1]["width"] == width for row in full)
    assert all(row["height"] <= height * 1.5 for row in rows if row not in full)
    assert all(after["top"] == before["top"] + before["height"] + 8 for before, after in itertools.pairwise(rows))


# messages -------------------------------------------------------------------------------------------------------------

TOASTS = """
const { ToastList } = await load('toast');
const toasts = new ToastList();
document.body.replaceChildren(toasts);
for (const { actions = [], ...message } of messages) {
  toasts.show({ ...message, actions: actions.map((label) => ({ label, run() {} })) });
}
const texts = () => [...toasts.querySelectorAll('.toast-text')].map((text) => text.textContent);
"""


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"text": "The link was copied."}] * 3, ["The link was copied."]),
        ([{"text": "One"}, {"text": "Two"}, {"text": "One"}], ["One", "Two"]),
        ([{"text": "Deleted 2 images.", "actions": ["Undo"]}] * 2, ["Deleted 2 images."] * 2),
        ([{"text": "Deleting 0 of 2…", "progress": 0}] * 2, ["Deleting 0 of 2…"] * 2),
        ([{"text": "Wait 9 s", "about": "a"}, {"text": "Wait 8 s", "about": "a", "actions": ["Try"]}], ["Wait 8 s"]),
    ],
)
def test_equal_messages_do_not_pile_up(call: Call, messages, expected):
    """But those with actions or progress of their own stay apart."""
    assert call(TOASTS + "return texts();", messages=messages) == expected


def test_a_message_that_was_closed_can_be_shown_again(call: Call):
    """It is a new one."""
    again = "toasts.querySelector('[aria-label=\"Close message\"]').click(); toasts.show(messages[0]); return texts();"
    assert call(TOASTS + again, messages=[{"text": "The link was copied."}]) == ["The link was copied."]


# uploads --------------------------------------------------------------------------------------------------------------

# An API that takes as long as it likes, and a pipeline whose outcomes the test decides.
QUEUE = """
const { UploadQueue } = await load('upload-queue');
const { makePicture } = await load('picture');
const access = { maxUploadBytes: 1000 };
const can = (scope) => scope !== 'read' || canRead;
const session = Object.assign(new EventTarget(), { state: 'signed-in', can, access });
const api = Object.assign(new EventTarget(), {
  reachable: true,
  statuses: async () => ({ statuses: await new Promise((done) => setTimeout(done, 0, [])) }),
  presign: () => new Promise(() => {}),
});
const statuses = Object.assign(new EventTarget(), { watch() {} });
const queue = new UploadQueue({ api, session, statuses, ask: async () => ({ choice: 'skip', forAll: true }) });
const file = (name, size) => new File([new Uint8Array(size)], name);
const until = async (condition) => { while (!condition()) await new Promise((done) => setTimeout(done)); };
"""


def test_a_file_that_cannot_be_sent_is_exchanged(call: Call):
    """The other file goes to the same folder under its own name; the row is the same."""
    rows = call(
        QUEUE
        + """
        queue.add([
          { file: file('empty.png', 0), name: 'summer/empty.png' },
          { file: file('large.png', 1001), name: 'large.png' },
        ]);
        const before = queue.items.map(({ remedy, state }) => `${state} ${remedy}`);
        queue.choose(queue.items[0].id, file('beach.jpg', 10));
        await until(() => queue.items[0].state !== 'failed');
        const after = queue.items.map(({ id, name, size, error }) => [id, name, size, error === null]);
        return [before, after, queue.hasUnsent];
        """,
        canRead=True,
    )
    assert rows == [
        ["failed choose"] * 2,
        [[1, "summer/beach.jpg", 10, True], [2, "large.png", 1001, False]],
        True,
    ]


def test_a_repaired_upload_is_no_longer_failed(call: Call):
    """It follows what the gallery learns, also when it fails again."""
    states = call(
        QUEUE
        + """
        queue.add([{ file: file('a.jpg', 10), name: 'a.jpg' }, { file: file('empty.jpg', 0), name: 'empty.jpg' }]);
        const [item, other] = queue.items;
        const key = 'uploads/a.jpg';
        const outcome = (fields) => {
          statuses.dispatchEvent(new CustomEvent('outcome', { detail: makePicture({ key, ...fields }) }));
        };
        const error = { code: 'InternalError', message: 'No luck.', hint: 'Reprocess it.' };
        const states = [];
        const note = () => states.push([item.state, item.error?.message ?? null, queue.totals.failed]);
        await until(() => item.state === 'asking');
        Object.assign(item, { state: 'sent', versionId: '1' });
        outcome({ state: 'FAILED', error });
        note();
        for (const state of ['FAILED', 'WAITING', 'PROCESSING']) queue.follow(makePicture({ key, state, error }));
        note();
        outcome({ state: 'FAILED', error: { ...error, message: 'Again no luck.' } });
        note();
        queue.follow(makePicture({ key, state: 'COMPLETED' }));
        note();
        queue.follow(makePicture({ key: 'uploads/empty.jpg', state: 'COMPLETED' }));
        states.push(other.state);
        return states;
        """,
        canRead=True,
    )
    assert states == [
        ["failed", "No luck.", 2],
        ["sent", None, 1],
        ["failed", "Again no luck.", 2],
        ["done", None, 1],
        "failed",
    ]


def test_files_that_are_not_sent_are_counted(call: Call):
    """Whatever happens to them: sent, refused, cancelled, tried again, forgotten."""
    counts = call(
        QUEUE
        + """
        const counts = [];
        const note = () => counts.push([queue.hasUnsent, queue.totals.unsent]);
        note();
        queue.add(['a', 'b', 'c'].map((name) => ({ file: file(name, 1), name })));
        note();
        queue.cancel(1);
        note();
        queue.cancelAll();
        note();
        queue.retry(2);
        note();
        session.state = 'signed-out';
        session.dispatchEvent(new Event('change'));
        note();
        return [counts, queue.items.length];
        """,
        canRead=True,
    )
    assert counts == [[[False, 0], [True, 3], [True, 2], [False, 0], [True, 1], [False, 0]], 0]


def test_a_name_is_free_again_after_its_upload_was_forgotten(call: Call):
    """Two uploads of one name at the same time are a conflict, one after the other are none."""
    states = call(
        QUEUE
        + """
        let signed = 0;
        api.presign = () => ((signed += 1), new Promise(() => {}));
        const add = () => queue.add([{ file: file('a', 1), name: 'a' }]);
        add();
        await until(() => signed === 1);
        add();
        await until(() => queue.items[1].state === 'cancelled');
        queue.cancelAll();
        queue.clear();
        add();
        await until(() => signed === 2 || queue.items[0].state === 'cancelled');
        return queue.items.map(({ state }) => state);
        """,
        canRead=True,
    )
    assert states == ["asking"]


# many files -----------------------------------------------------------------------------------------------------------

MANY = (
    QUEUE
    + """
const { UploadPanel } = await load('upload-panel');
const { ToastList } = await load('toast');
const { UploadPreviews } = await load('upload-previews');
const { DropTarget } = await load('drop');
const listing = Object.assign(new EventTarget(), { find: () => undefined, upsert() {}, drop() {} });
const toasts = new ToastList();
const panel = new UploadPanel({ queue, listing, toasts, actions: {}, open() {}, replace() {}, choose() {} });
new UploadPreviews({ queue, listing });
const drop = new DropTarget({ queue, session, folder: () => '', toasts });
document.body.replaceChildren(toasts, panel, drop);

let longest = 0;
let last = performance.now();
let isOver = false;
const beat = () => {
  longest = Math.max(longest, performance.now() - last);
  last = performance.now();
  if (!isOver) setTimeout(beat);
};
const shared = file('x', 1);
const files = Array.from({ length: count }, (_, number) => new File([shared], `picture ${count - number}.jpg`));
const input = document.querySelector('[aria-label="Files to upload"]');
Object.defineProperty(input, 'files', { get: () => files });
last = performance.now();
beat();
input.dispatchEvent(new Event('change'));
await until(() => queue.items.at(-1)?.state === 'queued' && panel.querySelector('li'));
const rows = panel.querySelectorAll('li').length;
const first = queue.items[0].name;
[...panel.querySelectorAll('button')].find(({ textContent }) => textContent === 'Cancel all').click();
await until(() => !queue.hasUnsent && panel.querySelector('h2').textContent === 'Uploads cancelled');
isOver = true;
return { longest, rows, first, items: queue.items.length };
"""
)


@heavy
@pytest.mark.timeout(300)  # the API is asked a thousand times
@pytest.mark.parametrize("can_read", [True, False])
def test_many_files_do_not_freeze_the_page(call: Call, can_read):
    """Adding 100,000 files, checking their names and cancelling them never blocks the page for long."""
    result = call(MANY, count=100_000, canRead=can_read)
    assert (result["items"], result["rows"], result["first"]) == (100_000, 60, "picture 1.jpg")
    assert result["longest"] < 5_000, "milliseconds, on a machine that does ten other things"
