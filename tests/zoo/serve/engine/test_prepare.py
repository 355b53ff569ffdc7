"""The names under which models are served."""

from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.serve.args import ServeArgs
from zoo.serve.engine import prepare


@pytest.fixture(autouse=True)
def described(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each folder described as a checkpoint, without one."""

    def describe(folder: Path, name: str, deployment: str) -> Any:
        from tests.zoo.serve.protocols import described as known

        return known._described(name, "bert_cls", known.texts().task)

    monkeypatch.setattr(prepare, "describe", describe)


def _names(*words: object) -> list[str]:
    args = ServeArgs(tuple(map(str, words)), deployment="eager")
    return [one.name for one in prepare.described(args)]


def test_a_folder_with_a_blank_has_a_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _names(tmp_path / "my  best (run)", tmp_path / "plain") == ["my-best-run", "plain"]
    [said] = capsys.readouterr().out.splitlines()
    assert "is served as my-best-run; CHECKPOINT=NAME names it otherwise" in said
    with pytest.raises(UserError, match="two models are called a-b"):
        _names(tmp_path / "a b", tmp_path / "a-b")


@pytest.mark.parametrize("word", ["runs/评论", "runs/plain=a b"])
def test_what_leaves_no_name_is_refused(word: str) -> None:
    with pytest.raises(UserError, match="can't stand in a URL as it is") as caught:
        _names(word)
    assert "=NAME" in str(caught.value.hint)
