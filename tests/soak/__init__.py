"""`python -m tests.soak`: the longer tier, many process kills and demo seeds."""
