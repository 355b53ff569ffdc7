"""Results: the metrics of the weights, with n and interval."""

from collections.abc import Mapping

from bench.record.markdown import code, safe
from tasks.metrics.spec import title_of
from tools.cards.facts import EAGER, Facts
from tools.cards.numbers import format_fact
from tools.cards.tables import table
from zoo.evaluation.constant_answer import PREFIX
from zoo.store.evidence import REFERENCE, Fact

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
        paragraphs.append(_table(facts, found, _constants(facts, found[0])))
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


def _table(facts: Facts, shown: list[Fact], constants: Mapping[str, Fact]) -> str:
    main, rows = facts.record.task.primary.name, []
    for fact in sorted(shown, key=lambda one: one.name != main):  # that one first
        title = _title(fact)
        rows.append(
            (
                f"**{title}**" if fact.name == main else title,
                format_fact(fact),
                format_fact(constants[fact.name]) if fact.name in constants else "",
                f"{fact.n:,}" if fact.n else "",
                safe(_method(fact.interval)),
            )
        )
        rows += _scale(facts, fact)
    label = next((fact.label for fact in constants.values()), None)
    always = f"always {code(label) if label else 'nothing'}"
    return table(("metric", "value", always, "n", "interval"), rows)


def _title(fact: Fact) -> str:
    """Return what a metric is called; of a distance of pictures, in whose features as well."""
    classifier = (fact.workload or {}).get("classifier")
    title = safe(title_of(fact.name))
    return title if classifier is None else f"{title} in the features of {code(str(classifier))}"


def _scale(facts: Facts, fact: Fact) -> list[tuple[str, str, str, str, str]]:
    """Return rows of the same metric of other pictures, measured with it: real ones and noise."""
    found = facts.of(kind="reference", name=REFERENCE + fact.name, run=fact.run)
    return [
        (
            f"the same of {safe(one.label or '')}",
            format_fact(one),
            "",
            f"{one.n:,}" if one.n else "",
            safe(_method(one.interval)),
        )
        for one in found
    ]


def _method(interval: Mapping[str, object] | None) -> str:
    return f"{100 * float(str(interval['level'])):g}%, {interval['method']}" if interval else ""
