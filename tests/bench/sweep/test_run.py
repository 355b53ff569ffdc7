"""`python -m bench run` for real, on small random weights."""

import dataclasses
import sys
from pathlib import Path

import pytest

from bench import cli
from bench.cases import models, random_weights
from bench.cases.case import Case
from bench.cases.job import Settings
from bench.cases.prepare import export, prepare
from bench.measures import ceilings
from bench.record import store
from bench.sweep.sweep import Performer
from tasks.errors import UserError

SIZE = 8  # pixels


def test_a_model_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.jsonl"
    arguments = ["run", "cnn_cls", "--lengths", str(SIZE), "--batch_sizes", "3", "--threads", "1"]
    arguments += ["--measures", "latency", "--launches", "1"]
    arguments += ["--minutes_per_case", "0.02"]
    assert cli.main([*arguments, "--out", str(path)]) == 0
    parity, latency = store.read(path)
    assert (parity.found.status, latency.found.status) == ("ok", "ok")
    assert latency.work == {"samples": 3, "pixels": 3 * SIZE * SIZE}
    median = latency.found.values["median"]
    assert 1e-5 < median.value < 1 and median.interval["low"] <= median.value
    assert latency.found.samples["launcher"] == "preloaded" or not sys.platform.startswith("linux")
    blocks = latency.found.samples["recording"]["blocks"]
    assert median.n <= sum(len(block["ran"]["seconds"]) for block in blocks)
    assert str(tmp_path) not in path.read_text() and str(Path.home()) not in path.read_text()
    assert "cnn_cls" in capsys.readouterr().out


def test_ctrl_c_shows_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Performer.__call__

    def call(self: Performer, case: Case, measure: str) -> object:
        if measure == "latency":
            raise KeyboardInterrupt
        return own(self, case, measure)

    monkeypatch.setattr(Performer, "__call__", call)
    path = tmp_path / "r.jsonl"
    words = ["run", "cnn_cls", "--lengths", str(SIZE), "--measures", "latency", "--out", str(path)]
    assert cli.main(words) == 130
    assert [each.measure for each in store.read(path)] == ["parity"]
    out = capsys.readouterr().out
    assert f"stopped: 1 results added to {path}; the same command goes on" in out
    assert "cnn_cls" in out.splitlines()[1]


@pytest.mark.slow
@pytest.mark.parametrize("deployment", ["eager", pytest.param("compile", marks=pytest.mark.slow)])
def test_measures_that_share_a_process_find_what_they_find_alone(deployment: str) -> None:
    """What is counted is the same, and nothing is compiled again for the second of them."""
    case = Case.of("cnn_cls", deployment, 3, SIZE)
    names = ["parity", "throughput", *(["graph"] if deployment == "compile" else [])]
    alone, together = {}, {}
    with Performer(Settings(budget_s=1.0)) as perform:
        for name in names:
            together[name], _ = perform(case, name)
        assert perform._shared is not None
        pid = perform._shared[1].worker(60.0).pid
        perform(case, "throughput")
        assert perform._shared[1].worker(60.0).pid == pid
        for name in names:
            perform._close_shared()
            alone[name], _ = perform(case, name)
    for name in ("parity", "graph"):
        if name in names:
            assert dataclasses.replace(alone[name], samples={}) == dataclasses.replace(
                together[name], samples={}
            )
    assert {each.status for each in (*alone.values(), *together.values())} == {"ok"}
    assert together["throughput"].violations == alone["throughput"].violations == ()


def test_random_weights_follow_from_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name in ("one", "other"):
        monkeypatch.setenv("ZOO_CACHE", str(tmp_path / name))
        folder = random_weights.checkpoint("cnn_cls", SIZE)
        assert random_weights.checkpoint("cnn_cls", SIZE) == folder
        found.append((folder / "model.safetensors").read_bytes())
        assert not list(folder.parent.glob(".incoming-*"))
    assert found[0] == found[1]
    assert models.folder_of("cnn_cls", SIZE) != models.folder_of("cnn_cls", 2 * SIZE)


def test_random_weights_lie_under_all_that_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their artifacts lie beside them: of other code, or another exporter, they are others."""
    names = {models.folder_of("cnn_cls", SIZE)}
    monkeypatch.setattr(models, "source_digest", lambda: "other code")
    names.add(models.folder_of("cnn_cls", SIZE))
    versions = models.environment.versions() | {"onnxscript": "0.0"}
    monkeypatch.setattr(models.environment, "versions", lambda: versions)
    names.add(models.folder_of("cnn_cls", SIZE))
    assert len(names) == 3


def test_a_ceiling_that_is_measured_takes_no_other_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    asked = []

    def measured(target: str, kwargs: dict[str, object], *_: object, **__: object) -> object:
        asked.append(kwargs["threads"])
        return {"flops": {"fp32": float(kwargs["threads"])}, "bytes": 1.0, "disturbed": False}

    monkeypatch.setattr(ceilings.child, "call", measured)
    for threads in (1, 2, 1, 2):
        assert ceilings.find("cpu", threads).flops == {"fp32": float(threads)}
    assert asked == [1, 2]


SMALL = [("kws_cls", 0.5, "seconds", 1.0), ("rnn_cls", 16, "tokens", 32)]
SMALL += [("bert_mlm", 16, "tokens", 32), ("mae", 32, "pixels", 2 * 32 * 32)]
LARGE = [("conformer_ctc", 1.5, "seconds", 3.0), ("stream_ctc", 1.5, "seconds", 3.0)]
LARGE += [("minilm", 32, "tokens", 64)]
LARGE += [("resnet18", 64, "pixels", 2 * 64 * 64), ("vit-tiny", 64, "pixels", 2 * 64 * 64)]
LARGE += [("distilbert", 16, "tokens", 32), ("roberta-base", 16, "tokens", 32)]
LARGE += [("modernbert-base", 16, "tokens", 32), ("wav2vec2-base", 1, "seconds", 2.0)]
LARGE += [("wav2vec2-base-960h", 1, "seconds", 2.0), ("ast-audioset", 10.24, "seconds", 20.48)]
LARGE += [("whisper-tiny", 30, "seconds", 60.0)]


def _prepared(model: str, length: float, unit: str, work: float, folder: Path) -> None:
    found = prepare(Case.of(model, batch_size=2, length=length).to_json(), str(folder))
    assert found["work"] == {"samples": 2, unit: pytest.approx(work)}


@pytest.mark.parametrize(("model", "length", "unit", "work"), SMALL)
def test_small_models(model: str, length: float, unit: str, work: float, tmp_path: Path) -> None:
    _prepared(model, length, unit, work, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "length", "unit", "work"), LARGE)
def test_large_models(model: str, length: float, unit: str, work: float, tmp_path: Path) -> None:
    _prepared(model, length, unit, work, tmp_path)


def test_a_length_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="length"):
        prepare(Case.of("kws_cls", length=1000).to_json(), str(tmp_path))


@pytest.mark.slow
def test_a_wrong_artifact_gets_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One weight of an ONNX file is another than it should be, and its sums agree with it."""
    import onnx

    from zoo.runtimes import artifacts
    from zoo.runtimes.deployment import Deployment

    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    checkpoint = random_weights.checkpoint("cnn_cls", SIZE)
    export(str(checkpoint), "onnx")
    artifact = artifacts.open_artifact(checkpoint, Deployment("onnx"))
    proto = onnx.load(artifact.folder / "model.onnx")
    weight = next(each for each in proto.graph.initializer if len(each.dims) == 4)
    doubled = 2 * onnx.numpy_helper.to_array(weight)
    weight.CopyFrom(onnx.numpy_helper.from_array(doubled, weight.name))
    for path in artifact.folder.glob("model.onnx*"):
        path.unlink()
    onnx.save(proto, artifact.folder / "model.onnx")
    source = str(artifact.manifest["source"])
    artifacts.write_manifest(
        artifact.folder, artifact.deployment, artifact.signature, source, {"model": "cnn_cls"}
    )
    path = tmp_path / "r.jsonl"
    arguments = ["run", "cnn_cls", "--lengths", str(SIZE), "--deployments", "onnx"]
    assert cli.main([*arguments, "--out", str(path)]) == 0
    (only,) = store.read(path)
    assert (only.measure, only.found.status) == ("parity", "wrong")
    assert "wrong" in capsys.readouterr().out
