"""The append-only record: every measured fact is a line of `evidence.jsonl` in a checkpoint.

Lines are added and never changed. A fact's id is a hash of what it says, so a line that was altered
afterwards is recognised; a line cut short by a crash costs that line only.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import logging
import math
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tasks import json_files
from tasks.data.fingerprint import sha256
from tasks.errors import UserError
from zoo.machine import environment
from zoo.store import append_only
from zoo.store.portable import portable

logger = logging.getLogger(__name__)
_call: tuple[str, ...] | None = None
"""Module and words that `command` returns in place of this process's own."""

SCHEMA = 1
FILE = "evidence.jsonl"
KINDS = frozenset(
    (
        "metric",
        "parity",
        "latency",
        "throughput",
        "memory",
        "size",
        "cold_start",
        "energy",
        "load",  # requests a second that a service holds, and what it takes for one
        "training",
        "class",  # of one class: precision, recall, f1, recognised; `label` names it, n its rows
        "constant",  # a metric of one answer to every row, which `label` names
        "reference",  # a metric of other pictures than a model's, which `label` names: the scale
        "update",  # a step of a service from one version of a model to another, or back
        "data",  # what the check before training counted; of one class where `label` names it
    )
)
REFERENCE = "reference_"
"""Begins the name of a fact of kind "reference": who looks a metric up must not find it."""
STATUSES = frozenset(("ok", "wrong", "oom", "unavailable"))
TYPES: Mapping[str, type] = (
    dict.fromkeys(("kind", "name", "unit", "subject", "run", "status"), str)
    | dict.fromkeys(
        ("baseline", "deployment", "device", "split", "label", "command", "commit", "time"), str
    )
    | dict.fromkeys(("n", "threads", "seed"), int)
    | dict.fromkeys(("interval", "workload", "dataset", "machine", "versions", "counts"), Mapping)
    | {"dirty": bool}
)
# What decides a checkpoint's outputs: its weights, and what turns an input into tensors.
SUBJECT_FILES = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "spm.model",
    "sentencepiece.model",
    "sentencepiece.bpe.model",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "feature_extractor.json",
)


@dataclasses.dataclass(frozen=True)
class Fact:
    """A measured fact. Fields that are None are left out of the line (and of its id)."""

    kind: str  # one of KINDS
    name: str  # "accuracy"
    value: float | int | None  # None where the status says why there is no number
    unit: str  # "1" for a plain ratio, "s", "bytes", "samples/s"
    subject: str  # digest of the checkpoint or artifact it is about
    run: str  # what was measured together has one id
    status: str = "ok"  # one of STATUSES
    n: int | None = None
    interval: Mapping[str, Any] | None = None  # {low, high, level, method}
    baseline: str | None = None  # id of the fact a ratio is relative to
    deployment: str | None = None
    device: str | None = None
    threads: int | None = None
    workload: Mapping[str, Any] | None = None  # {"batch": 1, "length": 128}; {"features": digest}
    dataset: Mapping[str, Any] | None = None  # {name, fingerprint}
    split: str | None = None
    label: str | None = None  # the class that it is about
    counts: Mapping[str, int] | None = None  # what its n are, by label: a row of a confusion matrix
    seed: int | None = None
    machine: Mapping[str, Any] | None = None
    versions: Mapping[str, str] | None = None
    command: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    time: str | None = None  # UTC, ISO 8601
    schema: int = SCHEMA
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # fields of a newer schema

    def content(self) -> dict[str, Any]:
        """The line as a JSON object, without its id."""
        content = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "other"
        }
        content |= self.other
        return {key: value for key, value in content.items() if value is not None}

    @property
    def id(self) -> str:
        """16 hex digits of the sha256 over the content as canonical JSON."""
        return _identify(self.content())


def fact(
    kind: str,
    name: str,
    value: float | int | None,
    unit: str,
    *,
    n: int | None = None,
    interval: Mapping[str, Any] | None = None,
    status: str = "ok",
    subject: str,
    run: str,
    baseline: str | None = None,
    deployment: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    workload: Mapping[str, Any] | None = None,
    dataset: Mapping[str, Any] | None = None,
    split: str | None = None,
    label: str | None = None,
    counts: Mapping[str, int] | None = None,
    seed: int | None = None,
) -> Fact:
    """A fact with the machine, versions, commit, command and time filled in; checked."""
    made = Fact(
        kind=kind,
        name=name,
        value=value,
        unit=unit,
        n=n,
        interval=interval,
        status=status,
        subject=subject,
        run=run,
        baseline=baseline,
        deployment=deployment,
        device=device,
        threads=threads,
        workload=workload,
        dataset=dataset,
        split=split,
        label=label,
        counts=counts,
        seed=seed,
        **origin(),
    )
    validate(made)
    return made


def interval_of(estimate: Any) -> dict[str, Any] | None:
    """Return the interval of a `tasks.metrics.intervals.MetricEstimate` as a fact has it; None
    where it is undefined."""
    if math.isnan(estimate.low):
        return None
    return {name: getattr(estimate, name) for name in ("low", "high", "level", "method")}


def append(folder: Path, facts: Sequence[Fact]) -> list[str]:
    """Adds the facts to the folder's record and returns their ids; on disk when it returns.

    Raises ValueError, and writes nothing, where one of them cannot be true as it stands.
    """
    for each in facts:
        validate(each)
    ids = [each.id for each in facts]
    text = "".join(
        _canonical(each.content() | {"id": id_}) + "\n"
        for each, id_ in zip(facts, ids, strict=True)
    )
    if text:
        append_only.append(folder / FILE, text)
    return ids


def read(folder: Path) -> list[Fact]:
    """The folder's facts in the order they were added; none where there is no record.

    A line that is torn, altered or no fact is skipped with a warning; one of a newer schema is
    kept, with the fields this version does not know under `other`.
    """
    facts = []
    for number, found in scan(folder):
        if isinstance(found, Fact):
            facts.append(found)
        else:
            logger.warning("%s, line %d is skipped: %s", folder / FILE, number, found)
    return facts


def scan(folder: Path) -> Iterator[tuple[int, Fact | ValueError]]:
    """The number of each line of the record, with its fact or what is wrong with it."""
    path = folder / FILE
    must_be_file(path)
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, _parse(line)
        except ValueError as error:
            yield number, error


def must_be_file(path: Path) -> None:
    """Raises `UserError` for what is there and is no file, or a link to nothing."""
    if os.path.lexists(path) and not path.is_file():
        raise UserError(f"{path} is no file: remove it")


def validate(fact: Fact) -> None:
    """Raises ValueError where a fact says what cannot be: that is a bug of ours."""
    if fact.schema != SCHEMA or fact.other:
        raise ValueError(f"only facts of schema {SCHEMA} can be written")
    for field, kind in TYPES.items():
        if not _is_of_type(field, value := getattr(fact, field)):
            raise ValueError(f"{field} of a fact is no {kind.__name__}: {value!r}")
    if fact.kind not in KINDS:
        raise ValueError(f"kind {fact.kind!r} is none of {sorted(KINDS)}")
    if fact.status not in STATUSES:
        raise ValueError(f"status {fact.status!r} is none of {sorted(STATUSES)}")
    for name in ("name", "unit", "subject", "run"):
        if not getattr(fact, name) or not isinstance(getattr(fact, name), str):
            raise ValueError(f"{name} of a fact is a text that is not empty")
    if fact.value is None and fact.status == "ok":
        raise ValueError(f"{fact.name} has status ok but no value")
    if fact.value is not None and not _is_number(fact.value):
        raise ValueError(f"the value of {fact.name} is no finite number: {fact.value!r}")
    for field in ("n", "threads"):
        if (count := getattr(fact, field)) is not None and count < 1:
            raise ValueError(f"{field} of {fact.name} is no count: {count!r}")
    if fact.interval is not None:
        _validate_interval(fact.name, fact.interval)
    if fact.dataset is not None and not {"name", "fingerprint"} <= set(fact.dataset):
        raise ValueError(f"the data set of {fact.name} needs a name and a fingerprint")
    if not all(_is_number(each) and isinstance(each, int) for each in (fact.counts or {}).values()):
        raise ValueError(f"the counts of {fact.name} are no whole numbers: {fact.counts}")
    for field in ("dataset", "versions"):
        for key, value in (getattr(fact, field) or {}).items():
            is_text = field == "versions" or key in ("name", "fingerprint")
            if is_text and not isinstance(value, str):
                raise ValueError(f"{field} of {fact.name} says {key} {value!r}, which is no text")
    try:
        _canonical(fact.content())
    except TypeError as error:  # what JSON cannot say; NaN inside is a ValueError already
        raise ValueError(f"{fact.name} cannot be written: {error}") from error


def subject_digest(folder: Path) -> str:
    """Return the digest of a checkpoint: sha256 over the names and sums of its SUBJECT_FILES.

    Raises UserError where the folder has no config or no weights.
    """
    files = sorted({path for pattern in SUBJECT_FILES for path in folder.glob(pattern)})
    for path in files:
        must_be_file(path)
    names = {path.name for path in files}
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise UserError(f"{folder} is no checkpoint: it needs config.json and model.safetensors")
    return digest_of({path.name: sha256(path) for path in files})


def digest_of(sums: Mapping[str, str]) -> str:
    """The digest of a checkpoint whose files, by name, have these sums; others do not count."""
    names = sorted(name for name in sums if any(fnmatchcase(name, one) for one in SUBJECT_FILES))
    return hashlib.sha256(_canonical([[name, sums[name]] for name in names]).encode()).hexdigest()


def command(argv: Sequence[str] | None = None) -> str:
    """The command of this process to be typed again, its paths made portable; those below the
    working directory are relative to it.

    They become relative to the working directory where they lie below it, else their last part.
    """
    arguments, here = list(sys.argv if argv is None else argv), Path.cwd()
    if argv is None and _call is not None:
        module, *words = _call
        return shlex.join(["python", "-m", module, *(portable(one, here) for one in words)])
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if (
        argv is None and spec is not None
    ):  # python -m: argv[0] is the file, the module is what was typed
        begin = ["python", "-m", spec.name.removesuffix(".__main__")]
    elif arguments and Path(arguments[0]).name == "zoo":  # the installed command
        begin = ["python", "-m", "zoo"]
    else:
        begin = ["python", *(portable(one, here) for one in arguments[:1])]
    return shlex.join([*begin, *(portable(one, here) for one in arguments[1:])])


@contextlib.contextmanager
def recorded_as(module: str, words: Sequence[str]) -> Iterator[None]:
    """Make `command` return `python -m MODULE WORDS` inside the context: the command line that
    does what a call from Python does, where this process has another one (a notebook's)."""
    global _call
    before, _call = _call, (module, *words)
    try:
        yield
    finally:
        _call = before


def origin(argv: Sequence[str] | None = None, gpu: bool | None = None) -> dict[str, Any]:
    """Where, with what and when something was measured: machine, versions, command, commit, dirty,
    time (UTC, ISO 8601).

    Args:
        argv: of the process that measured, where it was not this one.
        gpu: see `environment.machine`.
    """
    return {
        "machine": environment.machine(gpu=gpu),
        "versions": environment.versions(),
        "command": command(argv),
        **environment.commit(),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _is_number(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _validate_interval(name: str, interval: Mapping[str, Any]) -> None:
    if set(interval) != {"low", "high", "level", "method"}:
        raise ValueError(
            f"the interval of {name} has low, high, level, method; not {sorted(interval)}"
        )
    numbers = [interval[key] for key in ("low", "high", "level")]
    if not all(map(_is_number, numbers)) or not interval["low"] <= interval["high"]:
        raise ValueError(f"the interval of {name} is none: {dict(interval)}")
    if not 0 < interval["level"] < 1 or not isinstance(interval["method"], str):
        raise ValueError(f"the interval of {name} needs a level in (0, 1) and a method")


def _parse(line: bytes) -> Fact:
    """A fact from its line. ValueError, of which JSON's errors are a kind, says what is wrong."""
    content = json_files.parse(line)
    if not isinstance(content, dict) or not isinstance(content.get("schema"), int):
        raise ValueError("it is no fact")
    id_ = content.pop("id", None)
    if id_ != _identify(content):
        raise ValueError("it was changed after it was written (its id does not fit)")
    known = {field.name for field in dataclasses.fields(Fact)} - {"other"}
    fields = {key: value for key, value in content.items() if key in known}
    other = {key: value for key, value in content.items() if key not in known}
    if content["schema"] > SCHEMA:  # may lack what was required here, or have it otherwise
        other |= {key: value for key, value in fields.items() if not _is_of_type(key, value)}
        fields = {key: value for key, value in fields.items() if key not in other}
        fields = {
            "kind": "",
            "name": "",
            "value": None,
            "unit": "",
            "subject": "",
            "run": "",
        } | fields
    try:
        fact = Fact(**{"value": None, **fields}, other=other)
    except TypeError as error:
        raise ValueError(f"it is no fact: {error}") from error
    if fact.schema <= SCHEMA:
        validate(fact)
    return fact


def _is_of_type(field: str, value: Any) -> bool:
    """Return whether a field of a line may be read as this version reads it; None stands for a
    field without a value."""
    kind = TYPES.get(field)
    if value is None or kind is None:
        return field != "value" or value is None or _is_number(value)
    return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)


def _identify(content: Mapping[str, Any]) -> str:
    said = {key: value for key, value in content.items() if value is not None}
    # There and back, so that it is the same before writing and after reading (keys become texts).
    plain = json.loads(_canonical(said))
    return hashlib.sha256(_canonical(plain).encode()).hexdigest()[:16]


def _canonical(content: object) -> str:
    # ASCII, so that no character of a value can be taken for the end of a line.
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain
    )


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON can say")
