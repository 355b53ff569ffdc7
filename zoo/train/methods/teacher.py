"""A checkpoint that teaches: whether it may teach this student, and what the student gained by it.

Nothing of it is saved with a run: what it says is a function of its folder, which the record names
by its digest.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from tasks.base import Distills, Task
from tasks.errors import UserError, shortened
from zoo.evaluation.loop import Evaluation
from zoo.machine import terminal
from zoo.model.loading import must_agree
from zoo.model.network import network_of
from zoo.store import evidence
from zoo.store.checkpoint import Checkpoint, open_checkpoint, read_manifest
from zoo.train.reporting.summary import metric_facts

if TYPE_CHECKING:
    from zoo.model.entry import Entry
    from zoo.train.args import TrainArgs

UNHEARD = frozenset(("processor_class", "image_processor_type", "feature_extractor_type"))
"""Names of a processor's settings that change no input."""
RULES = ("normalizer", "pre_tokenizer", "post_processor", "added_tokens")
"""Of a tokenizer, beside its vocabulary."""


@dataclass(frozen=True)
class Teacher:
    """A trained network in evaluation mode, whose weights do not change."""

    name: str  # of its model: "bert_cls"
    subject: str  # digest of its folder; see `zoo.store.evidence.subject_digest`
    model: nn.Module

    @property
    def parameters(self) -> int:
        """Return the number of the network's parameters."""
        return sum(p.numel() for p in self.model.parameters())


def look(args: "TrainArgs") -> None:
    """Raise `UserError` if `args` name a teacher that is no checkpoint; does not load weights."""
    try:
        read_manifest(Path(str(args.teacher)))
    except UserError as error:
        raise UserError(f"`teacher`: {error}") from None


def find(
    args: "TrainArgs", entry: "Entry", task: Task, processor: Any, output: Path, device: Any
) -> Teacher:
    """Load the teacher that `args` name to the device, and return it.

    Args:
        task, processor: the student's; the task is bound to its data.
        output: folder that the student goes to.

    Raises `UserError` where it is no whole checkpoint, where it and the student are of different
    tasks or labels, or where they would read one input differently.
    """
    folder = Path(str(args.teacher))
    if folder.resolve() == output.resolve():
        raise UserError(f"`teacher` {folder} is where the student goes: give another `output_dir`")
    try:
        checkpoint = open_checkpoint(folder)
    except UserError as error:
        raise UserError(f"`teacher`: {error}") from None
    theirs = f"`teacher` {folder}"
    if checkpoint.entry.task != entry.task:
        raise UserError(f"{theirs} has learned {checkpoint.task.name}, and this is {task.name}")
    _same_targets(theirs, checkpoint.task, task, args)
    model, their_processor = network_of(checkpoint.entry).load(folder)
    must_agree(folder, checkpoint.task, their_processor)
    _same_inputs(theirs, checkpoint, their_processor, task, processor)
    model.requires_grad_(False)
    return Teacher(checkpoint.entry.name, evidence.subject_digest(folder), model.to(device).eval())


def _same_targets(theirs: str, teacher: Task, task: Task, args: "TrainArgs") -> None:
    if not isinstance(task, Distills):
        raise UserError(f"`teacher` is for classification and CTC, and this is {task.name}")
    if not task.softens and args.distill_temperature != type(args).distill_temperature:
        raise UserError("`distill_temperature` softens probabilities, and regression has none")
    if fault := task.teacher_fault(teacher):
        raise UserError(f"{theirs} {fault}")


def _same_inputs(
    theirs: str, checkpoint: Checkpoint, their_processor: Any, task: Any, processor: Any
) -> None:
    """Raise `UserError` if the teacher would read the student's batches differently."""
    ours, known = _reading(processor), _reading(their_processor)
    for name in ours | known:
        if ours.get(name) != known.get(name):
            said = f": {_short(known.get(name))} against {_short(ours.get(name))}"
            raise UserError(
                f"{theirs} reads its inputs in another way ({name}{said}), and a teacher sees what "
                "its student sees: give both the same"
            )
    settings: list[Any] = [checkpoint.task, task]
    most, asked = (getattr(one.args, "max_length", None) or 0 for one in settings)
    if most < asked:
        raise UserError(
            f"{theirs} reads {most} tokens at most: give the student `max_length` {most}"
        )


def _reading(processor: Any) -> dict[str, Any]:
    """Return all settings that decide what a processor makes of an input, by name."""
    if hasattr(processor, "feature_extractor"):  # what is written is the task's spelling
        return _reading(processor.feature_extractor)
    if hasattr(processor, "get_vocab"):
        fast = hasattr(processor, "backend_tokenizer")
        rules = json.loads(processor.backend_tokenizer.to_str()) if fast else {}
        return {"vocabulary": processor.get_vocab()} | {name: rules.get(name) for name in RULES}
    settings: Mapping[str, Any] = processor.to_dict()
    # there and back through JSON: a tuple is a list where it was read from a folder
    plain: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return {
        name: value
        for name, value in plain.items()
        if value is not None and name not in UNHEARD and not name.startswith("_")
    }


def _short(value: Any) -> str:
    if isinstance(value, dict | list) and len(value) > 4:
        return f"{len(value):,} entries"
    return shortened(json.dumps(value), 40)


def facts(
    teacher: Teacher,
    result: tuple[str, Evaluation],
    student: Sequence[evidence.Fact],
    parameters: int,
) -> list[evidence.Fact]:
    """Return as evidence what the teacher reaches on the student's split, and how large both are.

    Args:
        result: the split that both were evaluated on, and the teacher's evaluation.
        student: the facts of the student's run.
        parameters: number of the student's parameters.
    """
    (split, evaluation), first = result, student[0]
    assert first.dataset is not None and first.device is not None
    common: dict[str, Any] = {"run": first.run, "seed": first.seed}
    theirs = evidence.fact(
        "size", "parameters", teacher.parameters, "1", subject=teacher.subject, **common
    )
    ours = {"subject": first.subject, **common}
    return [
        *metric_facts(
            evaluation.measured,
            dataset=first.dataset,
            split=split,
            device=first.device,
            subject=teacher.subject,
            **common,
        ),
        theirs,
        evidence.fact("size", "parameters", parameters, "1", **ours),
        evidence.fact(
            "size",
            "parameters_to_teacher",
            parameters / teacher.parameters,
            "1",
            baseline=theirs.id,
            **ours,
        ),
    ]


def show(
    teacher: Teacher, theirs: Evaluation, split: str, ours: Evaluation, parameters: int
) -> None:
    """Print a table that compares teacher and student."""
    known = {m.name: m for m in theirs.measured}
    rows = [
        (m.name, f"{known[m.name].value:.4f}", f"{m.value:.4f}", f"{split}, n={m.n:,}")
        for m in ours.measured
        if m.name in known
    ]
    ratio = f"{parameters / teacher.parameters:.3f} of the teacher's"
    rows.append(("parameters", f"{teacher.parameters:,}", f"{parameters:,}", ratio))
    terminal.table(
        ("", "teacher", "student", ""),
        rows,
        title=f"taught by {teacher.name} {teacher.subject[:12]}",
        after_gap=True,
    )
