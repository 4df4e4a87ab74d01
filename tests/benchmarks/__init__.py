"""Measured against peers in the same run: `python -m tests.benchmarks --out build/bench.json`."""
