"""What a program says to type next runs as it stands, in a folder with a blank and a quote."""

import csv
import shlex
from pathlib import Path

import pytest

from tests.cases import Case
from tests.cli import Done, run_cli
from tests.finetuning import EXACT, MODEL, arguments


def _said(out: str) -> list[list[str]]:
    """The commands, as a shell reads them."""
    lines = [line.strip() for line in out.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("python -m ")]


def _run(words: list[str]) -> Done:
    assert words[:2] == ["python", "-m"]
    return run_cli(words[2], *words[3:])


@pytest.mark.parametrize("case", ["text", "vision"], indirect=True)
def test_the_end_of_a_training(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "it's my run"
    done = run_cli(case.module, *case.arguments(folder, "--max_steps", 2))
    assert done.code == 0, done.err
    said = _said(done.out.partition("next:")[2])
    assert [words[3] for words in said] == ["evaluate", "predict"]
    for words in said:
        again = _run(words)
        assert again.code == 0, again.err
    ours = "import zoo.auto, then transformers.pipeline(" in done.out
    assert ours == (case.name != "text")


def test_media_without_a_file_of_their_own(tmp_path: Path) -> None:
    """The digits that come with us."""
    folder = tmp_path / "my digits"
    argv = ("finetune", "--max_steps", 1, "--widths", 8, "--report_to", "none")
    done = run_cli("zoo.vision.cnn_cls", *argv, "--output_dir", folder)
    assert done.code == 0, done.err
    words = _said(done.out)[-1]
    assert words[3:] == ["predict", str(folder), "--image", str(folder / "logs" / "example.png")]
    again = _run(words)
    assert again.code == 0 and len(again.lines) == 1, again.err


def test_an_example_is_of_the_data(tiny_bert: Path, tmp_path: Path) -> None:
    """Chinese for a Chinese model; what begins like a flag is passed over."""
    data = tmp_path / "reviews.csv"
    with data.open("w", newline="", encoding="utf-8") as file:
        texts = (f"{'--' * (i < 4)}第{i}部电影\n很{'坏好'[i % 2]}" for i in range(60))
        rows = [(text, str(i % 2)) for i, text in enumerate(texts)]
        csv.writer(file).writerows([("text", "label"), *rows])
    argv = arguments(tiny_bert, data, tmp_path / "run", *EXACT, "--max_steps", 1)
    done = run_cli(MODEL, *argv)
    assert done.code == 0, done.err
    words = _said(done.out)[-1]
    assert words[-2] == "--text" and words[-1].startswith("第") and "\n" not in words[-1]
    assert _run(words).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("case", ["vision"], indirect=True)
def test_after_pruning_and_without_an_artifact(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "my run"
    assert run_cli(case.module, *case.arguments(folder, "--max_steps", 2)).code == 0
    argv = ("prune", folder, "--stages", 1, "--steps", 1, "--output_dir", tmp_path / "a half")
    done = run_cli(case.module, *argv)
    assert done.code == 0, done.err
    for words in _said(done.out):
        assert _run(words).code == 0
    missing = run_cli(case.module, "evaluate", folder, "--deployment", "pt2")
    assert missing.code == 2
    words = shlex.split(missing.err.partition("make it with ")[2])
    assert words[2:] == [case.module, "export", str(folder), "--runtime", "pt2"]
    assert _run(words).code == 0
    assert run_cli(case.module, "evaluate", folder, "--deployment", "pt2").code == 0
    card = run_cli(case.module, "evaluate", folder, "--deployment", "onnx+int8-dynamic")
    words = shlex.split(card.err.partition("make it with ")[2])
    assert words[3:] == ["quantize", str(folder), "--method", "dynamic"]
