"""Measurements against peers, in one interleaved run: `make bench`. `docs/performance.md` holds the results."""
