"""Benchmarks: they measure ratios and are not part of the tests. `./dev bench NAME` runs one."""
