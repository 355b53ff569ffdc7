"""Words in windows of tokens: which window a word is read in, and where its first piece stands."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tasks.nlp.tagged_words import encode_words, places


@pytest.fixture(scope="module")
def tokenizer(tiny_bert: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(tiny_bert)


def _encoded(tokenizer, words: list[str], length: int, overlap: int | None) -> dict[str, list]:
    return encode_words([" ".join(words)], [places(words)], tokenizer, length, overlap)


def test_a_word_is_read_where_it_stands_most_central(tokenizer) -> None:
    """Windows of 6 tokens at 0, 4 and 8; of 12 words, 5 is at the end of the first window and has
    one token before it in the second."""
    made = _encoded(tokenizer, ["film"] * 12, 8, 2)
    assert [len(window) for window in made["input_ids"][0]] == [8, 8, 6]
    assert made["word_windows"] == [[0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]]
    assert made["word_positions"] == [[1, 2, 3, 4, 5, 2, 3, 4, 5, 2, 3, 4]]
    assert made["untruncated"] == [14]


def test_behind_the_cut_there_is_nothing(tokenizer) -> None:
    made = _encoded(tokenizer, ["film"] * 5, 5, None)
    assert len(made["input_ids"][0]) == 1 and made["untruncated"] == [7]
    assert made["word_positions"] == [[1, 2, 3, -1, -1]] and made["word_windows"][0][3:] == [-1, -1]


def test_the_first_piece_of_a_word(tokenizer) -> None:
    words = ["the", "peter", "\u200b", "film"]  # of the third the tokenizer makes nothing
    made = _encoded(tokenizer, words, 32, 4)
    tokens = tokenizer.convert_ids_to_tokens(made["input_ids"][0][0])
    assert tokens[2:4] == ["p", "##e"]
    first, second, third, fourth = made["word_positions"][0]
    assert (first, second, third) == (1, 2, -1) and tokens[fourth] == "film"


def test_a_window_that_begins_within_a_word_does_not_tag_it(tokenizer) -> None:
    """Its first piece alone is tagged: "peter" is five pieces, windows have four."""
    made = _encoded(tokenizer, ["peter", "film"], 6, 3)
    windows = [tokenizer.convert_ids_to_tokens(ids) for ids in made["input_ids"][0]]
    assert windows[1][1] == "##e"
    window, position = made["word_windows"][0][0], made["word_positions"][0][0]
    assert (window, position) == (0, 1)
    assert windows[made["word_windows"][0][1]][made["word_positions"][0][1]] == "film"


def test_what_the_tokenizer_takes_for_words(tokenizer) -> None:
    text = "  The film, peter\u200b!"
    made = encode_words([text, ""], "tokenizer", tokenizer, 32, 4)
    assert [text[begin:end] for begin, end in made["words"][0]] == [
        "The", "film", ",", "peter", "!"
    ]  # fmt: skip
    assert made["words"][1] == [] and made["word_positions"][1] == []
    assert made["word_positions"][0][:4] == [1, 2, 3, 4]


def test_each_piece_is_a_word_where_that_is_asked(tokenizer) -> None:
    text = "The films, " * 12
    made = encode_words([text], "pieces", tokenizer, 16, 4)
    [whole] = tokenizer.backend_tokenizer.encode_batch([text])
    spans = [
        span for span, word in zip(whole.offsets, whole.word_ids, strict=True) if word is not None
    ]
    assert made["words"] == [spans] and len(made["input_ids"][0]) > 1
    assert min(made["word_positions"][0]) == 1 and len(spans) > len(text.split())


def test_the_tokenizer_stays_as_it_was(tokenizer) -> None:
    before = tokenizer.backend_tokenizer.to_str()
    _encoded(tokenizer, ["film"] * 12, 8, 2)
    assert tokenizer.backend_tokenizer.to_str() == before
