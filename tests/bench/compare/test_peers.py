"""The verb peers."""

from pathlib import Path

import pytest

from bench import cli
from bench.compare import peers


@pytest.mark.parametrize(
    ("found", "most", "agreed"),
    [
        (["a"] * 100, 0.0, True),
        (["a"] * 99 + ["b"], 0.0, False),
        (["a"] * 98 + ["b"] * 2, 0.02, True),
        (["a"] * 97 + ["b"] * 3, 0.02, False),
        (None, 0.02, False),
    ],
)
def test_labels_must_agree(found: list[str] | None, most: float, agreed: bool) -> None:
    assert peers.agrees(["a"] * 100, found, most) == agreed


def test_one_of_few_may_differ_where_any_may() -> None:
    assert peers.agrees(["a", "a"], ["a", "b"], 0.02)
    assert not peers.agrees(["a", "a"], ["a", "b"], 0.0)


def test_what_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["peers", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "zoo.json" in error and error.count("\n") == 1
