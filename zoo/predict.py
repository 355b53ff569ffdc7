"""The verb predict: inputs in, one line of jsonl or csv out for each, in the order they came."""

import csv
import importlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.printing import shown
from zoo.predictor import Predictor, Readings
from zoo.zero_shot import ZeroShot

if TYPE_CHECKING:
    from zoo.entry import Entry
    from zoo.verbs import PredictArgs


def predict(entry: "Entry", asked: Any, args: "PredictArgs") -> None:
    """Streams predictions; nothing but a batch is held in memory.

    Args:
        asked: the task's `Inputs`.

    Raises `UserError` for a damaged checkpoint or an input that can't be read.
    """
    if args.top_k is not None and args.top_k < 1:
        raise UserError(f"--top_k {args.top_k}: at least 1")
    if args.zero_shot and args.deployment != "eager":
        raise UserError("--zero_shot runs weights, and --deployment a checkpoint")
    if not args.zero_shot and (args.labels or args.template):
        raise UserError("--labels and --template go with --zero_shot")
    suffix = args.output.suffix.lstrip(".") if args.output else ""
    form = args.format or (suffix if suffix in ("csv", "jsonl") else "jsonl")
    with ExitStack() as stack:
        task = importlib.import_module(entry.task)
        predictor: Readings = (
            ZeroShot(entry, args)
            if args.zero_shot
            else Predictor(args.checkpoint, args.device, entry, args.deployment)
        )
        predictor.task = task.for_prediction(predictor.task, asked)
        inputs = task.read_inputs(asked, predictor.task, stack)
        # what comes live is read as it comes, and nobody waits for a batch to fill
        batch_size = 1 if getattr(asked, "stream", False) else args.batch_size
        if args.output is None:
            _write(shown(sys.stdout), form, inputs, predictor, task, batch_size, args.top_k)
            return
        args.output.parent.mkdir(parents=True, exist_ok=True)
        temporary = args.output.with_name(f".{args.output.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("w", newline="") as file:
                _write(file, form, inputs, predictor, task, batch_size, args.top_k)
            temporary.replace(args.output)
        finally:
            temporary.unlink(missing_ok=True)


def _write(
    file: IO[str],
    form: str,
    inputs: Iterator[Any],
    predictor: Readings,
    task: Any,
    batch_size: int,
    top_k: int | None,
) -> None:
    kept: list[Any] = []  # inputs on their way through the model: at most a batch

    def passing() -> Iterator[Any]:
        for item in inputs:
            kept.append(item)
            yield item

    table = csv.writer(file) if form == "csv" else None
    begun = False
    for reading in predictor.stream(passing(), batch_size=batch_size, top_k=top_k):
        line = task.show_input(kept.pop(0)) | reading
        if table is None:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        else:
            if not begun:
                table.writerow(line)
            cells = (v if isinstance(v, str | float) else json.dumps(v) for v in line.values())
            table.writerow(cells)
        begun = True
        file.flush()
