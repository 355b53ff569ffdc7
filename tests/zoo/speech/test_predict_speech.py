"""What `predict` does with sounds: long ones, streams, beam search, and as plain transformers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import zoo
from tests import cases, tiny_speech
from tests.cli import environment, run_cli
from tests.finetuning import Run

RATE = cases.RATE
STEPS = ("--learning_rate", 1e-2, "--max_steps", 30, "--eval_strategy", "no")


@pytest.fixture(scope="module")
def words(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A keyword network that was trained for a moment."""
    folder = tmp_path_factory.mktemp("words") / "run"
    return cases.sound(sounds).finetune(folder, *STEPS, "--window_seconds", 2)


@pytest.fixture(scope="module")
def speech(utterances: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A Conformer that was trained for a moment."""
    folder = tmp_path_factory.mktemp("speech") / "run"
    return cases.speech(utterances).finetune(folder, *STEPS, "--window_seconds", 10)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """45 s of tones and pauses."""
    return tiny_speech.write_tones(tmp_path_factory.mktemp("long") / "long.wav", 45.0, RATE)


def _module(run: Run) -> str:
    return str(run.manifest["module"])


def _predict(run: Run, *flags: object) -> list[dict[str, object]]:
    done = run_cli(_module(run), "predict", run.folder, *flags)
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.lines]


def test_a_long_sound_is_the_mean_of_its_windows(words: Run, long: Path) -> None:
    from tasks.speech import audio_features

    (found,) = _predict(words, "--audio", long, "--top_k", 3)
    wave, _ = soundfile.read(long, dtype="float32")
    parts = [part for _, part in audio_features.cut(wave, RATE, 2.0)]
    assert len(parts) == 25  # of 2 s, every 1.8 s
    model = zoo.load(str(words.folder))
    alone = [one["scores"] for one in model.predict(parts, top_k=3)]
    logs = {name: np.mean([np.log(one[name]) for one in alone]) for name in alone[0]}
    total = sum(np.exp(list(logs.values())))
    expected = {name: np.exp(value) / total for name, value in logs.items()}
    assert found["scores"] == pytest.approx(expected, abs=1e-4)


def test_a_long_recording_reads_like_its_parts(speech: Run, long: Path) -> None:
    """Windows of 10 s with overlap: no more than what stands at the seams may be read otherwise
    than by a single window."""
    import dataclasses

    import jiwer

    (found,) = _predict(speech, "--audio", long)
    model = zoo.load(str(speech.folder))
    assert model.task.args.window_seconds == 10
    model.task = dataclasses.replace(
        model.task, args=dataclasses.replace(model.task.args, window_seconds=60.0)
    )
    (whole,) = model.predict([str(long)])
    assert len(str(found["text"])) > 40
    assert jiwer.cer(whole["text"], str(found["text"])) < 0.2


@pytest.mark.parametrize("name", ["words", "speech"])
def test_a_stream_is_read_as_it_comes(
    name: str, long: Path, request: pytest.FixtureRequest
) -> None:
    """The first line is there while the stream is still open."""
    run: Run = request.getfixturevalue(name)
    wave, _ = soundfile.read(long, dtype="int16")
    words = ["predict", str(run.folder), "--stream", "--stream_rate", str(RATE)]
    with subprocess.Popen(
        [sys.executable, "-m", _module(run), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,  # or lines that readline took along would be missing from the rest
        env=environment(),
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(wave[: 10 * RATE].astype("<i2").tobytes())
        process.stdin.flush()
        first = json.loads(process.stdout.readline())  # would wait for ever for a batch to fill
        rest, _ = process.communicate(wave[10 * RATE :].astype("<i2").tobytes(), timeout=60)
    assert process.returncode == 0
    lines = [first, *map(json.loads, rest.splitlines())]
    spans = [re.fullmatch(r"([\d.]+)-([\d.]+) s", line["audio"]) for line in lines]
    times = [(float(span[1]), float(span[2])) for span in spans if span]
    assert times[0][0] == 0 and times[-1][1] == pytest.approx(45, abs=0.01)
    assert [end for _, end in times[:-1]] == [begin for begin, _ in times[1:]]
    assert len(times) == len(lines) >= 8


def test_an_empty_stream(speech: Run) -> None:
    done = subprocess.run(
        [sys.executable, "-m", _module(speech), "predict", str(speech.folder), "--stream"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b""), done.stderr


def test_beam_search_says_words_of_the_list(speech: Run, utterances: Path, tmp_path: Path) -> None:
    files = sorted(utterances.glob("test/*.wav"))[:6]
    greedy = _predict(speech, "--audio", *files)
    beam = _predict(speech, "--audio", *files, "--decoding", "beam")
    assert sum(a["text"] == b["text"] for a, b in zip(greedy, beam, strict=True)) >= 3
    listed = tmp_path / "words.txt"
    listed.write_text("ab\nca\nbbc\n")
    found = _predict(speech, "--audio", *files, "--decoding", "beam", "--words", listed)
    said = {word for line in found for word in str(line["text"]).split()}
    assert said and said <= {"ab", "ca", "bbc"}
    ranked = _predict(speech, "--audio", files[0], "--decoding", "beam", "--top_k", 3)[0]
    scores = list(dict(ranked["scores"]).values())  # type: ignore[call-overload]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    done = run_cli(
        _module(speech), "predict", speech.folder, "--audio", files[0], "--decoding", "beam",
        "--words", tmp_path / "none.txt",
    )  # fmt: skip
    assert done.code == 2 and "none.txt" in done.err


def test_the_pipeline_reads_the_same(words: Run, speech: Run, utterances: Path) -> None:
    from transformers import pipeline

    import zoo.auto

    files = sorted(utterances.glob("test/*.wav"))[:4]
    waves = [soundfile.read(file, dtype="float32")[0] for file in files]
    ours = zoo.load(str(speech.folder)).predict(files, batch_size=1)
    pipe = pipeline("automatic-speech-recognition", model=str(speech.folder), device="cpu")
    assert [one["text"] for one in ours] == [pipe(wave)["text"] for wave in waves]
    assert any(one["text"] for one in ours)
    ours = zoo.load(str(words.folder)).predict(files, batch_size=1, top_k=3)
    pipe = pipeline("audio-classification", model=str(words.folder), device="cpu")
    for one, wave in zip(ours, waves, strict=True):
        plain = {found["label"]: found["score"] for found in pipe(wave, top_k=3)}
        assert one["scores"] == pytest.approx(plain, abs=1e-5)


def test_a_file_that_is_no_sound_is_skipped_where_asked(
    speech: Run, utterances: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_text("no sound at all\n" * 20)
    good = next(utterances.glob("test/*.wav"))
    done = run_cli(_module(speech), "predict", speech.folder, "--audio", broken, good)
    assert done.code == 2 and f"{os.sep}broken.wav" in done.err and "skip" in done.err
    flags = ("--audio", broken, good, "--on_bad_file", "skip")
    done = run_cli(_module(speech), "predict", speech.folder, *flags)
    assert done.code == 0 and len(done.lines) == 1 and "broken.wav" in done.err
