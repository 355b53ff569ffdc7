"""Cases for pytest-benchmark, measured by the harness: see `bench.regression.conftest`."""
