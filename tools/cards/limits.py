"""Intended use and limits: what the task and the modality of this checkpoint say of themselves."""

from collections.abc import Iterator

from bench.record.markdown import code, safe
from tasks.data.source import NONE
from tools.cards import classes
from tools.cards.about import data_of
from tools.cards.facts import Facts
from tools.cards.metadata import languages
from tools.cards.numbers import format_fact, mark
from tools.cards.record import Record
from zoo.model.modality import modality_of


def section(facts: Facts) -> list[str]:
    """Return the section about the limits of the model, as paragraphs of Markdown."""
    found = facts.record
    points = [
        found.task.describe_outputs(code),
        *modality_of(found.entry).describe_inputs(found.task),
        *_languages(found),
        *_reach(facts),
        *_data(facts),
    ]
    return ["## Intended use and limits", "\n".join(f"- {point}" for point in points)]


def _languages(record: Record) -> Iterator[str]:
    if not record.task.has_language:
        return
    if codes := languages(record):
        yield f"Language: {safe(', '.join(codes))}. Others were not tried."
    else:
        yield (
            f"What languages it can do is not recorded: it has learned from {data_of(record)}, and "
            "others were not tried."
        )


def _reach(facts: Facts) -> Iterator[str]:
    found, main = facts.record, facts.main
    if main is None or main.dataset is None:
        of = "" if found.data_name == NONE else f" of {data_of(found)}"
        yield f"It has not been measured on a test split{of}."
        return
    same = main.dataset["fingerprint"] == found.manifest["data"]["fingerprint"]
    what = "the test split of the same source as the training data" if same else "other data"
    n = f", n = {main.n:,}{mark(main)}" if main.n else ""
    yield (
        f"It was measured on {what}{n}. On data of another kind, origin or time it may do worse; "
        "how much has not been measured."
    )


def _data(facts: Facts) -> Iterator[str]:
    """Return sentences about what the check of the data before training counted."""
    for fact in facts.of(kind="data", subject=facts.record.subject):
        other = fact.name.removeprefix("shared_with_")
        split, is_one = safe(fact.split or ""), fact.value == 1
        if other != fact.name:
            harm = ": what is measured there is too good" if other == "train" else ""
            stand = "example stands" if is_one else "examples stand"
            yield f"{format_fact(fact)} {stand} both in {split} and in {safe(other)}{harm}."
        elif fact.name == "near_train":
            have = "example has" if is_one else "examples have"
            yield f"{format_fact(fact)} {have} a source in {split} that nearly stands in train."
        elif fact.name == "repeated":
            repeat = "row repeats" if is_one else "rows repeat"
            yield f"{format_fact(fact)} {repeat} an earlier one in {split}."
        elif fact.name == "contradictory":
            have = "example has" if is_one else "examples have"
            yield f"{format_fact(fact)} {have} different labels in different rows."
    if said := classes.imbalance(facts):
        yield said
