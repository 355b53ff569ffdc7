"""Checkpoints that an old version left go on to work, and say what they said then.

They lie in tests/fixtures/b7db848, whose README.md has the commands that made them.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from tests.cli import ROOT, Done, run_cli
from tests.finetuning import Run, lines

FIXTURES = ROOT / "tests" / "fixtures" / "b7db848"
START = FIXTURES / "start"
TRAINING = ("--dtype", "fp32", "--dropout", 0, "--per_device_train_batch_size", 32)
TRAINING += ("--logging_steps", 1, "--report_to", "none")
# The biases of attention's keys have no gradient but noise, which Adam would make large.
LAST = ("--eval_strategy", "no", "--adam_epsilon", 1e-6)
CNN = ("--widths", 8, 16, "--rotation", 20, "--noise", 0.05)
CONFORMER = ("--sampling_rate", 8000, "--num_mel_bins", 8, "--hidden_size", 8, "--num_layers", 1)
CONFORMER += ("--freq_mask", 1, "--num_heads", 2, "--kernel_size", 3, "--ema_decay", 0.9)
CONFORMER += ("--learning_rate", 1e-2)


@dataclass(frozen=True)
class Kind:
    """How a checkpoint was made."""

    module: str
    data: str
    """Fixture that writes what it was trained on."""
    input_flag: str
    inputs: str
    """Of `predict`, below the data."""
    flags: tuple[object, ...]
    """Of `finetune`, without data and folder, where a state is kept."""
    step: int | None
    """At which the state was saved that it kept, where it kept one."""


KINDS = {
    "text": Kind(
        "zoo.nlp.bert_cls",
        "reviews",
        "--file",
        "test.csv",
        (*LAST, "--model", START, "--learning_rate", 1.2e-2, "--num_train_epochs", 6),
        28,
    ),
    "vision": Kind(
        "zoo.vision.cnn_cls",
        "images",
        "--image",
        "test",
        (*CNN, "--num_train_epochs", 4),
        12,
    ),
    "sound": Kind("zoo.speech.kws_cls", "sounds", "--audio", "test", (), None),
    "speech": Kind(
        "zoo.speech.conformer_ctc",
        "utterances",
        "--audio",
        "test",
        (*LAST, *CONFORMER, "--num_train_epochs", 12),
        18,
    ),
}


@dataclass(frozen=True)
class Old:
    """A copy of a checkpoint, and the data it was trained on, written anew."""

    name: str
    kind: Kind
    folder: Path
    data: Path

    def run(self, verb: str, *flags: object) -> Done:
        """A verb of its model; fails the test where it fails."""
        done = run_cli(self.kind.module, verb, *flags)
        assert done.code == 0, done.err
        return done

    @property
    def kept(self) -> Path:
        """What lies in the tests, and is not to be changed."""
        return FIXTURES / self.name


def _copied(name: str, request: pytest.FixtureRequest, folder: Path) -> Old:
    kind = KINDS[name]
    shutil.copytree(FIXTURES / name, folder)
    return Old(name, kind, folder, request.getfixturevalue(kind.data))


@pytest.fixture(params=KINDS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    """Each modality in turn."""
    return _copied(request.param, request, tmp_path / "run")


@pytest.fixture(params=[name for name, kind in KINDS.items() if kind.step])
def stopped(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    """Each that has a saved state in the middle of its run."""
    return _copied(request.param, request, tmp_path / "run")


@pytest.fixture
def exported(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    """The one that has an artifact."""
    return _copied("vision", request, tmp_path / "run")


def _metrics(folder: Path) -> dict[str, dict[str, Any]]:
    """The last fact of each metric of the weights on the test split, by name."""
    facts = lines(folder / "evidence.jsonl")
    kept = [f for f in facts if f["kind"] == "metric" and f.get("deployment") == "eager"]
    return {fact["name"]: fact for fact in kept if fact["split"] == "test"}


def test_evaluates_to_what_its_evidence_says(old: Old) -> None:
    """Value, n, interval and what the data are: all that was said then is said again."""
    before, known = _metrics(old.folder), len(lines(old.folder / "evidence.jsonl"))
    old.run("evaluate", old.folder, "--data", old.data, "--mistakes", 0)
    assert len(lines(old.folder / "evidence.jsonl")) > known
    after = _metrics(old.folder)
    assert before and before.keys() <= after.keys()
    for name, said in before.items():
        found = after[name]
        assert found["id"] != said["id"], f"{name} was not measured"
        for part in ("value", "n", "unit", "subject", "split"):
            assert found[part] == said[part], (name, part)
        assert found["dataset"]["fingerprint"] == said["dataset"]["fingerprint"]
        for end in ("low", "high", "level"):
            assert found["interval"][end] == pytest.approx(said["interval"][end], abs=1e-9), name


def test_predicts_what_it_predicted(old: Old, tmp_path: Path) -> None:
    """Labels, texts and scores of every input of the test split, in their order."""
    output = tmp_path / "predicted.jsonl"
    flags = (old.kind.input_flag, old.data / old.kind.inputs, "--output", output)
    top = () if old.name == "speech" else ("--top_k", 3)
    old.run("predict", old.folder, *flags, *top)
    before, after = lines(FIXTURES / f"{old.name}.jsonl"), lines(output)
    assert len(before) == len(after)
    for said, found in zip(before, after, strict=True):
        if old.name in ("text", "speech"):
            assert found["text"] == said["text"]
        else:
            medium = old.kind.input_flag.removeprefix("--")
            assert Path(found[medium]).parts[-3:] == Path(said[medium]).parts[-3:]
        if old.name != "speech":
            assert found["label"] == said["label"]
            assert found["scores"] == pytest.approx(said["scores"], abs=1e-5)


def test_python_loads_it(old: Old) -> None:
    """And finds the labels."""
    said = lines(FIXTURES / f"{old.name}.jsonl")[:3]
    inputs: list[Any] = sorted((old.data / old.kind.inputs).rglob("*.[pw][na][gv]"))[:3]
    if old.name == "text":
        inputs = [one["text"] for one in said]
    found = zoo.load(str(old.folder)).predict(inputs)
    answer = "text" if old.name == "speech" else "label"
    assert [one[answer] for one in found] == [one[answer] for one in said]


def test_goes_on_from_its_state(stopped: Old, tmp_path: Path) -> None:
    """To the losses and weights that the run reached which nobody had stopped.

    Bits depend on the processor: without AVX, or with two threads, losses differ by up to 2e-7 and
    weights by up to 1.2e-5. Of what is wrong the least to see is a lost weight decay: 2.8e-5 and
    2.5e-4. Another order of the samples or another learning rate is off a thousand times as much.
    """
    folder, kept = tmp_path / "again", stopped.kept
    for part in ("state", "logs"):  # what was there before the first checkpoint
        shutil.copytree(kept / part, folder / part)
    flags = (*TRAINING, *stopped.kind.flags, "--save_steps", stopped.kind.step, "--resume")
    done = stopped.run("finetune", "--data", stopped.data, "--output_dir", folder, *flags)
    assert f"going on at step {stopped.kind.step}" in done.err
    assert "was saved by an older version" in done.err
    again, whole = Run(folder), Run(kept)
    assert again.steps == whole.steps and len(whole.steps) > stopped.kind.step + 7
    np.testing.assert_allclose(again.losses, whole.losses, atol=5e-6, rtol=0)
    ours, theirs = again.weights(), whole.weights()
    assert ours.keys() == theirs.keys()
    for name, right in theirs.items():
        np.testing.assert_allclose(ours[name], right, atol=1e-4, rtol=1e-5, err_msg=name)


def test_its_artifact_passes_the_proof(exported: Old) -> None:
    """The program is the one that was exported, of these weights, and computes what they do."""
    done = run_cli("zoo", "verify", exported.folder, "--data", exported.data)
    assert done.code == 0, done.out + done.err
    (line,) = [line for line in done.lines if line.startswith("onnx ")]
    assert " ok " in line and "SQNR" in line


def test_its_artifact_predicts(exported: Old) -> None:
    flags = ("--image", exported.data / "test", "--top_k", 3, "--deployment", "onnx")
    done = exported.run("predict", exported.folder, *flags)
    found = [json.loads(line) for line in done.lines]
    for said, mine in zip(lines(FIXTURES / "vision.jsonl"), found, strict=True):
        assert mine["scores"] == pytest.approx(said["scores"], abs=1e-4)


def test_an_artifact_of_other_weights_is_refused(exported: Old) -> None:
    """The proof of where an old artifact came from is still read."""
    manifest = exported.folder / "artifacts" / "onnx" / "export.json"
    said = json.loads(manifest.read_text())
    said["zoo"]["source"] = "0" * 64
    manifest.write_text(json.dumps(said))
    flags = ("--image", exported.data / "test", "--deployment", "onnx")
    done = run_cli(exported.kind.module, "predict", exported.folder, *flags)
    assert done.code == 2 and len(done.err.splitlines()) == 1
    assert "was exported from other weights" in done.err


def test_its_card_can_be_rendered_and_checked(old: Old) -> None:
    """Its records are whole; the card of then was another text, so it is rendered first."""
    from tools.cards import check
    from tools.cards.write import write

    assert check.record_faults(old.folder) == []
    write(old.folder)
    assert check.faults(old.folder) == []
    card = (old.folder / "README.md").read_text(encoding="utf-8")
    for name, fact in _metrics(old.kept).items():
        assert f"e:{fact['id']}" in card, name
