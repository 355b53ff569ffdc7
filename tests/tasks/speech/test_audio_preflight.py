"""The checks of sounds and transcriptions: each mistake is found and counted, sound data pass."""

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tasks.media import duplicates
from tasks.media.decoding import Decoded
from tasks.preflight import Finding
from tasks.speech import audio_preflight
from tasks.speech.audio_preflight import frames_needed
from tasks.speech.sound import audio

RATE = 16_000
FEATURES = {
    "media": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
    "label": datasets.Value("int64"),
}


def sound(seed: int, rate: int = RATE, length: float = 0.2, level: float = 0.1) -> bytes:
    x = np.random.default_rng(seed).standard_normal(int(rate * length)) * level
    content = io.BytesIO()
    soundfile.write(content, np.clip(x, -1, 1), rate, format="WAV")
    return content.getvalue()


def check(names: list[str] | None = None, **splits: list[tuple[bytes | str, Any]]) -> list[Finding]:
    made = datasets.DatasetDict()
    for name, rows in splits.items():
        media = [
            {"bytes": None, "path": what}
            if isinstance(what, str)
            else {"bytes": what, "path": None}
            for what, _ in rows
        ]
        features = datasets.Features(FEATURES)
        if any(isinstance(label, list) for _, label in rows):
            features["label"] = datasets.List(datasets.Value("int64"))
        made[name] = datasets.Dataset.from_dict(
            {"media": media, "label": [label for _, label in rows]}, features=features
        )
    decoded = {name: decode(split) for name, split in made.items()}
    findings = audio_preflight.check(made, decoded, RATE, names)
    assert all("\n" not in finding.message for finding in findings)
    return findings


def decode(split: datasets.Dataset) -> Decoded:
    def one(media: Any) -> np.ndarray:
        return audio.decode(media, rate=RATE, max_seconds=60)

    sizes = np.array([len(one(media)) / RATE for media in split["media"]])
    return Decoded(np.arange(len(split)), sizes, [], split, one)


SOUND = {
    "train": [(sound(i), i % 2) for i in range(20)],
    "test": [(sound(100 + i), i % 2) for i in range(6)],
}


def changed(split: str, *more: tuple[bytes | str, Any]) -> dict[str, list[Any]]:
    return SOUND | {split: [*SOUND[split], *more]}


def test_sound_data_pass() -> None:
    assert check(**SOUND) == []
    assert check(train=SOUND["train"]) == []


@pytest.mark.parametrize(
    ("splits", "level", "message"),
    [
        (
            changed("train", (sound(3), 1)),
            "warning",
            "train: 1 row repeat a file of the same split, the first is row 21",
        ),
        (
            changed("test", (sound(3), 1), (sound(4), 0)),
            "warning",
            "2 sounds of test also in train: what is measured there is too good; the"
            " first is row 7",
        ),
        (
            changed("test", (sound(3), 0)),
            "warning",
            "1 sound with different labels in different rows, the first is row 4 of train",
        ),
        (
            changed("train", (sound(0, level=0.0), 1), (sound(0, length=0.3, level=0.0), 1)),
            "warning",
            "train: 2 rows with silence, the first is 21",
        ),
        (
            changed("test", (sound(7, level=4.0), 1)),
            "warning",
            "test: 1 row (14.3%) recorded too loud and cut off at full scale, the first is 7",
        ),
        (
            changed("train", (sound(7, 8_000), 1), (sound(8, 8_000), 1), (sound(9, 11_025), 1)),
            "warning",
            "train: 3 rows recorded at a lower rate than the model's 16,000 Hz (8,000 Hz,"
            " 11,025 Hz): nothing is there above half of it",
        ),
        (
            changed("train", (sound(7, length=10.0), 1)),
            "warning",
            "train: lengths are very unequal: the longest sound has 10.0 s, half of them no more"
            " than 0.20 s",
        ),
        (
            changed("train", (sound(50), None)),
            "error",
            "train: 1 row without a label, the first is 21",
        ),
        (
            changed("test", (sound(50), 2)),
            "error",
            "test has labels that train never shows: 2 (in 1 row)",
        ),
        (
            {"train": SOUND["train"], "test": SOUND["test"][:1]},
            "warning",
            "test has no example of 1",
        ),
        (
            {"train": [(sound(i), 0) for i in range(5)]},
            "error",
            "train has only the class 0, and a classifier needs two or more",
        ),
        (
            {"train": [(sound(i), int(i == 0)) for i in range(40)]},
            "warning",
            "train is out of balance: 1 has 1 row (2.5%), 0 has 39 (97.5%), 39.0 times as many",
        ),
    ],
)
def test_each_mistake(splits: dict[str, list[Any]], level: str, message: str) -> None:
    assert Finding(level, message) in check(**splits)  # type: ignore


def test_a_single_loud_peak_is_no_clipping() -> None:
    x = np.zeros(1_000)
    x[::10] = 1.0
    content = io.BytesIO()
    soundfile.write(content, x, RATE, format="WAV", subtype="FLOAT")
    assert check(**changed("test", (content.getvalue(), 1))) == []


def test_classes_go_by_their_names() -> None:
    [finding] = check(["no", "yes"], train=SOUND["train"], test=SOUND["test"][:1])
    assert finding.message == "test has no example of yes"
    several = [(sound(i), [0, 1] if i % 2 else [0]) for i in range(10)]
    assert check(["no", "yes"], train=several) == []
    found = check(["no", "yes", "so"], train=several, test=[(sound(50), [2])])
    assert found[0] == Finding("error", "test has labels that train never shows: so (in 1 row)")


def test_files_on_disk_are_compared_by_content(tmp_path: Path) -> None:
    names = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        path = tmp_path / f"{name}.wav"
        path.write_bytes(sound(seed, length=10.0))
        names.append(str(path))
    rows: list[tuple[bytes | str, Any]] = [(name, place % 2) for place, name in enumerate(names)]
    messages = [finding.message for finding in check(train=rows)]
    assert messages == [
        f"train: 1 row repeat a file of the same split, the first is {names[1]}",
        f"1 sound with different labels in different rows, the first is {names[0]} of train",
    ]
    assert duplicates.digest({"bytes": None, "path": str(tmp_path / "nix")}) is None
    assert duplicates.digest({"bytes": None, "path": "a\0b"}) is None
    assert duplicates.digest({"bytes": None, "path": None}) is None


def test_large_splits_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_preflight, "LOOKED_AT", 10)
    rows = [(sound(i, 8_000), i % 2) for i in range(40)]
    [finding] = check(train=rows)
    assert finding.message.startswith("train: 10 rows of 10 looked at recorded at a lower rate")


# --- transcriptions

LETTERS = set("abcdefghijklmnopqrstuvwxyz ")


def check_texts(frames: dict[str, list[int]] | None = None, **texts: list[str | None]) -> list[str]:
    splits = datasets.DatasetDict(
        {
            name: datasets.Dataset.from_dict(
                {"text": rows}, features=datasets.Features({"text": datasets.Value("string")})
            )
            for name, rows in texts.items()
        }
    )
    counts = {name: np.array(values) for name, values in (frames or {}).items()}
    found = audio_preflight.check_transcripts(splits, {}, LETTERS, str.lower, counts)
    assert all("\n" not in finding.message for finding in found)
    return [f"{finding.level}: {finding.message}" for finding in found]


def test_sound_transcriptions_pass() -> None:
    train, test = ["one two", "three", "four"], ["two one", "three"]
    assert check_texts(train=train, test=test) == []
    assert check_texts({"train": [7, 6, 4]}, train=train) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ["one", "", None, " "],
            "warning: train: 3 rows with an empty transcription, the first is 2",
        ),
        (
            ["", None],
            "error: train has no transcription at all, so there is nothing to learn",
        ),
        (
            ["one", "Ärger", "zwölf ärgern 2 Ä\u200b"],
            "warning: train: 2 rows with characters outside the vocabulary, which are left out:"
            " 'ä' (3), 'ö' (1), '2' (1), U+200B (1); the first is row 2",
        ),
    ],
)
def test_each_mistake_of_a_transcription(texts: list[str | None], message: str) -> None:
    assert message in check_texts(train=texts)


def test_many_unknown_characters_are_not_all_named() -> None:
    [message] = check_texts(train=["0123456789"])
    assert message.endswith("'7' (1) and 2 more; the first is row 1")


def test_targets_longer_than_their_input() -> None:
    assert check_texts({"train": [6, 7, 100]}, train=["three", "three", "four"]) == []
    assert check_texts({"train": [5, 7, 100]}, train=["three", "three", "four"]) == [
        "warning: train: 1 row with more text than sound: CTC needs a frame for each character and"
        " one between equal ones; the first is 1, with 6 for 5 frames"
    ]
    # what is outside the vocabulary is no target
    assert check_texts({"train": [4]}, train=["four"]) == []
    assert len(check_texts({"train": [4]}, train=["four!!"])) == 1
    [message] = check_texts({"train": [2, 2]}, train=["three", "four"])
    assert message.startswith("error: train: 2 rows") and "no other" in message


def test_sentences_that_were_trained_on() -> None:
    found = check_texts(train=["a b", "c"], test=["c", "A b", "d"])
    assert found == [
        "warning: test: 67% of the transcriptions are also in train, word for word: what is"
        " measured there says little about new sentences"
    ]


@given(st.text("ab", max_size=12))
def test_frames_needed_is_the_shortest_path(target: str) -> None:
    """Against a search: a path of n frames collapses to the target for n from this on only."""
    needed = frames_needed(target)
    path: list[str] = []
    for character in target:
        if path and path[-1] == character:
            path.append("-")
        path.append(character)
    assert needed == len(path)
    assert needed <= max(0, 2 * len(target) - 1)
