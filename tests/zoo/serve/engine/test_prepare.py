"""The names under which models are served, and what is taken of a decision."""

from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.deploy.winner import Winner
from zoo.machine import environment
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


def _winner(**more: Any) -> Winner:
    load: Any = {"workers": 3, "max_batch": 8, "limits": {"rate": 200.0, "p99_s": 0.05}}
    cores = environment.machine(gpu=False)["cores"]
    load |= {"machine": {"cores": cores}, **more}
    return Winner("eager+bf16", "0" * 64, "0" * 64, "cpu", 1, {"batch": 1}, 0.003, **load)


@pytest.mark.parametrize(
    ("given", "left", "taken"),
    [
        ({}, {}, (3, 8)),
        ({"workers": 1}, {}, (1, 8)),
        ({"max_batch": 64}, {}, (3, 64)),
        ({"workers": 1, "max_batch": 64}, {}, (1, 64)),
        ({"deployment": "eager"}, {}, (1, 64)),
        ({}, {"workers": None, "max_batch": None}, (1, 64)),  # no load was given to `decide`
        ({}, {"machine": {"cores": 64}}, (1, 64)),
    ],
)
def test_workers_and_batches_are_those_that_were_chosen_for_a_load(
    given: dict[str, Any],
    left: dict[str, Any],
    taken: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(prepare.winner, "read", lambda folder: _winner(**left))
    args = ServeArgs((str(tmp_path),), **given)
    service, _ = prepare.prepared(args, ())
    [name] = service.models
    assert (service.version(name).workers, service.limits.most_at_once) == taken
    said = capsys.readouterr().out
    assert ("taken" in said) is (taken in ((3, 8), (1, 8), (3, 64)) or "machine" in left)
    if taken == (3, 8):
        assert "workers 3, max_batch 8 for 200 requests/s at a p99 of 50 ms; taken: 3 and 8" in said


def test_of_several_models_none_has_the_machine_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare.winner, "read", lambda folder: _winner())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    service, _ = prepare.prepared(ServeArgs((f"{tmp_path}/a", f"{tmp_path}/b")), ())
    assert {service.version(name).workers for name in service.models} == {1}
