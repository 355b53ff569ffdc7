"""gpt_lm as an ONNX program with a cache, which writes token for token what the checkpoint writes,
and is refused where it does not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.errors import UserError
from tests.cli import run_cli, run_program
from tests.exports.writing import Artifact, Timed, predicted
from tests.tiny_models import GPT
from tests.zoo.generation.networks import KINDS, VOCABULARY, network
from zoo import runtimes
from zoo.deploy import generation_proof
from zoo.deploy.candidate import Candidate
from zoo.deploy.export import ExportSource
from zoo.deploy.proof import Proof
from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.generate import sequences
from zoo.generation.network import PromptWriter
from zoo.generation.session import Session
from zoo.generation.writer import left_padded
from zoo.nlp.causal_export import causal_stages
from zoo.quantization import quantize
from zoo.runtimes import onnx_generation, transformers_export
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.onnx_decoder import OnnxDecoder
from zoo.runtimes.signature import Signature, TensorSpec

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
MODEL = "zoo.nlp.gpt_lm"
PROMPTS = ("the film was", "", "图", "the music was quite superb and the cast")
EXACT = ("--report_to", "none", "--dtype", "fp32", "--logging_steps", 1)


@pytest.fixture(scope="module")
def trained(reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose texts differ."""
    folder = tmp_path_factory.mktemp("gpt") / "run"
    flags = (*GPT, *EXACT, "--max_steps", 30, "--learning_rate", 2e-2)
    done = run_cli(MODEL, "pretrain", "--data", reviews, "--output_dir", folder, *flags)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def exported(trained: Path) -> Path:
    done = run_cli(MODEL, "export", trained, "--runtime", "onnx")
    assert done.code == 0, done.err
    assert "written tokens" in done.out
    return trained


@pytest.fixture(scope="module")
def runner(exported: Path) -> OnnxDecoder:
    found = runtimes.load(exported, "onnx", threads=1)
    assert isinstance(found, OnnxDecoder)
    return found.with_tokens(SpecialTokens(eos=(), pad=0), Decoding(max_new_tokens=12))


def _predicted(folder: Path, deployment: str, *flags: object) -> list[str]:
    return predicted(MODEL, folder, deployment, "--prompt", *PROMPTS, *flags)


def test_what_lies_in_the_folder(exported: Path) -> None:
    folder = exported / "artifacts" / "onnx"
    manifest = json.loads((folder / "export.json").read_text())
    ours = manifest["zoo"]
    assert set(manifest["components"]) == {"model"}  # as transformers writes it
    assert set(ours["files"]) == {
        "config.json",
        "generation_config.json",
        "model.onnx",
        "model.onnx.data",
    }
    assert ours["proof"]["tokens"] > 100 and ours["proof"]["refused"] == ["length 65"]
    assert {port["name"]: port["dims"] for port in ours["programs"]["model"]["inputs"]} == {
        "input_ids": ["batch", "tokens"],
        "attention_mask": ["batch", "total"],
        "logits_to_keep": ["kept"],
        "position_ids": ["batch", "tokens"],
        **{f"past_{kv}_{i}": ["batch", 2, "past", 8] for i in (0, 1) for kv in ("key", "value")},
    }
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    assert [value.name for value in graph.output] == ours["programs"]["model"]["outputs"]
    assert not any(node.op_type == "Gemm" for node in graph.node), "Conv1D is a linear layer"


@pytest.mark.parametrize(
    "flags",
    [(), ("--temperature", 0.9, "--top_k", 40, "--seed", 3), ("--num_beams", 3)],
    ids=["greedy", "drawn", "beams"],
)
def test_it_writes_what_the_checkpoint_writes(exported: Path, flags: tuple[object, ...]) -> None:
    """Prompts of different lengths, all in one batch and two at a time."""
    flags = (*flags, "--max_new_tokens", 20)
    wanted = _predicted(exported, "eager", *flags)
    assert len({json.loads(line)["text"] for line in wanted}) > 2, "texts too much alike"
    assert _predicted(exported, "onnx", *flags) == wanted
    assert _predicted(exported, "onnx", *flags, "--batch_size", 2) == wanted


def test_the_program_needs_neither_weights_nor_torch(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ignored = shutil.ignore_patterns("state", "logs", "*.safetensors")
    shutil.copytree(exported, folder, ignore=ignored)
    program = """
import sys, zoo
model = zoo.load(sys.argv[1], deployment="onnx")
pieces = list(model.write("the film was", max_new_tokens=9))
assert len(pieces) > 1
[one, other] = model.predict(["the film was", ""])
assert one["text"].startswith("".join(pieces)) and one["text"] != other["text"]
assert not {"torch", "transformers"} & set(sys.modules)
"""
    run_program(program, folder)


def test_plain_onnxruntime_writes_the_same(exported: Path, runner: OnnxDecoder) -> None:
    """In a loop of somebody else, by the names of inputs and outputs alone."""
    session = onnxruntime.InferenceSession(exported / "artifacts" / "onnx" / "model.onnx")
    prompt = [5, 6, 7]
    feed = {
        value.name: np.zeros((1, 2, 0, 8), np.float32)
        for value in session.get_inputs()
        if value.name.startswith("past_")
    }
    text, given = [], prompt
    for _ in range(12):
        place = len(prompt) + len(text) - len(given)
        feed |= {
            "input_ids": np.array([given]),
            "attention_mask": np.ones((1, place + len(given)), np.int64),
            "position_ids": np.arange(place, place + len(given))[None],
            "logits_to_keep": np.array([len(given) - 1]),
        }
        names = [value.name for value in session.get_outputs()]
        found = dict(zip(names, session.run(None, feed), strict=True))
        given = [int(found.pop("logits")[0, -1].argmax())]
        text += given
        feed = {name.replace("present", "past"): array for name, array in found.items()}
    assert sequences(runner, left_padded([prompt], 0)).tolist() == [text]


def test_evaluate_is_that_of_the_checkpoint(exported: Path) -> None:
    """Documents in pieces, too."""
    found = []
    for deployment in ("eager", "onnx"):
        done = run_cli(MODEL, "evaluate", exported, "--json", "--deployment", deployment)
        assert done.code == 0, done.err
        found.append(json.loads(done.out)["metrics"]["bits_per_byte"])
    assert found[0]["n"] == found[1]["n"] == 60
    assert found[1]["value"] == pytest.approx(found[0]["value"], rel=1e-5)


def test_verify(exported: Path) -> None:
    done = run_cli("zoo", "verify", exported)
    assert done.code == 0 and "ok" in done.out, done.out


# --- sessions


def _logits(runner: OnnxDecoder, tokens: np.ndarray) -> np.ndarray:
    """All logits of texts of one length, computed as a whole."""
    return runner({"input_ids": tokens, "attention_mask": np.ones_like(tokens)})["logits"]


def test_steps_give_the_logits_of_one_pass(runner: OnnxDecoder) -> None:
    """Tokens one by one and several at once, rows in another order, and some taken back."""
    tokens = np.random.default_rng(0).integers(1, 300, (3, 16))
    whole = _logits(runner, tokens)
    prompts = [tokens[0, :7].tolist(), tokens[1, :4].tolist(), tokens[2, :1].tolist()]
    session = runner.start(left_padded(prompts, 0))
    for row, prompt in enumerate(prompts):
        np.testing.assert_allclose(session.logits[row], whole[row, len(prompt) - 1], atol=1e-4)
    ends = np.array([7, 4, 1])

    def step(rows: list[int], count: int) -> None:
        given = np.stack([tokens[row, ends[row] : ends[row] + count] for row in rows])
        found = runner.step(session, given)
        for place, row in enumerate(rows):
            wanted = whole[row, ends[row] : ends[row] + count]
            np.testing.assert_allclose(found[place], wanted, atol=1e-4)
        ends[rows] += count

    step([0, 1, 2], 1)
    step([0, 1, 2], 4)
    runner.rewind(session, np.array([1, 3, 2]))
    ends -= [1, 3, 2]
    step([0, 1, 2], 2)
    width = session.state["attention_mask"].shape[1]
    runner.reorder(session, np.array([2, 1]))
    longest = ends[[2, 1]].max()
    assert session.state["attention_mask"].shape[1] == longest < width, "padding has gone"
    step([2, 1], 1)
    other = runner.start(left_padded([tokens[0, :14].tolist()], 0))
    runner.join(session, other)
    ends[0] = 14
    step([2, 1, 0], 2)


def test_a_row_that_has_ended_stays_within_the_places_that_there_are(runner: OnnxDecoder) -> None:
    writer = runner.writer()
    prompts = [list(range(1, 61)), [9]]
    columns = list(writer(prompts, [3, 63], ((), 0), [0, 1], {}))
    alone = list(writer(prompts[1:], [63], ((), 0), [1], {}))
    assert [int(column[1]) for column in columns] == [int(column[0]) for column in alone]
    assert len(columns) > 6


def test_a_prompt_that_is_too_long(runner: OnnxDecoder) -> None:
    with pytest.raises(UserError, match="a prompt has 65 tokens, and the model sees 64"):
        runner.start(left_padded([[1] * 65], 0))


# --- faults, which the proof must find


def _positions_of_columns(patch: pytest.MonkeyPatch) -> None:
    """As if no row were padded."""
    advance = OnnxDecoder.advance

    def wrong(self: Any, session: Session, given: dict[str, np.ndarray]) -> np.ndarray:
        width, count = given["attention_mask"].shape[1], given["input_ids"].shape[1]
        places = np.broadcast_to(np.arange(width - count, width), given["input_ids"].shape)
        return advance(self, session, {**given, "position_ids": places.clip(0, self.context - 1)})

    patch.setattr(OnnxDecoder, "advance", wrong)


def _padding_is_seen(patch: pytest.MonkeyPatch) -> None:
    advance = OnnxDecoder.advance

    def wrong(self: Any, session: Session, given: dict[str, np.ndarray]) -> np.ndarray:
        return advance(
            self, session, {**given, "attention_mask": np.ones_like(given["attention_mask"])}
        )

    patch.setattr(OnnxDecoder, "advance", wrong)


def _cache_is_not_reordered(patch: pytest.MonkeyPatch) -> None:
    reorder = OnnxDecoder.reorder

    def wrong(self: Any, session: Session, rows: np.ndarray) -> None:
        if len(rows) != len(session.state["attention_mask"]):  # of beams at the beginning
            reorder(self, session, rows)

    patch.setattr(OnnxDecoder, "reorder", wrong)


def _last_position_is_another(patch: pytest.MonkeyPatch) -> None:
    forward = OnnxDecoder._forward

    def wrong(self: Any, *given: Any) -> np.ndarray:
        self.context = 60
        return forward(self, *given)

    patch.setattr(OnnxDecoder, "_forward", wrong)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_positions_of_columns, "batch 7"),
        (_padding_is_seen, "batch 7"),
        (_cache_is_not_reordered, "3 beams"),
        (_last_position_is_another, "batch 1, 4"),
    ],
)
def test_a_fault_is_found(
    damage: Callable[[pytest.MonkeyPatch], None],
    said: str,
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, runner = ExportSource.open(exported), runtimes.load(exported, "onnx", threads=1)
    damage(monkeypatch)
    proof = Proof("onnx")
    assert isinstance(runner, OnnxDecoder)
    batch = source.task.collate(source.samples("validation").rows())
    generation_proof.prove_prompts(proof, runner.writer(), source.model, 64, [batch])
    [fault, *_] = proof.faults
    assert said in fault


def test_two_tokens_that_are_as_likely_are_no_fault() -> None:
    class Flat(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor) -> Any:
            logits = torch.zeros(*input_ids.shape, 5)
            logits[..., 3] = 1e-6
            logits[..., 4] = -1.0
            return type("Output", (), {"logits": logits})

    greedy, beams = Decoding(), Decoding(num_beams=2)
    tie = generation_proof._is_tie
    assert tie(Flat(), [0], [1, 4], [1, 3], greedy) is False
    assert tie(Flat(), [0], [1, 0], [1, 3, 4], greedy) is True
    assert tie(Flat(), [0], [1], [1, 3], greedy) is False
    assert tie(Flat(), [0], [1, 2], [3, 3], beams) is True
    assert tie(Flat(), [0], [1, 2], [3, 4], beams) is False


# --- other networks


def _qwen2() -> Any:
    import transformers

    config = transformers.Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.5,
        use_sliding_window=True,
        sliding_window=8,
        max_window_layers=1,
    )
    return transformers.Qwen2ForCausalLM(config)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_other_decoders(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions that are rotations, keys that heads share, and a layer that sees 8 tokens."""
    monkeypatch.setitem(KINDS, "qwen2", _qwen2)
    model, source = network(kind), network(kind)
    ids = torch.ones(2, 3, dtype=torch.long)
    stages = causal_stages(model, {"input_ids": ids}, 48)
    recorded = onnx_generation.export(stages, model, tmp_path, None)

    runner = OnnxDecoder(Artifact(tmp_path, recorded), Deployment("onnx"), "cpu", 1)  # type: ignore[arg-type]
    proof = Proof("onnx")
    generation_proof.prove_prompts(proof, runner.writer(), source, 48, [])
    assert not proof.faults and proof.tokens > 100
    eager = PromptWriter(source, 48)
    prompts, limits = [[11, 12, 13], [30]], [24, 20]
    settings = {"do_sample": True, "seed": 4}
    ours, theirs = (
        [column.tolist() for column in writer(prompts, limits, ((2,), 0), [0, 1], settings)]
        for writer in (runner.writer(), eager)
    )
    assert ours == theirs
    drafted = runner.writer()
    drafted.draft = PromptWriter(network("llama", seed=2), 48)
    found = [c.tolist() for c in drafted(prompts, limits, ((2,), 0), [0, 1], settings)]
    assert found == ours and drafted.acceptance.guessed > drafted.acceptance.accepted


def test_sizes_that_follow_from_others_are_found_out() -> None:
    from torch.export import Dim

    spec = TensorSpec("attention_mask", "int64", ("batch", "total"))
    shapes = transformers_export.shapes(Signature((spec,), (), {"batch": (1, None)}))
    assert shapes["attention_mask"][1] is Dim.DYNAMIC


# --- weights of few bits


@pytest.mark.slow
def test_quantized_weights_write_and_are_measured(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a contract on bits per byte, which is relative; what is timed is made up."""
    seen = {}

    def time_all(_: Any, candidates: list[Candidate], args: Any, inputs: Path, *more: Any) -> Any:
        with np.load(inputs) as file:
            assert file["input_ids"].shape[1] <= 32, "a prompt, and room for 32 tokens"
        for one in candidates:
            seen[one.name] = one
            timed: Any = Timed(2.0)
            one.compared = one.times = timed
        return Timed(1.0).median

    monkeypatch.setattr(quantize, "time_all", time_all)
    flags = ("--method", "weight-only", "--max_drop", 0.05, "--minutes", 20)
    done = run_cli(MODEL, "quantize", trained, *flags)
    assert done.code == 0, done.err + done.out
    assert "batch 1, length" in done.out and "bits_per_byte lost" in done.out
    assert any(line.startswith("onnx+int4-weight-only") for line in done.lines)
    drop = seen["onnx+int8-weight-only"].drop
    assert drop is not None and drop.method == "paired bootstrap over samples"
    folder = trained / "artifacts" / "onnx+int8-weight-only"
    ours = json.loads((folder / "export.json").read_text())["zoo"]
    assert ours["contract"]["new_tokens"] == 32 and "tokens" not in ours["proof"]
    operators = {n.op_type for n in onnx.load(folder / "model.onnx").graph.node}
    assert "MatMulNBits" in operators
    texts = _predicted(trained, "onnx+int8-weight-only", "--max_new_tokens", 5)
    assert len(texts) == len(PROMPTS)
    done = run_cli(MODEL, "evaluate", trained, "--deployment", "onnx+int8-weight-only", "--json")
    assert done.code == 0, done.err


# --- what can't be: one line, exit code 2, nothing written


@pytest.mark.parametrize("runtime", ["pt2", "openvino"])
def test_other_runtimes(trained: Path, runtime: str) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    before = sorted(trained.rglob("*"))
    done = run_cli(MODEL, "export", trained, "--runtime", runtime)
    assert done.code == 2 and "has no model with a cache here: export it to onnx" in done.err
    assert len(done.err.splitlines()) == 1 and sorted(trained.rglob("*")) == before


def test_a_deployment_that_writes_no_text(trained: Path) -> None:
    done = run_cli(MODEL, "predict", trained, "--prompt", "a", "--deployment", "compile")
    assert done.code == 2 and "writes no text: use --deployment eager or onnx" in done.err
