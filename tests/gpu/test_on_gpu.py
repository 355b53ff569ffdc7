"""What training on a GPU must show: `pytest -m gpu` on a machine that has one.

Small networks throughout: it is about right answers, and takes two minutes with
`test_deployments.py`. Everything else runs on the CPU.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import bench.cli
from tests import tiny_models
from tests.cases import Case, params
from tests.cli import run_cli
from tests.finetuning import Run
from tests.gpu.where import DEVICE, MARKS, defined, needs_cuda
from tests.processes import Death, run, run_ranks
from zoo.model import registry

pytestmark = MARKS
TOO_MANY = 2**22  # images in a batch
TOLERANCE = 2e-3  # of scores between 0 and 1: fp32 on both, TF32 off


@pytest.mark.parametrize("name", sorted(tiny_models.MODELS))
def test_every_model_trains_and_evaluates_as_on_the_cpu(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = tiny_models.checkpoint(name, request.getfixturevalue, tmp_path)
    entry = registry.find(tiny_models.MODELS[name][0].rpartition(".")[2])
    found: dict[str, dict[str, Any]] = {}
    for device in (DEVICE, "cpu"):
        before = len((folder / "evidence.jsonl").read_text().splitlines())
        done = run_cli(entry.module, "evaluate", folder, "--device", device, "--mistakes", 0)
        assert done.code == 0, done.err
        lines = (folder / "evidence.jsonl").read_text().splitlines()[before:]
        facts = [json.loads(line) for line in lines]
        found[device] = {fact["name"]: fact["value"] for fact in facts if "value" in fact}
    assert found[DEVICE].keys() == found["cpu"].keys() and found["cpu"]
    for metric, value in found["cpu"].items():
        assert found[DEVICE][metric] == pytest.approx(value, rel=0.02, abs=0.02), metric


@pytest.mark.parametrize("case", params("diffusion"), indirect=True)
def test_predictions_are_those_of_the_cpu(case: Case, tmp_path: Path) -> None:
    case.finetune(tmp_path / "run", "--max_steps", 4, "--device", DEVICE)
    answers = {}
    for device in (DEVICE, "cpu"):
        done = run_cli(case.module, *case.predicted(tmp_path / "run"), "--device", device)
        assert done.code == 0, done.err
        answers[device] = [json.loads(line) for line in done.lines]
    assert len(answers[DEVICE]) == len(answers["cpu"]) > 0
    for ours, theirs in zip(answers[DEVICE], answers["cpu"], strict=True):
        assert ours.get("label") == theirs.get("label") and ours.get("text") == theirs.get("text")
        if "score" in theirs:
            assert ours["score"] == pytest.approx(theirs["score"], abs=TOLERANCE)


def test_a_pruned_checkpoint_is_trained_there(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = tiny_models.checkpoint("bert_cls", request.getfixturevalue, tmp_path / "run")
    words = ("--output_dir", tmp_path / "pruned", "--steps", 2, "--stages", 1)
    done = run_cli("zoo.nlp.bert_cls", "prune", folder, *words, "--device", DEVICE)
    assert done.code == 0, done.err
    weights = Run(tmp_path / "pruned").weights()
    zeros = sum(int((each == 0).sum()) for each in weights.values())
    assert zeros > 0.1 * sum(each.numel() for each in weights.values())


def test_a_killed_run_goes_on_to_the_same_weights(case: Case, tmp_path: Path) -> None:
    """To 1e-4: sums of atomic additions have no order on a GPU."""
    log = tmp_path / "log"
    flags = ("--max_steps", 6, "--save_steps", 2, "--device", DEVICE, "--dtype", "fp32")
    alone, killed = (case.arguments(tmp_path / name, *flags) for name in ("alone", "killed"))
    assert run(alone, log, module=case.module) == 0, log.read_text()
    assert run(killed, log, death=Death(steps=4), module=case.module) == -9, log.read_text()
    assert run([*killed, "--resume"], log, module=case.module) == 0, log.read_text()
    assert "going on at step" in log.read_text()
    assert_close(Run(tmp_path / "killed").weights(), Run(tmp_path / "alone").weights())


def test_workers_prepare_what_the_gpu_computes(case: Case, tmp_path: Path) -> None:
    """They are forked from a process that uses the GPU, and do not touch it."""
    flags = ("--max_steps", 3, "--device", DEVICE, "--dtype", "fp32")
    alone = case.finetune(tmp_path / "alone", *flags)
    helped = case.finetune(tmp_path / "helped", *flags, "--dataloader_num_workers", 1)
    assert_close(helped.weights(), alone.weights())


def assert_close(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(
            defined(name, ours[name]),
            defined(name, tensor),
            rtol=1e-4,
            atol=1e-4,
            msg=lambda m, n=name: f"{n}: {m}",
        )


def test_one_rank_trains_as_without(case: Case, tmp_path: Path) -> None:
    """By nccl on a GPU."""
    flags = ("--max_steps", 3, "--device", DEVICE, "--dtype", "fp32")
    alone = case.finetune(tmp_path / "alone", *flags)
    words = case.arguments(tmp_path / "rank", *flags)
    run_ranks(words, tmp_path / "logs", ranks=1, module=case.module)
    assert_close(Run(tmp_path / "rank").weights(), alone.weights())


def _measured(out: Path, *words: object) -> dict[tuple[int, str], dict[str, Any]]:
    """Lines of results by batch size and measure."""
    asked = ("run", "cnn_cls", "--device", DEVICE, "--out", out, "--launches", 1, *words)
    assert bench.cli.main([str(word) for word in asked]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return {(row["case"]["batch_size"], row["measure"]): row for row in rows}


@needs_cuda
def test_out_of_memory_is_a_result(tmp_path: Path) -> None:
    """A batch that does not fit is told of its case, and the next case is measured."""
    words = ("--batch_sizes", TOO_MANY, 2, "--measures", "latency", "--minutes_per_case", 0.03)
    found = _measured(tmp_path / "results.jsonl", *words)
    status = {
        size: {row["status"] for (b, _), row in found.items() if b == size} for size, _ in found
    }
    assert "oom" in status[TOO_MANY] and status[2] == {"ok"}


@needs_cuda
def test_memory_and_device_time_are_measured(tmp_path: Path) -> None:
    words = ("--batch_sizes", 64, "--measures", "memory", "device_time", "--minutes_per_case", 0.03)
    found = _measured(tmp_path / "results.jsonl", *words)
    images = 64 * 28 * 28 * 4  # bytes of the batch, one channel in fp32
    memory, times = found[64, "memory"], found[64, "device_time"]
    assert memory["status"] == times["status"] == "ok", (memory["reason"], times["reason"])
    assert memory["values"]["peak"]["value"] > images
    assert 0 < times["values"]["device"]["value"] < 1 and times["values"]["host"]["value"] > 0


RETRIES = """
import torch
from bench.cases.targets import Violations
def bytes_(n): return torch.empty(n * 2**20, dtype=torch.uint8, device="cuda")
first = bytes_(150)
limit = 256 * 2**20 / torch.cuda.get_device_properties(0).total_memory
torch.cuda.set_per_process_memory_fraction(limit)
seen = Violations()
assert seen() == []
del first
second = bytes_(200)
print(seen())
"""


@needs_cuda
def test_an_allocator_that_must_try_again_is_a_violation() -> None:
    done = subprocess.run([sys.executable, "-c", RETRIES], capture_output=True, text=True)
    assert "retries of the allocator: 1" in done.stdout, done.stderr
