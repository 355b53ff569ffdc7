"""What `clean` mends in texts: HTML, runs of blanks, and texts that stand twice.

What it does to one text it does wherever texts are read: in training, evaluation and prediction.
"""

import html
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.bounds import Bounded
from tasks.errors import UserError, did_you_mean
from tasks.printing import print_lines

if TYPE_CHECKING:
    import datasets

NONE = "none"
DUPLICATES = "duplicates"
BLOCKS = re.compile(
    r"address|article|aside|blockquote|body|br|caption|center|dd|div|dl|dt|fieldset"
    r"|doctype|figcaption|figure|footer|form|h1|h2|h3|h4|h5|h6|head|header|hr|html|iframe|img|legend"
    r"|li|link|main|meta|nav|ol|optgroup|option|p|pre|section|select|table|tbody|td|textarea"
    r"|tfoot|th|thead|title|tr|ul"
)
"""Elements of HTML (https://html.spec.whatwg.org, section 4) that part words: a blank takes their
place."""
INLINE = re.compile(
    r"a|abbr|acronym|b|bdi|bdo|big|button|cite|code|data|del|dfn|em|font|i|input|ins|kbd"
    r"|label|mark|meter|output|progress|q|rp|rt|ruby|s|samp|small|span|strike|strong|sub|sup"
    r"|time|tt|u|var|wbr"
)
TAG = re.compile(r"<(?:!(?=doctype\b)|/)?([a-z][a-z0-9]*)\b([^<>]*)>", re.IGNORECASE)
SWITCHES = frozenset(("checked", "compact", "disabled", "hidden", "nowrap", "readonly", "selected"))
"""Attributes that stand without a value."""
HIDDEN = re.compile(r"<(?:(script|style)\b[^<>]*>|!--)", re.IGNORECASE)
"""Where what nobody reads begins."""
NO_LABEL = repr(None)
ORDER = ("test", "validation", "train")
"""A text that stands in several splits stays in the first of these: what is measured is kept."""


@dataclass(frozen=True)
class CleanArgs(Bounded):
    """What is mended in texts before they are read."""

    clean: str = NONE
    """html, space, duplicates, or several with commas: tags and entities of HTML become plain text,
    runs of blanks one blank, and of rows with one text the first stays (in test before train)"""

    def __post_init__(self) -> None:
        super().__post_init__()
        steps_of(self.clean)


def steps_of(clean: str) -> tuple[str, ...]:
    """Return the steps that a value of the flag names, in the order they are done.

    Raises `UserError` for a word that names none.
    """
    words = [word.strip() for word in clean.split(",")]
    if words in ([NONE], [""]):
        return ()
    known = (*_ON_TEXTS, DUPLICATES)
    for word in words:
        if word not in known:
            hint = did_you_mean(word, known)
            raise UserError(
                f"`clean` {word!r} is none of {', '.join(known)}", hint=hint or "or none, alone"
            )
    return tuple(step for step in known if step in words)


def without_html(text: str) -> str:
    """Return a text without HTML's tags, comments, scripts and styles, and its entities (`&amp;`)
    as the characters they stand for.

    A tag has the name of an element of HTML, and perhaps attributes with it: "a <b, c> d", "<3" and
    "if a<p and q>r" stay.
    """
    if "<" in text:
        text = TAG.sub(_instead, _without_hidden(text))
    return html.unescape(text) if "&" in text else text


def _without_hidden(text: str) -> str:
    """Return a text without comments, scripts and styles; one that never ends is none."""
    kept, at, look, endless = [], 0, 0, set[str]()  # a kind that has no end has none further on
    while begin := HIDDEN.search(text, look):
        look = begin.end()
        kind = (begin[1] or "comment").lower()
        if kind in endless:
            continue
        end = re.compile(f"</{kind}\\s*>" if begin[1] else "-->", re.IGNORECASE).search(text, look)
        if end is None:
            endless.add(kind)
            continue
        kept.append(text[at : begin.start()])
        at = look = end.end()
    return " ".join([*kept, text[at:]])


def _instead(tag: re.Match[str]) -> str:
    name = tag[1].lower()
    if name != "doctype" and not _are_attributes(tag[2]):
        return tag[0]
    if BLOCKS.fullmatch(name):
        return " "
    return "" if INLINE.fullmatch(name) else tag[0]


def _are_attributes(rest: str) -> bool:
    """Return whether what stands between a tag's name and its end may do so in HTML."""
    words = rest.lower().replace("/", " ").split()
    if not words:
        return True
    return rest[0] in " \t\r\n\f/" and ("=" in rest or SWITCHES.issuperset(words))


def single_spaced(text: str) -> str:
    """Return a text with one blank for each run of blanks, tabs and line ends; none at its ends."""
    return " ".join(text.split())


_ON_TEXTS: Mapping[str, Callable[[str], str]] = {"html": without_html, "space": single_spaced}


def cleaned(text: str, clean: str) -> str:
    """Return one text as the steps of `clean` leave it; duplicates are a matter of many."""
    for step in steps_of(clean):
        if step in _ON_TEXTS:
            text = _ON_TEXTS[step](text)
    return text


def cleaned_item(item: Mapping[str, Any], clean: str) -> Mapping[str, Any]:
    """Return an input of `predict` with its `text` and `text_pair` cleaned."""
    if clean == NONE:
        return item
    texts = {name: item[name] for name in ("text", "text_pair") if name in item}
    return {**item, **{name: cleaned(text, clean) for name, text in texts.items()}}


def cleaned_splits(
    splits: "datasets.DatasetDict", clean: str, where: str
) -> "tuple[datasets.DatasetDict, dict[str, int]]":
    """Return the splits with their columns text and text_pair cleaned, and without the rows that
    repeat another's texts; and what was done, counted, which is also told in a line on standard
    error.

    Texts count as the same where they differ by blanks alone; empty ones are not compared.

    Args:
        where: the data's name.

    The counts, of all splits: texts_changed, contradicted (rows that were dropped though they had
    another label than the row that stays), rows_before and rows, characters_before and characters.
    There are none where nothing is asked for.
    """
    import datasets

    steps = steps_of(clean)
    if not steps:
        return splits, {}
    before, after, changed = [0, 0], [0, 0], 0
    made = {}
    for name, split in splits.items():
        before[0] += split.num_rows
        for column in _texts_of(split):
            texts = split[column][:]
            new = [cleaned(text, clean) for text in texts]
            before[1] += sum(map(len, texts))
            differs = sum(a != b for a, b in zip(texts, new, strict=True))
            changed += differs
            split = _with(split, column, new) if differs else split
        made[name] = split
    told = [f"{changed:,} text{'s'[: changed != 1]} changed"] * (steps != (DUPLICATES,))
    contradicted = 0
    if DUPLICATES in steps:
        kept, dropped, contradicted = _without_duplicates(made)
        made = {
            name: split if len(kept[name]) == len(split) else split.select(kept[name])
            for name, split in made.items()
        }
        told.append(dropped)
    for split in made.values():
        after[0] += split.num_rows
        after[1] += sum(len(text) for column in _texts_of(split) for text in split[column])
    print_lines(
        f"clean {','.join(steps)} of {where}: {'; '.join(told)}; before {before[0]:,} rows with"
        f" {before[1]:,} characters, after {after[0]:,} with {after[1]:,}",
        file=sys.stderr,
    )
    counts = {"texts_changed": changed, "contradicted": contradicted}
    counts |= {"rows_before": before[0], "rows": after[0]}
    counts |= {"characters_before": before[1], "characters": after[1]}
    return datasets.DatasetDict(made), counts


def described(clean: str) -> str:
    """Return a card's sentence on what was mended in every text; empty where nothing is."""
    said = {
        "html": "HTML's tags are taken out and its entities written as characters",
        "space": "runs of blanks become one",
    }
    done = [said[step] for step in steps_of(clean) if step in said]
    if not done:
        return ""
    return f"The zoo cleans every text first: {', and '.join(done)}; other programs have to."


def _texts_of(split: "datasets.Dataset") -> list[str]:
    return [name for name in ("text", "text_pair") if name in split.column_names]


def _with(split: "datasets.Dataset", column: str, texts: Sequence[str]) -> "datasets.Dataset":
    """Return the split with other texts in a column, which moves behind the others."""
    import datasets
    import pyarrow as pa

    parts = [
        pa.array(texts[i : i + 50_000], pa.large_string()) for i in range(0, len(texts), 50_000)
    ]
    table = pa.table({column: pa.chunked_array(parts, pa.large_string())})
    return datasets.concatenate_datasets(
        [split.remove_columns(column), datasets.Dataset(table)], axis=1
    )


def _without_duplicates(
    splits: "Mapping[str, datasets.Dataset]",
) -> tuple[dict[str, list[int]], str, int]:
    """Return the rows of each split to keep, what is dropped in words, and how many of these had
    another label than the row that stays."""
    seen: dict[tuple[str, ...], tuple[str, str]] = {}  # the texts: their split, their label
    kept: dict[str, list[int]] = {}
    told, contradicted = [], 0
    for name in (*[one for one in ORDER if one in splits], *[s for s in splits if s not in ORDER]):
        split, repeats = splits[name], dict.fromkeys((name, *splits), 0)
        columns = [map(single_spaced, split[column]) for column in _texts_of(split)]
        has_labels = "label" in split.column_names
        labels = map(repr, split["label"]) if has_labels else [NO_LABEL] * len(split)
        kept[name] = []
        for row, (key, label) in enumerate(zip(zip(*columns, strict=True), labels, strict=True)):
            first = seen.get(key)
            if first is None or not any(key):
                seen[key] = first or (name, label)
                kept[name].append(row)
            else:
                repeats[first[0]] += 1
                contradicted += label != first[1] and NO_LABEL not in (label, first[1])
        told += [
            f"{count:,} of {name} {'repeated' if other == name else f'also in {other}'}"
            for other, count in repeats.items()
            if count
        ]
    said = ", ".join(told) or "none"
    if contradicted:
        said += f" ({contradicted:,} with another label than the row that stays)"
    return {name: kept[name] for name in splits}, f"duplicates dropped: {said}", contradicted
