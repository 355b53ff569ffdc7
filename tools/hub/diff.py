"""The verb diff: what changed between two revisions, as the evidence of each has it."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from tasks.printing import print_lines
from tools.hub import listing, names, problems, records
from tools.hub.args import DiffArgs
from tools.hub.fail_if import ChangeCondition
from tools.hub.listing import Listing
from tools.hub.refused import PushRefused
from zoo.machine import terminal
from zoo.store.evidence import Fact

KINDS = ("metric", "size", "latency", "throughput", "memory", "parity")
"""The kinds of facts that are compared, in the order of the table."""


@dataclass(frozen=True)
class Change:
    """A number before and after; None where it was not measured."""

    name: str
    setting: str
    """split, deployment, and where and on what it was timed"""
    before: Fact | None
    after: Fact | None

    @property
    def values(self) -> tuple[float, float] | None:
        """Return both numbers, before and after; None where one of them is missing."""
        before, after = _number(self.before), _number(self.after)
        return None if before is None or after is None else (before, after)


def diff(args: DiffArgs) -> int:
    """Prints the changes; returns 1 where one is too much.

    Raises `UserError` for a revision that there is not, or that has no evidence.
    """
    from tools.hub.connection import connect

    repo = names.repo(args.repo)
    conditions = [ChangeCondition.parse(text) for text in args.fail_if]
    api = connect()
    found = []
    try:
        for revision in (args.before, args.after):
            with records.fetched(repo, listing.read(api, repo, revision)) as folder:
                found.append(facts_of(folder, f"{repo}@{revision}"))
    except UserError:
        raise
    except Exception as error:
        raise problems.as_user_error(error, repo, "nothing was compared") from None
    changes = list(compare(*found))
    _show(repo, args.before, args.after, changes)
    failed = [line for condition in conditions for line in _held(condition, changes)]
    for line in failed:
        print_lines(f"hub: {line}", file=sys.stderr)
    return int(bool(failed))


def must_not_hold(
    conditions: Sequence[ChangeCondition], repo: str, there: Listing, folder: Path
) -> None:
    """Raises `PushRefused` where what is in a folder is worse than a repo by more than is
    allowed."""
    if not conditions:
        return
    if "evidence.jsonl" not in there.files:
        terminal.lines(f"{repo} has no evidence yet to compare with")
        return
    with records.fetched(repo, there) as before:
        changes = list(compare(facts_of(before, repo), facts_of(folder, str(folder))))
    failed = [line for condition in conditions for line in _held(condition, changes)]
    if failed:
        raise PushRefused(*failed, "nothing was sent")


def facts_of(folder: Path, name: str) -> list[Fact]:
    """Return the facts of a folder's evidence about the weights and artifacts that belong to it.

    Raises `UserError` where there is none; `name` is what the folder is called then.
    """
    from tools.cards import facts, record

    try:
        found = record.read(folder)
    except UserError as error:
        raise UserError(str(error).replace(str(folder), name)) from None
    return [fact for fact in facts.Facts(found).all if fact.kind in KINDS]


def compare(before: Sequence[Fact], after: Sequence[Fact]) -> Iterator[Change]:
    """Return every fact that either side has, paired with that of the other side, in the order of
    KINDS."""
    first, second = ({_key(fact): fact for fact in side} for side in (before, after))
    keys = sorted({*first, *second}, key=lambda key: (KINDS.index(key[0]), key[1:]))
    for key in keys:
        yield Change(key[1], key[2], first.get(key), second.get(key))


def _key(fact: Fact) -> tuple[str, str, str]:
    """Return the key under which two facts are comparable: kind, setting and name."""
    is_timed = fact.kind in ("latency", "throughput", "memory")
    parts = [fact.split or "", fact.deployment or ""]
    if is_timed:
        parts += [f"{fact.threads} threads" if fact.threads else "", _said(fact.workload)]
        parts.append(str((fact.machine or {}).get("gpu") or (fact.machine or {}).get("cpu") or ""))
    return fact.kind, fact.name, ", ".join(part for part in parts if part)


def _said(workload: Mapping[str, Any] | None) -> str:
    return " ".join(f"{name} {json.dumps(value)}" for name, value in (workload or {}).items())


def _held(condition: ChangeCondition, changes: Sequence[Change]) -> Iterator[str]:
    is_there = False
    for change in changes:
        if change.name != condition.name or change.values is None:
            continue
        is_there = True
        if condition.holds(change.name, *change.values):
            before, after = change.values
            where = f"{change.name} ({change.setting})"
            yield f"{where} went from {before:.6g} to {after:.6g}: {condition}"
    if not is_there:
        yield f"{condition}: {condition.name} was not measured on both sides, so nobody knows"


def _show(repo: str, before: str, after: str, changes: Sequence[Change]) -> None:
    rows = []
    for change in changes:
        said = [_value(fact) for fact in (change.before, change.after)]
        if change.values and change.values[0] == change.values[1]:
            continue
        moved = ""
        if change.values:
            first, second = change.values
            share = f" ({100 * (second - first) / abs(first):+.1f}%)" if first else ""
            moved = f"{second - first:+.4g}{share}"
        rows.append((change.name, change.setting, *said, moved))
    same = len(changes) - len(rows)
    terminal.table(
        ("number", "of", before, after, "change"),
        rows,
        title=f"{repo}: numbers that differ: {len(rows)}; that are the same: {same}",
    )


def _number(fact: Fact | None) -> float | None:
    return None if fact is None or fact.status != "ok" else fact.value


def _value(fact: Fact | None) -> str:
    if fact is None:
        return "-"
    if fact.value is None:
        return fact.status
    return f"{fact.value:.6g} {fact.unit}".removesuffix(" 1")
