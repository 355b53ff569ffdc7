"""What the model takes for what: the confusion matrix of the evidence as a picture and its largest
errors as a table; and the worst mistakes, where they lie beside the card."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.record.markdown import code, safe
from tasks import json_files
from tasks.base import HasClasses
from tasks.data.fingerprint import sha256
from tools.cards import classes
from tools.cards.facts import Facts
from tools.cards.numbers import mark
from tools.cards.picture import FOLDER
from tools.cards.tables import table
from zoo.store.evidence import Fact

if TYPE_CHECKING:
    import numpy as np

NAME = "recognised"
"""The facts that are rows of the matrix."""
MOST = 10  # errors that are listed
MISTAKES = Path("plots") / "mistakes.json"
LATIN = "\u024f"
"""The last character of the Latin blocks, which every font has."""


def section(facts: Facts) -> list[str]:
    """Return the section, as paragraphs; none where no matrix and no mistakes are recorded."""
    paragraphs = [*_matrix(facts), *_mistakes(facts)]
    return ["### What it takes for what", *paragraphs] if paragraphs else []


def path(facts: Facts) -> Path | None:
    """Return where the picture of the matrix lies or would lie; None without a matrix."""
    rows = _rows(facts)
    if len(rows) < 2:
        return None
    digest = hashlib.sha256(" ".join(fact.id for fact in rows.values()).encode()).hexdigest()[:12]
    return facts.record.folder / FOLDER / f"confusions-{digest}.png"


def draw(facts: Facts) -> Path | None:
    """Draw the matrix where it is not drawn yet, remove pictures of other facts, and return its
    path."""
    target = path(facts)
    for old in (facts.record.folder / FOLDER).glob("confusions-*.png"):
        if old != target:
            old.unlink()
    if target is None or target.exists():
        return target
    from zoo.machine import plots

    labels, matrix = _counts(facts)
    plots.confusion_matrix(target, matrix, labels)
    return target


def _rows(facts: Facts) -> Mapping[str, Fact]:
    """Return the rows of the matrix by label, those of the data that the card has classes of."""
    split = classes.split_of(facts)
    found = classes.by_label(facts, kind="class", name=NAME, split=split)
    return {label: fact for label, fact in found.items() if fact.counts}


def _counts(facts: Facts) -> "tuple[Sequence[str], np.ndarray]":
    """Return all labels of the task and counts int64 [labels, labels], the truth in rows."""
    import numpy as np

    task = facts.record.task
    labels = task.classes if isinstance(task, HasClasses) else ()
    place = {label: i for i, label in enumerate(labels)}
    matrix = np.zeros((len(labels), len(labels)), np.int64)
    for label, fact in _rows(facts).items():
        for said, count in (fact.counts or {}).items():
            if label in place and said in place:
                matrix[place[label], place[said]] = count
    return labels, matrix


def _matrix(facts: Facts) -> list[str]:
    errors = [
        (fact, said, count)
        for label, fact in _rows(facts).items()
        for said, count in (fact.counts or {}).items()
        if said != label
    ]
    errors.sort(key=lambda one: (-one[2], one[0].label or "", one[1]))
    rows = [
        (code(fact.label or ""), code(said), f"{count:,}{mark(fact)}", f"{fact.n or 0:,}")
        for fact, said, count in errors[:MOST]
    ]
    paragraphs = []
    if rows:
        more = f", the {MOST} most frequent" if len(errors) > MOST else ""
        on = f"On the {safe(errors[0][0].split or '')} split{more}:"
        paragraphs += [on, table(("true", "taken for", "times", "of"), rows, numbers=2)]
    target = path(facts)
    if target is not None and target.exists():
        paragraphs.append(f"![Confusion matrix]({FOLDER}/{target.name})")
        if any(max(label, default="") > LATIN for label in _rows(facts)):
            paragraphs.append(
                "Where its axes have numbers, no font had the characters of the labels: they count "
                "from 0 as `id2label` of config.json does."
            )
    return paragraphs


def _mistakes(facts: Facts) -> list[str]:
    """Return what `evaluate` listed last, where it was about the weights that lie there."""
    found = _read(facts.record.folder / MISTAKES)
    if found is None or found["subject"] != facts.record.subject:
        return []
    where = f"on the {safe(found['split'])} split of {code(found['dataset']['name'])}"
    paragraphs = [
        f"The wrong predictions of highest loss, {where}; the score is the probability of the "
        "prediction. They show examples of the data, so that this part stays here when the card is "
        "pushed; its numbers are not part of the evidence.",
        table(found["header"], [[safe(cell) for cell in row] for row in found["rows"]], numbers=9),
    ]
    if picture := found["picture"]:
        drawn = facts.record.folder / MISTAKES.parent / str(picture["name"])
        if drawn.is_file() and sha256(drawn) == picture["sha256"]:
            paragraphs.append(f"![Worst mistakes]({MISTAKES.parent}/{drawn.name})")
    return paragraphs


def _read(path: Path) -> dict[str, Any] | None:
    """Return the record of mistakes; None where there is none, or it is damaged."""
    try:
        found = json_files.read_object(path)
        widths = {len(row) for row in (found["header"], *found["rows"])}
        texts = [found["subject"], found["split"], found["dataset"]["name"], *found["header"]]
        texts += [cell for row in found["rows"] for cell in row]
        is_whole = len(widths) == 1 and all(isinstance(one, str) for one in texts)
        if found["picture"] is not None:
            is_whole &= {"name", "sha256"} <= set(found["picture"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if is_whole else None
