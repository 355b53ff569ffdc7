"""The verb trace."""

import json
from pathlib import Path

import pytest

from bench import cli


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["minilm", "--deployment", "onnx"], "torch.profiler sees nothing of onnx"),
        (["minilm", "--calls", "0"], "--calls 0: at least 1"),
        (["minilmm"], "did you mean minilm"),
        (["minilm", "--device", "tpu"], "no device 'tpu'"),
        (["minilm", "--deployment", "eagr"], "eagr"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(["trace", *arguments, "--out", str(tmp_path / "t")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "t").exists()


@pytest.mark.slow
def test_a_training_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["trace", "cnn_cls", "--phase", "training", "--calls", "2", "--batch_size", "4"]
    assert cli.main([*arguments, "--out", str(tmp_path)]) == 0
    (kept,) = tmp_path.glob("*.pt.trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert events == json.loads(kept.read_text())["traceEvents"]
    assert "conv" in capsys.readouterr().out
    assert sum(event.get("name") == "a call" for event in events) == 2
