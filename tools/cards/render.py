"""A card as text: metadata, then the sections that have something to say."""

from tools.cards import about, deployments, limits, metadata, results, training
from tools.cards.facts import Facts
from tools.cards.record import Record
from zoo import evidence

FILE = "README.md"


def render(found: Record) -> str:
    """README.md of a checkpoint; the same records give the same text."""
    facts = Facts(found)
    paragraphs = [
        *about.heading(found),
        *about.what(facts),
        *about.use(found),
        *([found.prose.text] if found.prose.text else []),
        *limits.section(facts),
        *results.section(facts),
        *deployments.section(facts),
        *training.section(facts),
        *_checking(facts),
    ]
    front = metadata.dump(metadata.of_record(found))
    return f"---\n{front}\n---\n\n" + "\n\n".join(paragraphs) + "\n"


def _checking(facts: Facts) -> list[str]:
    """How to find out whether all this is true."""
    found = facts.record
    where = found.prose.front.get("repo", about.FOLDER)
    folder = about.FOLDER
    commands = {
        "this page against the evidence, and all sums": f"tools.cards {folder} --check",
        "every artifact against the weights": f"zoo verify {folder}" if found.artifacts else "",
        "the metrics anew": f"{found.entry.module} evaluate {folder}",
        "what the Hub has": f"tools.hub verify {where}" if where != folder else "",
    }
    lines = [f"# {what}\npython -m {how}" for what, how in commands.items() if how]
    said = (
        f"Every measured number here is a fact of `{evidence.FILE}`: its id stands behind it as a "
        f"comment in the source of this page (`<!-- e:... -->`). The weights are "
        f"`{found.subject[:16]}` there."
    )
    return ["## Verify", said, "\n".join(["```sh", *lines, "```"])]
