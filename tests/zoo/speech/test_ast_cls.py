"""ast_cls with tiny random weights, through the command line and plain transformers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import tiny_speech
from tests.cli import run_cli
from tests.finetuning import Run
from zoo.speech.pretrained_audio import resize_positions

MODEL = "zoo.speech.ast_cls"


def _finetune(model: Path, data: Path, folder: Path, *flags: object, steps: int = 2) -> Run:
    return tiny_speech.finetune(MODEL, model, data, folder, *flags, steps=steps)


def _same_as_plain(run: Run, sounds: Path) -> None:
    from transformers import pipeline

    files = sorted(sounds.glob("test/*/*.wav"))[:4]
    done = run_cli(MODEL, "predict", run.folder, "--audio", *files, "--top_k", 3, "--batch_size", 1)
    assert done.code == 0, done.err
    pipe = pipeline("audio-classification", model=str(run.folder), device="cpu")
    for file, line in zip(files, done.lines, strict=True):
        wave = tiny_speech.resampled(file)
        plain = {one["label"]: one["score"] for one in pipe(wave, top_k=3)}
        assert json.loads(line)["scores"] == pytest.approx(plain, abs=1e-5)


@pytest.fixture(scope="module")
def tiny_ast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech.ast(tmp_path_factory.mktemp("ast"))


def test_all_verbs(tiny_ast: Path, sounds: Path, tmp_path: Path) -> None:
    run = _finetune(tiny_ast, sounds, tmp_path / "run")
    done = run_cli(MODEL, "evaluate", run.folder, "--max_eval_samples", 6)
    assert done.code == 0, done.err
    assert "accuracy" in done.out
    _same_as_plain(run, sounds)


@pytest.mark.parametrize("tune", ["head", "gradual", "lora"])
def test_tuning(tune: str, tiny_ast: Path, sounds: Path, tmp_path: Path) -> None:
    run = _finetune(tiny_ast, sounds, tmp_path / "run", "--tune", tune, "--dtype", "fp32")
    assert np.isfinite(run.losses).all()
    _same_as_plain(run, sounds)


@pytest.mark.parametrize("kind", tiny_speech.KINDS)
def test_encoders_of_samples(kind: str, sounds: Path, tmp_path: Path) -> None:
    model = tiny_speech.encoder(tmp_path / "model", kind)
    run = _finetune(model, sounds, tmp_path / "run")
    _same_as_plain(run, sounds)


@pytest.mark.parametrize(("seconds", "frames"), [(0.3, 28), (1.0, 98)])
def test_another_length(
    seconds: float, frames: int, tiny_ast: Path, sounds: Path, tmp_path: Path
) -> None:
    run = _finetune(tiny_ast, sounds, tmp_path / "run", "--seconds", seconds)
    config = json.loads((run.folder / "config.json").read_text())
    assert config["max_length"] == frames
    assert run.done is not None
    too_short = seconds < 0.5  # the sounds have 0.15 to 0.5 s
    assert ("cut off" in run.done.err) == too_short
    if not too_short:  # plain transformers drops the end where we take another window
        _same_as_plain(run, sounds)


def test_positions_that_are_cut_are_the_middle_ones_and_those_added_lie_between(
    tmp_path: Path,
) -> None:
    from transformers import ASTForAudioClassification

    folder = tiny_speech.ast(tmp_path, frames=64)
    model: Any = ASTForAudioClassification.from_pretrained(folder)
    embeddings = model.audio_spectrogram_transformer.embeddings
    bands, times = embeddings.get_shape(model.config)
    with torch.no_grad():
        grid = torch.arange(times).float().expand(bands, times).reshape(1, -1, 1)
        embeddings.position_embeddings[:, 2:] = grid
        embeddings.position_embeddings[:, :2] = -1.0
    resize_positions(model, 64 + 20)
    found = embeddings.position_embeddings[0, 2:, 0].reshape(bands, times + 2)
    assert (embeddings.position_embeddings[:, :2] == -1).all()
    assert (found[0].diff() >= 0).all()
    assert found[0, 0] == 0 and found[0, -1] == times - 1
    assert (found == found[0]).all()
    resize_positions(model, 44)
    after = embeddings.get_shape(model.config)[1]
    start = (times + 2 - after) // 2
    cut = embeddings.position_embeddings[0, 2:, 0].reshape(bands, after)
    torch.testing.assert_close(cut, found[:, start : start + after])
    model(torch.zeros(1, 44, 32))


def test_masks_fall_on_sound_not_on_padding(tiny_ast: Path, sounds: Path) -> None:
    from transformers import ASTFeatureExtractor

    from tasks.randomness import EpochView
    from tasks.speech import audio_features
    from tasks.speech.audio_features import AudioArgs, AudioFeatures

    class Decoded:
        kept = np.arange(1)
        sizes = np.array([0.2])

        def __len__(self) -> int:
            return 1

        def get(self, i: int) -> np.ndarray:
            return np.random.default_rng(0).normal(0, 0.1, 3200).astype(np.float32)

    extractor = ASTFeatureExtractor.from_pretrained(tiny_ast)
    audio_config = audio_features.audio_config_of(extractor)
    assert audio_config.longest == 63 * 160 + 400 and not audio_config.masked
    args = AudioArgs(speed=0, gain_db=0, noise_db=40, freq_masks=0, time_masks=1, time_mask=1.0)
    features: Any = AudioFeatures(Decoded(), {}, extractor, audio_config, args)  # type: ignore[arg-type]
    plain = features.__getitems__([0])[0]["windows"][0]
    assert plain.shape == (64, 32)
    changed = np.zeros(64, bool)
    for epoch in range(20):
        seen = features.view(EpochView(7, epoch)).__getitems__([0])[0]["windows"][0]
        changed |= (seen != plain).any(1)
    assert changed[:18].all() and not changed[20:].any()


def test_numpy_features_are_those_of_torchaudio(tiny_ast: Path) -> None:
    """Without torchaudio the extractor computes the same in numpy."""
    from unittest import mock

    from transformers import ASTFeatureExtractor
    from transformers.models.audio_spectrogram_transformer import (
        feature_extraction_audio_spectrogram_transformer as module,
    )

    wave = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    made = []
    for there in (True, False):
        if there and not module.is_speech_available():
            pytest.skip("torchaudio is not here")
        with mock.patch.object(module, "is_speech_available", lambda there=there: there):
            extractor = ASTFeatureExtractor.from_pretrained(tiny_ast)
            made.append(extractor(wave, sampling_rate=16_000, return_tensors="np").input_values)
    np.testing.assert_allclose(made[0], made[1], atol=2e-3)


def test_refusals(tiny_ast: Path, sounds: Path, tmp_path: Path) -> None:
    base = ("finetune", "--data", sounds, "--output_dir", tmp_path / "run")
    done = run_cli(MODEL, *base, "--model", tiny_ast, "--seconds", 0.1)
    assert done.code == 2 and "at least 0.175" in done.err
    other = tiny_speech.encoder(tmp_path / "other")
    done = run_cli(MODEL, *base, "--model", other, "--seconds", 1)
    assert done.code == 2 and "--seconds is for AST" in done.err
    (other / "preprocessor_config.json").unlink()
    done = run_cli(MODEL, *base, "--model", other)
    assert done.code == 2 and "no feature extractor" in done.err and done.err.count("\n") == 1
