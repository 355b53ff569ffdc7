"""A failure is told at once: a GPU is there for minutes, and a run that is cut off has said it."""

import os
import sys

import pytest

LINES = 25  # of a failure, the last


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:  # whose reports are passed on
        last = report.longreprtext.splitlines()[-LINES:]
        print(f"\n{report.nodeid} failed:", *last, sep="\n", file=sys.stderr, flush=True)
