"""Add up what a recipe file makes of all images: files, bytes, similarity and dollars."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from image_pipeline_cli import prices
from image_pipeline_cli.trial.rendering import Measured


@dataclass(frozen=True)
class Totals:
    """Averages of an image."""

    files: float
    """Number of renditions."""
    kilobytes: float
    """Size of all renditions together."""
    ssim: float | None
    """Mean of all renditions; None if none was compared."""
    least_ssim: float | None
    milliseconds: float
    """CPU time of the engine on this machine."""
    dollars: float
    """Processing a million images, Standard workflow, without labels."""
    storage_dollars: float
    """Storing the renditions of a million images, in a month."""


def add_up(images: Sequence[Measured]) -> Totals:
    """Return the averages of one or more images."""
    renditions = [rendition for image in images for rendition in image.renditions]
    similarities = [rendition.ssim for rendition in renditions if rendition.ssim is not None]
    files = len(renditions) / len(images)
    size = sum(rendition.size_bytes for rendition in renditions) / len(images)
    seconds = fmean(image.seconds for image in images)
    return Totals(
        files=files,
        kilobytes=size / 1000,
        ssim=fmean(similarities) if similarities else None,
        least_ssim=min(similarities, default=None),
        milliseconds=seconds * 1000,
        dollars=fmean(prices.dollars_a_million(len(image.renditions), image.seconds) for image in images),
        storage_dollars=prices.storage_dollars_a_million(size),
    )
