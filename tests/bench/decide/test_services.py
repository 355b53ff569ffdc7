"""The finalists of a decision as services."""

import contextlib
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import cli
from bench.decide import services
from bench.decide.services import ServiceContract, ServiceSetting, ServiceTried
from bench.load.arms import LoadArm
from bench.load.generator import Seen
from bench.load.payloads import of_text
from bench.load.service import Service
from bench.load.step import Cost, Limits, of_window
from tasks.errors import UserError
from tests import tiny_models
from zoo.deploy.candidate import Candidate
from zoo.measure.deadline import Deadline
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence

NAMES = ("onnx", "onnx+int8-dynamic", "eager", "openvino")
FINALISTS = [Candidate(Deployment.parse(name)) for name in NAMES]


def test_one_worker_is_tried_before_several_and_few_deployments() -> None:
    found = list(services.settings_of(FINALISTS))
    assert [each.candidate.name for each in found[:3]] == list(NAMES[:3])
    assert {each.workers for each in found[:3]} == {1}
    assert found[0].max_batch == max(services.BATCHES)
    assert len({(each.candidate.name, each.options) for each in found}) == len(found)
    assert all(each.workers * each.threads <= max(1, found[0].threads) for each in found)


def test_the_command_is_what_a_user_types() -> None:
    setting = ServiceSetting(FINALISTS[1], 2, 8, 1)
    assert setting.command(Path("my run")) == (
        "python -m zoo serve 'my run' --deployment onnx+int8-dynamic --workers 2 --max_batch 8 "
        "--threads 1"
    )


def test_programs_that_are_not_in_place_yet_are_served(tmp_path: Path) -> None:
    checkpoint, staging = tmp_path / "my run", tmp_path / "staging"
    (checkpoint / artifacts.FOLDER / "other").mkdir(parents=True)
    (checkpoint / "zoo.json").write_text("{}")
    staging.mkdir()
    (staging / "model.onnx").write_text("program")
    made: Any = SimpleNamespace(folder=staging)
    candidate = Candidate(Deployment.parse("onnx"), made)
    found = services.serving_folder(checkpoint, [candidate], tmp_path / "served")
    assert (found / "zoo.json").read_text() == "{}"
    program = artifacts.folder_of(found, Deployment.parse("onnx"))
    assert (program / "model.onnx").read_text() == "program"
    assert [path.name for path in (found / artifacts.FOLDER).iterdir()] == [program.name]
    assert not any(path.is_symlink() for path in found.rglob("*"))  # which would be refused


def _tried(name: str, workers: int, latency: float, cpu: float) -> ServiceTried:
    setting = ServiceSetting(Candidate(Deployment.parse(name)), workers, 8, 1)
    seen = Seen([latency] * 1000, {"200": 1000}, 5.0, 1000, 0.1, 6.0)
    step = of_window(seen, Limits(0.05, 0.001), Cost(1000 * cpu), rate=200.0)
    return ServiceTried(setting, step)


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What a decision has made, of a checkpoint that nothing is read of."""
    monkeypatch.setattr(services.payloads, "of_checkpoint", lambda *_: [])
    monkeypatch.setattr(services, "_record", lambda *_: None)
    (tmp_path / "run").mkdir()
    return SimpleNamespace(
        original=SimpleNamespace(checkpoint=SimpleNamespace(folder=tmp_path / "run")),
        staging=tmp_path,
        device="cpu",
    )


def test_the_winner_keeps_the_p99_for_the_least_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, builder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = [
        _tried("eager", 1, 0.2, 0.001),  # the cheapest, and too slow
        _tried("onnx", 2, 0.02, 0.005),
        _tried("onnx", 1, 0.03, 0.004),
        ServiceTried(ServiceSetting(FINALISTS[0], 1, 8, 1), None, "it ended with exit code 2"),
    ]
    left = iter(tried)
    monkeypatch.setattr(services, "settings_of", lambda _: [each.setting for each in tried])
    monkeypatch.setattr(services, "_tried", lambda *_: next(left))
    contract = ServiceContract(200.0, 0.05)
    best = services.choose(contract, builder, FINALISTS[:1], Deadline(5.0), 300.0)
    assert best is tried[2]
    said = capsys.readouterr().out
    assert "broken" in said and "kept" in said and "exit code 2" in said
    assert "0.80" in said  # cores: 200 requests/s of 4 ms


def test_a_service_runs_where_it_was_decided(monkeypatch: pytest.MonkeyPatch, builder: Any) -> None:
    """Where there is a GPU a service takes it, unless it is told not to."""
    seen = []

    def tried(setting: ServiceSetting, arm: LoadArm, *_: object) -> ServiceTried:
        seen.append(arm.options)
        return ServiceTried(setting, None, "not started")

    monkeypatch.setattr(services, "_tried", tried)
    for device, told in (("cuda:0", ("--device", "cpu")), ("cpu", ())):
        monkeypatch.setattr(services, "choose_device", lambda _, device=device: device)
        contract, one = ServiceContract(1.0, 0.05), FINALISTS[:1]
        assert services.choose(contract, builder, one, Deadline(5.0), 0.0) is None
        assert seen.pop()[4:] == told and not seen


def test_what_was_tried_is_shown_where_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch, builder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    done = [_tried("onnx", 1, 0.02, 0.004)]

    def tried(*_: object) -> ServiceTried:
        if not done:
            raise KeyboardInterrupt
        return done.pop()

    monkeypatch.setattr(services, "_tried", tried)
    with pytest.raises(KeyboardInterrupt):
        services.choose(ServiceContract(200.0, 0.05), builder, FINALISTS, Deadline(5.0), 300.0)
    said = capsys.readouterr().out
    assert "20.0 ms" in said and "further settings were not tried" in said


def test_a_step_that_others_disturbed_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = _tried("onnx", 1, 0.2, 0.004).step
    kept = _tried("onnx", 1, 0.02, 0.004).step
    assert broken and kept
    steps = [dataclasses.replace(broken, foreign=0.9), kept, broken, kept]
    monkeypatch.setattr(services, "step_of", lambda *_: steps.pop(0))
    monkeypatch.setattr(services.clients, "started", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(
        LoadArm, "running", lambda *_: contextlib.nullcontext(Service("http://127.0.0.1:1"))
    )
    setting, given = ServiceSetting(FINALISTS[0], 1, 8, 1), [of_text("a")]
    common = (setting, LoadArm("zoo", "a"), ServiceContract(200.0, 0.05), given, tmp_path)
    assert services._tried(*common).is_kept
    assert not services._tried(*common).is_kept, "nobody had disturbed it"


def test_flags_that_go_together() -> None:
    assert services.contract_of(None, None, None) is None
    assert services.contract_of(200.0, 50.0, "x") == ServiceContract(200.0, 0.05, "x")
    for rate, p99 in ((200.0, None), (None, 50.0)):
        with pytest.raises(UserError, match="goes with"):
            services.contract_of(rate, p99, None)


@pytest.mark.slow
def test_a_decision_for_a_load(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_models.checkpoint("bert_cls", request.getfixturevalue, tmp_path)
    words = ["--deployments", "onnx", "--max_drop", "1", "--minutes", "3", "--export"]
    load = ["--p99_ms", "5000", "--rate", "10"]
    assert cli.main(["decide", str(folder), *words, *load]) == 0
    said = capsys.readouterr().out
    assert "10 requests/s, p99 within 5000 ms" in said
    assert f"serves best: python -m zoo serve {folder} --deployment" in said
    facts = [fact for fact in evidence.read(folder) if fact.kind == "load"]
    assert {fact.name for fact in facts} == {"p99", "cpu_per_request"}
    assert all((fact.workload or {})["requests_per_s"] == 10 for fact in facts)
    served = {str(fact.deployment) for fact in facts}
    assert served <= {"eager", "onnx"} and not list(folder.glob("artifacts/.*"))
    assert cli.main(["decide", str(folder), *words, "--p99_ms", "0.01", "--rate", "10"]) == 1
    assert "no service keeps a p99 of 0.01 ms" in capsys.readouterr().err
