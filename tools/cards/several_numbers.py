"""How well each number is predicted, where a regression has several."""

from bench.record.markdown import code
from tasks.base import HasClasses
from tools.cards.facts import EAGER, Facts
from tools.cards.numbers import format_fact
from tools.cards.tables import table
from zoo.store.evidence import Fact

METRICS = {"pearsonr": "Pearson", "spearmanr": "Spearman", "mse": "mean squared error"}


def section(facts: Facts) -> list[str]:
    """The table, as paragraphs; none for all else but a regression of several numbers."""
    task, record = facts.record.task, facts.record
    if not task.labels or not isinstance(task, HasClasses) or task.classes:
        return []
    found: dict[tuple[str | None, str | None, str], Fact] = {
        (fact.split, fact.label, fact.name): fact
        for fact in facts.of(kind="class", subject=record.subject, deployment=EAGER)
        if (fact.dataset or {}).get("fingerprint") == record.manifest["data"]["fingerprint"]
    }
    measured = {split for split, _, _ in found}
    split = next((one for one in ("test", "validation", "train") if one in measured), None)
    rows = [
        (code(label), *(_cell(found.get((split, label, name))) for name in METRICS))
        for label in task.labels
    ]
    if split is None:
        return []
    return [f"Each number, on the {split} split:", table(("number", *METRICS.values()), rows)]


def _cell(fact: Fact | None) -> str:
    return format_fact(fact) if fact else ""
