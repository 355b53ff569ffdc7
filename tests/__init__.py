"""The tests; `tests.cli` runs the command line, `tests/conftest.py` has the fixtures for all."""
