"""Benchmarks: one module per target of the specification, each with its floor or peer in the same run."""
