"""Benchmarks: one module per target of the specification; each measures its floor or peer in the same run."""
