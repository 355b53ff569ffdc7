"""The verb peers."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from bench import cli
from bench.cases.args import PeersArgs
from bench.compare import peer_targets, peers
from tests import tiny_models
from tests.sharing import shared
from zoo.measure import Arm


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


@pytest.fixture(
    scope="module", params=["gpt_lm", pytest.param("t5_seq2seq", marks=pytest.mark.slow)]
)
def writes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that writes; of t5_seq2seq it stands for those with an encoder."""
    name = request.param

    def make(folder: Path) -> None:
        tiny_models.checkpoint(name, request.getfixturevalue, folder)

    names = {"gpt_lm": "served-gpt"}
    return shared(tmp_path_factory, names.get(name, name), make) / "run"


def test_texts_are_those_of_transformers(writes: Path, tmp_path: Path) -> None:
    """Of texts of different lengths in a batch, and of one alone."""
    args = PeersArgs(writes, batch_sizes=(1, 5))
    rivals = peers.rivals_of(args)
    assert len(rivals.texts) == 5 and len(set(map(len, rivals.texts))) > 1
    assert rivals.max_other == 0 and rivals.baseline == "transformers.generate"
    for size in args.batch_sizes:
        path = tmp_path / f"{size}.json"
        path.write_text(json.dumps(rivals.texts[:size]))
        arms = peers.arms_of(args, rivals, path, threads=1)
        assert [arm.name for arm in arms] == ["transformers.generate", "zoo eager"]
        found = [
            peer_targets.answers(arm.target.partition(":")[2], dict(arm.kwargs)) for arm in arms
        ]
        assert found[0] == found[1] and len(found[0]) == size and all(map(len, found[0]))


@pytest.mark.parametrize("writes", ["gpt_lm"], indirect=True)
def test_prompts_leave_room_for_what_is_written(
    writes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The context has 64 places, of which the beginning of a text takes one."""
    rivals = peers.rivals_of(PeersArgs(writes, batch_sizes=(200,), new_tokens=60))
    tokenizer = AutoTokenizer.from_pretrained(writes)
    assert len(rivals.texts) == 200, "though the split has fewer"
    assert max(len(tokenizer(one)["input_ids"]) for one in rivals.texts) == 1 + 3
    assert cli.main(["peers", str(writes), "--new_tokens", "63"]) == 2
    error = capsys.readouterr().err
    assert "--new_tokens 63" in error and "at most 62" in error and error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("writes", ["t5_seq2seq"], indirect=True)
def test_a_length_is_of_texts_that_go_on(writes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["peers", str(writes), "--new_tokens", "8"]) == 2
    error = capsys.readouterr().err
    assert "is of models that go on with a text" in error and error.count("\n") == 1


@pytest.mark.parametrize("writes", ["gpt_lm"], indirect=True)
def test_what_answers_otherwise_is_not_timed(
    writes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def other(arms: Sequence[Arm]) -> dict[str, list[str]]:
        return {arm.name: [arm.name] for arm in arms}

    monkeypatch.setattr(peers, "answers_of", other)
    assert cli.main(["peers", str(writes), "--batch_sizes", "1"]) == 2
    done = capsys.readouterr()
    assert "zoo eager: other answers than transformers.generate: not timed" in done.out
    assert "nothing answers as transformers.generate does" in done.err
