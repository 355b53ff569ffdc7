"""The verb load on checkpoints: services that it starts, ours and those of other tools."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench import cli
from bench.record import store
from tests import tiny_models
from tests.cli import run_cli
from tools.cards import record, render
from zoo.store import evidence

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint of texts."""
    return tiny_models.checkpoint(
        "bert_cls", request.getfixturevalue, tmp_path_factory.mktemp("loaded")
    )


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Path:
    """A copy with a blank in its name."""
    return Path(shutil.copytree(trained, tmp_path / "my model"))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """All that a load has started has ended with it."""
    before = {each.pid for each in psutil.Process().children(recursive=True)}
    yield
    left = [each for each in psutil.Process().children(recursive=True) if each.pid not in before]
    assert not left, left


QUICK = ("--seconds", "0.5", "--warm_s", "0.1", "--rounds", "1", "--p99_ms", "9000")


def test_what_a_service_holds_is_kept_and_stands_on_the_card(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    words = ["load", str(checkpoint), "--out", str(out), *QUICK, "--resolution", "1"]
    assert cli.main([*words, "--minutes", "0.3", "--", "--max_batch", "8"]) == 0
    said = capsys.readouterr().out
    assert "requests/s at a p99 of 9000 ms" in said and "zoo eager --max_batch 8" in said
    (result,) = store.read(out)
    values = result.found.values
    assert values["requests_per_s"].value > 0 and values["service_cpu"].value > 0
    assert values["memory_peak"].value > 10e6
    assert result.case.workload.options == "--max_batch 8"  # type: ignore[union-attr]
    facts = [fact for fact in evidence.read(checkpoint) if fact.kind == "load"]
    assert [fact.name for fact in facts] == ["requests_per_s", "cpu_per_request"]
    assert facts[0].workload == {"p99_ms": 9000, "options": "--max_batch 8"}
    card = render.render(record.read(checkpoint))
    assert "### Under load" in card and f"e:{facts[0].id}" in card and "9000 ms" in card


@pytest.mark.slow
def test_rates_that_were_asked_for(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("zoo", "export", checkpoint, "--runtime", "onnx").code == 0
    words = ["load", str(checkpoint), "--deployments", "onnx", "eager", "--rate", "20", *QUICK]
    assert cli.main([*words, "--out", str(tmp_path / "results.jsonl")]) == 0
    assert "2 facts added" in capsys.readouterr().out
    facts = [fact for fact in evidence.read(checkpoint) if fact.kind == "load"]
    assert [(fact.name, fact.deployment) for fact in facts] == [("p99", "onnx"), ("p99", "eager")]
    assert facts[0].workload == {"requests_per_s": 20}


def test_a_service_that_wants_a_key_is_sent_it(checkpoint: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "keys.txt", tmp_path / "results.jsonl"
    file.write_text("k" * 20)
    file.chmod(0o600)
    words = ["load", str(checkpoint), "--rate", "20", *QUICK, "--out", str(out)]
    assert cli.main([*words, "--", "--keys", str(file)]) == 0
    (result,) = store.read(out)
    (step,) = result.found.samples["rounds"][0]["steps"]
    assert step["statuses"]["200"] == step["requests"] > 0
    assert "k" * 20 not in out.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--deployments", "openvino"], "openvino"),
        (["--deployments", "onxx"], "onnx"),
        (["--", "--port", "80"], "--port behind --"),
        (["--data", "none.csv"], "none.csv"),
        (["--", "--max_queue", "0"], "max_queue"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else None,
)
def test_mistakes(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    place = words.index("--") if "--" in words else len(words)
    out = ["--out", str(checkpoint.parent / "r.jsonl")]
    assert cli.main(["load", str(checkpoint), *words[:place], *out, *words[place:]]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.slow
def test_a_service_ends_with_who_loads_it(checkpoint: Path) -> None:
    """A load that is killed leaves nothing behind."""
    words = ["-m", "bench", "load", str(checkpoint), "--clients", "1"]
    load = subprocess.Popen(
        [sys.executable, *words, "--out", os.devnull], stdout=subprocess.DEVNULL
    )
    ends = time.monotonic() + 120
    family: list[psutil.Process] = []
    while not any("serve" in each.cmdline() for each in family):
        assert time.monotonic() < ends and load.poll() is None
        time.sleep(0.2)
        family = psutil.Process(load.pid).children(recursive=True)
    load.kill()
    load.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive


@pytest.mark.slow
def test_other_tools_beside_ours(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, peers = tmp_path / "results.jsonl", ["transformers", "litserve", "ray"]
    words = ["--deployments", "eager", "--peers", *peers, "--rate", "10", *QUICK]
    words += ["--peer_workers", "2"]
    assert cli.main(["load", str(checkpoint), *words, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    names = ["zoo", "transformers"]
    names += [name for name in peers[1:] if importlib.util.find_spec(name) is not None]
    results = store.read(out)
    assert [each.case.workload.server for each in results] == names  # type: ignore[union-attr]
    assert {each.found.status for each in results} == {"ok"}, said
    assert all(each.found.samples["rounds"][0]["steps"] for each in results)
