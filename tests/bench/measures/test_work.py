"""FLOPs and ceilings: what is counted, by which dtype, and beside which data sheet."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from bench.cases import child, prepare
from bench.cases.case import Case
from bench.measures import ceilings, data_sheets, work
from bench.measures.ceilings import Ceilings
from tasks.base import Batch, Loss
from tests.bench.jobs import job
from zoo.machine import environment


@pytest.mark.parametrize(
    ("numerics", "device", "kind"),
    [
        ("fp32", "cpu", "fp32"),
        ("autocast-bf16", "cuda", "bf16"),
        ("tf32", "cuda", "tf32"),
        ("int8-dynamic", "cuda:1", "int8"),
        ("fp8-dynamic", "cuda", "fp8"),
        ("int8-weight-only", "cuda", "bf16"),
        ("int4-weight-only", "cuda", "bf16"),
        ("int8-weight-only", "cpu", "fp32"),
    ],
)
def test_the_dtype_of_products(numerics: str, device: str, kind: str) -> None:
    assert work.arithmetic(numerics, device) == kind


@pytest.mark.parametrize(
    ("gpu", "bf16", "int8"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4e12, 1978.9e12),
        ("NVIDIA H200", 989.4e12, 1978.9e12),
        ("NVIDIA H100 PCIe", 756e12, 1513e12),
        ("NVIDIA H100 NVL", 835.5e12, 1670.5e12),
        ("NVIDIA GH200 480GB", 989.4e12, 1978.9e12),
        ("NVIDIA A100-SXM4-80GB", 312e12, 624e12),
        ("NVIDIA A100 80GB PCIe", 312e12, 624e12),
        ("NVIDIA L4", 121e12, 242.5e12),
        ("NVIDIA L40S", 362.05e12, 733e12),
        ("Tesla T4", None, 130e12),
        ("Tesla V100-SXM2-16GB", None, None),
    ],
)
def test_sheets_by_name(gpu: str, bf16: float | None, int8: float | None) -> None:
    sheet = data_sheets.sheet_of(gpu)
    assert sheet is not None
    assert (sheet.flops.get("bf16"), sheet.flops.get("int8")) == (bf16, int8)
    assert sheet.flops["fp32"] < sheet.flops["fp16"]


@pytest.mark.parametrize("gpu", ["NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA L40", "A10G", ""])
def test_what_has_no_sheet(gpu: str) -> None:
    assert data_sheets.sheet_of(gpu) is None


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("name", ["fp32", "bf16", "int8", "fp8"])
def test_products_are_products(name: str, size: int) -> None:
    """Those of 8 bits compute what floats do, however their second matrix lies."""
    torch.manual_seed(0)
    found = ceilings.gemm(name, size, "cpu")()
    assert found.shape == (size, size)
    if name == "int8":
        assert found.dtype == torch.int32


def test_the_second_matrix_of_int8_lies_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU: cuBLASLt has but a slow kernel for rows."""
    seen: list[tuple[Any, Any]] = []
    monkeypatch.setattr(torch, "_int_mm", lambda one, other: seen.append((one, other)))
    own = torch.randint
    monkeypatch.setattr(torch, "randint", lambda *a, device, **k: own(*a, **k))
    ceilings.gemm("int8", 32, "cuda")()
    ceilings.gemm("int8", 32, "cpu")()
    (one, by_columns), (_, by_rows) = seen
    assert one.is_contiguous() and by_rows.is_contiguous()
    assert by_columns.stride() == (1, 32) and by_columns.shape == (32, 32)


def test_a_product_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "SIZES", {"cpu": (16,)})
    monkeypatch.setattr(ceilings, "COPIED", {"cpu": 1 << 10})
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)

    def absent(*_: Any) -> None:
        raise RuntimeError("_int_mm is not for this chip\nat line 3")

    monkeypatch.setattr(torch, "_int_mm", absent)
    told = ceilings.run("cpu", 1)
    told.pop("disturbed")
    found = Ceilings(**told)
    assert set(found.flops) == {"fp32", "bf16"}
    assert found.failed == {"int8": "_int_mm is not for this chip"}
    monkeypatch.setattr(
        torch,
        "_int_mm",
        lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")),
    )
    with pytest.raises(torch.OutOfMemoryError):
        ceilings.run("cpu", 1)


class Classifier(nn.Module):
    """An LSTM and attention over a text, which looks whether its mask masks anything."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 8)
        self.rnn = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 2)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        hidden, _ = self.rnn(self.embedding(input_ids))  # [batch, length, 12]
        if attention_mask is not None and not bool(attention_mask.all()):
            hidden = hidden * attention_mask[..., None]
        return {"logits": self.head(hidden.mean(1))}


class Supervised:
    """As much of a task as a pass needs."""

    def forward(self, model: nn.Module, batch: Batch) -> Any:
        return model(**batch.inputs)

    def loss(self, outputs: Any, batch: Batch) -> Loss:
        return Loss(outputs["logits"].sum(), 1, {})


def _batch(masked: bool) -> Batch:
    mask = torch.ones(3, 5, dtype=torch.int64)
    mask[0, -1] = 0 if masked else 1
    inputs = {"input_ids": torch.zeros(3, 5, dtype=torch.int64), "attention_mask": mask}
    return Batch(inputs, torch.arange(3))


def test_an_lstm_is_counted_by_its_shapes() -> None:
    """Two directions, four gates, each a product with the input and one with the state."""
    task: Any = Supervised()
    cells, head = 2 * 2 * 4 * 6 * (8 + 6) * 3 * 5, 2 * 3 * 12 * 2
    shapes = work.without_full_mask(_batch(False)).to("meta")
    assert "attention_mask" not in shapes.inputs
    flops, given = work.one_pass(work.on_meta(Classifier()), task, shapes, False)
    assert (flops, given) == (cells + head, 3 * 2 * 4)


def test_a_mask_that_masks_stays() -> None:
    assert "attention_mask" in work.without_full_mask(_batch(True)).inputs


def test_the_network_itself_is_left_as_it_is() -> None:
    network = Classifier()
    values = {name: p.clone() for name, p in network.named_parameters()}
    assert {p.device.type for p in work.on_meta(network).parameters()} == {"meta"}
    for name, p in network.named_parameters():
        assert p.device.type == "cpu" and torch.equal(p, values[name])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A case of cnn_cls with random weights."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepare.prepare(Case.of("cnn_cls", batch_size=2, length=28).to_json(), str(folder))


@pytest.mark.parametrize("is_training", [False, True])
def test_shapes_alone_give_what_a_real_pass_does(
    prepared: Any, is_training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (is_training, prepared["checkpoint"], prepared["inputs"])
    devices: list[str] = []
    own = work.one_pass

    def watched(model: nn.Module, *more: Any) -> tuple[int, int]:
        devices.append(next(model.parameters()).device.type)
        return own(model, *more)

    monkeypatch.setattr(work, "one_pass", watched)
    by_shape = work.count(*asked)

    def refuse(model: nn.Module) -> nn.Module:
        raise NotImplementedError("it looks at values")

    monkeypatch.setattr(work, "on_meta", refuse)
    assert work.count(*asked) == by_shape and by_shape["flops"] > 0
    assert devices == ["meta", "cpu"]


def test_both_peaks_are_told_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an H200 that is made up."""
    told = {"flops": 1e12, "weights": 1e6, "other_bytes": 1e3, "uncounted": ""}
    monkeypatch.setattr(child, "call", lambda *_, **__: told)
    top = Ceilings({"bf16": 720e12}, 4e12)
    monkeypatch.setattr(ceilings, "find", lambda *_: top)
    monkeypatch.setattr(environment, "machine", lambda gpu=None: {"gpu": "NVIDIA H200"})
    base = job("sleep", seconds=0.0)
    arm = dataclasses.replace(base.arm, kwargs={"checkpoint": "c", "inputs": "i"})
    case = Case.of("minilm", "compile+bf16", 4, device="cuda")
    found = work.measure(dataclasses.replace(base, case=case, arm=arm))
    assert found.values["sheet_flops"].value == 989.4e12
    assert found.values["ceiling_flops"].value == 720e12
    assert found.reason == "bound by FLOPs"
    assert found.samples == {"sheet": "H100/H200 SXM white paper"}
    monkeypatch.setattr(environment, "machine", lambda gpu=None: {"gpu": "NVIDIA Unknown"})
    found = work.measure(dataclasses.replace(base, case=case, arm=arm))
    assert "sheet_flops" not in found.values and found.samples == {}
