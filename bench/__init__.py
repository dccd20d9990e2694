"""Benchmarks, cost models and load tests. The results are in `docs/performance.md`."""
