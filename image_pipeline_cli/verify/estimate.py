"""What a run costs on AWS, and how long it takes there, by a model."""

from image_pipeline_cli import prices
from image_pipeline_cli.verify.samples import SAMPLES, bad_files

UPLOADS = 1 + len(SAMPLES) + len(bad_files()) + 2 + 2
"""The first file, the others, two over HTTP, and two with the same name."""
_EXECUTIONS = UPLOADS + 2  # a restoration and a duplicate; that and rejected files cost less than an image
# Every version at the end, which includes that of the restored upload; the deletion that is checked, and its marker.
_DELETIONS = UPLOADS + 3

REQUESTS = 250
"""Requests of a run that are not repeated while it waits, at most; a test counts them."""
_REQUEST_SECONDS = 0.2  # each to the API or to a signed URL has a new connection
# docs/performance.md: 1 second for an image and 2 for four cold starts; twice that, because the measured CPU is faster.
_COLD_SECONDS, _WARM_SECONDS = 6, 2
_EMPTY_SECONDS = 10  # EmptyUploadSeconds by default: the empty file waits for its content
_ALONE = 7  # two uploads over HTTP, two with the same name, a duplicate, a deletion and a restoration
_REPORT_SECONDS = 15  # batching windows and polls of the streams, for the list, events and notifications


def dollars() -> float:
    """Return the cost in US dollars, at most."""
    return _EXECUTIONS * prices.dollars_per_image() + _DELETIONS * prices.dollars_per_deletion()


def seconds() -> float:
    """Return the time in seconds, if S3 sends events already."""
    together = _EMPTY_SECONDS + _COLD_SECONDS  # more functions start for more uploads at once
    outcomes = _COLD_SECONDS + together + _ALONE * _WARM_SECONDS
    return REQUESTS * _REQUEST_SECONDS + outcomes + _REPORT_SECONDS
