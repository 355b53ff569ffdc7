"""Words of a command: what a parser says of them steers no terminal."""

import importlib
from pathlib import Path

import pytest

from tests.cli import run_cli
from zoo.cli.program import read_words

CLEAR = "\x1b[2J"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("zoo.nlp.bert_cls", ("predict", "x", "--text", "a", f"--zero_shot={CLEAR}", "--nope=")),
        ("zoo.vision.cnn_cls", ("prune", "x", f"--stages={CLEAR}")),
        ("zoo", (CLEAR,)),
        ("bench.cli", ("run", "bert_cls", f"--no{CLEAR}")),
        ("tools.hub.cli", ("push", "x", "me/x", f"--no{CLEAR}")),
        ("tools.cards.cli", ("x", f"--no{CLEAR}")),
    ],
)
def test_a_complaint_shows_control_characters(
    program: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    if program.endswith(".cli"):
        try:
            code = importlib.import_module(program).main(list(words))
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr().err
    else:
        done = run_cli(program, *words)
        code, said = done.code, done.err
    assert code == 2
    assert "\x1b" not in said and r"\x1b[2J" in said.replace("\\\\", "\\")


def test_words_are_read_as_they_were_given() -> None:
    text = "two lines\nand a bell\a"
    assert read_words(lambda words: words, ["--text", text]) == ["--text", text]


@pytest.mark.parametrize("flag", ["--zero_shot=yes", "--zero-shot=", "--zero_shot=False"])
def test_the_value_of_a_switch_is_no_input(flag: str) -> None:
    done = run_cli("zoo.nlp.bert_cls", "predict", "x", flag, "--labels", "a,b")
    assert done.code == 2 and "--zero_shot takes no value" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("zoo.vision.cnn_cls", ("prune", "~/x")),
        ("zoo.vision.cnn_cls", ("quantize", "~/x")),
        ("zoo.nlp.bert_cls", ("finetune", "--model=~/x")),
        ("zoo.nlp.bert_cls", ("finetune", "--teacher=~/x")),
        ("zoo", ("verify", "~/x")),
        ("zoo", ("runs", "~/x")),
    ],
)
def test_a_tilde_is_the_home_folder(
    program: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong there is said of the folder that was meant."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x").write_text("no checkpoint")
    done = run_cli(program, *words)
    assert done.code == 2 and f"{tmp_path / 'x'}" in done.err, done.err


@pytest.mark.parametrize(
    ("program", "words", "said"),
    [
        (
            "zoo",
            ("finetune", "bert_cls", "--num_train_epoch", 3),
            "did you mean --num_train_epochs? ",
        ),
        ("zoo.nlp.bert_cls", ("finetune", "--epochs=3"), "did you mean --num_train_epochs? "),
        ("zoo.vision.cnn_cls", ("predict", "x", "a.png", "--topk", 2), "did you mean --top_k? "),
        ("zoo", ("list", "--nope"), "nor any other"),
        ("bench.cli", ("run", "bert_cls", "--batchsize", 3), "did you mean --batch_sizes? "),
        ("tools.hub.cli", ("push", "x", "me/x", "--privat"), "did you mean --private? "),
    ],
)
def test_an_unknown_flag_names_the_nearest_and_the_page_with_all(
    program: str, words: tuple[object, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if program.endswith(".cli"):
        assert importlib.import_module(program).main([str(word) for word in words]) == 2
        line = capsys.readouterr().err
    else:
        done = run_cli(program, *words)
        assert done.code == 2
        line = done.err
    flag = next(str(word) for word in words if str(word).startswith("--")).partition("=")[0]
    assert f": there is no flag {flag}; {said}" in line and line.count("\n") == 1
    assert "--help-all lists those there are" in line or "nor any" in said
