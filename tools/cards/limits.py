"""Intended use and limits: what the task and the settings of this checkpoint say."""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.record.markdown import code, safe
from tools.cards import classes
from tools.cards.about import data_of
from tools.cards.facts import Facts
from tools.cards.metadata import languages
from tools.cards.numbers import mark, shown
from tools.cards.record import Record

MOST_LABELS = 30  # that are all named


def section(facts: Facts) -> list[str]:
    """The section, as paragraphs."""
    found = facts.record
    points = [*_outputs(found), *_inputs(found), *_languages(found), *_reach(facts), *_data(facts)]
    return ["## Intended use and limits", "\n".join(f"- {point}" for point in points)]


def _outputs(found: Record) -> Iterator[str]:
    settings = found.settings
    labels = [str(label) for label in settings.get("labels", ())]
    kind = settings.get("problem_type")
    if kind == "regression":
        yield "Gives a number for an input, in the unit of the training data's column of labels."
    elif kind == "multi_label_classification":
        threshold = settings["args"].get("threshold", 0.5)
        yield (
            f"Gives an input any of {len(labels)} labels: {_named(labels)}; a label counts as "
            f"given where its probability reaches {threshold:g}."
        )
    elif labels:
        yield (
            f"Gives an input one of {len(labels)} labels: {_named(labels)}. Whatever else it is "
            "shown gets one of them too: there is no label for none of these."
        )
    elif found.manifest["pipeline"] == "automatic-speech-recognition":
        yield from _writing(settings)
    elif found.manifest["pipeline"] == "fill-mask":
        yield "Fills in a masked word; meant as a start for fine-tuning, not as an end."
    else:
        yield "Gives features, a start for fine-tuning; it names nothing by itself."


def _writing(settings: Mapping[str, Any]) -> Iterator[str]:
    spelling = settings.get("spelling") or {}
    if not spelling.get("vocabulary"):
        yield "Writes what is said in a recording."
        return
    signs = [
        one for one in spelling["vocabulary"] if len(one) == 1 and one != spelling["delimiter"]
    ]
    words = "" if any(one.isdigit() for one in signs) else "; numbers are written in words"
    yield (
        "Writes what is said in a recording, with these signs and spaces, and no others: "
        f"{code(''.join(sorted(signs)))}{words}."
    )


def _inputs(found: Record) -> Iterator[str]:
    settings = found.settings
    args = settings.get("args", {})
    if length := args.get("max_length"):
        if args.get("long_texts") == "window" and "window_overlap" in args:
            yield (
                f"Reads {length} tokens at a time; the zoo reads longer texts in windows that "
                f"overlap by {args['window_overlap']}, whose outputs are averaged."
            )
        elif args.get("long_texts") == "window":
            yield f"Has learned from texts that were cut into windows of {length} tokens."
        else:
            yield f"Reads {length} tokens at most; what a longer text has behind them is cut off."
    if size := settings.get("size"):
        yield f"Every image is resized to {size} × {size} pixels; finer detail is lost."
    if rate := (settings.get("settled") or {}).get("rate"):
        longest = args.get("max_seconds")
        yield (
            f"Sound is brought to {rate:,} samples a second, so nothing above {rate // 2:,} Hz is "
            f"heard; trained and measured on recordings of {longest:g} s at most."
        )


def _languages(found: Record) -> Iterator[str]:
    pipeline = str(found.manifest["pipeline"])
    if not pipeline.startswith(("text", "fill", "automatic-speech")):
        return
    if codes := languages(found):
        yield f"Language: {safe(', '.join(codes))}. Others were not tried."
    else:
        yield (
            f"What languages it can do is not recorded: it has learned from {data_of(found)}, and "
            "others were not tried."
        )


def _reach(facts: Facts) -> Iterator[str]:
    found, main = facts.record, facts.main
    if main is None or main.dataset is None:
        yield f"It has not been measured on a test split of {data_of(found)}."
        return
    same = main.dataset["fingerprint"] == found.manifest["data"]["fingerprint"]
    what = "the test split of the same source as the training data" if same else "other data"
    n = f", n = {main.n:,}{mark(main)}" if main.n else ""
    yield (
        f"It was measured on {what}{n}. On data of another kind, origin or time it may do worse; "
        "how much has not been measured."
    )


def _data(facts: Facts) -> Iterator[str]:
    """What the check of the data before training counted."""
    for fact in facts.of(kind="data", subject=facts.record.subject):
        other = fact.name.removeprefix("shared_with_")
        split, is_one = safe(fact.split or ""), fact.value == 1
        if other != fact.name:
            harm = ": what is measured there is too good" if other == "train" else ""
            stand = "example stands" if is_one else "examples stand"
            yield f"{shown(fact)} {stand} both in {split} and in {safe(other)}{harm}."
        elif fact.name == "repeated":
            repeat = "row repeats" if is_one else "rows repeat"
            yield f"{shown(fact)} {repeat} an earlier one in {split}."
        elif fact.name == "contradictory":
            have = "example has" if is_one else "examples have"
            yield f"{shown(fact)} {have} different labels in different rows."
    if said := classes.imbalance(facts):
        yield said


def _named(labels: list[str]) -> str:
    names = [code(label) for label in labels[:MOST_LABELS]]
    more = f" and {len(labels) - MOST_LABELS} more" if len(labels) > MOST_LABELS else ""
    return ", ".join(names) + more
