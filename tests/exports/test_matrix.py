"""Every model to every runtime, with its proof. What cannot be is in EXCEPTIONS, with the
operator that stands in the way. Slow: `nox -s slow`."""

from pathlib import Path

import pytest

from tests import tiny_models
from tests.cli import run_cli

pytestmark = pytest.mark.slow
RUNTIMES = ("onnx", "pt2", "openvino", "torchscript", "executorch", "aoti")
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("rnn_cls", runtime): "specialized"
    for runtime in ("onnx", "pt2", "openvino", "aoti", "executorch")
}


@pytest.fixture(scope="module", params=list(tiny_models.MODELS))
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, tiny_models.checkpoint(request.param, request.getfixturevalue, folder)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_export(model: tuple[str, Path], runtime: str) -> None:
    name, folder = model
    pytest.importorskip(
        {"pt2": "torch", "torchscript": "torch", "aoti": "torch"}.get(runtime, runtime)
    )
    done = run_cli(tiny_models.MODELS[name][0], "export", folder, "--runtime", runtime)
    obstacle = EXCEPTIONS.get((name, runtime))
    print(done.out, done.err)
    if obstacle is None:
        assert done.code == 0, done.err
        assert (folder / "artifacts" / runtime / "export.json").is_file()
    else:
        assert done.code in (1, 2) and obstacle in done.err
        assert not (folder / "artifacts" / runtime).exists()
