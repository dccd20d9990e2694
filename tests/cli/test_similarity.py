"""The structural similarity that `image-pipeline try` reports."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageFilter

from image_pipeline_cli.trial.similarity import ssim
from tests.pictures import encoded, gradient


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (8, 8), (13, 40), (320, 200)])
def test_an_image_equals_itself(size):
    """The similarity of an image with itself is 1 for every size."""
    image = gradient(*size)
    assert ssim(image, image) == pytest.approx(1, abs=1e-5)


def test_the_similarity_is_symmetric_and_falls_with_the_quality():
    """Every lower quality of JPEG is less similar."""
    image = Image.effect_mandelbrot((320, 200), (-2, -1, 1, 1), 40)
    copies = [Image.open(io.BytesIO(encoded(image, quality=quality))) for quality in (95, 60, 20, 5)]
    values = [ssim(copy, image) for copy in copies]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)
    assert [ssim(image, copy) for copy in copies] == pytest.approx(values)


@pytest.mark.parametrize(("radius", "reference"), [(1, 0.9106), (2, 0.8757), (4, 0.8231)])
def test_the_similarity_is_near_that_of_scikit_image(radius, reference):
    """`structural_similarity` of scikit-image 0.26, whose windows are 7 × 7 at every pixel, gave these values."""
    image = Image.effect_mandelbrot((320, 200), (-2, -1, 1, 1), 40)
    assert ssim(image.filter(ImageFilter.BoxBlur(radius)), image) == pytest.approx(reference, abs=0.01)
