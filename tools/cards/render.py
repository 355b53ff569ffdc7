"""A card as text: metadata, then the sections that have something to say."""

import shlex

from bench.record.markdown import block
from tools.cards import (
    about,
    classes,
    commands,
    confusions,
    deployments,
    limits,
    metadata,
    results,
    several_numbers,
    training,
)
from tools.cards.facts import Facts
from tools.cards.record import Record
from zoo.store import evidence

FILE = "README.md"


def render(record: Record) -> str:
    """README.md of a checkpoint; the same records give the same text."""
    facts = Facts(record)
    paragraphs = [
        *about.heading(record),
        *about.what(facts),
        *about.use(record),
        *([record.card_text.text] if record.card_text.text else []),
        *limits.section(facts),
        *results.section(facts),
        *classes.section(facts),
        *confusions.section(facts),
        *several_numbers.section(facts),
        *deployments.section(facts),
        *training.section(facts),
        *_checking(facts),
    ]
    front = metadata.dump(metadata.of_record(record))
    return f"---\n{front}\n---\n\n" + "\n\n".join(paragraphs) + "\n"


def _checking(facts: Facts) -> list[str]:
    """Return the section that says by which commands a reader can check the numbers of the card."""
    found = facts.record
    where = found.card_text.front.get("repo", about.FOLDER)
    folder = about.FOLDER
    evaluate = f"{found.entry.module} evaluate {folder}{commands.data_flag(found)}"
    checks = {
        "this page against the evidence, and all sums": f"tools.cards {folder} --check",
        "every artifact against the weights": f"zoo verify {folder}" if found.artifacts else "",
        "the metrics anew": evaluate,
        "what the Hub has": f"tools.hub verify {shlex.quote(where)}" if where != folder else "",
    }
    lines = [
        line for what, how in checks.items() if how for line in (f"# {what}", f"python -m {how}")
    ]
    said = (
        f"Every measured number here is a fact of `{evidence.FILE}`: its id stands behind it as a "
        f"comment in the source of this page (`<!-- e:... -->`). The weights are "
        f"`{found.subject[:16]}` there."
    )
    return ["## Verify", said, block("sh", lines), *commands.needs(found, [evaluate])]
