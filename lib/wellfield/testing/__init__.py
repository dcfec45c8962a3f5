"""Synthetic plates with known truth, for tests, benchmarks and the example."""
