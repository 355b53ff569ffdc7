"""Results: the metrics of the weights, with n and interval."""

from collections.abc import Mapping

from bench.record.markdown import code, safe
from tasks.metrics.spec import title_of
from tools.cards.facts import EAGER, Facts
from tools.cards.numbers import format_fact
from tools.cards.tables import table
from zoo.evaluation.constant_answer import PREFIX
from zoo.store.evidence import Fact

FIRST = ("test", "validation", "train")  # order of the splits


def section(facts: Facts) -> list[str]:
    """The section, as paragraphs; none where no metric was measured."""
    groups: dict[tuple[str, str, str], list[Fact]] = {}
    for fact in facts.metrics:
        data = (fact.dataset or {}).get("name", "")
        groups.setdefault((data, fact.split or "", fact.deployment or EAGER), []).append(fact)
    if not groups:
        return []
    paragraphs = ["## Results"]
    for (data, split, deployment), found in sorted(groups.items(), key=lambda one: _order(one[0])):
        run = f"run as {code(deployment)}"
        if deployment == EAGER:
            run = "as they lie here (eager, fp32)"
        on = code(data) if data else "the data"
        paragraphs.append(f"The weights {run}, on the {safe(split)} split of {on}:")
        paragraphs.append(
            _table(found, facts.record.task.primary.name, _constants(facts, found[0]))
        )
    return paragraphs


def _constants(facts: Facts, metric: Fact) -> Mapping[str, Fact]:
    """Return what one constant answer is worth, by metric, on the split of a metric: the newest
    ones, however the weights were run."""
    where = (metric.dataset or {}).get("fingerprint")
    found = [
        fact
        for fact in facts.of(kind="constant", split=metric.split)
        if (fact.dataset or {}).get("fingerprint") == where
    ]
    newest = facts.newest(found)
    label = newest.label if newest else None
    return {fact.name.removeprefix(PREFIX): fact for fact in found if fact.label == label}


def _order(group: tuple[str, str, str]) -> tuple[int, int, str]:
    data, split, deployment = group
    place = FIRST.index(split) if split in FIRST else len(FIRST)
    return int(deployment != EAGER), place, data + deployment


def _table(facts: list[Fact], main: str, constants: Mapping[str, Fact]) -> str:
    rows = []
    for fact in sorted(facts, key=lambda one: one.name != main):  # that one first
        title = safe(title_of(fact.name))
        rows.append(
            (
                f"**{title}**" if fact.name == main else title,
                format_fact(fact),
                format_fact(constants[fact.name]) if fact.name in constants else "",
                f"{fact.n:,}" if fact.n else "",
                safe(_method(fact.interval)),
            )
        )
    label = next((fact.label for fact in constants.values()), None)
    always = f"always {code(label) if label else 'nothing'}"
    return table(("metric", "value", always, "n", "interval"), rows)


def _method(interval: Mapping[str, object] | None) -> str:
    return f"{100 * float(str(interval['level'])):g}%, {interval['method']}" if interval else ""
