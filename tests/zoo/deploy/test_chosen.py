"""A contract for the metric: what rows can show, and what becomes of a search that is stopped."""

import pytest

from tasks.metrics import metric_spec
from zoo.deploy.chosen import say_what_rows_show, stop_after
from zoo.deploy.export import ContractNotMet


@pytest.mark.parametrize(
    ("metric", "rows", "max_drop", "said"),
    [
        (
            "accuracy",
            49,
            0.005,
            "a drop of at most 0.005 cannot be shown with 49 rows: needs about ",
        ),
        ("accuracy", 49, 0.005, "390 rows. Where not one answer differs, accuracy may still have "),
        ("accuracy", 49, 0.005, "dropped by 0.038 (95%)"),
        ("accuracy", 390, 0.005, ""),
        ("accuracy", 10_000, 0.0, "no number of rows can"),
        ("f1", 49, 0.005, ""),  # what it needs depends on the answers
        ("mse", 49, 0.005, ""),
    ],
)
def test_what_rows_cannot_show_is_told(
    metric: str, rows: int, max_drop: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say_what_rows_show(metric_spec(metric), rows, max_drop)
    out = capsys.readouterr().out
    assert said in out and (out == "") == (said == "")


def test_what_was_not_stopped_is_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    with stop_after(False, None):
        pass
    with pytest.raises(ContractNotMet), stop_after(False, "onnx"):
        raise ContractNotMet("too slow")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("best", "look", "said"),
    [
        ("onnx", "", "stopped; the best so far: onnx, which is confirmed now"),
        (
            None,
            "onnx, 3 ms at a first look",
            "stopped; the best so far: onnx, 3 ms at a first look",
        ),
        (None, "", "stopped; the best so far: none that meets the contract"),
    ],
)
def test_what_was_stopped_ends_so(
    best: str | None, look: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), stop_after(True, best, look):
        done.append(best)
    assert done == [best] and said in capsys.readouterr().out
    with pytest.raises(KeyboardInterrupt), stop_after(True, best, look):
        raise ContractNotMet("it loses too much on the test split")
    assert ("it loses too much" in capsys.readouterr().out) == (best is not None)
