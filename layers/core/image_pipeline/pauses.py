"""Pauses between repeated reads."""

from collections.abc import Iterator


def growing(first: float, longest: float, growth: float) -> Iterator[float]:
    """Yield pauses in seconds, without end. Each is `growth` times as long as the previous one, up to `longest`."""
    pause = first
    while True:
        yield pause
        pause = min(pause * growth, longest)
