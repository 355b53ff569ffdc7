"""Checks of pairs of texts before training: near-duplicates across splits, targets that are cut
off, and columns that seem to be turned round."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tasks.data.label_checks import rows as counted
from tasks.data.label_checks import warning
from tasks.nlp.cleaning import single_spaced
from tasks.nlp.text_preflight import WORTH_TRUNCATING
from tasks.preflight import Finding

if TYPE_CHECKING:
    import datasets

NO_LETTER = re.compile(r"[\W\d_]+")
WORTH_LEAKING = 0.01
"""Share of near-duplicates of train that a split may have unremarked."""
FEW_LETTERS = 12
"""Letters of a text from which on two that have the same are near-duplicates, and not chance."""
CHINESE_OR_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""Scripts without blanks between words."""


def check(
    splits: "datasets.DatasetDict", features: Mapping[str, Any], longest_target: int
) -> list[Finding]:
    """Return what is suspicious in pairs, beside what each text by itself shows.

    Args:
        splits: with the columns text, the sources, and text_pair, the targets.
        features: of the splits, with `target_untruncated`.
        longest_target: tokens of a target at most.
    """
    return [
        *_near_duplicates(splits),
        *_cut_targets(features, longest_target),
        *_turned(splits),
        *_scripts(splits),
    ]


def letters(text: str) -> str:
    """Return a text as near-duplicates are compared: its letters alone, in lower case."""
    return NO_LETTER.sub("", text.casefold())


def _near_duplicates(splits: "datasets.DatasetDict") -> Iterator[Finding]:
    """Sources of other splits that have the letters of one in train; pairs that stand in both to
    the letter are told by themselves."""
    if "train" not in splits or len(splits) == 1:
        return
    known = {key for text in splits["train"]["text"] if len(key := letters(text)) >= FEW_LETTERS}
    exact = set(_pairs(splits["train"]))
    for name in splits:
        if name == "train":
            continue
        pairs = _pairs(splits[name])
        found = sum(letters(pair[0]) in known and pair not in exact for pair in pairs)
        if found > WORTH_LEAKING * len(pairs):
            yield warning(
                f"{name}: {counted(found)} of {len(pairs):,} have a source that stands in train "
                "but for case, digits and punctuation: what is measured there is too good",
                "near_train",
                name,
                found,
            )


def _pairs(split: "datasets.Dataset") -> list[tuple[str, str]]:
    """Return sources and targets without needless blanks."""
    columns = (map(single_spaced, split[name]) for name in ("text", "text_pair"))
    return list(zip(*columns, strict=True))


def _cut_targets(features: Mapping[str, Any], longest: int) -> Iterator[Finding]:
    for name, split in features.items():
        lengths = split.target_untruncated
        share = float((lengths > longest).mean()) if len(lengths) else 0.0
        if share >= WORTH_TRUNCATING:
            yield warning(
                f"{name}: {share:.1%} of the targets are longer than {longest} tokens (the longest "
                f"has {int(lengths.max())}): what is behind is not learned; raise "
                "`max_target_length`"
            )


def _turned(splits: "datasets.DatasetDict") -> Iterator[Finding]:
    """Targets that are several times as long as their sources: a summary would be expanded."""
    first = next(iter(splits.values()))
    read, written = (sum(map(len, first[name][:])) for name in ("text", "text_pair"))
    if written > 3 * max(read, 1):
        yield warning(
            f"the targets have {written / max(read, 1):.1f} times as many characters as the "
            "sources: are `source_column` and `target_column` turned round?"
        )


def _scripts(splits: "datasets.DatasetDict") -> Iterator[Finding]:
    """Targets in a script without blanks, whose words BLEU and ROUGE do not see."""
    first = next(iter(splits.values()))
    some = first["text_pair"][:200]
    if sum(bool(CHINESE_OR_JAPANESE.search(text)) for text in some) > len(some) / 2:
        yield warning(
            "the targets are written without blanks between words, which BLEU and ROUGE count: go "
            "by chrF"
        )
