"""Whisper as ONNX programs: an encoder, and a decoder with a cache, that write token for token what
the checkpoint writes, and are refused where they do not."""

import collections
import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tasks  # noqa: F401  (transformers imports torchaudio, which may need our guard)

# isort: split
import transformers

from bench.cases import generation
from tasks.errors import UserError
from tests import tiny_speech
from tests.cli import run_cli
from zoo.deploy import generation_proof
from zoo.generation import decoding
from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.generate import sequences
from zoo.generation.session import Session
from zoo.runtimes import artifacts, onnx_generation
from zoo.runtimes import onnx as onnx_runtime

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
MODEL = "zoo.speech.whisper_asr"
FILES = {"config.json", "generation_config.json"}
FILES |= {f"{half}.onnx{data}" for half in ("encoder", "decoder") for data in ("", ".data")}


@pytest.fixture(scope="module")
def trained(utterances: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose texts differ, end at different places, and never say some tokens."""
    weights = tiny_speech.whisper(tmp_path_factory.mktemp("whisper"), init_std=0.5)
    _end_and_suppress(weights)
    folder = tmp_path_factory.mktemp("run") / "run"
    flags = ("--learning_rate", 1e-9, "--eval_strategy", "no", "--dtype", "fp32")
    return tiny_speech.finetune(MODEL, weights, utterances, folder, *flags, steps=1).folder


def _end_and_suppress(weights: Path) -> None:
    """Makes the end likely, and asks for what is written first, and often, not to be."""
    from transformers import WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(weights).eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        texts = model.generate(torch.randn(8, 16, 200), max_new_tokens=20).tolist()
        counts = collections.Counter(token for text in texts for token in text)
        often = [token for token, _ in counts.most_common(4)]
        table = model.model.decoder.embed_tokens.weight
        table[model.config.eos_token_id] = 1.1 * table[often[2]]
    model.generation_config.begin_suppress_tokens = [often[0], 50_000]  # the latter: no token
    model.generation_config.suppress_tokens = [often[3]]
    model.save_pretrained(weights)


@pytest.fixture(scope="module")
def exported(trained: Path) -> Path:
    done = run_cli(MODEL, "export", trained, "--runtime", "onnx")
    assert done.code == 0, done.err
    assert "written tokens" in done.out
    return trained


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint with its artifact, to be damaged."""
    target = tmp_path / "run"
    shutil.copytree(exported, target, ignore=shutil.ignore_patterns("state", "logs"))
    return target


def _features(rows: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(rows, 16, 200)).astype(np.float32)


def test_what_lies_in_the_folder(exported: Path) -> None:
    folder = exported / "artifacts" / "onnx"
    assert {path.name for path in folder.iterdir()} == FILES | {"export.json"}
    manifest = json.loads((folder / "export.json").read_text())
    assert set(manifest["components"]) == {"encoder", "decoder"}  # as transformers writes it
    ours = manifest["zoo"]
    assert set(ours["files"]) == FILES
    assert ours["proof"]["tokens"] > 100 and ours["proof"]["refused"] == ["length 25"]
    decoder = ours["programs"]["decoder"]
    assert decoder["limits"] == {"batch": [1, None], "tokens": [1, 24], "past": [0, 23]}
    assert {port["name"]: port["dims"] for port in decoder["inputs"]} == {
        "input_ids": ["batch", "tokens"],
        **{f"past_{kv}_{i}": ["batch", 2, "past", 8] for kv in ("key", "value") for i in (0, 1)},
        **{f"cross_{kv}_{i}": ["batch", 2, 100, 8] for kv in ("key", "value") for i in (0, 1)},
    }
    for half, wanted in ours["programs"].items():
        program = onnx.load(folder / f"{half}.onnx", load_external_data=False).graph
        assert [value.name for value in program.input] == [p["name"] for p in wanted["inputs"]]
        assert [value.name for value in program.output] == wanted["outputs"]
    assert ours["signature"]["kinds"] == {
        "logits": "logits",
        "encoder_last_hidden_state": "hidden_state",
    }
    for half, logits in (("encoder", set()), ("decoder", {"logits"})):
        kinds, outputs = (ours["programs"][half][name] for name in ("kinds", "outputs"))
        assert kinds == {each: "logits" if each in logits else "hidden_state" for each in outputs}
    facts = [json.loads(line) for line in (exported / "evidence.jsonl").open()]
    (agreement,) = (fact for fact in facts if fact["name"] == "token_agreement")
    assert (agreement["value"], agreement["n"]) == (1.0, ours["proof"]["tokens"])


def test_transformers_reads_it(exported: Path) -> None:
    exporters = pytest.importorskip("transformers.exporters")
    if not hasattr(exporters, "ExportedModel"):
        pytest.skip("this transformers writes no ExportedModel, and reads none")
    theirs = exporters.ExportedModel.from_pretrained(exported / "artifacts" / "onnx")
    features = _features(2)
    found = theirs.runners["encoder"](input_features=torch.from_numpy(features))
    ours = _writer(exported).call(
        "encoder", {"input_features": onnx_generation.ort_value(features)}
    )
    np.testing.assert_array_equal(found["last_hidden_state"], ours["last_hidden_state"].numpy())


def _writer(folder: Path) -> onnx_generation.OnnxEncoderDecoder:
    from zoo import runtimes

    writer = runtimes.load(folder, "onnx", threads=1)
    assert isinstance(writer, onnx_generation.OnnxEncoderDecoder)
    return writer


def _texts(runner: onnx_generation.OnnxEncoderDecoder, features: np.ndarray) -> np.ndarray:
    return sequences(runner, {"input_features": features})


@pytest.mark.parametrize("rows", [1, 7])
def test_it_writes_what_the_source_writes(exported: Path, rows: int) -> None:
    from zoo.speech.speech_seq2seq import NETWORK

    model, _ = NETWORK.load(exported)
    features = _features(rows)
    plain = transformers.WhisperForConditionalGeneration.generate
    theirs = plain(model.eval(), torch.from_numpy(features)).numpy()
    ours = _texts(_writer(exported), features)
    np.testing.assert_array_equal(model.generate(torch.from_numpy(features)).numpy(), theirs)
    np.testing.assert_array_equal(ours, theirs)
    if rows > 1:
        ends = (theirs != model.generation_config.pad_token_id).sum(1)
        assert len(set(ends)) > 1 and len(set(map(tuple, theirs))) > 2, "texts too much alike"


def test_features_of_another_size(exported: Path) -> None:
    with pytest.raises(UserError, match=r"wants \[batch, 16, 200\]"):
        _texts(_writer(exported), _features(2)[:, :, :150])


def test_a_text_does_not_depend_on_the_others(exported: Path) -> None:
    writer, features = _writer(exported), _features(7)
    together = _texts(writer, features)
    for i in range(len(features)):
        (alone,) = _texts(writer, features[i : i + 1])
        np.testing.assert_array_equal(alone, together[i][: len(alone)])


@pytest.mark.parametrize(
    "settings",
    [{"num_beams": 3}, {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "seed": 4}],
    ids=str,
)
def test_beams_and_draws_are_those_of_eager(exported: Path, settings: dict[str, Any]) -> None:
    """The cache is put in the order of the beams, and a draw follows from its seed alone."""
    from zoo import runtimes

    features = {"input_features": _features(5)}
    decoding = Decoding(max_new_tokens=20, **settings)
    ours = sequences(_writer(exported), features, decoding)
    eager = runtimes.load(exported, "eager", threads=1)
    np.testing.assert_array_equal(ours, sequences(eager, features, decoding))
    assert not np.array_equal(ours, _texts(_writer(exported), features["input_features"]))


def test_pytorch_in_other_numerics(exported: Path) -> None:
    """It writes what the source does in bfloat16, also in the place of a network."""
    from zoo import runtimes
    from zoo.runtimes.runner_model import RunnerModel
    from zoo.speech.speech_seq2seq import NETWORK

    features = torch.from_numpy(_features(4))
    ours = RunnerModel(runtimes.load(exported, "eager+bf16", threads=1), exported)
    source = NETWORK.load(exported)[0].eval().bfloat16()
    with torch.inference_mode():
        theirs = transformers.WhisperForConditionalGeneration.generate(source, features.bfloat16())
    assert torch.equal(ours.generate(features), theirs)


def test_the_cache_may_be_filled_in_any_pieces(exported: Path) -> None:
    writer, features = _writer(exported), _features(3)
    ids = np.random.default_rng(0).integers(0, 300, (3, 11))
    inputs = {"input_features": features, "decoder_input_ids": ids}
    whole = writer(inputs)["logits"]
    session = writer.encode({"input_features": features})
    parts = (slice(4), slice(4, 5), slice(5, 11))
    pieces = [writer.step(session, ids[:, part]) for part in parts]
    for found in (np.concatenate(pieces, 1), writer.step_by_step()(inputs)["logits"]):
        np.testing.assert_allclose(found, whole, atol=1e-5)


def test_predict_and_evaluate(copy: Path, utterances: Path) -> None:
    sounds = sorted(utterances.glob("test/*.wav"))[:5]
    said = []
    for deployment in ("eager", "onnx"):
        lines = run_cli(MODEL, "predict", copy, "--audio", *sounds, "--deployment", deployment)
        words = ("--deployment", deployment, "--mistakes", 2, "--max_eval_samples", 9)
        table = run_cli(MODEL, "evaluate", copy, *words)
        assert lines.code == table.code == 0, lines.err + table.err
        metrics = [line for line in table.lines if line.split()[:1] in (["wer"], ["cer"])]
        assert len(lines.lines) == 5 and len(metrics) == 2
        said.append((lines.lines, metrics))
        if deployment == "eager":
            (copy / "model.safetensors").unlink()  # the programs need no weights
    assert said[0] == said[1]


def test_without_torch(exported: Path, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
import numpy as np
from zoo import runtimes
from zoo.generation.generate import sequences
writer = runtimes.load(Path(sys.argv[1]), "onnx", threads=1)
np.save(sys.argv[3], sequences(writer, {"input_features": np.load(sys.argv[2])}))
assert "torch" not in sys.modules
"""
    features, texts = tmp_path / "features.npy", tmp_path / "texts.npy"
    np.save(features, _features(2))
    words = [sys.executable, "-c", program, *map(str, (exported, features, texts))]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    np.testing.assert_array_equal(np.load(texts), _texts(_writer(exported), _features(2)))


def test_verify(exported: Path) -> None:
    done = run_cli("zoo", "verify", exported)
    assert done.code == 0, done.err
    assert "onnx" in done.out and "ok" in done.out


def test_what_was_exported_before_outputs_had_kinds(copy: Path) -> None:
    """Its digest is what it was, and its encoder's states are judged by their SQNR alone."""
    path = copy / "artifacts" / "onnx" / "export.json"
    manifest = json.loads(path.read_text())
    for signature in (manifest["zoo"]["signature"], *manifest["zoo"]["programs"].values()):
        assert signature.pop("kinds")
    path.write_text(json.dumps(manifest))
    found = artifacts.read(path.parent)
    assert found.signature.to_json() == manifest["zoo"]["signature"]
    assert [found.signature.kind(name) for name in found.signature.outputs] == ["logits", None]
    done = run_cli("zoo", "verify", copy)
    assert done.code == 0 and "ok" in done.out, done.out


# --- faults, which the proof must find


def _cache_off_by_one(patch: pytest.MonkeyPatch, folder: Path) -> None:
    runner = onnx_generation.OnnxEncoderDecoder
    step = runner.step

    def wrong(self: Any, session: Session, tokens: np.ndarray) -> np.ndarray:
        logits = step(self, session, tokens)
        cache = session.state
        for name in [name for name in cache if name.startswith("past_")]:
            cache[name] = onnx_generation.ort_value(cache[name].numpy()[:, :, :-1])
        return logits

    patch.setattr(runner, "step", wrong)


def _cross_attention_zeroed(patch: pytest.MonkeyPatch, folder: Path) -> None:
    program = folder / "encoder.onnx"
    model = onnx.load(program)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    makes = {output: node for node in model.graph.node for output in node.output}
    node = makes["cross_value_1"]
    while node.op_type != "MatMul":
        node = makes[node.input[0]]
    weight = weights[node.input[1]]
    weight.raw_data = bytes(len(weight.raw_data))
    program.with_name("encoder.onnx.data").unlink()
    onnx.save(model, program, save_as_external_data=True, location="encoder.onnx.data")


def _reads(**changes: Any) -> Callable[[pytest.MonkeyPatch, Path], None]:
    """Changes what is read of the tokens, or `max_new_tokens`."""

    def damage(patch: pytest.MonkeyPatch, folder: Path) -> None:
        special, wanted = decoding.read(folder)
        if change := changes.get("max_new_tokens"):
            wanted = dataclasses.replace(wanted, max_new_tokens=change(wanted.max_new_tokens))
        else:
            wrong = {name: change(getattr(special, name)) for name, change in changes.items()}
            special = dataclasses.replace(special, **wrong)
        patch.setattr(onnx_generation, "from_config", lambda *given, **more: (special, wanted))

    return damage


FAULTS = [
    pytest.param(_cache_off_by_one, "", id="the cache is off by one"),
    pytest.param(_cross_attention_zeroed, "", id="a weight of cross attention is zero"),
    pytest.param(
        _reads(begin_suppress_tokens=lambda _: ()), "token 0 is", id="the first may be any token"
    ),
    pytest.param(_reads(suppress_tokens=lambda _: ()), "", id="nothing is suppressed"),
    pytest.param(
        _reads(max_new_tokens=lambda right: right + 1), "is the end", id="one token too many"
    ),
    pytest.param(_reads(max_new_tokens=lambda right: right - 1), "the end, and", id="one too few"),
    pytest.param(_reads(prefix=lambda right: right[:-1]), "", id="the prefix is cut off"),
    pytest.param(_reads(eos=lambda _: (0,)), "", id="another token is the end"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "said"), FAULTS)
def test_a_fault_is_refused(
    damage: Callable[[pytest.MonkeyPatch, Path], None],
    said: str,
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = artifacts.read(copy / "artifacts" / "onnx")
    good = copy.parent / "good"
    before.folder.replace(good)
    before.folder.parent.rmdir()

    def exports(halves: Any, model: Any, folder: Path, opset: int | None = None) -> dict[str, Any]:
        for name in FILES:
            shutil.copy(good / name, folder / name)
        damage(monkeypatch, folder)
        return {name: before.manifest[name] for name in ("opset", "programs")}

    monkeypatch.setattr(onnx_runtime, "export_stages", exports)
    done = run_cli(MODEL, "export", copy, "--runtime", "onnx")
    assert done.code == 1, done.out
    assert "onnx is refused, and nothing was put in place" in done.err
    assert (
        "utterance" in done.err and "is written otherwise: token" in done.err and said in done.err
    )
    assert not (copy / "artifacts").exists()


@pytest.mark.parametrize("resummed", [False, True], ids=["as it is", "with new sums"])
def test_a_zeroed_weight_is_drift(
    copy: Path, resummed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy / "artifacts" / "onnx"
    before = artifacts.read(folder)
    _cross_attention_zeroed(monkeypatch, folder)
    if resummed:  # by somebody who knows how: then the texts tell
        more = {k: v for k, v in before.manifest.items() if k not in artifacts.OWN}
        source = before.manifest["source"]
        artifacts.write_manifest(folder, before.deployment, before.signature, source, more)
    done = run_cli("zoo", "verify", copy)
    assert done.code == 1 and "drift" in done.out
    told = "is written otherwise" if resummed else "is not the file that was exported"
    assert told in done.out


# --- what can't be: one line, exit code 2, nothing written


@pytest.mark.parametrize("runtime", ["pt2", "torchscript", "aoti"])
def test_other_runtimes(trained: Path, runtime: str) -> None:
    before = sorted(trained.rglob("*"))
    done = run_cli(MODEL, "export", trained, "--runtime", runtime)
    assert done.code == 2 and "encoder and decoder with a cache" in done.err
    assert len(done.err.splitlines()) == 1 and sorted(trained.rglob("*")) == before


def test_a_deployment_that_writes_no_text(trained: Path, utterances: Path) -> None:
    sound = next(utterances.glob("test/*.wav"))
    done = run_cli(MODEL, "predict", trained, "--audio", sound, "--deployment", "compile")
    assert done.code == 2 and "compile writes no text" in done.err


CONFIG: dict[str, Any] = {
    "decoder_start_token_id": 5,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "max_new_tokens": 4,
    "num_beams": 1,
    "do_sample": False,
}
ENGLISH = {"language": "en", "lang_to_id": {"<|en|>": 6}, "task_to_id": {"transcribe": 7}}


def _read(folder: Path, **more: Any) -> SpecialTokens:
    (folder / "generation_config.json").write_text(json.dumps(CONFIG | more))
    special, wanted = decoding.read(folder)
    assert wanted == Decoding(max_new_tokens=4)
    return special


def test_what_a_config_asks_for(tmp_path: Path) -> None:
    assert _read(tmp_path).prefix == (5,)
    whole = _read(tmp_path, **ENGLISH, no_timestamps_token_id=8, suppress_tokens=[1])
    assert (whole.prefix, whole.eos, whole.suppress_tokens) == ((5, 6, 7, 8), (0,), (1,))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"num_beams": 4}, "asks for beams"),
        ({"repetition_penalty": 1.2}, "asks for repetition_penalty"),
        ({"do_sample": True}, "asks for do_sample"),
        ({"return_timestamps": True}, "asks for return_timestamps"),
        ({"max_new_tokens": None}, "has no max_new_tokens"),
        (ENGLISH | {"language": None}, "names no language"),
        (ENGLISH | {"language": "de"}, "no token for 'de'"),
    ],
)
def test_configs_that_are_not_greedy(more: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        _read(tmp_path, **more)


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ([1, 2], [1, 2], None),
        ([1, 2], [1, 3], "token 1 is 2, and the source's is 3"),
        ([1], [1, 3], "token 1 is the end, and the source's is 3"),
        ([1, 2], [1], "token 1 is 2, and the source's is the end"),
    ],
)
def test_where_texts_part(ours: list[int], theirs: list[int], said: str | None) -> None:
    assert generation_proof.difference(ours, theirs) == said


def test_what_is_timed_are_texts_of_one_length(exported: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, input_features=_features(3))

    def made(deployment: str) -> generation.Generation:
        return generation.generation(str(exported), deployment, str(inputs), "cpu", 1)

    ours, theirs = made("onnx"), made("eager")
    assert ours.call().shape == (3, ours.tokens) == (3, theirs.tokens)
    np.testing.assert_array_equal(ours.call(), theirs.call())
    np.testing.assert_array_equal(next(ours.stream()), ours.call()[:, 0])
    np.testing.assert_array_equal(next(theirs.stream()), theirs.call()[:, 0])
    with pytest.raises(UserError, match="writes no text: eager and onnx do"):
        made("compile")
