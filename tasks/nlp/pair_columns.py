"""Which columns of a table are the source and the target of a model that writes one from the other.

Names that say it are found by themselves (`source` and `target`, `article` and `summary`). Of two
columns that are called by languages (`en`, `fr`) the first is the source; since their names do not
say the direction, what was taken is told.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tasks.data.columns import find_column, folded
from tasks.errors import UserError, spelled
from tasks.nlp.text_inputs import TEXT_COLUMNS
from tasks.printing import print_lines

if TYPE_CHECKING:
    import datasets

PAIRS = (
    ("source", "target"),
    ("src", "tgt"),
    ("src", "trg"),
    ("source_text", "target_text"),
    ("input", "output"),
    ("input_text", "target_text"),
)
"""Columns that are source and target where both are there."""
DOCUMENTS = ("document", "article", "dialogue", "description", "body", *TEXT_COLUMNS)
"""Usual names of what is summed up, best first."""
SUMMARIES = ("summary", "highlights", "synopsis", "headline", "abstract", "title")
"""Usual names of summaries, best first."""
TRANSLATION = "translation"
"""The column in which data sets of the Hub have a mapping from language to text."""
CODES = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da
de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz
ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln
lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi
pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti
tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
"""Codes of languages, ISO 639-1."""
OTHER_NAMES = """
arabic chinese czech danish dutch english finnish french german greek hindi hungarian italian
japanese korean norwegian persian polish portuguese romanian russian spanish swedish turkish
ukrainian vietnamese deu eng fra ita jpn kor nld pol por rus spa zho
"""
"""Other names that languages go by in tables."""
LANGUAGES, NAMES = frozenset(CODES.split()), frozenset(OTHER_NAMES.split())
NUMBER = "id"
"""A code of a language, and the usual name of a column of numbers."""


def is_language(name: str) -> bool:
    """Return whether a column is called by a language: "en", "pt_BR", "zh-Hans", "French"."""
    plain = folded(name)
    code = re.fullmatch(r"([a-z]{2})(?:[-_][a-z0-9]{2,4})*", plain, re.ASCII)
    return plain in NAMES or (code is not None and code[1] in LANGUAGES)


def find_pair(
    names: Sequence[str], where: str, source: str | None, target: str | None
) -> tuple[str, str]:
    """Return the columns of the source and of the target in data to train on; what was found by
    itself among languages is told.

    Args:
        names: the columns there are.
        where: the data's name, for messages.
        source, target: the user's choice.

    Raises `UserError` where one is missing, both are the same, or which they are is not plain.
    """
    if source is not None and target is not None:
        found = _asked(names, source, "source", where), _asked(names, target, "target", where)
    elif target is not None:
        known = _asked(names, target, "target", where)
        found = _partner(names, known, "source", where), known
    elif source is not None:
        known = _asked(names, source, "source", where)
        found = known, _partner(names, known, "target", where)
    else:
        found = _by_names(names, where)
    if found[0] == found[1]:
        raise UserError(f"{where}: {found[0]!r} can't be both the source and the target")
    return found


def other_pair(
    names: Sequence[str], where: str, known: Mapping[str, str | None]
) -> tuple[str, str]:
    """Return the columns of the source and of the target in other data than training's: those of
    the training where both are there, else as `find_pair` finds them, which is told.

    Args:
        known: the columns of the training, "source" and "target".
    """
    by_folded = {folded(name): name for name in reversed(names)}
    trained = [str(known[name]) for name in ("source", "target")]
    if all(folded(name) in by_folded for name in trained):
        source, target = (name if name in names else by_folded[folded(name)] for name in trained)
        return source, target
    try:
        source, target = find_pair(names, where, None, None)
    except UserError as error:
        raise UserError(
            f"{error}; training read {trained[0]!r} and {trained[1]!r}: call them so"
        ) from None
    _tell(
        f"note: {where} has no columns {trained[0]!r} and {trained[1]!r}, which training read: "
        f"{source!r} is read as the source and {target!r} as the target in their place"
    )
    return source, target


def with_languages(splits: "datasets.DatasetDict") -> "datasets.DatasetDict":
    """Return the splits with a column of mappings from language to text (`translation`, as data
    sets of the Hub have it) as a column for each language."""
    import datasets

    made = {}
    for name, split in splits.items():
        column = next((one for one in split.column_names if folded(one) == TRANSLATION), None)
        feature = None if column is None else split.features[column]
        if column is None or not isinstance(feature, Mapping | datasets.Translation):
            made[name] = split
            continue
        flat = split.select_columns([column]).flatten()
        own = {one: one.removeprefix(f"{column}.") for one in flat.column_names}
        rest = split.remove_columns(column)
        flat = flat.rename_columns(own)
        twice = [one for one in own.values() if one in rest.column_names]
        rest = rest.remove_columns(twice)
        made[name] = datasets.concatenate_datasets([flat, rest], axis=1)
    return datasets.DatasetDict(made)


def _asked(names: Sequence[str], asked: str, what: str, where: str) -> str:
    return find_column(names, asked, (), what, where)


def _by_names(names: Sequence[str], where: str) -> tuple[str, str]:
    """Return both columns, found by their names alone."""
    by_folded = {folded(name): name for name in reversed(names)}
    for pair in PAIRS:
        if all(name in by_folded for name in pair):
            return by_folded[pair[0]], by_folded[pair[1]]
    document = next((by_folded[name] for name in DOCUMENTS if name in by_folded), None)
    summary = next((by_folded[name] for name in SUMMARIES if name in by_folded), None)
    if document is not None and summary is not None:
        return document, summary
    found = _languages(names)
    if len(found) == 2:
        source, target = found
        _tell(
            f"reads {source!r} as the source and {target!r} as the target; for the other direction "
            f"give `source_column` {target}"
        )
        return source, target
    what = f"has the languages {', '.join(found)}" if found else f"has the columns {_all(names)}"
    raise UserError(
        f"{where} {what}, and which are the source and the target is not plain: name them "
        "(`source_column`, `target_column`)"
    )


def _partner(names: Sequence[str], known: str, what: str, where: str) -> str:
    """Return the column that belongs to one that was asked for, as its source or target."""
    others = [name for name in names if name != known]
    by_folded = {folded(name): name for name in reversed(others)}
    mine, own = (0, 1) if what == "source" else (1, 0)
    for pair in PAIRS:
        if folded(known) == pair[own] and pair[mine] in by_folded:
            return by_folded[pair[mine]]
    if is_language(known) and len(found := _languages(others)) == 1:
        return found[0]
    usual = [pair[mine] for pair in PAIRS]
    usual = [*DOCUMENTS, *usual] if what == "source" else [*SUMMARIES, *usual]
    if found_name := next((by_folded[name] for name in usual if name in by_folded), None):
        return found_name
    if len(others) == 1:
        return others[0]
    raise UserError(
        f"{where} has the columns {_all(names)}, and which of them is the {what} of {known!r} is "
        f"not plain: name it (`{what}_column`)"
    )


def _languages(names: Sequence[str]) -> list[str]:
    """Return the columns that are called by languages; one called id only where it must be one."""
    found = [name for name in names if is_language(name)]
    return [name for name in found if folded(name) != NUMBER] if len(found) > 2 else found


def _all(names: Sequence[str]) -> str:
    return ", ".join(names) or "none at all"


def _tell(line: str) -> None:
    print_lines(spelled(line), file=sys.stderr)
