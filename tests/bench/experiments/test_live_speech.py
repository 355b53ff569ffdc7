"""The cost of live speech: when a text came, whose delay it is, and the whole command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.experiments import live_speech
from bench.experiments.live_speech import Sound, quantile, word_delays
from tests.cli import run_process
from zoo.speech import streaming
from zoo.speech.streaming import Partial

SOUND = Sound(np.zeros(0), "three seven one", (0.5, 1.0, 1.5))


def test_a_word_came_when_its_text_stays() -> None:
    texts = [
        (0.3, ["three"]),
        (0.4, ["free"]),
        (0.7, ["three"]),
        (1.1, ["three", "seve"]),
        (1.25, ["three", "seven"]),
        (2.0, ["three", "seven", "two"]),
    ]
    assert word_delays(SOUND, texts) == pytest.approx([0.2, 0.25])  # the last one is wrong
    late = [(1.7, ["seven", "one"])]
    assert word_delays(SOUND, late) == pytest.approx([0.7, 0.2])  # the first one is missing
    assert word_delays(SOUND, []) == [] == word_delays(SOUND, [(1.0, ["nine"])])
    early = [(0.4, ["three"]), (0.9, ["three", "x"])]
    assert word_delays(SOUND, early) == pytest.approx([-0.1])


def test_quantiles() -> None:
    assert quantile([3.0], 0.95) == 3.0 and np.isnan(quantile([], 0.5))
    assert quantile(list(range(101)), 0.95) == 95 and quantile([1.0, 3.0], 0.5) == 2


def test_the_clock_counts_sound_and_what_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet that takes longer than it lasts holds up those behind it."""
    clock = [0.0]
    monkeypatch.setattr(live_speech.time, "perf_counter", lambda: clock[0])

    class Stream:
        def __init__(self, predictor: Any, rate: int) -> None:
            self.heard = 0

        def push(self, samples: np.ndarray) -> list[Partial]:
            self.heard += 1
            clock[0] += 0.5 if self.heard == 2 else 0.01
            return [Partial(0, 1, False, {"text": f"{self.heard}"})]

        def finish(self) -> list[Partial]:
            return [Partial(0, 1, True, {"text": "end here"})]

    monkeypatch.setattr(streaming, "SpeechStream", Stream)
    text, texts, busy = live_speech.stream(None, np.zeros(16_000 * 4 // 10), 0.1)
    assert text == "end here" and busy == pytest.approx(0.53)
    when = [0.11, 0.70, 0.71, 0.72, 0.72]
    assert [came for came, _ in texts] == pytest.approx(when)
    assert [words for _, words in texts] == [["1"], ["2"], ["3"], ["4"], ["end", "here"]]


@pytest.mark.slow
def test_two_checkpoints(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    from tests import tiny_models

    folders = []
    for name in ("stream_ctc", "conformer_ctc"):
        (tmp_path / name).mkdir()
        folders.append(tiny_models.checkpoint(name, request.getfixturevalue, tmp_path / name))
    output = tmp_path / "results.jsonl"
    words = ("--checkpoints", *folders, "--clips", 4, "--output", output)
    for _ in range(2):  # the second time nothing is measured again
        done = run_process(live_speech.NAME, *words)
        assert done.code == 0, done.err
        results = [json.loads(line) for line in output.read_text().splitlines()]
        assert [one["model"] for one in results] == ["stream_ctc", "conformer_ctc"]
    causal, _ = results
    assert causal["same_texts"] == causal["n"] == 4
    assert causal["wer_offline"] == causal["wer_stream"]
    assert all(one["real_time_factor"] > 0 for one in results)
    assert len(done.out.splitlines()) == 3
    wrong = run_process(live_speech.NAME, "--checkpoints", tmp_path)
    assert wrong.code == 2 and len(wrong.err.splitlines()) == 1
