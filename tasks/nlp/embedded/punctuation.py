"""Restoring case and punctuation: words without them, and tags that say what the text had.

The tags come out of real prose, so that none is invented. Of the embedded texts (see
`tasks.nlp.embedded.docstrings`) or of any other, each word stands in small letters and without the
punctuation around it; its tag says which mark followed it and how it was written:

    "Returns a DataFrame, or None." -> returns a dataframe or none
                                       CAP     O COMMA+CAP O  PERIOD+CAP

It is no benchmark: marks are where the authors of docstrings put them.
"""

from typing import TYPE_CHECKING

from tasks.nlp.embedded import docstrings

if TYPE_CHECKING:
    import datasets

OUTSIDE = "O"
MARKS = {
    ",": "COMMA",
    ".": "PERIOD",
    "?": "QUESTION",
    "!": "EXCLAMATION",
    ":": "COLON",
    ";": "SEMICOLON",
    "…": "PERIOD",
}
"""What a mark behind a word is called."""
_AROUND = "".join(MARKS) + "\"'“”„‘’«»()[]{}<>*`"


def load() -> "datasets.DatasetDict":
    """The splits train, validation and test (6,000, 750 and 750 texts at most) with the columns
    tokens and tags, lists of strings.

    Raises `UserError` as `docstrings.load` does.
    """
    return of_texts(docstrings.load())


def of_texts(splits: "datasets.DatasetDict") -> "datasets.DatasetDict":
    """Return the words of the column text of any splits as tokens, and their marks and case as tags
    (see `tagged`); a row of no words has empty lists."""
    import datasets

    words = datasets.List(datasets.Value("string"))
    features = datasets.Features({"tokens": words, "tags": words})
    made = {}
    for name, split in splits.items():
        pairs = [tagged(text or "") for text in split["text"]]
        columns = {"tokens": [tokens for tokens, _ in pairs], "tags": [tags for _, tags in pairs]}
        made[name] = datasets.Dataset.from_dict(columns, features)
    return datasets.DatasetDict(made)


def tagged(text: str) -> tuple[list[str], list[str]]:
    """The words of a text in small letters, and their tags.

    A tag is the mark that follows, how the word is written (CAP: it begins with a capital; UPPER:
    several letters, all capitals), both with a + between them, or O. What has neither letter nor
    digit is no word, but "_", which stands for a name in the embedded texts; a mark that stands
    alone belongs to the word before it.
    """
    words: list[str] = []
    marks: list[str] = []
    cases: list[str] = []
    for chunk in text.split():
        word = chunk.strip(_AROUND)
        if not any(sign.isalnum() or sign == "_" for sign in word):
            if words and not marks[-1]:
                marks[-1] = _mark(chunk)
            continue
        words.append(word.lower())
        marks.append(_mark(chunk[chunk.rindex(word) + len(word) :]))
        cases.append(_case(word))
    pairs = zip(marks, cases, strict=True)
    return words, ["+".join(filter(None, pair)) or OUTSIDE for pair in pairs]


def _mark(signs: str) -> str:
    """The name of the first mark among signs; empty where there is none."""
    return next((MARKS[sign] for sign in signs if sign in MARKS), "")


def _case(word: str) -> str:
    letters = [sign for sign in word if sign.isalpha()]
    if not letters or not letters[0].isupper():
        return ""
    return "UPPER" if len(letters) > 1 and all(sign.isupper() for sign in letters) else "CAP"
