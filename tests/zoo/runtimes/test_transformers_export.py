"""Programs are saved alike whether transformers gives them wrapped (since 5.18) or bare (5.17)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo.runtimes import openvino, transformers_export

ROWS = torch.tensor([[5, 6, 7], [8, 9, 10]])


class Bare:
    """An exporter that gives what transformers 5.17 gave: no `ExportedModel`."""

    def __init__(self, exporter: Any) -> None:
        self.exporter = exporter

    def export(self, model: Any, example: Any, config: Any) -> Any:
        exported = self.exporter.export(model, example, config)
        if not hasattr(exported, "save_pretrained"):
            return exported
        program = exported.program
        is_torch = isinstance(program, torch.export.ExportedProgram)
        return program if is_torch else torch.onnx.ONNXProgram(program, None)


@pytest.fixture(scope="module")
def model(tiny_bert: Path):
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=3).eval()


def _exporter(kind: str) -> tuple[Any, Any]:
    from transformers.exporters import exporter_dynamo, exporter_onnx

    if kind == "onnx":
        return exporter_onnx.OnnxExporter(), exporter_onnx.OnnxConfig()
    return exporter_dynamo.DynamoExporter(), exporter_dynamo.DynamoConfig()


def _written(model: Any, kind: str, folder: Path, bare: bool) -> dict[str, Any]:
    exporter, config = _exporter(kind)
    example = {"input_ids": ROWS, "attention_mask": torch.ones_like(ROWS)}
    folder.mkdir()
    transformers_export.export(Bare(exporter) if bare else exporter, config, model, example, folder)
    content: dict[str, Any] = json.loads((folder / "export.json").read_text())
    return content


@pytest.mark.parametrize(("kind", "file"), [("onnx", "model.onnx"), ("dynamo", "model.pt2")])
def test_bare_programs_are_saved_as_wrapped_ones(
    model: Any, kind: str, file: str, tmp_path: Path
) -> None:
    bare = _written(model, kind, tmp_path / "bare", True)
    wrapped = _written(model, kind, tmp_path / "wrapped", False)
    for name in ("schema_version", "export_format"):
        assert bare[name] == wrapped[name]
    (ours,), (theirs,) = bare["components"].values(), wrapped["components"].values()
    assert ours["file"] == theirs["file"] == file
    if kind == "dynamo":
        for name in ("in_spec", "out_spec"):
            assert ours["metadata"][name] == theirs["metadata"][name]
    assert {path.name for path in (tmp_path / "bare").iterdir()} == {
        path.name for path in (tmp_path / "wrapped").iterdir()
    }


def test_they_compute_what_the_model_does(model: Any, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    with torch.no_grad():
        wanted = model(input_ids=ROWS).logits.numpy()
    _written(model, "onnx", tmp_path / "onnx", True)
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    feed = {"input_ids": ROWS.numpy(), "attention_mask": np.ones_like(ROWS.numpy())}
    np.testing.assert_allclose(session.run(["logits"], feed)[0], wanted, atol=1e-5)
    component = _written(model, "dynamo", tmp_path / "pt2", True)["components"]["model"]
    transformers_export.register_outputs(component["metadata"])
    program = torch.export.load(tmp_path / "pt2" / "model.pt2").module()
    found = program(input_ids=ROWS, attention_mask=torch.ones_like(ROWS))
    np.testing.assert_allclose(found.logits.detach().numpy(), wanted, atol=1e-6)


def test_two_bare_programs_lie_side_by_side(model: Any, tmp_path: Path) -> None:
    exporter, config = _exporter("onnx")
    program = Bare(exporter).export(model, {"input_ids": ROWS}, config)
    transformers_export.save({"encoder": program, "decoder": program}, model, tmp_path)
    components = json.loads((tmp_path / "export.json").read_text())["components"]
    assert {name: each["file"] for name, each in components.items()} == {
        "encoder": "encoder.onnx",
        "decoder": "decoder.onnx",
    }
    assert (tmp_path / "decoder.onnx.data").is_file() and (tmp_path / "config.json").is_file()


def test_a_cache_becomes_known_by_the_name_in_a_spec() -> None:
    from torch.utils import _pytree
    from transformers import StaticCache

    spec = '[1, {"type": "transformers.cache_utils.StaticCache", "context": "[]"}]'
    transformers_export.register_outputs({"in_spec": spec, "out_spec": None})
    assert StaticCache in _pytree.SUPPORTED_NODES
    transformers_export.register_outputs({})


def test_openvino_where_transformers_has_no_exporter_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sys

    from tasks.errors import UserError
    from zoo.runtimes.deployment import Deployment

    monkeypatch.setitem(sys.modules, "transformers.exporters.exporter_openvino", None)
    with pytest.raises(UserError, match=r"can't export to OpenVINO: update it") as caught:
        openvino.export(None, {}, None, Deployment("openvino"), tmp_path)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
