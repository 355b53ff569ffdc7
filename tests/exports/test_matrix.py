"""Every model to every runtime, with its proof. Most cells are slow: `nox -s slow`."""

import json
import re
from pathlib import Path

import pytest

import zoo.deploy
from tests import tiny_models
from tests.cli import run_cli, run_program
from tests.exports.exceptions import EXCEPTIONS
from zoo.model import registry

PACKAGES = {"onnx": "onnx", "openvino": "openvino", "executorch": "executorch"}
RUNTIMES = ("onnx", "pt2", "aoti", "executorch", "torchscript", "openvino")
QUICK = {
    *(("rnn_cls", runtime) for runtime in ("onnx", "pt2")),
    *(("cnn_cls", runtime) for runtime in ("onnx", "pt2")),
    *(("kws_cls", runtime) for runtime in ("onnx", "pt2")),
}
"""One model a domain, in every run of the tests; texts by a transformer are in test_onnx."""
KINDS = {
    "fcos_det": {"logits": "logits", "boxes_xyxy": "boxes_xyxy", "centerness": "logits"},
    "detr_det": {"logits": "logits", "pred_boxes": "boxes_cxcywh"},
    "mae": {"logits": "image"},
    "vae": {
        "logits": "image",
        "log_scale": "regression",
        "mean": "embedding",
        "log_variance": "regression",
    },
    "unet_seg": {"logits": "mask"},
    "segformer_seg": {"logits": "mask"},
    **{
        name: {"logits": "logits", "encoder_last_hidden_state": "hidden_state"}
        for name in ("t5_seq2seq", "whisper_asr")
    },
}
"""What the outputs of a model are, where it has not logits alone."""
CELLS = [
    pytest.param(name, runtime, marks=[] if (name, runtime) in QUICK else pytest.mark.slow)
    for name, (module, _) in tiny_models.MODELS.items()
    if "export" in registry.find(module.rpartition(".")[2]).verbs
    for runtime in RUNTIMES
]


@pytest.fixture(scope="module")
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, tiny_models.checkpoint(request.param, request.getfixturevalue, folder)


@pytest.mark.parametrize(("model", "runtime"), CELLS, indirect=["model"])
def test_export(model: tuple[str, Path], runtime: str) -> None:
    name, folder = model
    if runtime in PACKAGES:
        pytest.importorskip(PACKAGES[runtime])
    done = run_cli(tiny_models.MODELS[name][0], "export", folder, "--runtime", runtime)
    obstacle = EXCEPTIONS.get((name, runtime))
    if obstacle is None:
        assert done.code == 0, done.err
        manifest = folder / "artifacts" / runtime / "export.json"
        assert manifest.is_file()
        signature = json.loads(manifest.read_text())["zoo"]["signature"]
        assert set(signature["kinds"]) == set(signature["outputs"]), "one is not said"
        assert signature["kinds"] == KINDS.get(name, {"logits": "logits"})
        if runtime in ("pt2", "aoti"):
            _loads_alone(folder, runtime)
    else:
        assert done.code in (1, 2) and obstacle.said in done.err, done.err
        assert len(done.err.splitlines()) == 1
        assert not (folder / "artifacts" / runtime).exists()


def _loads_alone(folder: Path, runtime: str) -> None:
    """In a process that has not seen the network: programs hold their outputs' classes by name."""
    program = (
        "from pathlib import Path; import zoo.runtimes\n"
        f"zoo.runtimes.load(Path({str(folder)!r}), {runtime!r})"
    )
    run_program(program)


def test_the_docstring_has_the_same_exceptions() -> None:
    """`zoo.deploy` lists them for people: `NAMES: not to RUNTIMES`, and the reason below."""
    known = {module.rpartition(".")[2] for module, _ in tiny_models.MODELS.values()}
    said = {}
    entry = r"^    (\w+(?:, \w+)*): not to (\w+(?:, \w+)*)\n((?:^ {8}.*\n)+)"
    for models, runtimes, because in re.findall(entry, f"{zoo.deploy.__doc__}\n", re.M):
        for model in set(models.split(", ")) & known:
            for runtime in set(runtimes.split(", ")) & set(RUNTIMES):
                assert (model, runtime) not in said
                said[model, runtime] = " ".join(because.split())
    assert set(said) == {(_module(name), runtime) for name, runtime in EXCEPTIONS}
    for (name, runtime), obstacle in EXCEPTIONS.items():
        assert obstacle.operator in said[_module(name), runtime]


def _module(name: str) -> str:
    return tiny_models.MODELS[name][0].rpartition(".")[2]
