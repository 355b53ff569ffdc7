"""Quantization-aware training: what the layers compute, and what a run leaves behind."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tasks.base import Batch
from tasks.errors import UserError
from tests import cases
from tests.cli import run_cli
from tests.finetuning import Run, lines, run_finetune
from zoo.store import evidence
from zoo.train.args import TrainArgs, check
from zoo.train.methods.qat import QATLayer, prepare, rounded_weight

RNG = torch.Generator().manual_seed(0)
CPU = torch.device("cpu")
LAYERS = (nn.Linear(6, 4), nn.Conv1d(6, 4, 3, padding=1), nn.Conv2d(6, 4, 3, stride=2, groups=2))
INPUTS = ((5, 6), (5, 6, 7), (5, 6, 7, 7))


def test_weights_have_a_scale_for_each_output_channel() -> None:
    weight = (
        torch.randn(4, 6, 3, generator=RNG) * torch.tensor([1.0, 100.0, 0.01, 0.0])[:, None, None]
    )
    scale = weight.abs().amax((1, 2), keepdim=True) / 127
    found = rounded_weight(weight)
    expected = torch.where(scale > 0, (weight / scale).round() * scale, 0.0)
    torch.testing.assert_close(found, expected)
    assert all(len(channel.unique()) <= 255 for channel in found)


@pytest.mark.parametrize(
    ("layer", "shape"), list(zip(LAYERS, INPUTS, strict=True)), ids=lambda one: str(one)[:6]
)
def test_a_layer_computes_with_both_rounded(layer: Any, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=RNG)
    low, high = -1.0, 2.0
    scale = (high - low) / 255
    zero = round(-low / scale)
    rounded = (((x / scale).round() + zero).clamp(0, 255) - zero) * scale
    plain = layer(x)
    found = QATLayer(layer, low, high)(x)
    weight = rounded_weight(layer.weight)
    expected = torch.func.functional_call(layer, {"weight": weight}, (rounded,))
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, plain)


def test_the_gradient_goes_straight_through() -> None:
    """As of plain products of the rounded ones; what is cut off gets none."""
    layer = nn.Linear(2, 3)
    x = torch.tensor([[0.5, 9.0]], requires_grad=True)
    given = torch.randn(1, 3, generator=RNG)
    QATLayer(layer, -1.0, 1.0)(x).backward(given)
    assert x.grad is not None and layer.weight.grad is not None
    weight = rounded_weight(layer.weight)
    torch.testing.assert_close(x.grad, given @ weight.detach() * torch.tensor([1.0, 0.0]))
    rounded = torch.tensor([[0.5, 1.0]])
    torch.testing.assert_close(layer.weight.grad, given.T @ rounded, atol=0.01, rtol=0.01)


def test_a_batch_norm_may_be_folded_before_or_after() -> None:
    conv, norm = nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5).eval()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -2.0, 0.1, 30.0, 0.5]))
        norm.running_var.uniform_(0.1, 3)  # type: ignore[union-attr]
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()  # type: ignore[operator]
        x = torch.randn(2, 3, 8, 8, generator=RNG)
        after = norm(F.conv2d(x, rounded_weight(conv.weight)))
        folded = rounded_weight(conv.weight * factor[:, None, None, None])
        shift = norm.bias - norm.running_mean * factor  # type: ignore[operator]
        torch.testing.assert_close(F.conv2d(x, folded, shift), after, atol=1e-4, rtol=1e-4)


def test_ranges_are_those_of_all_batches_and_nothing_is_added() -> None:
    class Odd(nn.Linear):
        pass

    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), Odd(2, 2)).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    task: Any = SimpleNamespace(forward=lambda model, batch: {"logits": model(batch.inputs["x"])})
    rows = [torch.tensor([[0.5, 3.0]]), torch.tensor([[1.0, 0.25]])]
    batches = [Batch({"x": row}, torch.arange(1)) for row in rows]
    assert prepare(net, task, batches, CPU) == 2
    first: Any = net[0].forward
    assert (first.zero_point, first.scale) == (0, pytest.approx(3 / 255))  # 0 is always within
    assert net.training and net.state_dict().keys() == before.keys()
    assert all(torch.equal(net.state_dict()[name], was) for name, was in before.items())
    with pytest.raises(UserError, match="no linear or convolutional layer"):
        prepare(nn.Sequential(nn.ReLU()), task, batches, CPU)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"dtype": "bf16"}, "`dtype` fp32, not bf16"),
        ({"tune": "lora"}, "leave `tune lora` away"),
        ({"torch_compile": True}, "leave `torch_compile` away"),
        ({"fsdp": True}, "leave `fsdp` away"),
    ],
)
def test_what_does_not_go_together(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check(TrainArgs(**({"qat": "x", "dtype": "fp32"} | flags)))


@pytest.fixture(scope="module", params=["vision", "text"])
def of(request: pytest.FixtureRequest) -> cases.Case:
    return cases.made(request, request.param)


@pytest.fixture(scope="module")
def trained(of: cases.Case, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("trained") / "run"
    return of.finetune(folder, "--max_steps", 6, "--weight_decay", 0.01)


def _words(trained: Run, folder: Path, *flags: object) -> list[str]:
    words = ("finetune", "--qat", trained.folder, "--output_dir", folder, *flags)
    return [str(word) for word in words]


def test_a_run(of: cases.Case, trained: Run, tmp_path: Path) -> None:
    """It goes on as the checkpoint was trained, and leaves one of the same build."""
    folder = tmp_path / "qat"
    run = run_finetune(of.module, folder, _words(trained, folder, "--max_steps", 4))
    assert run.done is not None and "layers compute as in int8" in run.done.err
    ours, theirs = run.manifest, trained.manifest
    assert ours["qat"] == {"from": evidence.subject_digest(trained.folder)}
    for name in ("options", "data"):
        assert ours["config"][name] == theirs["config"][name]
    now, was = ours["config"]["train"], theirs["config"]["train"]
    assert now["learning_rate"] == pytest.approx(was["learning_rate"] / 10)
    assert now["weight_decay"] == 0.01 and now["dtype"] == "fp32" and now["max_steps"] == 4
    before, after = trained.weights(), run.weights()
    assert {n: t.shape for n, t in before.items()} == {n: t.shape for n, t in after.items()}
    assert any(not torch.equal(after[name], before[name]) for name in before)
    done = run_cli(of.module, "evaluate", folder, "--mistakes", 0)
    assert done.code == 0, done.err
    assert "accuracy" in {fact["name"] for fact in lines(folder / "evidence.jsonl")}


@pytest.mark.slow
def test_going_on_is_to_the_same_bits(of: cases.Case, trained: Run, tmp_path: Path) -> None:
    """The ranges are found anew, of the checkpoint that it all began with."""
    steady = ("--lr_scheduler_type", "constant", "--eval_strategy", "no")
    one, two = tmp_path / "one", tmp_path / "two"
    whole = run_finetune(of.module, one, _words(trained, one, *steady, "--max_steps", 4))
    run_finetune(of.module, two, _words(trained, two, *steady, "--max_steps", 2))
    again = _words(trained, two, *steady, "--max_steps", 4, "--resume")
    halves = run_finetune(of.module, two, again)
    ours, theirs = whole.weights(), halves.weights()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    plain = [word for word in again if word not in ("--qat", str(trained.folder))]
    more = ("--data", of.data, *of.flags)
    done = run_cli(of.module, *plain, *map(str, more))
    assert done.code == 2 and "was begun with the qat" in done.err.splitlines()[-1]


def test_refused(of: cases.Case, trained: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    renamed = tmp_path / "renamed.csv"
    if of.name == "text":
        rows = (
            "text,label",
            *(f"a {word} film number {i},{word}" for i in range(20) for word in ("good", "bad")),
        )
        renamed.write_text("\n".join(rows))
    else:
        renamed = Path("embedded")  # digits
    other = "zoo.vision.resnet_cls" if of.name == "vision" else "zoo.nlp.rnn_cls"
    for module, words, said in (
        (of.module, _words(trained, trained.folder), "is where the result goes"),
        (of.module, _words(trained, folder, "--dtype", "bf16"), "--dtype fp32"),
        (other, _words(trained, folder), f"is a checkpoint of {of.module.split('.')[-1]}"),
        (of.module, ["finetune", "--qat", str(tmp_path / "none")], "no checkpoint at"),
        (of.module, _words(trained, folder, "--data", renamed), "with other labels"),
    ):
        done = run_cli(module, *words)
        assert done.code == 2 and said in done.err.splitlines()[-1], done.err
    assert not (folder / "zoo.json").exists()
