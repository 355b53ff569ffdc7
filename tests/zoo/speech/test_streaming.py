"""Streams: the bits of the whole recording, pieces of other models, words and their times."""

import dataclasses
import json
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import zoo
from tasks.errors import UserError
from tasks.speech.sound.audio import resample
from tests import cases, tiny_models
from tests.cli import environment, run_cli
from zoo.speech import streaming
from zoo.speech.streaming import Partial, SpeechStream, joined

RATE = cases.RATE
STEPS = ("--learning_rate", 2e-2, "--warmup_steps", 0, "--max_steps", 40, "--eval_strategy", "no")
STEPS += ("--pauses", 0)  # with them so short a training writes nothing
BATCH = ("--per_device_train_batch_size", 16, "--report_to", "none", "--dtype", "fp32")


@pytest.fixture(scope="module")
def causal(utterances: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal network that was trained for a moment."""
    folder = tmp_path_factory.mktemp("causal") / "run 流"
    words = ("--data", utterances, "--output_dir", folder, *tiny_models.STREAM, *STEPS, *BATCH)
    done = run_cli("zoo.speech.stream_ctc", "finetune", *words)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def pieces(utterances: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Conformer that was trained for a moment."""
    folder = tmp_path_factory.mktemp("pieces") / "run"
    return cases.speech(utterances).finetune(folder, "--max_steps", 30).folder


@pytest.fixture(scope="module")
def waves(utterances: Path) -> list[np.ndarray]:
    """Sounds float32 [samples] of different lengths, one shorter than a frame."""
    files = sorted(utterances.glob("test/*.wav"))[:5]
    found = [soundfile.read(file, dtype="float32")[0] for file in files]
    return [*found, found[0][:100], found[1][:1237]]


def cut(wave: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (wave[i : i + size] for i in range(0, len(wave), size))


def heard(model: Any, wave: np.ndarray, size: int, **settings: Any) -> list[Partial]:
    stream = SpeechStream(model, settings.pop("rate", RATE), **settings)
    found = [one for part in cut(wave, size) for one in stream.push(part)]
    return [*found, *stream.finish()]


@pytest.fixture
def logits(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What streams read, a chunk at a time."""
    seen: list[np.ndarray] = []
    read = streaming.GreedyReader.read

    def kept(reader: Any, given: np.ndarray) -> None:
        seen.append(given)
        read(reader, given)

    monkeypatch.setattr(streaming.GreedyReader, "read", kept)
    return seen


@pytest.mark.parametrize("size", [37, 400, 10**6])
def test_a_stream_has_the_bits_of_the_whole_recording(
    size: int, causal: Path, waves: Sequence[np.ndarray], logits: list[np.ndarray]
) -> None:
    """However it is cut, and whatever the recording is batched with; the text is the same."""
    model = zoo.load(str(causal), device="cpu")
    with torch.inference_mode():
        together = model.outputs(waves)["logits"].numpy()
    texts = [one["text"] for one in model.predict(waves)]
    assert any(len(text) > 1 for text in texts)
    for row, wave in enumerate(waves):
        logits.clear()
        found = heard(model, wave, size, pause_s=60)
        stream = np.concatenate(logits)
        assert stream.tobytes() == together[row, : len(stream)].tobytes()
        behind = together[row, len(stream) :]
        assert (behind[:, 0] == 0).all() and (behind[:, 1:] < -1000).all()
        assert joined(found) == texts[row]
        assert [one.final for one in found] == [False] * (len(found) - 1) + [True] * bool(found)


def test_an_hour_is_no_window(causal: Path, waves: Sequence[np.ndarray], tmp_path: Path) -> None:
    """Files longer than others' windows are one sound, and its stream reads the same."""
    wave = np.concatenate([*waves] * 12)
    assert len(wave) / RATE > 25
    soundfile.write(tmp_path / "a b.wav", wave, RATE)
    model = zoo.load(str(causal), device="cpu")
    exact, _ = soundfile.read(tmp_path / "a b.wav", dtype="int16")
    ((offline,), stream) = (model.predict([tmp_path / "a b.wav"]), heard(model, exact, 999))
    assert joined(stream) == offline["text"] and len(offline["text"]) > 40


def test_integers_and_other_rates(causal: Path, waves: Sequence[np.ndarray]) -> None:
    """What is resampled as it comes is what the whole sound is resampled to."""
    model = zoo.load(str(causal), device="cpu")
    fast = resample(np.concatenate(waves[:3]), RATE, 44_100).clip(-1, 0.99)
    whole = (fast * 32768).astype(np.int16)
    sound = {"array": whole, "sampling_rate": 44_100}
    text = model.predict(sound)["text"]
    assert text and joined(heard(model, whole, 1000, rate=44_100, pause_s=60)) == text
    floats = whole.astype(np.float32) / np.float32(32768)
    assert joined(heard(model, floats, 333, rate=44_100, pause_s=60)) == text


def by_loudness(self: Any, features: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
    """A network's step that writes an "a" at each loud frame and a space behind a loud chunk."""
    size = self.config.stacked_frames
    padded = torch.nn.functional.pad(features, (0, 0, 0, -len(features) % size), value=-4.0)
    is_loud = padded.mean(1).view(-1, size).mean(1) > -1.5
    symbols = torch.where(is_loud, 3, 0)
    if state is True and not is_loud.any():
        symbols[0] = 2
    return torch.eye(self.config.vocab_size)[symbols], bool(is_loud.any())


def test_a_pause_ends_a_text(
    causal: Path, waves: Sequence[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each text has its place in the stream, words have their times in it, and are its text."""
    model = zoo.load(str(causal), device="cpu")
    assert model.task.spelling.vocabulary[2:4] == ("|", "a")
    monkeypatch.setattr(type(model.model), "step", by_loudness)
    rng = np.random.default_rng(0)
    loud, pause = (rng.normal(0, x, n * RATE // 2) for x, n in ((0.2, 1), (1e-4, 4)))
    wave = np.concatenate([pause, loud, pause[: RATE // 4], loud, pause, loud]).astype(np.float32)
    for size in (160, 10**6):
        first, second = (one for one in heard(model, wave, size, pause_s=0.7) if one.final)
        assert (first.text, second.text) == ("a a", "a")
        assert first.end == pytest.approx(3.25 + 0.7, abs=0.15) and first.start < 2
        assert first.end < second.start < 5.25 < second.end == pytest.approx(5.75, abs=0.01)
        for one, edges in ((first, [(2, 2.5), (2.75, 3.25)]), (second, [(5.25, 5.75)])):
            assert one.words is not None
            for word, (start, end) in zip(one.words, edges, strict=True):
                assert word.word == "a"
                assert word.start == pytest.approx(start, abs=0.09)
                assert word.end == pytest.approx(end, abs=0.09)


def test_partial_texts_grow_into_the_final_one(causal: Path, waves: Sequence[np.ndarray]) -> None:
    model = zoo.load(str(causal), device="cpu")
    *partial, final = heard(model, waves[2], 160, pause_s=60)
    assert partial and all(final.text.startswith(one.text) for one in partial)
    assert len({one.text for one in partial}) == len(partial)
    assert {one.start for one in (*partial, final)} == {final.start}
    assert heard(model, waves[2], 160, pause_s=60, partial_s=None) == [final]


def test_a_beam_search_reads_the_same(causal: Path, waves: Sequence[np.ndarray]) -> None:
    from tasks.speech.decoding import language_model

    model = zoo.load(str(causal), device="cpu")
    search = language_model.beam(4, None, 0.0, 0.0, None)
    model.task = dataclasses.replace(model.task, decoding=search)
    expected = model.predict(waves[2], top_k=2)
    (final,) = heard(model, waves[2], 160, pause_s=60, partial_s=None, top_k=2)
    assert final.prediction["text"] == expected["text"] and final.words is None
    assert final.prediction["scores"] == pytest.approx(expected["scores"], abs=1e-3)


def test_streams_share_a_model(causal: Path, waves: Sequence[np.ndarray]) -> None:
    model = zoo.load(str(causal), device="cpu")
    alone = [joined(heard(model, wave, 200, pause_s=60)) for wave in waves[:2]]
    one, other = (SpeechStream(model, RATE, pause_s=60) for _ in range(2))
    ends: list[list[Partial]] = [[], []]
    longest = max(map(len, waves[:2]))
    for i in range(0, longest, 200):
        for stream, wave, end in zip((one, other), waves, ends, strict=False):
            end += stream.push(wave[i : i + 200])
    for stream, end in zip((one, other), ends, strict=True):
        end += stream.finish()
    assert [joined(end) for end in ends] == alone


def test_pieces_do_not_depend_on_the_cut(pieces: Path, waves: Sequence[np.ndarray]) -> None:
    """Other models hear pieces, each as `predict` hears it, and their words have times in it."""
    model = zoo.load(str(pieces), device="cpu")
    pause = np.random.default_rng(0).normal(0, 0.001, RATE).astype(np.float32)
    wave = np.concatenate([waves[0], pause, waves[1], pause, waves[2]])
    finals = heard(model, wave, 10**6, partial_s=None)
    assert len(finals) == 3 and finals == heard(model, wave, 731, partial_s=None)
    assert [one.end for one in finals[:-1]] == [one.start for one in finals[1:]]
    assert finals[0].start == 0 and finals[-1].end == pytest.approx(len(wave) / RATE)
    for one in finals:
        part = wave[round(one.start * RATE) : round(one.end * RATE)]
        assert model.predict(part)["text"] == one.text
        assert one.words is not None
        assert " ".join(word.word for word in one.words) == one.text
        assert all(one.start <= word.start < word.end <= one.end + 0.05 for word in one.words)
    found = heard(model, wave, 400, partial_s=0.25)
    assert [one for one in found if one.final] == finals
    assert sum(not one.final for one in found) > 8


def test_what_no_stream_takes(causal: Path) -> None:
    model = zoo.load(str(causal), device="cpu")
    assert SpeechStream(model).finish() == []
    stream = SpeechStream(model)
    for wrong, said in (
        (np.zeros((2, 9), np.float32), "more than one channel"),
        (np.full(9, np.nan, np.float32), "no finite numbers"),
        (np.full(9, 300.0, np.float32), "no sound in -1 to 1"),
    ):
        with pytest.raises(UserError, match=said):
            stream.push(wrong)
    assert stream.push(np.zeros(0, np.int16)) == [] == stream.finish()
    with pytest.raises(ValueError, match="has ended"):
        stream.push(np.zeros(9, np.int16))
    with pytest.raises(UserError, match=r"outside 1,000 to 400,000"):
        SpeechStream(model, 7)


def test_predict_reads_a_pipe(causal: Path, waves: Sequence[np.ndarray]) -> None:
    """The real command: a text is there while the pipe is open, and the final one at its end."""
    flags = ("--stream", "--stream_rate", str(RATE), "--pause_s", "60", "--partials")
    with subprocess.Popen(
        [sys.executable, "-m", "zoo.speech.stream_ctc", "predict", str(causal), *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env=environment(),
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write((waves[2] * 32768).astype("<i2").tobytes())
        process.stdin.flush()
        with select.epoll() as waiting:
            waiting.register(process.stdout, select.EPOLLIN)
            assert waiting.poll(60), "no text came while the pipe was open"
        lines = [json.loads(process.stdout.readline())]
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    lines += map(json.loads, rest.splitlines())
    model = zoo.load(str(causal), device="cpu")
    assert lines[-1]["text"] == model.predict(waves[2])["text"] != ""
    assert [w["word"] for w in lines[-1]["words"]] == lines[-1]["text"].split()
    assert [line["final"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[-1]["audio"] == f"0.00-{len(waves[2]) / RATE:.2f} s"


@pytest.mark.parametrize("flags", [("--pause_s", 2), ("--partials",)])
def test_flags_of_streams_alone(flags: Sequence[object], causal: Path) -> None:
    done = run_cli("zoo.speech.stream_ctc", "predict", causal, "--audio", "a.wav", *flags)
    assert done.code == 2 and "--pause_s and --partials are of a stream" in done.err
