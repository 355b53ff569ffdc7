"""Learning a teacher's predictions beside the labels: an objective.

Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"
(https://arxiv.org/abs/1503.02531): with both predictions softened by a temperature T, the loss is

    (1 - alpha) * supervised + alpha * T^2 * KL(teacher || student),

where T^2 keeps the two gradients in proportion whatever T is (section 2 there). KL differs from
their cross entropy by what the student can't change, and is 0 where both agree. The student may
also follow the outputs of the teacher's layers: the hints of Romero et al. 2015, "FitNets"
(https://arxiv.org/abs/1412.6550, equation 3), without their regressor, so of equal shape.

The teacher sees the very batch of the student (the same augmented view: Beyer et al. 2022,
https://arxiv.org/abs/2106.05237), draws nothing at random and keeps nothing, so that cutting a step
into passes, ranks and resuming change as little as without it.
"""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tasks.base import Batch, Distills, Features, Loss, Objective, Outputs, Task
from tasks.errors import UserError
from tasks.kinds.losses import windows_of
from zoo.machine.precision import autocast
from zoo.store.evidence import Fact
from zoo.train.methods import teacher as teachers
from zoo.train.methods.base import Data, FinetuneResult, Learning, Method, Setup
from zoo.train.optim.optimizer import LAYER

if TYPE_CHECKING:
    from zoo.train.args import TrainArgs

Pairs = Sequence[tuple[nn.Module, nn.Module]]
"""Layers of the student, each with the teacher's that it follows."""


class Distillation(Method):
    """Trains on a teacher's predictions in addition to the labels."""

    @classmethod
    def is_asked(cls, args: "TrainArgs") -> bool:
        """Return whether `--teacher` is given."""
        return args.teacher is not None

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.reads_layers = setup.args.distill_hidden > 0

    def look(self) -> None:
        """Check that `--teacher` is a checkpoint (`Method.look`)."""
        teachers.look(self.setup.args)

    def read(self, task: Task, processor: Any) -> None:
        """Load the teacher to the device and check that it fits the task (`Method.read`)."""
        setup = self.setup
        self._teacher = teachers.find(
            setup.args, setup.entry, task, processor, setup.folder, setup.device
        )
        self.networks_beside = (self._teacher.model,)

    def manifest(self) -> dict[str, Any]:
        """Return the name and the digest of the teacher (`Method.manifest`)."""
        return {"teacher": {"model": self._teacher.name, "subject": self._teacher.subject}}

    def learning(self, learning: Learning, model: nn.Module, data: Data) -> Learning:
        """Replace the objective with the distillation loss (`Method.learning`)."""
        args, device, teacher = self.setup.args, self.setup.device, self._teacher.model
        check(data.task, model, teacher, learning.features, args, device)
        objective = distilled(data.task, model, teacher, args, device, self.setup.dtype)
        return replace(learning, objective=objective)

    def finish(self, result: FinetuneResult) -> None:
        """Evaluate the teacher on the split that the student was evaluated on (`Method.finish`)."""
        self._student, self._taught = result, result.measure(self._teacher.model)

    def facts(self, student: Sequence[Fact]) -> list[Fact]:
        """Return the teacher's metrics and both sizes as evidence (`Method.facts`)."""
        taught = (self._student.split, self._taught)
        return teachers.facts(self._teacher, taught, student, self._student.parameters)

    def show(self) -> None:
        """Print a table that compares student and teacher (`Method.show`)."""
        one = self._student
        teachers.show(self._teacher, self._taught, one.split, one.evaluation, one.parameters)


def distilled(
    task: Task,
    student: nn.Module,
    teacher: nn.Module,
    args: "TrainArgs",
    device: torch.device,
    dtype: torch.dtype,
) -> Objective:
    """Return the objective that combines the loss on labels, on the teacher's predictions and on
    its layers.

    The loss is summed over what the task counts: for frame-wise logits and for layers, each row
    weighs as much as it has targets. Class weights apply to the labels only. `logs` are the three
    parts.

    Args:
        student: the network itself, not a wrapper of it.
        dtype: the teacher's arithmetic.
    """
    assert isinstance(task, Distills), "a teacher is found for no other"
    pairs = matched(student, teacher) if args.distill_hidden else ()
    alpha, temperature = args.distill_alpha, args.distill_temperature

    def objective(model: nn.Module, batch: Batch) -> Loss:
        seen = outputs_of([layer for _, layer in pairs])
        with seen as theirs, torch.no_grad(), autocast(device, dtype):
            taught = task.forward(teacher, batch)
        with outputs_of([layer for layer, _ in pairs]) as ours:
            outputs = task.forward(model, batch)
        supervised = task.loss(outputs, batch, args.label_smoothing_factor)
        soft = soft_loss(task, outputs, taught, temperature)
        total = (1 - alpha) * supervised.sum + alpha * soft
        logs = {"label_loss": supervised.sum.detach(), "teacher_loss": soft.detach()}
        if pairs:
            hidden = hidden_loss(task, student, batch, ours, theirs) / len(pairs)
            total = total + args.distill_hidden * hidden
            logs["hidden_loss"] = hidden.detach()
        return Loss(total, supervised.count, {**supervised.logs, **logs})

    return objective


def soft_loss(task: Distills, outputs: Outputs, taught: Outputs, temperature: float) -> Tensor:
    """Return the task's distance between the outputs of a student and its teacher, summed.

    Raises `UserError` if their shapes differ.
    """
    for name, output in outputs.items():
        if output.shape != taught[name].shape:
            raise UserError(
                f"`teacher` makes {_shape(taught[name][0])} of what this network makes "
                f"{_shape(output[0])} of: both must have the same frames"
            )
    return task.distillation_loss(outputs, taught, temperature)


def hidden_loss(
    task: Distills,
    student: nn.Module,
    batch: Batch,
    ours: Mapping[int, Tensor],
    theirs: Mapping[int, Tensor],
) -> Tensor:
    """Return the squared distances of layers' outputs: a mean over positions that are no padding,
    summed over rows and layers. Layers that the student skipped (layer drop) count 0."""
    total = torch.zeros((), device=batch.ids.device)
    shares = _shares(task, batch)
    for place, output in ours.items():
        square = (output.float() - theirs[place].float()).square()
        valid = _valid(student, batch, output)
        if valid is None:
            of_rows = square.flatten(1).mean(1)
        else:
            of_rows = (square.mean(-1) * valid).sum(1) / valid.sum(1).clamp(min=1)
        total = total + (of_rows * shares).sum()
    return total


def _shares(task: Distills, batch: Batch) -> Tensor:
    """Return the weight of each row of the network, float32 [windows]: the number of targets that
    the task counts, spread over the windows of one input."""
    targets = task.target_counts(batch)
    if batch.windows is None:
        return targets
    return (targets / windows_of(batch.windows, len(batch)))[batch.windows]


def _valid(student: Any, batch: Batch, output: Tensor) -> Tensor | None:
    """Return which positions of a layer's output [windows, positions, width] are no padding, bool
    [windows, positions]; None: all of them.

    Raises `UserError` if that is unknown.
    """
    if output.ndim != 3:
        return None
    places = torch.arange(output.shape[1], device=output.device)
    if batch.lengths is not None and hasattr(student, "_get_feat_extract_output_lengths"):
        frames: Tensor = student._get_feat_extract_output_lengths(batch.lengths)
        return places < frames.to(output.device).unsqueeze(1)
    mask = batch.inputs.get("attention_mask")
    if mask is None:
        return None
    if mask.shape[1] != output.shape[1]:
        raise UserError(
            f"`distill_hidden`: {type(student).__name__} does not say which of its layers' "
            f"{output.shape[1]} positions belong to the {mask.shape[1]} of the input"
        )
    return mask.bool()


@contextlib.contextmanager
def outputs_of(layers: Sequence[nn.Module]) -> Iterator[dict[int, Tensor]]:
    """Context manager that yields a dictionary, filled with the output of each of these layers by
    its index in the network."""
    found: dict[int, Tensor] = {}

    def catch(place: int, module: nn.Module, arguments: Any, output: Any) -> None:
        found[place] = output[0] if isinstance(output, tuple) else output

    hooks = [
        layer.register_forward_hook(functools.partial(catch, place))
        for place, layer in enumerate(layers)
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Return the layers of a network from the input on, by the names that
    `zoo.train.optim.optimizer.LAYER` matches."""
    found: dict[int, nn.Module] = {}
    for name, module in model.named_modules():
        match = LAYER.search(f".{name}.")
        if match and match.end() == len(name) + 2:
            found.setdefault(int(match.group(1)), module)
    return [found[place] for place in sorted(found)]


def matched(student: nn.Module, teacher: nn.Module) -> Pairs:
    """Pair each layer of the student with one of the teacher's, evenly spread, the last with the
    last.

    This is "PKD-skip" of Sun et al. 2019 (https://arxiv.org/abs/1908.09355). Raises `UserError` if
    either network has no layers.
    """
    ours, theirs = layers_of(student), layers_of(teacher)
    for layers, model in ((ours, student), (theirs, teacher)):
        if not layers:
            raise UserError(f"`distill_hidden`: {type(model).__name__} has no layers to follow")
    places = [-(-(i + 1) * len(theirs) // len(ours)) - 1 for i in range(len(ours))]
    return [(layer, theirs[place]) for layer, place in zip(ours, places, strict=True)]


def check(
    task: Task,
    student: nn.Module,
    teacher: nn.Module,
    train: Features,
    args: "TrainArgs",
    device: torch.device,
) -> None:
    """Run the shortest and the longest sample through student and teacher.

    Raises `UserError` if their outputs can't be compared.
    """
    assert isinstance(task, Distills), "a teacher is found for no other"
    was_training = student.training
    student.eval()  # a pass in training would draw numbers and move the statistics of batch norms
    pairs = matched(student, teacher) if args.distill_hidden else ()
    for place in (int(np.argmin(train.lengths)), int(np.argmax(train.lengths))):
        batch = task.collate(train.__getitems__([place])).to(device)
        with torch.no_grad(), contextlib.ExitStack() as stack:
            ours = stack.enter_context(outputs_of([layer for layer, _ in pairs]))
            theirs = stack.enter_context(outputs_of([layer for _, layer in pairs]))
            outputs, taught = task.forward(student, batch), task.forward(teacher, batch)
        soft_loss(task, outputs, taught, args.distill_temperature)
        for i, output in ours.items():
            if output.shape != theirs[i].shape:
                raise UserError(
                    f"`distill_hidden`: layer {i + 1} puts out {_shape(output[0])} and the "
                    f"teacher's {_shape(theirs[i][0])}: only equal shapes can be compared"
                )
        hidden_loss(task, student, batch, ours, theirs)
    student.train(was_training)


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))
