"""--model CHECKPOINT in the models out of transformers: their own checkpoints are gone on with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests import tiny_speech
from tests.cli import Done, run_cli
from tests.zoo.model.relabelled import relabelled

SHORT = ("--report_to", "none", "--dtype", "fp32", "--max_steps", 1, "--learning_rate", 0)
SHORT += ("--max_train_samples", 16, "--max_eval_samples", 8, "--per_device_train_batch_size", 8)


@dataclass(frozen=True)
class Model:
    """A model, what its first weights are, and its data (a fixture)."""

    module: str
    weights: Callable[[Path], Path] | None
    """None: the fixture tiny_bert"""
    data: str
    verb: str = "finetune"
    flags: tuple[object, ...] = ()
    head: str = ""
    """of the names of its head; empty where nothing else makes it new"""
    anew: tuple[object, ...] = ()
    """flags with other labels"""

    def train(self, folder: Path, data: Path, *flags: object) -> Done:
        words = (self.verb, "--data", data, "--output_dir", folder, *SHORT, *self.flags)
        done = run_cli(self.module, *words, *flags)
        assert done.code == 0, done.err
        return done


MODELS = {
    "bert_tok": Model("zoo.nlp.bert_tok", None, "tagged"),
    "bert_mlm": Model("zoo.nlp.bert_mlm", None, "reviews", verb="pretrain"),
    "ast_cls": Model("zoo.speech.ast_cls", tiny_speech.ast, "sounds", head="classifier."),
    "wav2vec2_ctc": Model(
        "zoo.speech.wav2vec2_ctc", tiny_speech.encoder, "utterances", head="lm_head.",
        anew=("--vocabulary", "new"),
    ),
    "whisper_asr": Model("zoo.speech.whisper_asr", tiny_speech.whisper, "utterances"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_is_gone_on_with(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The head too; under other labels, as many, it is drawn anew, and nothing else is."""
    model = MODELS[name]
    data = request.getfixturevalue(model.data)
    if model.weights is None:
        first = request.getfixturevalue("tiny_bert")
    else:
        first = model.weights(tmp_path / "first")
    model.train(tmp_path / "source", data, "--model", first)
    done = model.train(tmp_path / "run", data, "--model", tmp_path / "source")
    assert f"{tmp_path / 'source'}: all weights are kept, the head's too (" in done.err, done.err
    before = load_file(tmp_path / "source" / "model.safetensors")
    after = load_file(tmp_path / "run" / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n], t) for n, t in after.items())
    if not model.head:
        return
    other = relabelled(data, tmp_path / "data")
    words = ("--model", tmp_path / "source", *model.anew, "--seed", 7)  # 42 has drawn the old one
    done = model.train(tmp_path / "anew", other, *words)
    assert f"{tmp_path / 'source'}: its head is drawn anew" in done.err, done.err
    anew = load_file(tmp_path / "anew" / "model.safetensors")
    moved = {n for n in before if not torch.equal(before[n], anew[n])}
    assert any(n.endswith("weight") for n in moved)
    assert all(n.startswith(model.head) for n in moved)
    assert {n: t.shape for n, t in anew.items()} == {n: t.shape for n, t in before.items()}
