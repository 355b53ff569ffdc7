"""A text classifier as an ONNX file: exported, proven, run without its weights, and refused where
it is not what it should be."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.cli import run_cli, run_program
from tests.finetuning import finetune
from zoo.deploy import export
from zoo.runtimes import artifacts, transformers_export
from zoo.runtimes import onnx as onnx_runtime
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
MODEL = "zoo.nlp.bert_cls"
TEXTS = ("a fine film", "dull, and far too long, but I have seen worse this year", "no")


@pytest.fixture(scope="module")
def exported(
    exported_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A checkpoint with its artifact, which is evaluated."""
    return Path(shutil.copytree(exported_model("bert_cls"), tmp_path_factory.mktemp("own") / "run"))


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint with its artifact, to be damaged."""
    target = tmp_path / "run"
    shutil.copytree(exported, target, ignore=shutil.ignore_patterns("state", "logs"))
    return target


def _predicted(folder: Path, *flags: object) -> list[dict[str, Any]]:
    done = run_cli(MODEL, "predict", folder, "--text", *TEXTS, *flags)
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.lines]


def _manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "artifacts/onnx/export.json").read_text())
    return content


def test_what_lies_in_the_folder(exported: Path) -> None:
    manifest = _manifest(exported)
    assert set(manifest["components"]) == {"model"}  # as transformers.exporters writes it
    ours = manifest["zoo"]
    assert {port["name"] for port in ours["signature"]["inputs"]} >= {
        "input_ids",
        "attention_mask",
    }
    assert ours["signature"]["limits"]["length"] == [1, 128]
    assert ours["proof"]["compared"] > 20 and ours["proof"]["refused"] == ["length 129"]
    assert ours["opset"] >= 18
    kinds = {json.loads(line)["kind"] for line in (exported / "evidence.jsonl").open()}
    assert {"parity", "size"} <= kinds


def test_evaluate_and_predict(exported: Path) -> None:
    for ours, theirs in zip(
        _predicted(exported, "--deployment", "onnx"), _predicted(exported), strict=True
    ):
        assert ours["label"] == theirs["label"]
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-5)
    tables = []
    for deployment in ("eager", "onnx"):
        done = run_cli(MODEL, "evaluate", exported, "--deployment", deployment, "--mistakes", 0)
        assert done.code == 0, done.err
        tables.append([line.split()[:2] for line in done.lines if line.startswith("accuracy")])
    assert tables[0] == tables[1] != []


def test_without_the_weights(copy: Path, exported: Path) -> None:
    (copy / "model.safetensors").unlink()
    ours = _predicted(copy, "--deployment", "onnx")
    theirs = _predicted(exported, "--deployment", "onnx")
    assert ours == theirs
    done = run_cli(MODEL, "predict", copy, "--text", "a")
    assert done.code == 2 and "model.safetensors is missing" in done.err


def test_plain_onnxruntime_without_torch(exported: Path) -> None:
    program = """
import json, sys
import numpy as np, onnxruntime, tokenizers
folder, *texts = sys.argv[1:]
tokenizer = tokenizers.Tokenizer.from_file(folder + "/tokenizer.json")
session = onnxruntime.InferenceSession(folder + "/artifacts/onnx/model.onnx")
labels = json.load(open(folder + "/config.json"))["id2label"]
for text in texts:
    encoded = tokenizer.encode(text)
    feed = {"input_ids": encoded.ids, "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids}
    names = {one.name for one in session.get_inputs()}
    feed = {k: np.array([v], np.int64) for k, v in feed.items() if k in names}
    print(labels[str(session.run(["logits"], feed)[0].argmax())])
assert "torch" not in sys.modules
"""
    ran = run_program(program, exported, *TEXTS)
    assert ran.out.split() == [line["label"] for line in _predicted(exported)]


def test_verify(exported: Path) -> None:
    done = run_cli("zoo", "verify", exported)
    assert done.code == 0, done.err
    assert "onnx" in done.out and "ok" in done.out


def _zero_a_weight(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weight.raw_data = bytes(len(weight.raw_data))
    (folder / "model.onnx.data").unlink()
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data")


@pytest.mark.parametrize("resummed", [False, True], ids=["as it is", "with new sums"])
def test_a_zeroed_weight_is_found(copy: Path, resummed: bool) -> None:
    folder = copy / "artifacts" / "onnx"
    before = artifacts.read(folder)
    _zero_a_weight(folder)
    if resummed:  # by somebody who knows how: then the outputs tell
        more = {k: v for k, v in before.manifest.items() if k not in artifacts.OWN}
        artifacts.write_manifest(
            folder, before.deployment, before.signature, before.manifest["source"], more
        )
    done = run_cli("zoo", "verify", copy)
    assert done.code == 1
    assert ("rms" in done.out) if resummed else ("is not the file that was exported" in done.out)
    assert "drift" in done.out


def test_other_weights_are_drift(copy: Path) -> None:
    manifest = _manifest(copy)
    manifest["zoo"]["source"] = "0" * 64
    (copy / "artifacts/onnx/export.json").write_text(json.dumps(manifest))
    done = run_cli("zoo", "verify", copy)
    assert done.code == 1 and "from other weights" in done.out


# --- what an exporter may do wrong, and the proof must find

Export = Callable[..., dict[str, Any]]


def _mask_ignored(real: Export) -> Export:
    def wrong(model: Any, *rest: Any, **options: Any) -> dict[str, Any]:
        forward = model.forward

        def without(**inputs: Any) -> Any:
            mask = inputs["attention_mask"]
            return forward(**inputs | {"attention_mask": torch.ones_like(mask) + 0 * mask})

        model.forward = without
        return real(model, *rest, **options)

    return wrong


def _overflow(real: Export) -> Export:
    def wrong(model: Any, *rest: Any, **options: Any) -> dict[str, Any]:
        forward = model.classifier.forward
        model.classifier.forward = lambda x: (1e6 * forward(x)).half().float() / 1e6
        return real(model, *rest, **options)

    return wrong


@pytest.mark.slow
@pytest.mark.parametrize(("bug", "said"), [(_mask_ignored, "error of"), (_overflow, "not finite")])
def test_an_exporters_bug_is_caught(
    bug: Callable[[Export], Export],
    said: str,
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(exported, folder, ignore=shutil.ignore_patterns("artifacts", "state", "logs"))
    monkeypatch.setattr(onnx_runtime, "export", bug(onnx_runtime.export))
    done = run_cli(MODEL, "export", folder, "--runtime", "onnx")
    assert done.code == 1
    assert "onnx is refused, and nothing was put in place" in done.err and said in done.err
    assert "worst: logits" in done.err
    assert not (folder / "artifacts").exists()


def test_a_batch_that_is_baked_in_is_caught(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(exported, folder, ignore=shutil.ignore_patterns("artifacts", "state", "logs"))
    shapes = transformers_export.shapes

    def fixed(signature: Any) -> Any:
        return {name: {1: dims[1]} for name, dims in shapes(signature).items()}

    monkeypatch.setattr(transformers_export, "shapes", fixed)
    done = run_cli(MODEL, "export", folder, "--runtime", "onnx")
    assert done.code == 1 and "batch 1" in done.err
    assert not (folder / "artifacts").exists()


# --- bad input: one line, exit code 2, nothing written


@pytest.mark.parametrize(
    ("runtime", "said"),
    [
        ("onxx", "did you mean onnx?"),
        ("onnx+int8-static", "is made by quantize"),
        ("eager", "runs the checkpoint itself"),
    ],
)
def test_strange_runtimes(exported: Path, runtime: str, said: str) -> None:
    done = run_cli(MODEL, "export", exported, "--runtime", runtime)
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1


def test_a_runtime_that_is_not_installed(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "openvino" else real(name, *a)
    )
    done = run_cli(MODEL, "export", exported, "--runtime", "openvino")
    assert done.code == 2 and "pip install -e '.[openvino]'" in done.err


def test_opsets(exported: Path) -> None:
    before = sorted(exported.rglob("*"))
    for opset, said in ((7, "too old: at least 18"), (900, "knows up to")):
        done = run_cli(MODEL, "export", exported, "--runtime", "onnx", "--opset", opset)
        assert done.code == 2 and said in done.err
    done = run_cli(MODEL, "export", exported, "--runtime", "pt2", "--opset", 20)
    assert done.code == 2 and "--opset is for onnx" in done.err
    assert sorted(exported.rglob("*")) == before


def test_a_checkpoint_of_another_model(exported: Path) -> None:
    done = run_cli("zoo.vision.cnn_cls", "export", exported, "--runtime", "onnx")
    assert done.code == 2 and "is a checkpoint of bert_cls" in done.err


def test_not_exported(exported: Path) -> None:
    done = run_cli(MODEL, "predict", exported, "--text", "a", "--deployment", "pt2")
    assert done.code == 2 and "has no artifact for pt2" in done.err


def _truncate(folder: Path) -> None:
    data = folder / "model.onnx.data"
    data.write_bytes(data.read_bytes()[:-10])


def _link(folder: Path) -> None:
    data = folder / "model.onnx.data"
    elsewhere = folder.parent.parent / "elsewhere"
    data.replace(elsewhere)
    data.symlink_to(elsewhere)


def _strange_file(folder: Path) -> None:
    (folder / "run_me.so").write_bytes(b"x")


def _no_json(folder: Path) -> None:
    (folder / "export.json").write_text("{")


def _point_outside(folder: Path) -> None:
    before = artifacts.read(folder)
    outside = folder.parent.parent / "outside.data"
    shutil.copy(folder / "model.onnx.data", outside)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../../outside.data"
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    more = {k: v for k, v in before.manifest.items() if k not in artifacts.OWN}
    source = before.manifest["source"]
    artifacts.write_manifest(folder, before.deployment, before.signature, source, more)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_truncate, "is not the file that was exported"),
        (_link, "is a link"),
        (_strange_file, "was not there when it was exported"),
        (_no_json, "is damaged"),
        (_point_outside, "outside its folder"),
    ],
)
def test_damaged_artifacts(copy: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(copy / "artifacts" / "onnx")
    done = run_cli(MODEL, "predict", copy, "--text", "a", "--deployment", "onnx")
    assert done.code == 2 and said in done.err, done.err
    assert len(done.err.splitlines()) == 1


def test_the_domains_script(exported: Path) -> None:
    from zoo.cli.domain import main

    assert main("vision", argv=[str(exported), "--runtime", "onnx"]) == 2
    assert main("nlp", argv=[str(exported), "--runtime", "nonsense"]) == 2


def test_nothing_is_left_of_an_export_that_fails(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(exported, folder, ignore=shutil.ignore_patterns("artifacts", "state", "logs"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(folder))

    monkeypatch.setattr(onnx_runtime, "export", full)
    done = run_cli(MODEL, "export", folder, "--runtime", "onnx")
    assert done.code == 2 and "No space left on device" in done.err
    assert not (folder / "artifacts").exists()


def test_arrays_of_a_runner(exported: Path) -> None:
    import zoo.runtimes
    from tasks.errors import UserError

    runner = zoo.runtimes.load(exported, Deployment("onnx"), threads=1)
    ids = np.ones((2, 5), np.int64)
    feed = {port.name: ids for port in runner.signature.inputs}
    assert runner(feed)["logits"].shape == (2, 2)
    with pytest.raises(UserError, match="length 200"):
        runner({name: np.ones((1, 200), np.int64) for name in feed})
    assert export.open_runner(artifacts.read(exported / "artifacts" / "onnx")).threads is None


@pytest.mark.slow
def test_what_a_metric_that_is_no_mean_loses_has_an_interval(
    tiny_bert: Path, tmp_path: Path
) -> None:
    """A correlation: an exported program rounds otherwise, so that some resamples differ."""
    rows = [f"the {a} was {b} {i},{v + i % 3}" for i in range(12) for a in ("film", "plot")
            for b, v in (("fine", 1.0), ("dull", -1.0))]  # fmt: skip
    (tmp_path / "stars.csv").write_text("\n".join(["text,score", *rows]) + "\n")
    folder = tmp_path / "run"
    flags = ("--problem_type", "regression", "--max_steps", 3)
    finetune(tiny_bert, tmp_path / "stars.csv", folder, *flags)
    done = run_cli(MODEL, "export", folder, "--runtime", "onnx")
    assert done.code == 0, done.err
    (lost,) = [fact for fact in evidence.read(folder) if fact.name == "pearsonr_drop"]
    assert lost.interval is not None and lost.interval["method"] == "paired bootstrap over samples"
    assert -1e-4 < lost.interval["low"] < lost.interval["high"] < 1e-4
    assert lost.interval["low"] <= lost.value <= lost.interval["high"]
    assert f"n = {lost.n}" in done.out
