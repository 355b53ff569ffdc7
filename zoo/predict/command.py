"""The verb predict: inputs in, one prediction out for each, in the order they came."""

import dataclasses
import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.inputs import (
    DrawsPredictions,
    FromFile,
    FromStream,
    Interactive,
    WithAttention,
    WithCoco,
    WithDraft,
    WithGrid,
)
from tasks.printing import print_lines
from tasks.writes import Writes
from zoo.machine import output_file, places
from zoo.model.modality import modality_of
from zoo.predict import live_text
from zoo.predict.attention import AttentionPicture
from zoo.predict.coco_file import CocoFile, coco_file
from zoo.predict.files import FORMATS, Sink, Written, open_sink, open_stdout
from zoo.predict.grid import PictureGrid, picture_grid
from zoo.predict.pictures import PredictionPictures
from zoo.predict.pipeline import PredictionPipeline, Predictor, are_weights

if TYPE_CHECKING:
    from zoo.cli.args import PredictArgs
    from zoo.model.entry import Entry

FLAG = "`output`"
STDOUT = "-"


def predict(entry: "Entry", asked: Any, args: "PredictArgs") -> None:
    """Write predictions as they are computed, holding at most one batch in memory.

    Args:
        asked: the task's `Inputs`.

    Raises `UserError` for a damaged checkpoint, an input that can't be read, or an output that
    can't be written.
    """
    if args.zero_shot and args.deployment != "eager":
        raise UserError("`zero_shot` runs weights, and `deployment` a checkpoint")
    if not args.zero_shot and (args.labels or args.template):
        raise UserError("`labels` and `template` go with `zero_shot`")
    output = None if args.output is None or str(args.output) == STDOUT else args.output
    if output is not None:
        places.check_file(FLAG, output)
        _must_not_be_the_input(output, asked)
    if isinstance(asked, Interactive) and asked.interactive:
        _must_be_typed(asked, args)
    form = format_of(output, args.format)
    drawn = PredictionPictures(asked) if isinstance(asked, DrawsPredictions) else None
    with ExitStack() as stack:
        task = importlib.import_module(entry.task)
        predictor = _opened(entry, args)
        predictor.task = task.for_prediction(predictor.task, asked)
        top_k = args.top_k
        if isinstance(predictor.task, Writes):  # which draws among so many
            predictor.task, top_k = predictor.task.writing_as(top_k=top_k), None
            if isinstance(asked, WithDraft) and asked.draft is not None:
                stack.enter_context(_drafted(predictor, asked.draft))
            if isinstance(asked, Interactive) and asked.interactive:
                live_text.converse(predictor, _reader(asked, task, predictor, stack))
                return
            if live_text.is_read(output, args.format):
                live_text.show(task.read_inputs(asked, predictor.task, stack), predictor)
                return
        opened = open_stdout(form) if output is None else open_sink(output, FLAG, form)
        if isinstance(asked, FromStream) and asked.stream:
            live = modality_of(entry).live(predictor, asked, top_k)
            sink = stack.enter_context(opened)
            for item, reading in live:
                sink.write(Written(task.show_input(item), None, reading))
            return
        inputs = task.read_inputs(asked, predictor.task, stack)
        besides = _besides(asked, predictor, stack)
        sink = stack.enter_context(opened)
        _write(sink, inputs, predictor, task, args.batch_size, top_k, besides, drawn)


def _opened(entry: "Entry", args: "PredictArgs") -> PredictionPipeline:
    """Return what predicts: a checkpoint, weights as they are, or weights without labels."""
    where, weights = (args.device, args.threads), str(args.checkpoint)
    if args.zero_shot:
        from zoo.predict.zero_shot import ZeroShot

        return ZeroShot(entry, weights, args.labels, args.template, *where)
    if are_weights(entry, weights):
        return Predictor.of_weights(entry, weights, *where, deployment=args.deployment)
    return Predictor(args.checkpoint, args.device, entry, args.deployment, args.threads)


def _besides(
    asked: Any, predictor: PredictionPipeline, stack: ExitStack
) -> AttentionPicture | PictureGrid | CocoFile | None:
    """Return what writes the predictions in another way, where that is asked for."""
    if isinstance(asked, WithAttention) and asked.attention is not None:
        return AttentionPicture(asked.attention, predictor, stack)
    if isinstance(asked, WithGrid) and asked.grid is not None:
        columns = asked.columns or asked.walk
        return stack.enter_context(picture_grid(asked.grid, predictor.task, columns))
    if isinstance(asked, WithCoco) and asked.coco is not None:
        return stack.enter_context(coco_file(asked.coco, predictor.task))
    return None


def _must_be_typed(asked: Interactive, args: "PredictArgs") -> None:
    """Raise `UserError` where prompts do not come from a terminal, or texts go somewhere else."""
    file = asked.file if isinstance(asked, FromFile) else None
    given = {"prompt": asked.prompt, "file": file, "output": args.output, "format": args.format}
    if wrong := next((name for name, value in given.items() if value not in ((), None)), None):
        raise UserError(f"`interactive` reads and writes on the terminal: leave out `{wrong}`")
    live_text.must_have_keyboard()


def _reader(
    asked: Any, task: Any, predictor: PredictionPipeline, stack: ExitStack
) -> live_text.Read:
    """Return what makes inputs of a typed line, as of a prompt among the flags."""

    def read(line: str) -> Iterator[Mapping[str, Any]]:
        inputs = dataclasses.replace(asked, prompt=(line,))
        found: Iterator[Mapping[str, Any]] = task.read_inputs(inputs, predictor.task, stack)
        return found

    return read


@contextmanager
def _drafted(predictor: PredictionPipeline, draft: Path) -> Iterator[None]:
    """Let a draft guess, and say at the end on standard error what came of it."""
    acceptance = predictor.draft_with(draft)
    yield
    print_lines(f"{draft}: {acceptance}", file=sys.stderr)


def format_of(output: Path | None, asked: str | None) -> str:
    """Return the output format: the flag's, else that of the file's extension, else jsonl.

    Raises `UserError` for an unknown extension, and for one that contradicts the flag.
    """
    known = ", ".join(FORMATS)
    suffix = "" if output is None else output.suffix.lower().removeprefix(".")
    if output is None and asked == "parquet":
        raise UserError(f"`format` parquet is no text to print: name a file with {FLAG}")
    if suffix in FORMATS and asked not in (None, suffix):
        raise UserError(f"{FLAG} {output} ends in .{suffix}, and `format` says {asked}")
    if asked is not None:
        return asked
    if suffix in FORMATS:
        return suffix
    if output is None or output_file.is_stream(output, FLAG):
        return "jsonl"
    ending = f"ends in {output.suffix}" if suffix else "has no ending"
    raise UserError(f"{FLAG} {output} {ending}, which is none of {known}; or give `format`")


def _must_not_be_the_input(output: Path, asked: Any) -> None:
    file = asked.file if isinstance(asked, FromFile) else None
    if file is not None and output.is_file() and file.is_file() and output.samefile(file):
        raise UserError(f"{FLAG} {output} is the file that is read: give another one")


def _write(
    sink: Sink,
    inputs: Iterator[Mapping[str, Any]],
    predictor: PredictionPipeline,
    task: Any,
    batch_size: int,
    top_k: int | None,
    besides: AttentionPicture | PictureGrid | CocoFile | None,
    drawn: PredictionPictures | None,
) -> None:
    kept: list[Mapping[str, Any]] = []  # inputs on their way through the model: at most a batch
    wrong: list[UserError] = []  # what ended the inputs: those before it are answered first

    def passing() -> Iterator[Mapping[str, Any]]:
        try:
            for item in inputs:
                kept.append(item)
                yield item
        except UserError as error:
            wrong.append(error)

    for prediction, reading in predictor.readings(passing(), batch_size=batch_size, top_k=top_k):
        item = kept.pop(0)
        if drawn:
            reading |= drawn.write(predictor.task, item, prediction, reading)
        if reading:  # a picture that was made has nothing to say
            sink.write(Written(task.show_input(item), item.get("others"), reading))
        if besides:
            besides.add(item, prediction, reading)
    assert not kept, f"{len(kept)} inputs have no prediction"
    if wrong:
        raise wrong[0]
