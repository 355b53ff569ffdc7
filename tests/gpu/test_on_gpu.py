"""What a GPU must show: `pytest -m gpu` on a machine that has one. Everything else runs on the CPU.

Small networks throughout: it is about right answers, and takes two minutes.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import bench.cli
from tests import tiny_models
from tests.cases import Case
from tests.cli import run_cli, run_process
from tests.finetuning import Run
from tests.processes import Death, run, run_ranks
from zoo import runtimes
from zoo.model import registry
from zoo.model.modality import modality_of
from zoo.model.network import load_network
from zoo.runtimes.deployment import Deployment
from zoo.store.checkpoint import open_checkpoint

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(),
        reason="no GPU is visible to these tests: `pytest -m gpu` on a machine that has one",
    ),
]
DEVICE = "cuda"
TOO_MANY = 2**22  # images in a batch
TOLERANCE = 2e-3  # of scores between 0 and 1: fp32 on both, TF32 off


@pytest.fixture(scope="module", params=sorted(tiny_models.MODELS))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Each model of the zoo, trained on the GPU for two steps: its entry and folder."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    checkpoint = tiny_models.checkpoint(name, request.getfixturevalue, folder)
    return registry.find(tiny_models.MODELS[name][0].rpartition(".")[2]), checkpoint


def test_every_model_trains_and_evaluates_as_on_the_cpu(trained) -> None:
    entry, folder = trained
    found = {}
    for device in ("cuda", "cpu"):
        before = len((folder / "evidence.jsonl").read_text().splitlines())
        # each in a process of its own: accelerate keeps the first device it was asked for
        words = ("evaluate", folder, "--device", device, "--mistakes", 0)
        done = run_process(entry.module, *words)
        assert done.code == 0, done.err
        lines = (folder / "evidence.jsonl").read_text().splitlines()[before:]
        facts = [json.loads(line) for line in lines]
        found[device] = {fact["name"]: fact["value"] for fact in facts if "value" in fact}
    assert found["cuda"].keys() == found["cpu"].keys() and found["cpu"]
    for name, value in found["cpu"].items():
        assert found["cuda"][name] == pytest.approx(value, rel=0.02, abs=0.02), name


def test_predictions_are_those_of_the_cpu(case: Case, tmp_path: Path) -> None:
    case.finetune(tmp_path / "run", "--max_steps", 4, "--device", DEVICE)
    answers = {}
    for device in ("cuda", "cpu"):
        done = run_cli(case.module, *case.predicted(tmp_path / "run"), "--device", device)
        assert done.code == 0, done.err
        answers[device] = [json.loads(line) for line in done.lines]
    assert len(answers["cuda"]) == len(answers["cpu"]) > 0
    for ours, theirs in zip(answers["cuda"], answers["cpu"], strict=True):
        assert ours.get("label") == theirs.get("label") and ours.get("text") == theirs.get("text")
        if "score" in theirs:
            assert ours["score"] == pytest.approx(theirs["score"], abs=TOLERANCE)


def test_a_killed_run_goes_on_to_the_same_weights(case: Case, tmp_path: Path) -> None:
    """To 1e-4: sums of atomic additions have no order on a GPU."""
    log = tmp_path / "log"
    flags = ("--max_steps", 6, "--save_steps", 2, "--device", DEVICE, "--dtype", "fp32")
    alone, killed = (case.arguments(tmp_path / name, *flags) for name in ("alone", "killed"))
    assert run(alone, log, module=case.module) == 0, log.read_text()
    assert run(killed, log, death=Death(steps=4), module=case.module) == -9, log.read_text()
    assert run([*killed, "--resume"], log, module=case.module) == 0, log.read_text()
    assert "going on at step" in log.read_text()
    assert_close(Run(tmp_path / "killed").weights(), Run(tmp_path / "alone").weights())


def assert_close(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(
            ours[name], tensor, rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )


def host(output: torch.Tensor | np.ndarray) -> np.ndarray:
    """An output of a runner as float32 on the processor."""
    return torch.as_tensor(output).float().cpu().numpy()


@pytest.mark.parametrize(
    "deployment",
    [
        "eager+bf16",
        "eager+tf32",
        "eager+fp16",
        "compile",
        "compile:reduce-overhead",
        "compile+bf16",
    ],
)
@pytest.mark.parametrize("name", ["bert_cls", "cnn_cls", "kws_cls"])
def test_deployments_agree_with_eager(name: str, deployment: str, checkpoints) -> None:
    folder = checkpoints(name)
    checkpoint = open_checkpoint(folder)
    modality = modality_of(checkpoint.entry)
    eager = runtimes.load(folder, Deployment("eager"), "cuda")
    runner = runtimes.load(folder, Deployment.parse(deployment), "cuda")
    network, _ = load_network(checkpoint, torch.device("cpu"))
    rough = "bf16" in deployment or "fp16" in deployment
    for batch in (1, 3, 3):  # a graph that was captured is replayed
        sizes = dict.fromkeys(runner.signature.limits, 16) | {"batch": batch}
        sizes = {
            size: int(np.clip(value, *runner.signature.limits[size]))
            for size, value in sizes.items()
            if size in runner.signature.limits
        }
        inputs = modality.random_inputs(runner.signature, sizes, network, batch)
        theirs = {name: host(each) for name, each in eager.run(inputs).items()}
        for output, found in runner.run(inputs).items():
            scale = np.abs(theirs[output]).max()
            error = np.abs(theirs[output] - host(found)).max()
            assert error <= (0.05 if rough else 5e-3) * scale, f"{output}: {error} of {scale}"


@pytest.fixture(scope="module")
def checkpoints(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A trained checkpoint of a name, made once."""
    made: dict[str, Path] = {}

    def give(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = tiny_models.checkpoint(name, request.getfixturevalue, folder)
        return made[name]

    return give


def test_one_rank_of_nccl_trains_as_without(case: Case, tmp_path: Path) -> None:
    flags = ("--max_steps", 3, "--device", DEVICE, "--dtype", "fp32")
    alone = case.finetune(tmp_path / "alone", *flags)
    words = case.arguments(tmp_path / "rank", *flags)
    run_ranks(words, tmp_path / "logs", ranks=1, module=case.module)
    assert_close(Run(tmp_path / "rank").weights(), alone.weights())


def test_out_of_memory_is_a_result(tmp_path: Path) -> None:
    """A batch that does not fit is told of its case, and the next case is measured."""
    out = tmp_path / "results.jsonl"
    words = ("run", "cnn_cls", "--device", DEVICE, "--batch_sizes", TOO_MANY, 2, "--out", out)
    bench.cli.main([str(word) for word in (*words, "--measures", "latency", "--launches", 1)])
    found: dict[int, set[str]] = {}
    for line in out.read_text().splitlines():
        result = json.loads(line)
        found.setdefault(result["case"]["batch_size"], set()).add(result["status"])
    assert "oom" in found[TOO_MANY] and found[2] == {"ok"}


def test_torchao_is_quantized_by_contract(checkpoints) -> None:
    """The recipes for GPUs are tried, timed and told in a table, without an ONNX program."""
    pytest.importorskip("torchao")
    folder = checkpoints("bert_cls")
    words = ("quantize", folder, "--device", DEVICE, "--max_eval_samples", 32)
    done = run_cli("zoo.nlp.bert_cls", *words, "--budget_s", 10, "--min_speedup", 0.01)
    assert done.code in (0, 1), done.err
    assert "torchao+int8-dynamic" in done.out and "Traceback" not in done.err
