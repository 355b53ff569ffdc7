"""Tables of Markdown."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 1) -> str:
    """A table; columns from `numbers` on are aligned to the right. Those that say nothing in any
    row are left out. Cells are Markdown: texts of others come through `bench.record.markdown`."""
    used = [i for i in range(len(header)) if not rows or any(row[i] for row in rows)]
    rules = ["---:" if i >= numbers else "---" for i in range(len(header))]
    lines = [header, rules, *rows]
    return "\n".join("| " + " | ".join(line[i] for i in used) + " |" for line in lines)
