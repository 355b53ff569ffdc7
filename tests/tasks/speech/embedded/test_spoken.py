"""The embedded speech: the same each time, by voices that no two splits share."""

import importlib.util
import io
import wave
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest

from tasks.speech.embedded import espeak, speakers, spoken
from tasks.speech.sound import noise
from tasks.speech.sound.audio import decode

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="needs the extra speech-demo"
)
SMALL = {"train": 40, "validation": 10, "test": 20}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.setattr(spoken, "WORD_CLIPS", SMALL)
    monkeypatch.setattr(spoken, "STRING_CLIPS", SMALL)


def sounds(split: datasets.Dataset) -> list[np.ndarray]:
    return [decode(media, rate=spoken.RATE, max_seconds=30) for media in split["media"]]


def test_words() -> None:
    splits = spoken.words()
    assert {name: len(split) for name, split in splits.items()} == SMALL
    assert splits["train"].column_names == ["media", "label", "voice"]
    assert splits["train"].features["label"].names == list(spoken.WORDS)
    for split in splits.values():
        counts = Counter(split["label"])
        assert max(counts.values()) - min(counts.values()) <= 1 and len(counts) == 10
        for x, media in zip(sounds(split), split["media"], strict=True):
            assert 0.2 < len(x) / spoken.RATE <= spoken.LONGEST_WORD
            assert noise.rms(x) > 0.005 and np.abs(x).max() < 1
            with wave.open(io.BytesIO(media["bytes"])) as file:
                assert file.getparams()[:3] == (1, 2, spoken.RATE)


def test_digit_strings() -> None:
    splits = spoken.digit_strings()
    assert splits["train"].column_names == ["media", "transcription", "voice"]
    seconds: dict[int, list[float]] = {}
    for split in splits.values():
        for x, said in zip(sounds(split), split["transcription"], strict=True):
            digits = said.split(" ")
            assert set(digits) <= set(spoken.DIGITS)
            seconds.setdefault(len(digits), []).append(len(x) / spoken.RATE)
            assert noise.rms(x) > 0.005
    means = [np.mean(seconds[count]) for count in sorted(seconds)]
    assert sorted(seconds) == [1, 2, 3, 4, 5]
    assert means == sorted(means) and max(map(max, seconds.values())) < 5


@pytest.mark.parametrize("load", [spoken.words, spoken.digit_strings])
def test_the_same_bytes_each_time(
    load: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(load)
    first = load()
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "other"))
    second = load()
    for name, split in first.items():
        assert split.to_dict() == second[name].to_dict()
        assert split._fingerprint == second[name]._fingerprint


def test_a_clip_does_not_depend_on_the_others() -> None:
    clips = [spoken._word("test", place) for place in range(4)]
    assert spoken._word("test", 2) == clips[2]
    assert len({clip.wav for clip in clips}) == 4
    assert spoken._word("train", 2).wav != clips[2].wav


def test_the_second_call_speaks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    first = spoken.words()

    def silent(*_: object) -> None:
        raise AssertionError("spoken again")

    monkeypatch.setattr(espeak, "synthesize", silent)
    assert spoken.words()["test"]["voice"] == first["test"]["voice"]


def test_no_voice_in_two_splits() -> None:
    families = {
        split: {speakers.family(name) for group in groups for name in group}
        for split, groups in speakers.by_split().items()
    }
    assert len(families["test"]) >= 12 and len(families["validation"]) >= 8
    for first, second in (("train", "test"), ("train", "validation"), ("validation", "test")):
        assert families[first].isdisjoint(families[second])
    for splits in (spoken.words(), spoken.digit_strings()):
        heard = {name: {v.split("+")[1] for v in splits[name]["voice"]} for name in splits}
        for name, names in heard.items():
            assert {speakers.family(speaker) for speaker in names} <= families[name]
            assert names.isdisjoint(speakers.UNFIT)


def test_families() -> None:
    assert speakers.family("robosoft3") == speakers.family("robosoft") == "robosoft"
    assert speakers.family("mike2") == speakers.family("Mike")
    assert speakers.family("AnxiousAndy") == speakers.family("Andy")
    assert speakers.family("whisperf") == speakers.family("whisper")
    assert speakers.family("anikaRobot") == speakers.family("anika")
    assert speakers.family("m1") != speakers.family("m2")
    assert speakers.family("UniRobot") != speakers.family("anikaRobot")
    assert not speakers.UNFIT - set(espeak.variants())


def test_no_speaker_is_silent() -> None:
    for groups in speakers.by_split().values():
        for group in groups:
            for name in group:
                whole = espeak.synthesize("seven", f"en-us+{name}", 200)
                said = whole[slice(*spoken._speech_span(whole))]
                assert noise.rms(said) > 0.01, name
                assert (np.abs(said) > 0.99).mean() < 0.01, name


def test_silence_is_found_out() -> None:
    with pytest.raises(ValueError, match="said nothing"):
        spoken._speech_span(np.zeros(1_000, np.float32))
    with pytest.raises(ValueError, match="said nothing"):
        spoken._speech_span(np.zeros(0, np.float32))


def test_the_ends_of_words_are_told() -> None:
    """One a word, in order and within the sound; a clip is that of the split to the last bit."""
    split = spoken.digit_strings()["test"]
    clips = list(spoken.digit_clips("test", 10))
    for clip, row in zip(clips, split, strict=False):
        assert (clip.said, clip.wav) == (row["transcription"], row["media"]["bytes"])
        sound = decode({"bytes": clip.wav}, rate=spoken.RATE, max_seconds=60)
        assert len(clip.word_ends) == len(clip.said.split())
        gaps = np.diff([0.0, *clip.word_ends, len(sound) / spoken.RATE])
        assert (gaps[:-1] > 0.1).all() and 0.02 < gaps[-1] < 0.2, clip.said
    assert len(list(spoken.digit_clips("validation", 3))) == 3
