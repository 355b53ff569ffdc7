"""`zoo runs [FOLDER]`: the checkpoints below a folder side by side, those of one data set and
metric together, the best first. Reads `zoo.json` and the evidence, and no weights."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tasks.errors import UserError, spelled
from tasks.metrics.spec import METRICS
from tasks.printing import print_lines
from zoo.machine import terminal
from zoo.machine.formatting import NOT_MEASURED, NOTHING, short
from zoo.store import evidence
from zoo.store.checkpoint import MANIFEST, read_manifest

DEEPEST = 3
"""Folders below the one that is named in which runs are looked for."""
BEGUN = ("state", "logs")
"""Folders that a run has before its first checkpoint."""
SPLITS = ("test", "validation", "train")


@dataclass(frozen=True)
class RunRow:
    """A checkpoint and how well it does, on the data that it was trained on."""

    run: str
    model: str
    data: str
    train_rows: int | None
    metric: str | None  # the main one; None where it was not measured
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    split: str | None
    train_seconds: float | None

    def cells(self, folder: Path) -> tuple[str, ...]:
        """Return the row as a table shows it; its name is that below `folder`."""
        path = Path(self.run)
        ends = self.low is not None and self.high is not None
        whose = "" if self.split in (None, "test") else f"{self.split} "
        return (
            self.run if path == folder else str(path.relative_to(folder)),
            self.model,
            self.data,
            NOTHING if self.metric is None else f"{whose}{self.metric}",
            NOT_MEASURED if self.value is None else f"{self.value:.4f}",
            f"{self.low:.4f} to {self.high:.4f}" if ends else NOTHING,
            NOTHING if self.n is None else f"{self.n:,}",
            NOTHING if self.train_seconds is None else f"{short(self.train_seconds)} s",
        )


HEADER = ("run", "model", "data", "metric", "value", "95% interval", "n", "training")


def show(folder: Path, as_json: bool) -> None:
    """Print the runs below a folder, and below them the folders that hold none that is whole.

    Raises `UserError` where there is no such folder, or no run in it.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: a fine-tune makes it, or name another")
    rows: list[RunRow] = []
    broken: list[str] = []
    for path in found(folder):
        try:
            rows.append(row_of(path))
        except UserError as error:
            broken.append(spelled(str(error)))
    if not rows and not broken:
        raise UserError(f"there is no run in {folder}, nor in the folders below it")
    rows.sort(key=_order)
    if as_json:
        print_lines(*(json.dumps(asdict(row), ensure_ascii=False) for row in rows))
    elif rows:
        terminal.aligned(HEADER, [row.cells(folder) for row in rows])
    if broken and not as_json:
        print_lines(*([""] if rows else []), "no whole checkpoint:", *(f"  {b}" for b in broken))


def found(folder: Path) -> Iterator[Path]:
    """Yield the folders of runs in a folder and below, sorted; those in a run are not looked at."""
    if (folder / MANIFEST).exists() or all((folder / name).is_dir() for name in BEGUN):
        yield folder
        return
    for path, folders, _ in os.walk(folder):
        here = Path(path)
        folders.sort()
        for name in list(folders):
            inner = here / name
            is_run = (inner / MANIFEST).exists() or all((inner / one).is_dir() for one in BEGUN)
            if is_run:
                yield inner
            if is_run or name.startswith(".") or len(inner.relative_to(folder).parts) >= DEEPEST:
                folders.remove(name)


def row_of(folder: Path) -> RunRow:
    """Return what is known of a run. Raises `UserError` where its folder holds no checkpoint of
    ours, or a damaged one."""
    manifest = read_manifest(folder)
    data = manifest["data"]
    facts = [one for one in evidence.read(folder) if one.subject == digest_of(manifest)]
    metric = _main_metric(facts, data)
    seconds = [one.value for one in facts if one.name == "train_seconds"]
    interval = (metric.interval or {}) if metric else {}
    return RunRow(
        str(folder),
        str(manifest["model"]),
        str(data.get("name", NOTHING)),
        (data.get("rows") or {}).get("train"),
        metric.name if metric else None,
        metric.value if metric else None,
        interval.get("low"),
        interval.get("high"),
        metric.n if metric else None,
        metric.split if metric else None,
        seconds[-1] if seconds else None,
    )


def digest_of(manifest: Mapping[str, Any]) -> str:
    """Return the digest of a checkpoint as its files were when they were saved, by their recorded
    sums: no weights are read (see `zoo.store.evidence.subject_digest`)."""
    return evidence.digest_of(
        {
            name: digest
            for name, digest in manifest["files"].items()
            if any(fnmatchcase(name, pattern) for pattern in evidence.SUBJECT_FILES)
        }
    )


def _main_metric(facts: "list[evidence.Fact]", data: Mapping[str, Any]) -> "evidence.Fact | None":
    """Return the main metric of the newest evaluation of the checkpoint itself, on the data of its
    training: test, else validation, else train."""
    own = [
        one
        for one in facts
        if one.kind == "metric"
        and one.value is not None
        and one.deployment in (None, "eager")
        and (one.dataset or {}).get("fingerprint") == data.get("fingerprint")
    ]
    for split in SPLITS:
        there = [one for one in own if one.split == split]
        if there:
            newest = there[-1].run
            return next(one for one in there if one.run == newest)
    return None


def _order(row: RunRow) -> tuple[Any, ...]:
    """Return what rows are sorted by: data, metric, and within them the best first."""
    if row.value is None or row.metric is None:
        return (row.data, "", 1, 0.0, row.run)
    spec = METRICS.get(row.metric)
    better = spec is None or spec.greater_is_better
    return (row.data, f"{row.metric} {row.split}", 0, -row.value if better else row.value, row.run)
