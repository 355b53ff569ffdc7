"""What a run is: what one that goes on must share with the one that was begun.

The record lies in every saved state. Data and weights count by their content, so that a folder may
have moved; flags count by their value, but for those in MAY_CHANGE, which decide how long a run is,
how its order of samples is cut, where it computes, and what it shows.
"""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import Examples, Task
from tasks.errors import UserError, shortened
from tasks.printing import print_lines
from zoo.model import registry
from zoo.train.resume import state as states

if TYPE_CHECKING:
    from zoo.model.entry import Entry
    from zoo.train.methods.base import FinetuneJob

Record = dict[str, Any]

MAY_CHANGE = frozenset(
    (
        *("output_dir", "resume", "num_train_epochs", "max_steps", "minutes"),
        *("per_device_train_batch_size", "per_device_eval_batch_size"),
        *("gradient_accumulation_steps", "token_budget", "auto_find_batch_size", "packing"),
        *("gradient_checkpointing", "torch_compile", "compile_layers", "cuda_graphs"),
        *("device", "dtype", "dataloader_num_workers", "threads"),
        *("eval_strategy", "eval_steps", "early_stopping_patience", "early_stopping_threshold"),
        *("save_steps", "save_minutes", "save_total_limit", "logging_steps", "report_to"),
        # what helps a run whose loss was not finite
        *("learning_rate", "max_grad_norm", "max_grad_value"),
    )
)
SILENT = frozenset(("output_dir", "resume", "threads"))
"""Of these, what nobody needs to be told, and what `zoo.train.threads` tells."""
BY_CONTENT = frozenset(("data", "data_config", "unlabeled", "teacher", "qat"))
"""Flags that name data and checkpoints: these count by their digests."""
BEST = "metric_for_best_model"
"""A flag that counts by the metric it comes to: with another one, what was the best so far could
not be compared."""
LONG = 2000  # characters of JSON from which a digest stands for a value
SHOWN = 6  # labels in an error


class Run:
    """The record of a run, built part by part; when resuming, each part is compared with the record
    in the saved state."""

    def __init__(self, folder: Path, state: Path | None) -> None:
        self.folder = folder
        self.record: Record = {}
        self._progress = states.read_progress(state) if state else None
        self._begun: Record | None = self._progress.get("run") if self._progress else None
        if self._progress and self._begun is None:
            print_lines(
                f"{state} was saved by an older version, which did not record data and labels: "
                "that they are the same is not checked",
                file=sys.stderr,
            )

    def know(self, more: Record, *settings: Any) -> None:
        """Add a part to the record.

        Args:
            settings: dataclasses that its flags are of: what a run of an older version did not
                have counts as its default.

        Raises `UserError` if it differs from the resumed run's.
        """
        if self._begun is not None:
            for part in {"flags", "task_flags"} & more.keys():
                self._begun[part] = usual(settings, part) | self._begun[part]
            check(self.folder, self._begun, more)
        elif self._progress is not None and BEST in more:  # an older version, which had no choice
            check(self.folder, {"model": None}, {BEST: more[BEST]})
        self.record |= more

    def changes(self) -> list[dict[str, Any]]:
        """Return which flags were changed at which step: in earlier resumes and in this one."""
        if self._begun is None or self._progress is None:
            return []
        earlier: list[dict[str, Any]] = self._begun["changes"]
        now = changes(self._begun, self.record)
        return [*earlier, {"step": self._progress["step"], "flags": now}] if now else earlier


def of_flags(entry: "Entry", job: "FinetuneJob") -> Record:
    """Return the part of the record that is known before the data are read."""
    train = dataclasses.asdict(job.train)
    flags = dataclasses.asdict(job.options) | dataclasses.asdict(job.data) | train
    return _plain(
        {
            "model": entry.name,
            "flags": {n: value for n, value in flags.items() if n not in {*BY_CONTENT, BEST}},
            "teacher": job.train.teacher,
            "qat": job.train.qat,
        }
    )


def usual(settings: Sequence[Any], part: str) -> Record:
    """Return the defaults of dataclasses, given by instances, as a part of a record has them.

    A task's flags are recorded as data and model have decided them; a default that leaves it to
    these (None, "auto") says nothing of an older run, and is left out.
    """
    every = [field for one in settings for field in dataclasses.fields(one)]
    found = {f.name: f.default for f in every if f.default is not dataclasses.MISSING}
    if part == "task_flags":
        found = {name: value for name, value in found.items() if value not in (None, "auto")}
    return _plain({n: value for n, value in found.items() if n not in {*BY_CONTENT, BEST}})


def of_data(
    task: Task,
    examples: Examples,
    methods: Mapping[str, Any],
    best_by: str | None,
) -> Record:
    """Return the part of the record that is known once the data are read.

    Args:
        task: bound to its data.
        methods: what the training methods record in the manifest.
        best_by: the metric that decides which checkpoint is the best; None: the task's main one.
    """
    config = task.config()
    args = config.pop("args", {})
    return _plain(
        {
            "data": {"name": examples.name, "fingerprint": examples.fingerprint},
            "labels": list(task.labels),
            "task_flags": args,
            "task": {name: _short(value) for name, value in config.items() if name != "labels"},
            "unlabelled": methods.get("unlabeled", {}).get("fingerprint"),
            "subjects": {
                "teacher": methods.get("teacher", {}).get("subject"),
                "qat": methods.get("qat", {}).get("from"),
            },
            BEST: best_by,
        }
    )


def of_source(source: Mapping[str, Any]) -> Record:
    """Return the part of the record on the weights that a run starts from."""
    return _plain({"source": source})


def check(folder: Path, begun: Record, now: Record) -> None:
    """Raise `UserError` for the first entry of `now` that differs from `begun`.

    Args:
        folder: the run's, for the error message.
        now: the part of the record that is known so far.
    """
    if first := next(_differences(begun, now), None):
        had, has = first
        raise UserError(
            f"{folder} was begun with {had}, not {has}: go on with that of then, or name another "
            "`output_dir`"
        )


def changes(begun: Record, now: Record) -> dict[str, list[Any]]:
    """Return the flags that differ from the begun run's and may differ: name to old and new
    value."""
    then, flags = begun["flags"], now["flags"]
    return {
        name: [then[name], value]
        for name, value in flags.items()
        if name in then and name not in SILENT and then[name] != value
    }


def _differences(begun: Record, now: Record) -> Iterator[tuple[str, str]]:
    if now.get("model", begun["model"]) != begun["model"]:
        other = registry.find(begun["model"]).module
        yield f"the model {begun['model']} (python -m {other})", now["model"]
    for name in ("teacher", "qat"):
        if name in now and (begun[name] is None) != (now[name] is None):
            yield f"the {name} {begun[name]}" if begun[name] else f"no {name}", _value(now[name])
    for name, digest in now.get("subjects", {}).items():
        if digest != begun["subjects"][name]:
            had = f"the {name} {begun[name]} ({_digits(begun['subjects'][name])})"
            yield had, f"{begun[name]} ({_digits(digest)})"
    if "data" in now and now["data"]["fingerprint"] != begun["data"]["fingerprint"]:
        yield f"the data {_data(begun['data'])}", _data(now["data"])
    if "labels" in now and now["labels"] != begun["labels"]:
        yield f"the labels {_labels(begun['labels'])}", _labels(now["labels"])
    if "unlabelled" in now and now["unlabelled"] != begun["unlabelled"]:
        had = f"the data for `unlabeled` {_digits(begun['unlabelled'])}"
        yield had, _digits(now["unlabelled"])
    if BEST in now and now[BEST] != begun.get(BEST):  # none in records from before it was a flag
        yield f"`{BEST}` {_value(begun.get(BEST))}", _value(now[BEST])
    for part in ("flags", "task_flags"):
        for name, value in now.get(part, {}).items():
            had = begun[part].get(name, value)
            if name in MAY_CHANGE or had == value:
                continue
            if name == "model" and _both_folders(had, value):
                continue  # the weights tell
            yield f"`{name}` {_value(had)}", _value(value)
    for name, value in now.get("task", {}).items():
        if begun["task"].get(name) != value:
            yield f"the {name} {_value(begun['task'].get(name))}", _value(value)
    if "source" in now:
        then, source = begun["source"], now["source"]
        for name in source.keys() - {"model"}:
            if then.get(name) != source[name]:
                yield (
                    f"the weights {then.get('model')} ({name} {_value(then.get(name))})",
                    f"{source.get('model')} ({_value(source[name])})",
                )


def _both_folders(one: Any, other: Any) -> bool:
    """Return whether both names of weights are folders, or one was a folder that is gone; then the
    contents are compared, not the names."""
    return Path(str(other)).is_dir() and ("/" in str(one) or Path(str(one)).is_dir())


def _data(data: Mapping[str, str]) -> str:
    return f"{data['name']} (fingerprint {_digits(data['fingerprint'])})"


def _digits(digest: str | None) -> str:
    return "none" if digest is None else digest[:12]


def _labels(labels: list[str]) -> str:
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return (", ".join(map(repr, labels[:SHOWN])) or "none") + more


def _value(value: Any) -> str:
    many = " ".join(map(str, value)) if isinstance(value, list) else value
    return shortened("none" if many in (None, "") else str(many))


def _short(value: Any) -> Any:
    text = json.dumps(value, default=str, sort_keys=True)
    return value if len(text) <= LONG else hashlib.sha256(text.encode()).hexdigest()


def _plain(record: Record) -> Record:
    """Return a record as JSON gives it back, without tuples."""
    plain: Record = json.loads(json.dumps(record, default=str))
    return plain
