"""Benchmarks: measured ratios, never part of the tests. `./dev bench NAME` runs one."""
