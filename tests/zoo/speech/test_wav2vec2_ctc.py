"""wav2vec2_ctc with tiny random weights, through the command line and plain transformers."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import tiny_speech
from tests.cli import run_cli
from tests.finetuning import Run
from zoo.speech.pretrained_speech import numpy_seeded, seed_masks

MODEL = "zoo.speech.wav2vec2_ctc"


def _finetune(model: Path, data: Path, folder: Path, *flags: object, steps: int = 2) -> Run:
    return tiny_speech.finetune(MODEL, model, data, folder, *flags, steps=steps)


def _same_as_plain(run: Run, utterances: Path) -> None:
    from transformers import pipeline

    files = sorted(utterances.glob("test/*.wav"))[:4]
    done = run_cli(MODEL, "predict", run.folder, "--audio", *files, "--batch_size", 1)
    assert done.code == 0, done.err
    texts = [json.loads(line)["text"] for line in done.lines]
    pipe = pipeline("automatic-speech-recognition", model=str(run.folder), device="cpu")
    # the names of special symbols are no text of ours; the pipeline writes them out
    plain = [re.sub("<[a-z/]+>", "", pipe(tiny_speech.resampled(file))["text"]) for file in files]
    assert texts == [" ".join(text.split()) for text in plain]
    assert any(texts)


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech.encoder(tmp_path_factory.mktemp("encoder"))


@pytest.mark.slow
@pytest.mark.parametrize("masked", [True, False], ids=["large", "base"])
@pytest.mark.parametrize("kind", tiny_speech.KINDS)
def test_all_verbs(kind: str, masked: bool, utterances: Path, tmp_path: Path) -> None:
    model = tiny_speech.encoder(tmp_path / "model", kind, masked)
    run = _finetune(model, utterances, tmp_path / "run")
    done = run_cli(MODEL, "evaluate", run.folder, "--max_eval_samples", 6)
    assert done.code == 0, done.err
    assert "wer" in done.out
    _same_as_plain(run, utterances)


@pytest.mark.parametrize("tune", ["head", "gradual", "lora"])
def test_tuning(tune: str, tiny_encoder: Path, utterances: Path, tmp_path: Path) -> None:
    run = _finetune(tiny_encoder, utterances, tmp_path / "run", "--tune", tune, steps=4)
    assert np.isfinite(run.losses).all()
    _same_as_plain(run, utterances)


@pytest.mark.parametrize("tune", ["full", "gradual"])
def test_the_front_stays_frozen(
    tune: str, tiny_encoder: Path, utterances: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    before = load_file(tiny_encoder / "model.safetensors")
    flags = ("--tune", tune, "--learning_rate", 1e-2, "--warmup_steps", 0)
    for frozen in (True, False):
        given = () if frozen else ("--no_freeze_feature_encoder",)
        folder = tmp_path / f"run {frozen}"
        run = _finetune(tiny_encoder, utterances, folder, *flags, *given, steps=5)
        after = run.weights()
        name = "feature_extractor.conv_layers.0.conv.weight"
        assert torch.equal(after[f"wav2vec2.{name}"], before[name]) == frozen
        name = "feature_projection.projection.weight"
        assert not torch.equal(after[f"wav2vec2.{name}"], before[name])


def test_vocabulary_of_the_weights_or_of_the_texts(utterances: Path, tmp_path: Path) -> None:
    model = tiny_speech.encoder(tmp_path / "model", vocabulary=tiny_speech.LETTERS)
    own = _finetune(model, utterances, tmp_path / "own", "--learning_rate", 0)
    spelling = own.manifest["config"]["task"]["spelling"]
    assert spelling["case"] == "upper" and "Z" in spelling["vocabulary"]
    from safetensors.torch import load_file

    head = load_file(model / "model.safetensors")["lm_head.weight"]
    assert torch.equal(own.weights()["lm_head.weight"], head)
    new = _finetune(model, utterances, tmp_path / "new", "--vocabulary", "new")
    spelling = new.manifest["config"]["task"]["spelling"]
    assert spelling["vocabulary"][:3] == ["<pad>", "<unk>", "|"] and "Z" not in str(spelling)
    _same_as_plain(own, utterances)


def test_resumed_run_is_the_same_to_the_last_bit(
    tiny_encoder: Path, utterances: Path, tmp_path: Path
) -> None:
    tiny_speech.check_resume(MODEL, tiny_encoder, utterances, tmp_path, "--dtype", "fp32")


def test_masks_follow_from_torch_and_leave_numpy_alone(tiny_encoder: Path) -> None:
    from transformers import Wav2Vec2Model

    model = Wav2Vec2Model.from_pretrained(tiny_encoder)
    seed_masks(model)
    model.train()

    def masked(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        with torch.no_grad():
            return model._mask_hidden_states(torch.zeros(2, 30, 16))

    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first = masked(1)
    assert (np.random.get_state()[1] == before).all()
    np.random.seed(99)
    assert torch.equal(first, masked(1)) and first.any()
    assert not torch.equal(first, masked(2))
    short = torch.zeros(2, 2, 16)  # no longer than a mask
    assert model._mask_hidden_states(short) is short
    model.eval()
    zeros = torch.zeros(2, 30, 16)
    assert model._mask_hidden_states(zeros) is zeros


def test_numpy_state_returns_after_an_error() -> None:
    np.random.seed(5)
    expected = np.random.get_state()[1].copy()
    with pytest.raises(KeyError), numpy_seeded(1):
        raise KeyError
    assert (np.random.get_state()[1] == expected).all()


def test_shortest_sounds(tiny_encoder: Path, utterances: Path, tmp_path: Path) -> None:
    """20 ms are shorter than what the first convolutions see."""
    run = _finetune(tiny_encoder, utterances, tmp_path / "run")
    short = tiny_speech.write_tones(tmp_path / "short.wav", 0.02)
    done = run_cli(MODEL, "predict", run.folder, "--audio", short)
    assert done.code == 0, done.err


def test_vocabulary_of_another_kind_is_refused(utterances: Path, tmp_path: Path) -> None:
    model = tiny_speech.encoder(tmp_path / "model", vocabulary="abc")
    (model / "vocab.json").write_text("[]")
    (model / "tokenizer.json").unlink(missing_ok=True)
    words = ("finetune", "--model", model, "--data", utterances, "--output_dir", tmp_path / "run")
    done = run_cli(MODEL, *words)
    assert done.code == 2 and "--vocabulary new" in done.err
