"""Whether a card says what the evidence says, and the evidence is about what lies there."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from tasks.errors import UserError, shortened, spelled
from tools.cards import eval_results, metadata, record, render, validate
from tools.cards.facts import Facts
from tools.cards.numbers import MARK, text
from tools.cards.record import Record
from zoo.machine import commands
from zoo.model import remote_code
from zoo.runtimes import artifacts
from zoo.store import checkpoint, evidence
from zoo.store.evidence import Fact

MOST = 10  # lines of a card that are named one by one
LONGEST = 80  # characters of a line that are quoted
CITED = re.compile(r"^\s*evidence: ['\"]?e:([0-9a-f]{16})", re.MULTILINE)  # in the metadata
METRIC_LINES = 8  # of a metric in the metadata, at most


def faults(folder: Path) -> list[str]:
    """Return the faults of a checkpoint's card and records, each in one sentence that names the
    place; none where all is in order.

    Raises `UserError` where there is nothing to check: no checkpoint, or no evidence.
    """
    found = record_faults(folder)
    if found:  # a card rendered from records that are wrong would only repeat it
        return found
    read = record.read(folder)
    return [
        *(f"{folder / render.FILE}: {one}" for one in validate.faults(metadata.of_record(read))),
        *_card(read),
        *_eval_results(read),
    ]


def record_faults(folder: Path) -> list[str]:
    """Return the faults of a checkpoint's records alone, without its card: sums, evidence,
    artifacts; each in one sentence that names the place."""
    manifest = checkpoint.read_manifest(folder)
    remote_code.refuse(folder)
    found = [f"{folder / name}" for name in checkpoint.damages(folder, manifest)]
    # Of damaged weights one fault is enough: the artifacts were made from those that were saved.
    saved = evidence.digest_of(manifest["files"])
    subject = saved if found else evidence.subject_digest(folder)
    found += [*_evidence(folder), *_artifacts(folder, subject)]
    if found:
        return found
    about = {one.subject for one in evidence.read(folder)}
    if about and subject not in about:
        return [
            f"{folder / evidence.FILE} says nothing about the weights that lie there now "
            f"({subject[:16]}): they were changed after they were measured"
        ]
    return []


def _evidence(folder: Path) -> Iterator[str]:
    for number, found in evidence.scan(folder):
        if isinstance(found, ValueError):
            yield f"{folder / evidence.FILE}:{number} is no evidence: {found}"


def _artifacts(folder: Path, subject: str) -> Iterator[str]:
    for path in artifacts.all_of(folder):
        try:
            artifact = artifacts.read(path)
        except UserError as error:
            yield spelled(str(error))
            continue
        if artifact.manifest["source"] != subject:
            yield f"{path} was exported from other weights than lie there now: export it again"


def _card(record: Record) -> Iterator[str]:
    path = record.folder / render.FILE
    if not path.exists():
        yield f"{path} is missing: {commands.python('tools.cards', record.folder)}"
        return
    try:
        stands = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        yield f"{path} is no UTF-8 text ({error.reason} at byte {error.start})"
        return
    yield from _stale(record, path, stands) or compare(
        path, stands, render.render(record), record.facts
    )


def _stale(record: Record, path: Path, stands: str) -> list[str]:
    """Lines that name facts about what does not lie there any more."""
    facts = {fact.id: fact for fact in record.facts}
    subjects = {subject for _, subject in Facts(record).programs}
    faults = []
    for number, line in enumerate(stands.split("\n"), start=1):
        for id_ in (*MARK.findall(line), *CITED.findall(line)):
            fact = facts.get(id_)
            if fact is not None and fact.subject not in subjects:
                faults.append(
                    f"{path}:{number} cites evidence {id_}, {fact.name} of {fact.subject[:16]}, "
                    f"and {record.subject[:16]} lies there now"
                )
    return _first(faults, path)


def compare(path: Path, stands: str, rendered: str, facts: Sequence[Fact]) -> list[str]:
    """Return where a page differs from what was rendered, line by line, with the fact that decides.

    Args:
        facts: those that the page may name, wherever they belong.
    """
    if stands == rendered:
        return []
    by_id = {fact.id: fact for fact in facts}
    ours, theirs = rendered.split("\n"), stands.split("\n")
    found = []
    matcher = difflib.SequenceMatcher(None, theirs, ours, autojunk=False)
    for what, i, j, k, m in matcher.get_opcodes():
        if what == "equal":
            continue
        for a, b in zip_longest(range(i, j), range(k, m)):
            if a is None:
                found.append(f"{path}:{j + 1} lacks {_quoted(ours[b])}")
            elif b is None:
                found.append(f"{path}:{a + 1} says {_quoted(theirs[a])}, which no record here says")
            else:
                found.append(f"{path}:{a + 1} {_difference(theirs[a], ours, b, by_id)}")
    return _first(found, path)


def _first(found: list[str], path: Path) -> list[str]:
    if len(found) > MOST:
        found[MOST:] = [f"{path}: {len(found) - MOST} more lines differ: render it again"]
    return found


def _difference(line: str, ours: Sequence[str], number: int, facts: Mapping[str, Fact]) -> str:
    """Return what a line of the page says in the place of the right one, and which fact says
    otherwise."""
    right, last = ours[number], ""
    for said, true in zip_longest(_parts(line), _parts(right), fillvalue=("", "")):
        if said == true:
            last = true[1]
            continue
        if fact := facts.get(true[1]) or facts.get(last):
            return f"says {_quoted(_change(said[0], true[0]))} where {_told(fact)}"
        break
    if fact := facts.get(_metric_of(ours, number)):
        return f"says {_quoted(line)} where {_told(fact)}: {_quoted(right)}"
    return f"says {_quoted(line)}, and not {_quoted(right)}"


def _parts(line: str) -> list[tuple[str, str]]:
    """The texts of a line, each with the id of the fact behind it; the last has none."""
    texts = MARK.split(line)
    return list(zip(texts[::2], [*texts[1::2], ""], strict=True))


def _change(said: str, true: str) -> str:
    """The cell of a table, or the end of a sentence, that is not what it should be."""
    for one, other in zip_longest(said.split("|"), true.split("|"), fillvalue=""):
        if one != other:
            return one
    return said


def _metric_of(ours: Sequence[str], number: int) -> str:
    """The fact whose lines these are in the metadata, where they are a metric's."""
    match = CITED.search("\n".join(ours[number : number + METRIC_LINES]))
    return match[1] if match else ""


def _told(fact: Fact) -> str:
    of = " of ".join(part for part in (fact.name, fact.split) if part)
    n = f", n = {fact.n:,}" if fact.n else ""
    return f"evidence {fact.id} has {of} {text(fact)}{n}"


def _quoted(line: str) -> str:
    said = MARK.sub("", line).strip()
    return repr(shortened(said, LONGEST))


def _eval_results(record: Record) -> Iterator[str]:
    wanted = eval_results.files(record)
    folder = record.folder / eval_results.FOLDER
    there = {path.name for path in folder.glob("*.yaml")}
    for name, right in wanted.items():
        if name not in there or (folder / name).read_text(encoding="utf-8") != right:
            yield f"{folder / name} is not what the evidence says: render the card again"
    for name in sorted(there - set(wanted)):
        yield f"{folder / name} is of no benchmark that card.md names: remove it"
