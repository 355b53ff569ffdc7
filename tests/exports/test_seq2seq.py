"""t5_seq2seq as ONNX programs: an encoder, and a decoder with a cache, that write token for token
what the checkpoint writes, and are refused where they do not."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.cli import run_cli, run_program
from tests.exports.writing import Artifact, Timed, predicted
from tests.tiny_pairs import SHAPE
from zoo import runtimes
from zoo.deploy import generation_proof, golden
from zoo.deploy import timed as timed_module
from zoo.deploy.candidate import Candidate
from zoo.deploy.export import ExportSource
from zoo.deploy.proof import Proof
from zoo.generation.decoding import Decoding
from zoo.generation.generate import sequences
from zoo.generation.network import NetworkTargetWriter
from zoo.generation.session import Session
from zoo.quantization import quantize
from zoo.runtimes import artifacts, onnx_generation
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.encoder_decoder_export import encoder_decoder_stages
from zoo.runtimes.onnx_generation import OnnxEncoderDecoder
from zoo.serve import worker
from zoo.serve.model import BatchingModel, Work

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.slow  # what is exported here; that of Whisper, by the same code, is quick
MODEL = "zoo.nlp.t5_seq2seq"
SOURCES = ("the cat sees a dog", "", "a small red bird likes the old tree", "图")
LONGEST, LONGEST_TEXT = 48, 32


@pytest.fixture(scope="module")
def trained(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose texts differ."""
    folder = tmp_path_factory.mktemp("t5") / "run"
    flags = ("--report_to", "none", "--dtype", "fp32", "--max_steps", 30, "--learning_rate", 2e-2)
    words = ("--data", pairs, "--output_dir", folder, *SHAPE, *flags, "--eval_strategy", "no")
    columns = ("--source_column", "en", "--target_column", "fr", "--max_eval_samples", 16)
    done = run_cli(MODEL, "finetune", *words, *columns)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def exported(trained: Path) -> Path:
    done = run_cli(MODEL, "export", trained, "--runtime", "onnx")
    assert done.code == 0, done.err
    assert "written tokens" in done.out and "metric lost +0.0000" in done.out
    return trained


def _runner(folder: Path) -> OnnxEncoderDecoder:
    found = runtimes.load(folder, "onnx", threads=1)
    assert isinstance(found, OnnxEncoderDecoder)
    return found


def _predicted(folder: Path, deployment: str, *flags: object) -> list[str]:
    return predicted(MODEL, folder, deployment, "--text", *SOURCES, *flags)


def test_what_lies_in_the_folder(exported: Path) -> None:
    folder = exported / "artifacts" / "onnx"
    ours = json.loads((folder / "export.json").read_text())["zoo"]
    files = {f"{half}.onnx{data}" for half in ("encoder", "decoder") for data in ("", ".data")}
    assert set(ours["files"]) == files | {"config.json", "generation_config.json"}
    assert ours["proof"]["tokens"] > 100
    assert ours["proof"]["refused"] == [
        f"length {LONGEST + 1}",
        f"target_length {LONGEST_TEXT + 1}",
    ]
    assert [(port["name"], port["dims"]) for port in ours["signature"]["inputs"]] == [
        ("input_ids", ["batch", "length"]),
        ("attention_mask", ["batch", "length"]),
        ("decoder_input_ids", ["batch", "target_length"]),
    ]
    assert {port["name"]: port["dims"] for port in ours["programs"]["decoder"]["inputs"]} == {
        "input_ids": ["batch", "tokens"],
        "encoder_attention_mask": ["batch", "places"],
        **{f"past_{kv}_0": ["batch", 2, "past", 16] for kv in ("key", "value")},
        **{f"cross_{kv}_0": ["batch", 2, "places", 16] for kv in ("key", "value")},
    }
    weights = {}
    for half, wanted in ours["programs"].items():
        program = onnx.load(folder / f"{half}.onnx", load_external_data=False).graph
        assert [value.name for value in program.input] == [p["name"] for p in wanted["inputs"]]
        assert [value.name for value in program.output] == wanted["outputs"]
        weights[half] = sum(np.prod(tensor.dims) for tensor in program.initializer)
    table = 32 * 320  # of embeddings, which both have
    model, _ = ExportSource.open(exported).network.load(exported)
    alone = sum(each.numel() for each in model.parameters()) + table
    assert sum(weights.values()) == pytest.approx(alone, rel=0.02), "no other weight lies in both"
    assert len(golden.read(exported, Deployment("onnx"), _digest(exported)) or ()) == golden.COUNT


def _digest(folder: Path, deployment: str = "onnx") -> str:
    return artifacts.subject_of(folder, Deployment(deployment))


@pytest.mark.parametrize("flags", [(), ("--num_beams", 3)], ids=["greedy", "beams"])
def test_it_writes_what_the_checkpoint_writes(exported: Path, flags: tuple[object, ...]) -> None:
    """Sources of different lengths, all in one batch and three at a time."""
    wanted = _predicted(exported, "eager", *flags)
    assert len({json.loads(line)["text"] for line in wanted}) > 2, "texts too much alike"
    assert _predicted(exported, "onnx", *flags) == wanted
    assert _predicted(exported, "onnx", *flags, "--batch_size", 3) == wanted


def test_the_programs_need_neither_weights_nor_torch(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a run"
    ignored = shutil.ignore_patterns("state", "logs", "*.safetensors")
    shutil.copytree(exported, folder, ignore=ignored)
    program = """
import sys, zoo
model = zoo.load(sys.argv[1], deployment="onnx")
[one, other] = model.predict(["the cat sees a dog", "a bird"])
assert one["text"] and one["source_cut"] == 0 and one["text"] != other["text"]
assert model.predict("the cat " * 50)["source_cut"] > 0
assert not {"torch", "transformers"} & set(sys.modules)
"""
    run_program(program, folder)


def test_plain_onnxruntime_writes_the_same(exported: Path) -> None:
    """In a loop of somebody else, by the names of inputs and outputs alone."""
    folder = exported / "artifacts" / "onnx"
    encoder, decoder = (
        onnxruntime.InferenceSession(folder / f"{half}.onnx") for half in ("encoder", "decoder")
    )
    config = json.loads((folder / "generation_config.json").read_text())
    source = np.array([[5, 9, 7, 300, 1]])
    given = {"input_ids": source, "attention_mask": np.ones_like(source)}
    read = dict(zip([v.name for v in encoder.get_outputs()], encoder.run(None, given), strict=True))
    names = {value.name for value in decoder.get_inputs()}
    feed = {name: array for name, array in read.items() if name in names}
    feed |= {name: np.zeros((1, 2, 0, 16), np.float32) for name in names if "past_" in name}
    feed["encoder_attention_mask"] = given["attention_mask"]
    text, token = [], config["decoder_start_token_id"]
    for _ in range(8):
        outputs = decoder.run(None, {**feed, "input_ids": np.array([[token]])})
        found = dict(zip([v.name for v in decoder.get_outputs()], outputs, strict=True))
        scores = found.pop("logits")[0, -1]
        scores[config["suppress_tokens"]] = -np.inf
        token = int(scores.argmax())
        text.append(token)
        feed |= {name.replace("present", "past"): array for name, array in found.items()}
    writer = _runner(exported).target_writer()
    assert writer is not None
    runner = writer.make_runner(writer.special_tokens(), Decoding().fixed_length(8))
    ours = sequences(runner, {"input_ids": source})  # all of it is read, without a mask
    expected = [each for each in text if each != config["eos_token_id"]]
    assert ours[0][: len(expected)].tolist() == expected or config["eos_token_id"] in text


def test_evaluate_is_that_of_the_checkpoint(exported: Path) -> None:
    found = []
    for deployment in ("eager", "onnx"):
        words = ("--json", "--deployment", deployment, "--device", "cpu")
        done = run_cli(MODEL, "evaluate", exported, *words)
        assert done.code == 0, done.err
        found.append(json.loads(done.out)["metrics"])
    assert found[0]["chrf"]["n"] == 40 and found[0] == found[1]


def test_verify(exported: Path) -> None:
    done = run_cli("zoo", "verify", exported)
    assert done.code == 0 and "ok" in done.out, done.out


def test_pytorch_in_other_numerics(exported: Path) -> None:
    """It writes in bfloat16 too, and where each pass casts by itself it says that it does not."""
    assert len(_predicted(exported, "eager+bf16")) == len(SOURCES)
    words = ("--text", "a", "--deployment", "compile")
    done = run_cli(MODEL, "predict", exported, *words)
    assert done.code == 2 and "writes no text: use --deployment eager or onnx" in done.err


@pytest.mark.parametrize("deployment", ["eager", "onnx"])
def test_it_is_served(exported: Path, deployment: str) -> None:
    """A worker passes its golden inputs, and writes the texts of a batch."""
    asked = {
        "weights": None,
        "folder": str(exported),
        "deployment": deployment,
        "sha256": _digest(exported, deployment),
        "device": "cpu",
        "threads": 1,
        "budget": None,
        "max_seconds": 60.0,
        "most": 4,
    }
    model, tested = worker.load(asked)
    assert tested == golden.COUNT and isinstance(model, BatchingModel)
    batches = model.answers([Work(source, {}) for source in SOURCES])
    found = {answer.place: answer.prediction for batch in batches for answer in batch.answers}
    wanted = [json.loads(line) for line in _predicted(exported, "onnx")]
    for place, one in enumerate(wanted):
        assert found[place] == {name: each for name, each in one.items() if name != "source"}


# --- weights of few bits


def test_quantized_weights_write_and_are_measured(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a contract on chrF, in points; what is timed are texts, and how fast is made up."""
    seen = {}

    def time_all(_: Any, candidates: list[Candidate], args: Any, inputs: Path, *more: Any) -> Any:
        for one in candidates:
            seen[one.name] = one
            timed: Any = Timed(2.0)
            one.compared = one.times = timed
            assert one.artifact is not None
            place = str(one.artifact.folder)
            once = timed_module.call(str(trained), one.name, str(inputs), place, new_tokens=7)
            assert once().shape == (1, 7)
        return Timed(1.0).median

    monkeypatch.setattr(quantize, "time_all", time_all)
    done = run_cli(MODEL, "quantize", trained, "--max_drop", 5, "--all", "--minutes", 30)
    assert done.code == 0, done.err + done.out
    assert "batch 1, length" in done.out and "chrf lost" in done.out
    assert set(seen) == {"onnx+int8-weight-only", "onnx+int4-weight-only"}
    drop = seen["onnx+int8-weight-only"].drop
    assert drop is not None and drop.n == 40 and drop.method == "paired bootstrap over samples"
    [folder] = (trained / "artifacts").glob("*weight-only")
    ours = json.loads((folder / "export.json").read_text())["zoo"]
    assert ours["contract"]["new_tokens"] == 32 and "tokens" not in ours["proof"]
    for half in ("encoder", "decoder"):
        program = onnx.load(folder / f"{half}.onnx", load_external_data=False).graph
        assert "MatMulNBits" in {node.op_type for node in program.node}
    assert len(_predicted(trained, folder.name, "--max_new_tokens", 5)) == len(SOURCES)
    done = run_cli(MODEL, "evaluate", trained, "--deployment", folder.name, "--json")
    assert done.code == 0, done.err


@pytest.mark.parametrize("method", ["dynamic", "static"])
def test_other_methods_are_refused(method: str, trained: Path) -> None:
    done = run_cli(MODEL, "quantize", trained, "--method", method)
    assert done.code == 2 and "no recipe can be tried: onnx+int8" in done.err
    assert len(done.err.splitlines()) == 1


# --- faults, which the proof must find


def _padding_is_seen(patch: pytest.MonkeyPatch) -> None:
    encode = OnnxEncoderDecoder.encode

    def wrong(self: Any, inputs: dict[str, np.ndarray]) -> Session:
        session = encode(self, inputs)
        mask = np.ones_like(inputs["attention_mask"])
        session.state["encoder_attention_mask"] = onnx_generation.ort_value(mask)
        return session

    patch.setattr(OnnxEncoderDecoder, "encode", wrong)


def _rows_are_not_reordered(patch: pytest.MonkeyPatch) -> None:
    reorder = OnnxEncoderDecoder.reorder

    def wrong(self: Any, session: Session, rows: np.ndarray) -> None:
        if len(rows) != len(session.state["encoder_attention_mask"].numpy()):  # at the beginning
            reorder(self, session, rows)

    patch.setattr(OnnxEncoderDecoder, "reorder", wrong)


def _late_tokens_are_others(patch: pytest.MonkeyPatch) -> None:
    step = OnnxEncoderDecoder.step

    def wrong(self: Any, session: Session, tokens: np.ndarray) -> np.ndarray:
        logits = step(self, session, tokens)
        late = session.state["past_key_0"].shape()[2] > LONGEST_TEXT - 6
        return -logits if late else logits

    patch.setattr(OnnxEncoderDecoder, "step", wrong)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_padding_is_seen, "batch 7"),
        (_rows_are_not_reordered, "3 beams"),
        (_late_tokens_are_others, f"batch 1, {LONGEST} tokens"),
    ],
)
def test_a_fault_is_found(
    damage: Callable[[pytest.MonkeyPatch], None],
    said: str,
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, runner = ExportSource.open(exported), _runner(exported)
    damage(monkeypatch)
    proof, writer = Proof("onnx"), runner.target_writer()
    assert writer is not None
    batch = source.task.collate(source.samples("validation").rows())
    sizes = LONGEST, LONGEST_TEXT
    generation_proof.prove_sources(proof, writer, source.model, *sizes, [batch])
    [fault, *_] = proof.faults
    assert said in fault


# --- other networks


def _network(kind: str) -> Any:
    """A small network of transformers with random weights, whose texts differ."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    shape = {"d_model": 32, "vocab_size": 100, "pad_token_id": 0, "eos_token_id": 1}
    if kind.endswith("t5"):
        shape |= {"d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
        shape["initializer_factor"] = 3.0
    else:
        for part in ("encoder", "decoder"):
            shape |= {f"{part}_layers": 2, f"{part}_ffn_dim": 64, f"{part}_attention_heads": 2}
        shape |= {"max_position_embeddings": 64, "bos_token_id": 2, "init_std": 0.3}
        shape["forced_eos_token_id"] = None  # as checkpoints have it
    config = AutoConfig.for_model(kind, **shape, decoder_start_token_id=int(kind == "bart"))
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(config).eval()
    model.generation_config.suppress_tokens = [0]
    if kind == "bart":
        model.generation_config.forced_bos_token_id = 2
    return model


@pytest.mark.parametrize("kind", ["bart", "t5", "mt5", "umt5", "marian", "pegasus"])
def test_other_networks(kind: str, tmp_path: Path) -> None:
    """Learned, drawn and relative positions, and a token that every text begins with."""
    model, source = _network(kind), _network(kind)
    ids = torch.tensor([[5, 6, 7, 1], [8, 1, 0, 0]])
    example = {"input_ids": ids, "attention_mask": (ids != 0).long(), "decoder_input_ids": ids}
    longest = 40 if kind.endswith("t5") else 64
    stages = encoder_decoder_stages(model, example, None if kind.endswith("t5") else longest)
    recorded = onnx_generation.export(stages, model, tmp_path, None)

    runner = OnnxEncoderDecoder(Artifact(tmp_path, recorded), Deployment("onnx"), "cpu", 1)  # type: ignore[arg-type]
    proof, writer = Proof("onnx"), runner.target_writer()
    assert writer is not None
    generation_proof.prove_sources(proof, writer, source, longest, 30, [])
    assert not proof.faults and proof.tokens > 100
    sources = generation_proof.right_padded([[11, 12, 13, 1], [30, 1]], 0)
    eager = NetworkTargetWriter(source)
    for beams in (1, 4):
        assert writer(sources, 9, beams) == eager(sources, 9, beams)
    tokens = np.random.default_rng(0).integers(3, 100, (2, 20))
    found = []
    for each in (writer, eager, NetworkTargetWriter(copy.deepcopy(source).double())):
        made = each.make_runner(each.special_tokens(), Decoding())
        session = made.start(sources)
        steps = [made.step(session, tokens[:, first : first + 4]) for first in range(0, 20, 4)]
        found.append(np.concatenate([session.logits[:, None], *steps], 1))
    # some have logits of a hundred and more: what fp32 may lose is told by fp64
    ours, theirs = (np.sqrt(np.mean((each - found[2]) ** 2)) for each in found[:2])
    size = np.sqrt(np.mean(found[2] ** 2))
    assert 0 < theirs < 1e-4 * size and ours < 3 * theirs, (ours / size, theirs / size)
