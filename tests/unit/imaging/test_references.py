"""The engine agrees with independent programs about the corpus; `tools/references.py` recorded their answers."""

import io
import json
import tomllib
from functools import cache

import pytest
from PIL import Image

from image_pipeline.errors import RejectedError
from image_pipeline.imaging.engine import render
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.recipes import Recipe
from tests.corpus import HERE
from tools.references import RESULTS, SIDE, corpus, grid, small

files = cache(corpus)  # only the process that runs these tests makes them
REFERENCES = json.loads(RESULTS.read_text())
VERDICTS = tomllib.loads((HERE / "verdicts.toml").read_text())
"""Deliberate differences of the engine by file, each with its reason and a third source."""
RECIPE = Recipe("small", SIDE, SIDE, formats=("png",))
MOST_DIFFERENCE = 2.0
"""A mean colour difference (CIE 1976 ΔE) that is invisible."""


def rendered(name):
    """The result of the engine for a file, or None if it rejects the file."""
    try:
        return render(files()[name], [RECIPE], Limits())
    except RejectedError:
        return None


def lab(cell):
    """CIELAB of an sRGB colour rrggbb, D65 (IEC 61966-2-1, CIE 15)."""
    linear = []
    for at in (0, 2, 4):
        value = int(cell[at : at + 2], 16) / 255
        linear.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    red, green, blue = linear
    xyz = (
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883,
    )
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def difference(one, two):
    """The mean ΔE of the cells that are visible in both images."""
    visible = [(a, b) for a, b in zip(one, two, strict=True) if int(a[6:], 16) > 25 and int(b[6:], 16) > 25]
    deltas = [sum((p - q) ** 2 for p, q in zip(lab(a), lab(b), strict=True)) ** 0.5 for a, b in visible]
    return sum(deltas) / len(deltas) if deltas else 0.0


def opacity(cells):
    """The opacity of the cells, 0 to 255."""
    return [int(cell[6:], 16) for cell in cells]


def test_every_file_has_a_reference():
    """A new file of the corpus needs a reference: `python -m tools.references`."""
    assert files().keys() == REFERENCES.keys()


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_the_engine_agrees_with_an_independent_program(name):
    """Result, size, colours and transparency equal the reference, or a verdict explains the difference."""
    result = rendered(name)
    reference = REFERENCES[name]
    verdict = VERDICTS.get(name, {})
    if verdict and "facts" not in verdict:
        assert (result is not None) == verdict["accepted"]
        return
    assert (result is not None) == reference["accepted"], reference["tool"]
    if result is None:
        return
    assert [result.header.width, result.header.height] == reference["size"]
    cells = grid(small(Image.open(io.BytesIO(result.renditions[0].data))))
    assert difference(cells, reference["grid"]) <= MOST_DIFFERENCE
    assert max(abs(a - b) for a, b in zip(opacity(cells), opacity(reference["grid"]), strict=True)) <= 16


NAMES = {"Make": "make", "Model": "model", "LensModel": "lens", "ISO": "iso", "Artist": "artist"}


@pytest.mark.parametrize("name", sorted(name for name, answer in REFERENCES.items() if "facts" in answer))
def test_facts_agree_with_exiftool(name):
    """The facts equal those of exiftool, or a verdict explains the difference."""
    result = rendered(name)
    if result is None or "facts" in VERDICTS.get(name, {}):
        return
    facts = result.exif.to_dict()
    for exiftool_name, fact in NAMES.items():
        if exiftool_name in REFERENCES[name]["facts"]:
            assert str(facts.get(fact)) == str(REFERENCES[name]["facts"][exiftool_name]).strip()


def test_verdicts_cite_a_source():
    """Each verdict has a reason with a source and is still needed."""
    for name, verdict in VERDICTS.items():
        assert verdict["why"], name
        assert verdict["source"], name
        assert name in files()
