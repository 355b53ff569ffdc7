"""The English in a docstring, without the code, and without the names that code goes by."""

import re
from collections.abc import Container

MASK = "_"
"""Stands for one identifier, name of a library, version, formula or address."""
FEWEST_WORDS, MOST_WORDS = 10, 80
LARGEST_SHARE_MASKED = 0.3

# Where prose ends: sections in the styles of numpy, Google and Sphinx, code and directives.
_UNDERLINE = re.compile(r"^\s*([-=~^*#\"'+`])\1{2,}\s*$")
_SECTION = re.compile(
    r"^\s*(args?|arguments|attributes|inputs?|outputs?|parameters|params|kwargs|returns?|yields?"
    r"|raises|examples?|usage|notes?|references?|see also|shape|warnings?|keyword arg\w*|todo"
    r"|supported \w+|where|variables)\s*:?\s*$",
    re.IGNORECASE,
)
_NO_PROSE = re.compile(r"^\s*(>>>|\.\.|```|:\w|@|[-*+|•]\s|\(?\d+[.)]\s|\\|\$\$|\[\d+\]|%)|::\s*$")
_CODE = re.compile(r"[`={}\\<>@|#^~;]|--|::|\[|\]|\w\(\w*\)\.")

_LINK = re.compile(r"(?::[\w:+.-]+:)?`([^`<]*?)\s*<[^`>]*>`_{0,2}")
_BOILERPLATE = re.compile(r"Read more in the [\w -]+\.")  # below half of scikit-learn's
_MARKED = (
    re.compile(r":[\w:+.-]+:`[^`]*`"),  # roles, formulas among them
    re.compile(r"``.+?``|`[^`]*`_{0,2}"),
    re.compile(r"\$[^$]*\$"),
    re.compile(r"(?<![\w*])\*(?!\s)[\w ,.]*?\w\*(?![\w*])"),  # *name*, matplotlib's arguments
    re.compile(r"\b(?:https?://|www\.)\S+"),
)
_CITATION = re.compile(r"\s*\[[\w, -]{1,20}\]_")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_SPECIAL = (
    re.compile(r"'[\w.+-]*'|\"[\w.+-]*\""),  # values of options
    re.compile(r"\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w+)+\b(?:\([^)\s]*\))?"),  # dotted names
    re.compile(r"\b\w+\([^)\s]*\)"),  # calls
    re.compile(r"\b\w*[a-z][A-Z]\w*\b"),  # CamelCase
    re.compile(r"\b[A-Za-z]+\d\w*\b"),
    re.compile(r"\bv?\d+(?:\.\d+)+\w*\b"),  # versions
    re.compile(r"(?<!\w)\w*_\w*(?:\.\w+)*(?!\w)"),  # anything with an underscore, a mask too
)
_MASKS = re.compile(rf"{MASK}(?:[\s.,/-]*(?:s\b)?{MASK})+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z_])")
_WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")
_FUNCTION_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "to",
        "in",
        "is",
        "are",
        "be",
        "for",
        "and",
        "or",
        "with",
        "by",
        "from",
        "that",
        "this",
        "on",
        "as",
        "it",
        "if",
        "not",
        "at",
        "into",
        "which",
        "when",
        "can",
        "will",
        "each",
        "all",
        "given",
        "using",
        "where",
        "whether",
        "has",
        "have",
        "its",
    ]
)


def first_prose(docstring: str) -> str | None:
    """The first paragraphs of a docstring that are plain sentences, on one line, with what is
    marked as code masked; None where there are none. `docstring` is clean (`inspect.cleandoc`).
    """
    texts: list[str] = []
    words = 0
    for paragraph in _paragraphs(docstring):
        if any(_NO_PROSE.search(line) or line[0].isspace() for line in paragraph):
            break
        text = _unmarked(" ".join(paragraph))
        if _CODE.search(text) or (not text.endswith((".", "!", "?")) and texts):
            break
        for sentence in _SENTENCE_END.split(text):
            words += len(sentence.split())
            if words > MOST_WORDS:
                return " ".join(texts) or None
            texts.append(sentence)
    return " ".join(texts) or None


def words(text: str) -> list[str]:
    """The words of a text, in small letters, without masks and numbers."""
    return [word.lower() for word in _WORD.findall(text)]


def mask(text: str, names: Container[str]) -> str:
    """The text with whatever looks like an identifier masked, and every word in `names` (small
    letters); neighbouring masks become one.
    """
    for pattern in _SPECIAL:
        text = pattern.sub(MASK, text)
    text = re.sub(r"\w+(?:-\w+)*", lambda match: _masked_word(match[0], names), text)
    return _MASKS.sub(MASK, text)


def is_english(text: str) -> bool:
    """Return whether a masked text is a sentence of some length rather than a fragment of code."""
    plain = words(text)
    return (
        len(plain) >= FEWEST_WORDS
        and len(text.split()) <= MOST_WORDS
        and text.count(MASK) <= LARGEST_SHARE_MASKED * len(plain)
        and (text[0].isupper() or text[0] == MASK)
        and not _FUNCTION_WORDS.isdisjoint(plain)
    )


def _masked_word(word: str, names: Container[str]) -> str:
    if word.lower() in names or any(part.lower() in names for part in word.split("-")):
        return MASK
    return word


def _paragraphs(docstring: str) -> list[list[str]]:
    """The lines of each paragraph before the first section; a title at the top is no paragraph."""
    paragraphs: list[list[str]] = [[]]
    lines = docstring.splitlines()
    for place, line in enumerate(lines):
        following = lines[place + 1] if place + 1 < len(lines) else ""
        if _UNDERLINE.match(line):
            paragraphs[-1] = []
        elif _UNDERLINE.match(following):
            if any(paragraphs):
                break
        elif _SECTION.match(line):
            break
        elif line.strip():
            paragraphs[-1].append(line)
        elif paragraphs[-1]:
            paragraphs.append([])
    return [paragraph for paragraph in paragraphs if paragraph]


def _unmarked(text: str) -> str:
    text = _BOILERPLATE.sub("", _LINK.sub(r"\1", _CITATION.sub("", text)))
    for pattern in _MARKED:
        text = pattern.sub(MASK, text)
    return " ".join(_BOLD.sub(r"\1", text).split())
