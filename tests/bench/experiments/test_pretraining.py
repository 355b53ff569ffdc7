"""The comparison of pretraining: two fine-tunes that differ in the weights they begin with."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.experiments import pretraining as bench
from bench.experiments.runs import read


def _args(**changes: Any) -> bench.Args:
    given: dict[str, Any] = {
        "pretrain_epochs": 2.0,
        "finetune_epochs": 3.0,
        "labels": 9,
        "pretrain_flags": "--num_layers 1",
        "finetune_flags": "--learning_rate 1e-3",
        "seeds": (1, 2),
    }
    return bench.Args(**given | changes)


def test_the_fine_tunes_differ_in_their_first_weights_only(tmp_path: Path) -> None:
    ours, theirs = (
        bench.command(_args(), arm, 4, tmp_path) for arm in (bench.PRETRAINED, bench.SCRATCH)
    )
    assert theirs[theirs.index("--output_dir") + 1] == str(tmp_path / bench.SCRATCH)
    theirs[theirs.index("--output_dir") + 1] = str(tmp_path / bench.PRETRAINED)
    theirs.remove("--from_scratch")
    assert ours == theirs
    assert ours[ours.index("--split_seed") + 1] == ours[ours.index("--seed") + 1] == "4"
    assert ours[ours.index("--model") + 1] == str(tmp_path / bench.PRETRAIN)


def test_only_what_is_missing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(words: list[str], out: Path) -> dict[str, float]:
        ran.append(out.name)
        return {"accuracy": 0.5, "n": 7}

    monkeypatch.setattr(bench, "run", run)
    args = _args(output=tmp_path / "found.jsonl")
    bench.run_seed(args, 1, tmp_path, [])
    assert ran == [bench.PRETRAIN, bench.PRETRAINED, bench.SCRATCH]
    lines = args.output.read_text().splitlines()
    bench.run_seed(args, 1, tmp_path, read(args.output))
    assert len(ran) == len(lines) == 3

    args.output.write_text("\n".join(lines[:2]) + "\n")  # from scratch was cut off
    bench.run_seed(args, 1, tmp_path, read(args.output))
    assert ran[3:] == [bench.PRETRAIN, bench.SCRATCH]
    assert [json.loads(line)["arm"] for line in args.output.read_text().splitlines()] == ran[:3]

    for other in ({"labels": 8}, {"finetune_epochs": 4.0}, {"finetune_flags": ""}):
        ran.clear()
        bench.run_seed(_args(**other), 1, tmp_path, read(args.output))
        assert len(ran) == 3, other
