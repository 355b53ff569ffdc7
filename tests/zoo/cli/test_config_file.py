"""--config: a value is read as its flag reads a word, whatever YAML takes it for."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from tests.cli import run_cli
from zoo.cli import config_file
from zoo.nlp.bert_cls import ENTRY
from zoo.train.args import TrainArgs
from zoo.vision.cnn_cls import Options


@dataclasses.dataclass(frozen=True)
class _All:
    train: TrainArgs = TrainArgs()  # noqa: RUF009
    options: Options = Options()  # noqa: RUF009


def _value(folder: Path, line: str) -> Any:
    """What a flag becomes by one line."""
    file = folder / "c.yaml"
    file.write_text(line + "\n", encoding="utf-8")
    rest, settings = config_file.take(["--resume", "--config", str(file)])
    assert rest == ["--resume"]
    made = config_file.apply(_All(), settings)
    (name,) = (setting.name for setting in settings)
    return {**vars(made.train), **vars(made.options)}[name]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("learning_rate: 1e-4", 1e-4),
        ("learning-rate: 1", 1.0),
        ("learning_rate: '2e-5'", 2e-5),
        ("max_steps: 0007", 7),
        ("max_steps: 1_000", 1000),
        ("eval_strategy: no", "no"),
        ("report_to: none", "none"),
        ("resume: yes", True),
        ("resume: On", True),
        ("speedups: off", False),
        ("speedups: false", False),
        ("save_minutes: null", None),
        ("save_minutes:", None),
        ("save_minutes: None", None),
        ("save_minutes: ~", None),
        ("output_dir: no", "no"),
        ("output_dir: 2026-11-26", "2026-11-26"),
        ("output_dir: 1.10", "1.10"),
        ("output_dir: ''", ""),
        ("output_dir: 'null'", "null"),
        ("output_dir: 评论", "评论"),
        ("widths: [8, 16]", (8, 16)),
        ("widths: 8", (8,)),
        ("widths: []", ()),
        ("dropout: .5", 0.5),
    ],
)
def test_values(tmp_path: Path, line: str, value: Any) -> None:
    found = _value(tmp_path, line)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("max_steps: 2.5", "max_steps wants a whole number, not '2.5'"),
        ("max_steps: two", "max_steps wants a whole number, not 'two'"),
        ("max_steps: 1e3", "max_steps wants a whole number, not '1e3'"),
        ("max_steps:", "max_steps wants a whole number, not nothing"),
        ("max_steps: [3]", "max_steps wants a whole number, not [3]"),
        ("learning_rate: no", "learning_rate wants a number, not 'no'"),
        ("learning_rate: [1e-4]", "learning_rate wants a number, not [1e-4]"),
        ("learning_rate: ''", "learning_rate wants a number, not ''"),
        ("learning_rate: .nan", "learning_rate wants a number, not '.nan'"),
        ("learning_rate: nan", "`learning_rate` nan: at least 0"),
        ("seed: -1", "`seed` -1: at least 0"),
        ("resume: 1", "resume wants true or false, not '1'"),
        ("resume: maybe", "resume wants true or false, not 'maybe'"),
        ("report_to: nothing", "report_to wants one of tensorboard, trackio, wandb, none, not"),
        ("report_to:", "report_to wants one of tensorboard, trackio, wandb, none, not nothing"),
        ("tune: False", "tune wants one of full, head, gradual, lora, not 'False'"),
        ("widths: [8, x]", "widths wants a whole number, not 'x'"),
        ("widths: [8, [9]]", "widths wants a value or a list of values"),
        ("widths: {a: 1}", "widths wants a value or a list of values"),
        ("train: {seed: 1}", "train wants a value or a list of values"),
        ("lerning_rate: 1", "no flag 'lerning_rate'; did you mean learning_rate?"),
        ("? [a]\n: 1", "wants lines of `flag: value`"),
        ("seed: 1\nseed: 2", "seed is set in line 1 as well"),
        ("learning-rate: 1\nlearning_rate: 2", "learning_rate is set in line 1 as well"),
    ],
)
def test_what_is_no_value(tmp_path: Path, line: str, said: str) -> None:
    number = line.count("\n") + 1 if "as well" in said else 1
    with pytest.raises(UserError) as error:
        _value(tmp_path, line)
    text = str(error.value)
    assert text.startswith(f"--config {tmp_path / 'c.yaml'}, line {number}: "), text
    assert said in text and "\n" not in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"- seed\n- 1\n", "wants lines of `flag: value`"),
        (b"seed", "wants lines of `flag: value`"),
        (b"", "wants lines of `flag: value`"),
        (b"seed: 1\n\tlr: 2\n", "line 2: not valid YAML"),
        (b"widths:\n\t- 8\n", "blanks, not tabs"),
        (b"a: [1\n", "line 2: not valid YAML"),
        (b"seed: 1\n---\nseed: 2\n", "line 2: not valid YAML"),
        (b"seed: \xe9\n", "no text in UTF-8"),
        (b"seed: 1".join([b"\xff\xfe"] * 2), "no text in UTF-8"),
        (b"seed: \x07\n", "not valid YAML"),
        (b"a: " + b"[" * 1200, "nested too deep"),
        (b"a: *x\n", "line 1: not valid YAML"),
    ],
    ids=range(12),
)
def test_what_is_no_file_of_flags(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(content)
    done = run_cli(ENTRY, "finetune", "--config", file)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.startswith(f"bert_cls: --config {file}") and said in line, line


def test_a_mark_in_front_and_windows_lines(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xef\xbb\xbfseed: 7\r\nmax_steps: 3\r\n")
    _, settings = config_file.take([f"--config={file}"])
    train = config_file.apply(_All(), settings).train
    assert (train.seed, train.max_steps) == (7, 3)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--config", "{}/a.yaml", "--config", "{}/b.yaml"), "--config is given 2 times"),
        (("--config={}/a.yaml", "--seed", "1", "--config", "{}/a.yaml"), "given 2 times"),
        (("--config={}",), "can't be read: Is a directory"),
        (("--config", "{}/none.yaml"), "none.yaml can't be read: No such file or directory"),
        (("--config",), "--config wants a YAML file"),
        (("--config", "--seed", "1"), "--config wants a YAML file"),
        (("--config=",), "--config wants a YAML file"),
    ],
)
def test_which_file(tmp_path: Path, argv: tuple[str, ...], said: str) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("seed: 1\n")
    done = run_cli(ENTRY, "finetune", *(word.format(tmp_path) for word in argv))
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert said in line, line


def test_flags_win(tmp_path: Path, images: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"data: {images}\nmax_steps: 2\nwidths: [8]\nreport_to: none\nseed: 3\n")
    argv = ("finetune", "--config", file, "--output_dir", tmp_path / "run", "--max_steps", 1)
    done = run_cli("zoo.vision.cnn_cls", *argv)
    assert done.code == 0, done.err
    config = json.loads((tmp_path / "run" / "zoo.json").read_text())["config"]
    assert config["train"]["max_steps"] == 1 and config["train"]["seed"] == 3
    assert config["options"]["widths"] == [8]
