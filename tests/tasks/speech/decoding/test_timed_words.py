"""Words and their times out of logits that come in parts."""

import numpy as np
import pytest

from tasks.speech.char_tokenizer import CharTokenizer
from tasks.speech.decoding import ctc
from tasks.speech.decoding.timed_words import GreedyReader, Word

SPELLING = CharTokenizer(("<pad>", "<unk>", "|", "a", "字"), 0, "|")


def logits(symbols: str) -> np.ndarray:
    """[frames, 5] with the given symbols (- is blank, ? unknown) as the likeliest."""
    return np.eye(5, dtype=np.float32)[["-?|a字".index(symbol) for symbol in symbols]]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_words_and_their_frames(size: int) -> None:
    frames = logits("-|aa-a||-字-?|?|-")
    reader = GreedyReader(SPELLING)
    for start in range(0, len(frames), size):
        reader.read(frames[start : start + size])
    assert reader.ids == ctc.greedy(frames, 0) and reader.frames == len(frames)
    assert reader.text == "aa 字" == SPELLING.text(reader.ids)
    assert reader.words(0.5, begin=1.0) == [Word("aa", 2.0, 4.0), Word("字", 5.5, 7.0)]
    assert reader.is_between_words and reader.silent_frames == 2  # an unknown symbol is a sound


def test_what_is_forgotten_is_not_read_again() -> None:
    reader = GreedyReader(SPELLING)
    assert reader.silent_frames == 0 and not reader.is_between_words
    reader.read(logits("aa"))
    reader.clear()
    reader.read(logits("-|-"))
    assert (reader.text, reader.silent_frames, reader.words(1.0)) == ("", 5, [])
    reader.read(logits("a"))
    assert reader.words(1.0) == [Word("a", 5.0, 6.0)] and reader.silent_frames == 0
