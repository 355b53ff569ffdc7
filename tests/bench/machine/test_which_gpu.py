"""How much memory a pass takes, counted storage by storage, and which cards have it."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from bench import cli
from bench.cases.args import WhichGpuArgs
from bench.cases.targets import with_targets
from bench.machine import which_gpu
from bench.machine.which_gpu import LiveStorages, MemoryNeed
from bench.measures.data_sheets import CARDS, sheet_of
from tests import tiny_models
from zoo.deploy import timed
from zoo.deploy.export import ExportSource
from zoo.measure.workload import Forward
from zoo.runtimes import probe

KB = 4 * 256  # bytes of 256 numbers in fp32


def numbers(kilobytes: int) -> torch.Tensor:
    return torch.ones(kilobytes * 256)


def test_the_most_that_lives_at_the_same_time() -> None:
    with LiveStorages(()) as live:
        one = numbers(3)
        two = one + 1  # 6 kB live
        del one
        three = two * 2  # 6 kB
        del two
        _ = three.view(2, -1)[0]  # no storage of its own
        three.add_(1)
    assert live.peak() == 6 * KB
    assert live.peak(without=[three]) == 6 * KB, "before it came there were as many"


def test_what_was_there_before_does_not_count() -> None:
    weight = numbers(50)
    with LiveStorages([weight]) as live:
        found = weight + 1
    assert live.peak() == 50 * KB and live.peak(without=[found]) == 0


def test_a_backward_pass_is_followed() -> None:
    """Of x -> w1 -> gelu -> w2: what gelu and w2 read lives on until the gradients are there."""
    model = nn.Sequential(nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 256, bias=False))
    x = torch.ones(64, 256)
    with LiveStorages((*model.parameters(), x)) as live:
        model(x).sum().backward()
    kept = 3 * 64 * KB  # after w1, after gelu, after w2
    found = live.peak([p.grad for p in model.parameters()])
    assert kept <= found <= kept + 3 * 64 * KB + 256 * KB
    with LiveStorages((*model.parameters(), x)) as live, torch.no_grad():
        model(x)
    assert live.peak() == 2 * 64 * KB, "without gradients a layer's input and its output"


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["training", "inference"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["bert_cls", "cnn_cls", "kws_cls"])
def test_a_larger_batch_takes_what_was_forecast(
    name: str, dtype: str, phase: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """From two smaller passes, as many bytes as a pass of 32 is seen to take."""
    folder = tiny_models.checkpoint(name, request.getfixturevalue, tmp_path)
    original, args = ExportSource.open(folder), WhichGpuArgs(str(folder), phase=phase, dtype=dtype)
    need, _ = which_gpu.forecast(original, args)
    signature = probe.infer_signature(original.checkpoint, original.model, original.processor)
    sized = which_gpu.workload.resolved(original, signature, Forward({"batch": 32}))
    arrays = timed.random_inputs(original, signature, sized)
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    batch = with_targets(inputs, original.task)
    seen = which_gpu._peak(original.model, original.task, batch, args)
    assert need.any_pass + 32 * need.per_sample == pytest.approx(seen, rel=0.05)
    parameters = sum(p.numel() for p in original.model.parameters())
    assert need.gradients == (4 * parameters if phase == "training" else 0)
    assert need.optimizer == 2 * need.gradients and need.weights >= 4 * parameters
    assert all(p.grad is None for p in original.model.parameters())


def test_training_takes_more_than_inference_and_length_counts(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    original = ExportSource.open(
        tiny_models.checkpoint("bert_cls", request.getfixturevalue, tmp_path)
    )

    def sample(length: float, phase: str) -> int:
        args = WhichGpuArgs("x", length=length, phase=phase, dtype="fp32")
        need, said = which_gpu.forecast(original, args)
        assert said == f", length {length:g}"
        return need.per_sample

    assert sample(16, "training") > 2 * sample(16, "inference")
    assert sample(32, "training") == pytest.approx(2 * sample(16, "training"), rel=0.2)


def test_a_need_and_its_largest_batch() -> None:
    need = MemoryNeed(400, 400, 800, 100, 30)
    assert need.of(10) == 1700 + 300
    assert need.largest_batch(1700 + 30 * 1234) == 1200, "two digits"
    assert need.largest_batch(1700 + 30 * 7.9) == 7
    assert need.largest_batch(1700) == need.largest_batch(10) == 0
    assert MemoryNeed(1, 0, 0, 0, 0).largest_batch(100) == 99


def test_every_card_has_a_sheet_and_they_are_in_order() -> None:
    assert all(sheet_of(name) is not None for name, _ in CARDS)
    assert [memory for _, memory in CARDS] == sorted(memory for _, memory in CARDS)
    assert {name for name, _ in CARDS if "bf16" not in sheet_of(name).flops} == {
        *("T4", "V100 16 GB", "V100 32 GB")
    }


def test_the_table(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    folder = tiny_models.checkpoint("bert_cls", request.getfixturevalue, tmp_path)
    gb = 10**9
    need = MemoryNeed(4 * gb, 4 * gb, 8 * gb, 0, gb // 2)
    monkeypatch.setattr(which_gpu, "forecast", lambda *_: (need, ", length 128"))
    assert cli.main(["which_gpu", str(folder), "--batch_size", "8"]) == 0
    first, second, _, header, *rows = capsys.readouterr().out.splitlines()
    assert first == (
        f"{folder}, training in bf16, batch 8, length 128: about 20.00 GB of GPU memory"
    )
    assert second == "weights 4.00 GB, gradients 4.00 GB, AdamW 8.00 GB, 8 samples 4.00 GB"
    assert header.split() == ["GPU", "memory", "holds", "it", "largest", "batch", "bf16"]
    cells = {re.split(r" {2,}", row)[0]: re.split(r" {2,}", row)[1:] for row in rows[: len(CARDS)]}
    assert cells["T4"] == ["16 GB", "no", "none", "no"]
    assert cells["A10"] == ["24 GB", "yes", "11", "yes"]
    assert cells["H100"] == ["80 GB", "yes", "110", "yes"]
    assert "no GPU has measured it" in rows[-2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["minilmm"], "did you mean minilm"),
        (["minilm", "--batch_size", "0"], "--batch_size 0: at least 1"),
        (["minilm", "--length", "0"], "--length 0.0: above 0"),
    ],
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(["which_gpu", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_length_that_the_model_does_not_take(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_models.checkpoint("bert_cls", request.getfixturevalue, tmp_path)
    assert cli.main(["which_gpu", str(folder), "--length", "100000"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
