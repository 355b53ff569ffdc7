"""Words without case and punctuation, and the tags that give both back."""

import datasets
import pytest

from tasks.nlp.embedded import punctuation


@pytest.mark.parametrize(
    ("text", "words", "tags"),
    [
        (
            "Returns a DataFrame, or None.",
            "returns a dataframe or none",
            "CAP O COMMA+CAP O PERIOD+CAP",
        ),
        ('Is it "NaN" (or 3.5)?', "is it nan or 3.5", "CAP O CAP O QUESTION"),
        ("The API: it's well-known; see _, I …", "the api it's well-known see _ i",
         "CAP COLON+UPPER O SEMICOLON O COMMA PERIOD+CAP"),
        ("- one\n * two -- !", "one two", "O EXCLAMATION"),
        ("A !", "a", "EXCLAMATION+CAP"),
        ("", "", ""),
    ],
)  # fmt: skip
def test_tags_of_texts(text: str, words: str, tags: str) -> None:
    assert punctuation.tagged(text) == (words.split(), tags.split())


def test_of_any_texts() -> None:
    given = datasets.DatasetDict(test=datasets.Dataset.from_dict({"text": ["So it is.", None]}))
    made = punctuation.of_texts(given)
    assert made["test"][:] == {
        "tokens": [["so", "it", "is"], []], "tags": [["CAP", "O", "PERIOD"], []]
    }  # fmt: skip
