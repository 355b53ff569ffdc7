"""The verb decide."""

from pathlib import Path

import pytest

from bench import cli
from bench.decide import options
from tasks.errors import UserError


def test_eager_comes_first_and_nothing_twice() -> None:
    assert [str(each) for each in options.asked(["onnx", "eager", "onnx"])] == ["eager", "onnx"]
    assert str(options.asked([])[0]) == "eager"
    with pytest.raises(UserError, match="no numerics of onnx"):
        options.asked(["onnx+fp8-dynamic"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{tmp}/none"], "no zoo.json"),
        (["{tmp}/none", "--minutes", "0"], "--minutes 0.0: above 0"),
        (["{tmp}/none", "--p95_ms", "0"], "--p95_ms 0.0: above 0"),
        (["{tmp}/none", "--max_drop", "-1"], "--max_drop -1.0"),
        (["{tmp}/none", "--memory_mb", "-5"], "--memory_mb -5.0"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    given = [each.format(tmp=tmp_path) for each in arguments]
    assert cli.main(["decide", *given]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
