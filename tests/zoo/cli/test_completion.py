"""Completion: what TAB offers, and that bash takes it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import environment, run_cli
from zoo.cli import completion

OWN = ("finetune", "evaluate", "predict", "export", "list", "info", "runs", "completion")


def _offered(*words: str) -> list[str]:
    return list(completion.candidates(words, OWN))


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """runs/my photos, as far as completion looks."""
    monkeypatch.chdir(tmp_path)
    folder = Path("runs") / "my photos"
    (folder / "artifacts" / "onnx+int8-static").mkdir(parents=True)
    (folder / "artifacts" / "onnx+int8-static" / "export.json").write_text("{}")
    (folder / "zoo.json").write_text(
        '{"schema": 1, "model": "cnn_cls", "module": "zoo.vision.cnn_cls", "pipeline": "x",'
        ' "source": {}, "config": {"options": {}, "data": {}, "task": {}, "train": {}},'
        ' "data": {"name": "d", "fingerprint": "f"}, "seed": 1, "versions": {},'
        ' "commit": {"commit": null, "dirty": null}, "files": {}}'
    )
    return folder


def test_verbs_models_and_flags() -> None:
    assert _offered("") == list(OWN)
    assert _offered("e") == ["evaluate", "export"]
    assert _offered("finetune", "wav") == ["wav2vec2_ctc"]
    assert "mae" not in _offered("finetune", "") and "mae" in _offered("info", "")
    assert _offered("finetune", "cnn_cls", "--wid") == ["--widths"]
    assert _offered("finetune", "cnn_cls", "--no_sp") == ["--no_speedups"]
    assert "--help-all" in _offered("evaluate", "--h")
    assert _offered("completion", "") == ["bash", "zsh", "fish"]


def test_values_of_a_flag() -> None:
    assert _offered("finetune", "bert_cls", "--tune", "") == ["full", "head", "gradual", "lora"]
    assert _offered("finetune", "bert_cls", "--model", "min") == ["minilm"]
    assert _offered("predict", "x", "--device", "c") == ["cpu", "cuda"]
    assert _offered("finetune", "bert_cls", "--data", "") == []  # files: the shell's own
    assert "onnx" in _offered("export", "x", "--runtime", "")


def test_checkpoints_and_what_they_have(checkpoint: Path) -> None:
    assert _offered("predict", "") == [str(checkpoint)]
    assert "--image" in _offered("predict", str(checkpoint), "--im")
    assert _offered("predict", str(checkpoint), "") == []
    assert _offered("evaluate", str(checkpoint), "--deployment", "o") == ["onnx+int8-static"]
    assert _offered("finetune", "cnn_cls", "--teacher", "") == [str(checkpoint)]


def test_a_damaged_folder_is_no_noise(checkpoint: Path) -> None:
    (checkpoint / "zoo.json").write_text("{ half")
    done = run_cli("zoo", "complete", "predict", str(checkpoint), "--im")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_value_behind_an_equals_sign() -> None:
    done = run_cli("zoo", "complete", "finetune", "bert_cls", "--tune", "=", "lo")
    assert done.lines == ["lora"]


def test_what_is_printed_for_a_shell() -> None:
    for shell in completion.SHELLS:
        done = run_cli("zoo", "completion", shell)
        assert done.code == 0 and "zoo complete" in done.out
    done = run_cli("zoo", "completion", "tcsh")
    assert done.code == 2 and "bash, zsh, fish" in done.err and done.err.count("\n") == 1
    assert run_cli("zoo", "completion").code == 2
    assert run_cli("zoo", "completion", "--help").code == 0


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A search path with a command `zoo` on it."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "zoo").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m zoo "$@"\n')
    (programs / "zoo").chmod(0o755)
    return f"{programs}{os.pathsep}{os.environ['PATH']}"


def _lines(path: str, *words: str) -> list[str]:
    done = subprocess.run(
        words,
        env=environment({"PATH": path}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes(checkpoint: Path, path: str) -> None:
    """In a real bash."""

    def tab(*words: str) -> str:
        typed = " ".join(f"'{word}'" for word in ("zoo", *words))
        return (
            f"COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _zoo\n"
            'for one in "${COMPREPLY[@]}"; do printf "%s\\n" "$one"; done; echo --'
        )

    tabs = (tab("finetune", "cnn"), tab("predict", ""), tab("finetune", "bert_cls", "--data", ""))
    script = "\n".join(('eval "$(zoo completion bash)"', *tabs))
    found = _lines(path, "bash", "--norc", "-c", script)
    assert found == ["cnn_cls", "--", r"runs/my\ photos", "--", "--"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_completes(checkpoint: Path, path: str) -> None:
    """In a real fish: files only where the command has nothing to say."""

    def tab(line: str) -> list[str]:
        script = f'zoo completion fish | source; complete -C "{line}"'
        return _lines(path, "fish", "--no-config", "-c", script)

    assert tab("zoo finetune bert_cls --tune ") == ["full", "gradual", "head", "lora"]
    assert tab("zoo predict ") == [str(checkpoint)]
    assert tab("zoo finetune bert_cls --data ru") == ["runs/"]
