"""Classes: how many rows each had to learn from, and how well each is told from the others."""

import math
from collections.abc import Mapping

from bench.record.markdown import code
from tasks.base import HasClasses, HasConfusionMatrix, Task
from tools.cards.facts import EAGER, Facts
from tools.cards.numbers import format_fact, mark
from tools.cards.tables import table
from zoo.store.evidence import Fact

SCORES = {"precision": "precision", "recall": "recall", "f1": "F1"}
PRECISIONS = {"map": "mAP", "map_50": "mAP@.50"}
"""The metrics of boxes, and their titles."""
UNBALANCED = 10
"""Times as many rows as the smallest class has, from which the card says so."""


def section(facts: Facts) -> list[str]:
    """The table, as paragraphs; none where no class was measured."""
    learned = by_label(facts, kind="data", name="rows", split="train")
    split = split_of(facts)
    scores = {
        name: by_label(facts, kind="class", name=name, split=split)
        for name in (*SCORES, *PRECISIONS)
    }
    titles, of_all = (PRECISIONS, "map") if scores["map"] else (SCORES, "recall")
    measured = {*learned, *(label for found in scores.values() for label in found)}
    task = facts.record.task
    labels = task.classes if isinstance(task, HasClasses) else ()
    rows = [
        (
            code(label),
            _cell(learned.get(label)),
            *(_score(scores[name].get(label)) for name in titles),
            f"{found.n:,}" if (found := scores[of_all].get(label)) and found.n else "",
        )
        for label in labels
        if label in measured
    ]
    if not rows:
        return []
    on = f"; the scores are of the {split} split, with n rows of the class" if split else ""
    header = ("class", "rows of train", *titles.values(), "n")
    said = [f"Each class{on}:", table(header, rows)]
    if absent := [code(label) for label in labels if label not in scores[of_all]]:
        said += [f"No row of the {split} split has {', '.join(absent)}."] if split else []
    if (only := _only_answer(task, scores)) is not None:
        said.append(f"It answers {code(only)} to every row of the {split} split.")
    return said


def _only_answer(task: Task, scores: Mapping[str, Mapping[str, Fact]]) -> str | None:
    """The label that every row was given, where there are rows of several; else None."""
    if not (isinstance(task, HasConfusionMatrix) and task.single_label):
        return None
    predicted, rows = scores["precision"], scores["recall"]  # precision: of those predicted alone
    if len(predicted) != 1 or len(rows) < 2:
        return None
    ((label, fact),) = predicted.items()
    share = (fact.n or 0) / sum(one.n or 0 for one in rows.values())
    return label if math.isclose(fact.value or 0, share) else None


def imbalance(facts: Facts) -> str:
    """A sentence where classes differ much in how many rows they had to learn from."""
    learned = by_label(facts, kind="data", name="rows", split="train")
    ranked = sorted(learned.items(), key=lambda one: one[1].value or 0)
    if len(ranked) < 2:
        return ""
    (small, least), (large, most) = ranked[0], ranked[-1]
    if (most.value or 0) <= UNBALANCED * (least.value or 0):
        return ""
    return (
        f"The classes of train are out of balance: {format_fact(least)} rows of {code(small)}, "
        f"{format_fact(most)} of {code(large)}."
    )


def split_of(facts: Facts) -> str | None:
    """The split that classes were measured on: test where there is one."""
    whose = facts.record.subject
    splits = {fact.split for fact in facts.of(kind="class", subject=whose, deployment=EAGER)}
    return next((one for one in ("test", "validation", "train") if one in splits), None)


def by_label(facts: Facts, **fields: str | None) -> Mapping[str, Fact]:
    """The newest fact of each class, of the data that was trained on."""
    trained_on = facts.record.manifest["data"]["fingerprint"]
    return {
        fact.label: fact
        for fact in facts.of(subject=facts.record.subject, **fields)
        if fact.label is not None
        and (fact.dataset or {}).get("fingerprint") == trained_on
        and fact.deployment in (None, EAGER)
    }


def _cell(fact: Fact | None) -> str:
    return format_fact(fact) if fact else ""


def _score(fact: Fact | None) -> str:
    """Return a score with as many decimals as its neighbours in the column."""
    if fact is None or fact.value is None or fact.status != "ok":
        return _cell(fact)
    return f"{fact.value:.3f}{mark(fact)}"
