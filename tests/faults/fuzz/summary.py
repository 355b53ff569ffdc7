"""What came of many cases: a table by kind and ending, and each distinct fault once."""

from collections import Counter
from collections.abc import Sequence

from tests.faults.fuzz import checks
from tests.faults.fuzz.cases import Result
from tests.faults.fuzz.checks import Fault

ENDINGS = ("done", "refused", "mistake", "stopped")
Found = dict[tuple[str, str], list[tuple[Result, Fault]]]


def distinct(results: Sequence[Result]) -> Found:
    """The faults by what is wrong and where, the most frequent first."""
    found: Found = {}
    for result in results:
        for fault in result.faults:
            found.setdefault((fault.what, fault.where), []).append((result, fault))
    return dict(sorted(found.items(), key=lambda one: (one[0][0], -len(one[1]))))


def table(results: Sequence[Result]) -> str:
    """A line for each kind: how its cases ended, and what did not hold."""
    lines = [("kind", "cases", *ENDINGS, "faulty", "s a case")]
    for kind in (*dict.fromkeys(sorted(result.kind for result in results)), "all"):
        own = [result for result in results if kind in ("all", result.kind)]
        ends = Counter(checks.ending(result.command, result.outcome) for result in own)
        faulty = sum(bool(result.faults) for result in own)
        seconds = sum(result.outcome.seconds for result in own) / max(len(own), 1)
        counts = (len(own), *(ends[name] for name in ENDINGS), faulty)
        lines.append((kind, *map(str, counts), f"{seconds:.2f}"))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            (
                line[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)),
            )
        )
        for line in lines
    )


def verdicts(results: Sequence[Result]) -> str:
    """How many cases showed each kind of fault, in a line."""
    counts = Counter(what for result in results for what in {fault.what for fault in result.faults})
    named = [f"{count} {what}" for what, count in counts.most_common()]
    return f"{len(results)} cases: {', '.join(named) or 'no fault'}"


def described(found: Found) -> str:
    """Each distinct fault with a case that shows it."""
    blocks = []
    for (what, where), shown in found.items():
        result, fault = shown[0]
        kinds = ", ".join(sorted({result.kind for result, _ in shown}))
        blocks.append(
            f"{what}: {where}  ({len(shown)} x in {kinds})\n"
            f"    {fault.detail}\n    {result.command.what}\n    {result.replay}"
        )
    return "\n".join(blocks)
