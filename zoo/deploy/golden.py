"""Golden inputs: a few inputs of the validation split beside the outputs that they must have.

`export`, `quantize` and `bench decide` leave them in `golden/DEPLOYMENT.json` of a checkpoint, also
for what runs the checkpoint itself; `serve` runs them on the machine that is to answer, before it
is ready. The reference is the fp32 source where they were made; what the deployment itself gave
there is kept beside it. Of a model that writes text it is the text, on which both agreed. They are
rows of somebody's data, so nothing publishes them: `tools.hub` leaves the folder where it is.
"""

import base64
import binascii
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from tasks import atomic, json_files
from tasks.arrays import to_numpy
from tasks.base import Generates, OutputKind, Task
from tasks.errors import UserError
from tasks.printing import print_lines
from tasks.writes import Writes
from zoo.deploy import parity
from zoo.deploy.set_outputs import aligned
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence, typed

if TYPE_CHECKING:
    from zoo.deploy.export import ExportSource
    from zoo.runtimes.runner import Runner

FOLDER = "golden"
SCHEMA = 1
COUNT = 8
TRIED = 32
"""Rows of the split of which they are chosen: those on which the deployment is nearest to fp32."""
TRIED_TEXTS = 16
"""Rows that a model is to write the text of: each takes it many passes."""
LONGEST_TEXT = 2000
"""Characters."""
LARGEST_FILE = 256 * 2**10
"""Bytes of an image or sound."""
MOST_VALUES = 2**16
"""Numbers of all outputs of an input."""
EAGER = Deployment("eager")

Raw = str | tuple[str, str] | bytes | Mapping[str, Any]
"""An input as a request brings it: a text, a pair, the content of an image or sound file, the
columns of a row."""
Arrays = Mapping[str, np.ndarray]
Run = Callable[[Raw], Arrays]
"""Gives the outputs of the task for one input, by name, float32 [1, ...]."""
Models = tuple[Any, Any]
"""The fp32 source and its deployment, each as a network."""


@runtime_checkable
class ReadsRows(Protocol):
    """A task whose inputs are rows of a table."""

    def row_of(self, example: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the columns of an example as a request brings them, by their own names."""


@dataclass(frozen=True)
class GoldenInput:
    """An input with its outputs, where it was exported."""

    raw: Raw
    reference: Arrays = field(default_factory=dict)
    """of the fp32 source"""
    recorded: Arrays = field(default_factory=dict)
    """of the deployment"""
    text: str | None = None
    """what the deployment wrote, of a model that writes text"""


@dataclass(frozen=True)
class Written:
    """The fields of a file of golden inputs."""

    schema: int
    deployment: str
    subject: str
    inputs: Sequence[Mapping[str, Any]]


def path_of(checkpoint: Path, deployment: Deployment) -> Path:
    """Return where the golden inputs of a deployment lie or would lie."""
    return checkpoint / FOLDER / f"{deployment.folder}.json"


def leave(
    original: "ExportSource",
    runner: "Runner",
    subject: str,
    data: str | None = None,
    count: int = COUNT,
) -> None:
    """Write golden inputs for a deployment, and for the checkpoint as it is, where a few can be
    had; say in a line how many, or why there are none.

    Args:
        runner: of the deployment.
        subject: see `write`.
        data: to take them from; that of the training by default.
        count: inputs at most; 0: none, and what lay there before goes.
    """
    folder, deployment = original.checkpoint.folder, runner.deployment
    places = {deployment: subject, EAGER: evidence.subject_digest(folder)}
    found, why = _of(original, runner, data, count)
    for one, subject in places.items():
        chosen = found if one == deployment else [_as_source(each) for each in found]
        if chosen:
            write(folder, one, subject, chosen)
        elif one == deployment:
            path_of(folder, one).unlink(missing_ok=True)
    if found:
        print_lines(f"{path_of(folder, deployment)}: {len(found)} golden inputs, for the self-test")
    else:
        print_lines(f"no golden inputs for the self-test of serve: {why}")


def write(
    checkpoint: Path, deployment: Deployment, subject: str, inputs: Sequence[GoldenInput]
) -> None:
    """Replace the golden inputs of a deployment.

    Args:
        subject: digest of the artifact, or of the checkpoint where that itself runs.
    """
    content = {
        "schema": SCHEMA,
        "deployment": str(deployment),
        "subject": subject,
        "inputs": [_written(one) for one in inputs],
    }
    path = path_of(checkpoint, deployment)
    path.parent.mkdir(exist_ok=True)
    atomic.write_json(path, content | {"sha256": _sum(content)})


def read(checkpoint: Path, deployment: Deployment, subject: str) -> list[GoldenInput] | None:
    """Return the golden inputs of a deployment; None where there are none of what runs now.

    Args:
        subject: see `write`.

    Raises `UserError` for a file that is not what was written.
    """
    path = path_of(checkpoint, deployment)
    try:
        content = json_files.read_object(path)
        total = content.pop("sha256", None)
        if wrong := typed.fault(Written, content, path.name):
            raise ValueError(wrong)
        if total != _sum(content):
            raise ValueError("it was changed after it was written")
        if content["subject"] != subject:
            return None
        return [_read(one) for one in content["inputs"]]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise UserError(f"{path} is damaged ({error}): export it again, or remove it") from None


def fault(
    inputs: Sequence[GoldenInput],
    found: Sequence[Arrays],
    kinds: Mapping[str, OutputKind],
    numerics: str,
) -> str | None:
    """Return what is wrong with outputs, in a sentence; None where they are within the tolerance
    that a proof has for these numerics.

    Args:
        found: outputs of the inputs, in their order.
        kinds: what each output is.
    """
    compared: dict[str, list[parity.Difference]] = {}
    recorded: dict[str, list[parity.Difference]] = {}
    for one, given in zip(inputs, found, strict=True):
        outputs = aligned(given, one.reference, kinds)
        for name, wanted in one.reference.items():
            if name not in outputs or outputs[name].shape != wanted.shape:
                there = list(outputs[name].shape) if name in outputs else "missing"
                return f"{name} is {there}, and should be {list(wanted.shape)}"
            for into, its in ((compared, outputs), (recorded, one.recorded)):
                made = parity.difference(name, wanted, its[name], kind=kinds.get(name))
                into.setdefault(name, []).append(made)
    for name, all_of_it in compared.items():
        signal, _ = parity.pooled(all_of_it)
        wrong = (parity.judge(one, numerics, signal) for one in all_of_it)
        if said := next(filter(None, wrong), None) or parity.judge_all(all_of_it, numerics):
            before = parity.decibels(*parity.pooled(recorded[name]))
            return f"{said} (all of them: {before:.1f} dB where it was exported)"
    return None


def text_fault(
    inputs: Sequence[GoldenInput], texts: Sequence[str], least: float = 1.0
) -> str | None:
    """Return what is wrong with texts, in a sentence without them; None where they are those that
    were written before.

    Args:
        texts: of the inputs, in their order.
        least: share of the texts that has to be the same.
    """
    pairs = zip(inputs, texts, strict=True)
    wrong = [i for i, (one, text) in enumerate(pairs, 1) if text != one.text]
    if len(wrong) <= len(inputs) * (1 - least):
        return None
    first = f"number {wrong[0]}" if len(wrong) == 1 else f"number {wrong[0]} first"
    return f"{len(wrong)} of them gave another text where it was exported ({first})"


def _of(
    original: "ExportSource", runner: "Runner", data: str | None, count: int
) -> tuple[list[GoldenInput], str]:
    """Return golden inputs, or why there are none."""
    import torch

    from zoo.runtimes.runner_model import RunnerModel

    if not count:
        return [], "none were asked for"
    task = original.task
    try:
        examples, _ = original.examples("validation", data, TRIED)
    except UserError as error:
        return [], str(error)
    exported = RunnerModel(runner, original.checkpoint.folder).eval()
    [rows] = examples.splits.values()
    raws = _raw_inputs(rows.select(range(min(TRIED, len(rows)))), task)
    models = original.model, exported
    with torch.inference_mode():
        if isinstance(task, Generates | Writes):
            best = _written_alike(task, models, raws, count)
        else:
            best = _nearest(task, models, raws, runner.deployment.numerics)[:count]
    return best, f"no small input of {examples.name} suits"


def _nearest(task: Task, models: Models, raws: Iterable[Raw], numerics: str) -> list[GoldenInput]:
    """Return inputs on which a deployment is within its tolerance, the nearest to fp32 first."""
    source, deployed = (outputs_of(task, model) for model in models)
    made = []
    for raw in raws:
        try:
            reference, recorded = source(raw), deployed(raw)
        except UserError:  # some rows of a split are no inputs: a text without a mask
            continue
        if sum(each.size for each in reference.values()) <= MOST_VALUES:
            recorded = aligned(recorded, reference, task.output_kinds)
            made.append(GoldenInput(raw, reference, recorded))
    good = [
        one for one in made if fault([one], [one.recorded], task.output_kinds, numerics) is None
    ]
    return sorted(good, key=_distance)


def _written_alike(
    task: Task, models: Models, raws: Iterable[Raw], count: int
) -> list[GoldenInput]:
    """Return inputs of which both models write the same text, as many as are wanted."""
    made: list[GoldenInput] = []
    for raw in itertools.islice(raws, TRIED_TEXTS):
        if len(made) == count:
            break
        try:
            text, other = (_text_of(task, model, raw) for model in models)
        except UserError:
            continue
        if text and text == other:
            made.append(GoldenInput(raw, text=text))
    return made


def _text_of(task: Task, model: Any, raw: Raw) -> str:
    [written] = task.predict(model, task.collate(task.inputs([raw])))
    return str(task.to_json(written)["text"])


def outputs_of(task: Task, model: Any) -> Run:
    """Return a function that gives a model's outputs for one input.

    Args:
        task: bound to the processor of the model.
    """

    def run(raw: Raw) -> Arrays:
        found = task.forward(model, task.collate(task.inputs([raw])))
        return {name: to_numpy(found[name]) for name in task.output_kinds if name in found}

    return run


def _distance(one: GoldenInput) -> float:
    """Return how far the deployment is from fp32, in dB below it: least first."""
    ratios = [parity.sqnr(wanted, one.recorded[name]) for name, wanted in one.reference.items()]
    return -min(ratios, default=math.inf)


def _as_source(one: GoldenInput) -> GoldenInput:
    return replace(one, recorded=one.reference)


def _raw_inputs(rows: Any, task: Task) -> Iterator[Raw]:
    """Yield the rows of a split as a request brings them, those that are small."""
    for row in rows:
        if isinstance(task, ReadsRows):
            yield task.row_of(row)
        elif media := row.get("media"):
            content = media.get("bytes") or _content(media.get("path"))
            if content and len(content) <= LARGEST_FILE:
                yield content
        elif row.get("tokens"):
            yield " ".join(row["tokens"])[:LONGEST_TEXT]
        elif isinstance(task, Writes):
            prompt = task.prompt_in(row)
            if prompt and len(prompt) <= LONGEST_TEXT:
                yield prompt
        elif row.get("text"):
            # of a pair whose second text is what is to be written, the first is the input
            names = ("text",) if isinstance(task, Generates) else ("text", "text_pair")
            texts = [row[name] for name in names if row.get(name) is not None]
            if sum(map(len, texts)) <= LONGEST_TEXT:
                yield texts[0] if len(texts) == 1 else (texts[0], texts[1])


def _content(path: str | None) -> bytes | None:
    try:
        return None if path is None else Path(path).read_bytes()
    except OSError:  # it is inside of an archive, or has gone: another row will do
        return None


def _written(one: GoldenInput) -> dict[str, Any]:
    raw: Any = one.raw
    if isinstance(raw, bytes):
        raw = {"base64": base64.b64encode(raw).decode()}
    elif isinstance(raw, Mapping):
        raw = {"row": raw}
    written = {
        "input": raw,
        "fp32": {name: _packed(array) for name, array in one.reference.items()},
        "outputs": {name: _packed(array) for name, array in one.recorded.items()},
    }
    return written if one.text is None else {**written, "text": one.text}


def _read(written: Mapping[str, Any]) -> GoldenInput:
    raw = written["input"]
    if isinstance(raw, Mapping):
        is_row = isinstance(raw.get("row"), Mapping)
        raw = raw["row"] if is_row else base64.b64decode(raw["base64"], validate=True)
    elif isinstance(raw, list):
        raw = (str(raw[0]), str(raw[1]))
    reference, recorded = (
        {name: _unpacked(packed) for name, packed in written[key].items()}
        for key in ("fp32", "outputs")
    )
    return GoldenInput(raw, reference, recorded, written.get("text"))


def _packed(array: np.ndarray) -> dict[str, Any]:
    content = np.ascontiguousarray(array, "<f4").tobytes()
    return {"shape": list(array.shape), "float32": base64.b64encode(content).decode()}


def _unpacked(packed: Mapping[str, Any]) -> np.ndarray:
    content = base64.b64decode(packed["float32"], validate=True)
    return np.frombuffer(content, "<f4").reshape(packed["shape"])


def _sum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
