"""The verb verify: what lies on the Hub, checked as far as it can be checked here."""

import contextlib
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tasks.errors import UserError, spelled
from tools.hub import layout, names, variant
from tools.hub.args import VerifyArgs
from tools.hub.pull import Damaged, fetch
from zoo.machine import terminal
from zoo.model import registry
from zoo.runtimes import artifacts
from zoo.store import evidence
from zoo.store.checkpoint import read_manifest

if TYPE_CHECKING:
    from zoo.store.evidence import Fact

FLIPS = 2
"""Samples that may be judged otherwise on another machine, which adds up in another order."""
SHARE = 0.1
"""The share of a metric's interval by which the metric may differ for the same reason."""


@dataclass(frozen=True)
class VerifyFinding:
    """The result of one check of a published checkpoint."""

    what: str
    status: str
    """ok, wrong, or not checked"""
    text: str


def verify(args: VerifyArgs) -> int:
    """Prints what was found; returns 1 where anything is wrong.

    Raises `UserError` as `pull` does, but for what is damaged.
    """
    repo, revision = names.at_revision(args.repo)
    with TemporaryDirectory(prefix="zoo-hub-") as temporary:
        folder = Path(temporary) / repo.partition("/")[2]
        try:
            pulled = fetch(repo, revision, folder)
        except Damaged as error:
            terminal.table(
                ("what", "status", ""), [("sums", "wrong", spelled(str(error)))], title=repo
            )
            return 1
        findings = [VerifyFinding("sums", "ok", "every file is what was pushed")]
        if pulled.changed:
            findings = [
                VerifyFinding("sums", "wrong", f"edited since: {', '.join(pulled.changed)}")
            ]
        findings += [_portable(one, folder, repo) for one in _look(folder, args.data)]
    title = f"{repo} at {pulled.commit[:12]}"
    rows = [(one.what, one.status, spelled(one.text)) for one in findings]
    terminal.table(("what", "status", ""), rows, title=title)
    return int(any(one.status == "wrong" for one in findings))


def _look(folder: Path, data: str | None) -> Iterator[VerifyFinding]:
    manifest = read_manifest(folder)
    if base := manifest.get(variant.BASE):
        yield from _variant(folder, str(base), data)
        return
    yield from _card(folder)
    yield from _parity(folder, data)
    yield from _metrics(folder, data)


def _variant(folder: Path, base: str, data: str | None) -> Iterator[VerifyFinding]:
    same = (folder / layout.CARD).read_text(encoding="utf-8") == variant.card(folder)
    text = "it says what the evidence says" if same else "it is not what the evidence renders to"
    yield VerifyFinding("card", "ok" if same else "wrong", text)
    yield VerifyFinding("metrics", "not checked", f"they are about the weights: verify {base}")
    try:
        weights = fetch(base, "main", folder.with_name("base")).folder
    except UserError as error:
        yield VerifyFinding("parity", "not checked", f"the weights are out of reach: {error}")
        return
    shutil.rmtree(weights / artifacts.FOLDER, ignore_errors=True)
    shutil.move(folder / artifacts.FOLDER, weights)
    yield from _parity(weights, data)


def _card(folder: Path) -> Iterator[VerifyFinding]:
    from tools.cards import check

    faults = check.faults(folder)
    for fault in faults:
        yield VerifyFinding("card", "wrong", fault)
    if not faults:
        yield VerifyFinding("card", "ok", "it says what the evidence says, about these very files")


def _parity(folder: Path, data: str | None) -> Iterator[VerifyFinding]:
    from zoo.deploy.verify import verify as replay

    verdicts = replay(folder, data)
    words = {"ok": "ok", "drift": "wrong", "unavailable": "not checked"}
    for one in verdicts:
        yield VerifyFinding(f"parity of {one.name}", words[one.status], one.text)
    if not verdicts:
        yield VerifyFinding("parity", "not checked", "there are no ONNX artifacts")


def _metrics(folder: Path, data: str | None) -> Iterator[VerifyFinding]:
    """Measures the metrics of the weights anew, and compares each with what the evidence says."""
    from tools.cards import facts, record

    before = facts.Facts(record.read(folder)).results
    if data is None:
        yield VerifyFinding("metrics", "not checked", "name the data set with --data")
        return
    if not before:
        yield VerifyFinding("metrics", "not checked", "the evidence has none of a test split")
        return
    from zoo.cli.args import EvaluateArgs
    from zoo.predict.evaluate import evaluate_checkpoint

    known, manifest = len(evidence.read(folder)), read_manifest(folder)
    entry = registry.find(str(manifest["model"]))
    limit = manifest["config"].get("data", {}).get("max_eval_samples")
    asked = EvaluateArgs(folder, data=data, split="test", mistakes=0, max_eval_samples=limit)
    with contextlib.redirect_stdout(io.StringIO()):  # it names a folder that goes away
        evaluate_checkpoint(entry, asked)
    after = {fact.name: fact for fact in evidence.read(folder)[known:]}
    for fact in before:
        if fact.name in after:
            yield _compared(fact, after[fact.name])


def _compared(said: "Fact", found: "Fact") -> VerifyFinding:
    what = f"{said.name} on {said.split}"
    assert said.value is not None and found.value is not None
    if (said.dataset or {}).get("fingerprint") != (found.dataset or {}).get("fingerprint"):
        return VerifyFinding(
            what, "not checked", "this is another data set than the one it is said of"
        )
    if said.n != found.n:
        return VerifyFinding(
            what, "not checked", f"it was measured on {said.n}, and here on {found.n}"
        )
    text = f"{found.value:.4f}, and the evidence says {said.value:.4f} (n = {found.n})"
    width = found.interval["high"] - found.interval["low"] if found.interval else 0.0
    allowed = max(FLIPS / (found.n or 1), SHARE * width)
    return VerifyFinding(what, "ok" if abs(found.value - said.value) <= allowed else "wrong", text)


def _portable(finding: VerifyFinding, folder: Path, repo: str) -> VerifyFinding:
    """Without the name of the temporary folder."""
    return VerifyFinding(finding.what, finding.status, finding.text.replace(str(folder), repo))
