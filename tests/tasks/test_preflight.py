"""What a check reports: a level and one line."""

import dataclasses

import pytest

from tasks.preflight import Finding


def test_a_finding_is_a_value() -> None:
    assert Finding("error", "a") == Finding("error", "a") != Finding("warning", "a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Finding("error", "a").message = "b"
