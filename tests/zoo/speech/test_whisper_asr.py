"""whisper_asr with tiny random weights, through the command line and plain transformers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.errors import UserError
from tests import tiny_speech
from tests.cli import run_cli
from tests.finetuning import Run

MODEL = "zoo.speech.whisper_asr"
FEW = ("--max_train_samples", 16, "--max_eval_samples", 9)


def _finetune(model: Path, data: Path, folder: Path, *flags: object, steps: int = 2) -> Run:
    return tiny_speech.finetune(MODEL, model, data, folder, *flags, steps=steps)


@pytest.fixture(scope="module")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech.whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def tuned(tiny_whisper: Path, utterances: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Long enough that it writes letters."""
    folder = tmp_path_factory.mktemp("tuned") / "run"
    flags = ("--learning_rate", 1e-2, "--warmup_steps", 0, "--eval_strategy", "no")
    return _finetune(tiny_whisper, utterances, folder, *flags, steps=20)


def _same_as_plain(run: Run, utterances: Path) -> list[str]:
    from transformers import pipeline

    files = sorted(utterances.glob("test/*.wav"))[:4]
    done = run_cli(MODEL, "predict", run.folder, "--audio", *files)
    assert done.code == 0, done.err
    texts = [json.loads(line)["text"] for line in done.lines]
    pipe = pipeline("automatic-speech-recognition", model=str(run.folder), device="cpu")
    assert texts == [pipe(tiny_speech.resampled(file))["text"].strip() for file in files]
    return texts


def test_all_verbs(tuned: Run, utterances: Path) -> None:
    assert tuned.losses[-1] < 0.7 * tuned.losses[0]
    done = run_cli(MODEL, "evaluate", tuned.folder, "--max_eval_samples", 6)
    assert done.code == 0, done.err
    assert "wer" in done.out and "cer" in done.out
    assert any(_same_as_plain(tuned, utterances))


def test_the_loss_is_that_of_transformers(tuned: Run, utterances: Path) -> None:
    import zoo

    predictor = zoo.load(str(tuned.folder), device="cpu")
    task, model = predictor.task, predictor.model
    rows = []
    for i, text in enumerate(("ab", "c a b")):
        wave = np.random.default_rng(i).normal(0, 0.1, 8000 * (i + 1)).astype(np.float32)
        (row,) = task.inputs([wave])
        rows.append(row | {"sample_id": i, "ids": task._ids([text])[0]})
    batch = task.collate(rows)
    prefix = ["<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    tokenizer = predictor.processor.tokenizer
    assert batch.targets["labels"][:, :3].tolist() == [tokenizer.convert_tokens_to_ids(prefix)] * 2
    loss = task.loss(task.forward(model, batch), batch)
    features = batch.inputs["input_features"]
    theirs = model(input_features=features, labels=batch.targets["labels"]).loss
    torch.testing.assert_close(loss.sum / loss.count, theirs)
    with torch.inference_mode():  # what counts is written without the true text
        alone = task.collate([{"sample_id": 0, "windows": row["windows"]} for row in rows])
        assert len(written := task.predict(model, alone)) == 2
        assert task.predict(model, batch, task.forward(model, batch)) == written


def test_a_sound_alone_has_no_logits(tuned: Run) -> None:
    import zoo

    model = zoo.load(str(tuned.folder), device="cpu")
    sound = np.zeros(8000, np.float32)
    assert set(model.predict(sound)) == {"text"}
    with pytest.raises(UserError, match="writes its text token by token"):
        model.logits(sound)
    with pytest.raises(UserError, match="`top_k`"):
        model.predict(sound, top_k=2)


@pytest.mark.parametrize("tune", ["lora", "gradual"])
def test_tuning(tune: str, tiny_whisper: Path, utterances: Path, tmp_path: Path) -> None:
    run = _finetune(tiny_whisper, utterances, tmp_path / "run", "--tune", tune)
    assert np.isfinite(run.losses).all()
    _same_as_plain(run, utterances)


@pytest.mark.parametrize("language", ["de", "German"])
def test_language_is_told_to_both(
    language: str, tiny_whisper: Path, utterances: Path, tmp_path: Path
) -> None:
    flags = ("--language", language, "--translate")
    run = _finetune(tiny_whisper, utterances, tmp_path / "run", *flags)
    generation = json.loads((run.folder / "generation_config.json").read_text())
    assert (generation["language"], generation["task"]) == ("de", "translate")
    from transformers import AutoModelForSpeechSeq2Seq, AutoTokenizer

    model = AutoModelForSpeechSeq2Seq.from_pretrained(run.folder)
    assert (model.generation_config.language, model.generation_config.task) == ("de", "translate")
    tokenizer = AutoTokenizer.from_pretrained(run.folder)
    begins = tokenizer.convert_ids_to_tokens(tokenizer("ab").input_ids)[:4]
    assert begins == ["<|startoftranscript|>", "<|de|>", "<|translate|>", "<|notimestamps|>"]
    _same_as_plain(run, utterances)


def test_english_only_weights(utterances: Path, tmp_path: Path) -> None:
    model = tiny_speech.whisper(tmp_path / "model", multilingual=False)
    run = _finetune(model, utterances, tmp_path / "run")
    generation = json.loads((run.folder / "generation_config.json").read_text())
    assert "lang_to_id" not in generation
    _same_as_plain(run, utterances)
    words = ("finetune", "--model", model, "--data", utterances, "--output_dir", tmp_path / "no")
    done = run_cli(MODEL, *words, "--translate")
    assert done.code == 2 and "English only" in done.err


def test_long_sounds_are_cut_at_pauses(tuned: Run, tmp_path: Path) -> None:
    import soundfile

    from tasks.speech import segmenting
    from zoo import load

    long = tiny_speech.write_tones(tmp_path / "long.wav", 7.0)
    done = run_cli(MODEL, "predict", tuned.folder, "--audio", long)
    assert done.code == 0, done.err
    wave, rate = soundfile.read(long, dtype="float32")
    parts = segmenting.split_at_silence(wave, rate, 2.0)
    assert len(parts) >= 4
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), wave)
    for start, part in parts[1:]:
        assert abs(wave[start - 200 : start + 200]).max() < 0.02  # between two tones
        assert len(part) <= 2 * rate
    said = [one["text"] for one in load(str(tuned.folder)).predict([part for _, part in parts])]
    assert json.loads(done.out)["text"] == " ".join(text for text in said if text)


@pytest.mark.parametrize("flags", [(), ("--dtype", "fp32")], ids=["bf16", "fp32"])
def test_resumed_run_is_the_same_to_the_last_bit(
    flags: tuple[str, ...], tiny_whisper: Path, utterances: Path, tmp_path: Path
) -> None:
    tiny_speech.check_resume(MODEL, tiny_whisper, utterances, tmp_path, *flags)


def test_refusals(tiny_whisper: Path, tuned: Run, utterances: Path, tmp_path: Path) -> None:
    words = ("finetune", "--model", tiny_whisper, "--data", utterances)
    words += ("--output_dir", tmp_path / "run")
    done = run_cli(MODEL, *words, "--language", "klingon")
    assert done.code == 2 and "none of that name" in done.err
    done = run_cli(MODEL, *words, "--language", "yue")
    assert done.code == 2 and "has no token for it" in done.err
    done = run_cli(MODEL, *words, "--tune", "head", *FEW)
    assert done.code == 2 and "--tune head" in done.err
    sound = next(utterances.glob("test/*.wav"))
    done = run_cli(MODEL, "predict", tuned.folder, "--audio", sound, "--top_k", 2)
    assert done.code == 2 and "--top_k" in done.err
