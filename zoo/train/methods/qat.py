"""Quantization-aware training: a checkpoint is trained on while its layers compute as static int8
will.

Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference" (https://arxiv.org/abs/1712.05877), section 3. As in
`zoo.quantization.onnx_int8.static`: weights int8, symmetric per output channel; what comes into a
linear or convolutional layer uint8, asymmetric per tensor. The gradient passes through rounding as
if it were not there (Bengio et al. 2013, https://arxiv.org/abs/1308.3432), and not to inputs that
are cut off. A batch norm behind a convolution scales whole output channels, so the rounding of
folded weights is that of plain ones. Not imitated: what is rounded between layers (sums, pooling).

Ranges of inputs are the extremes over the samples that `quantize` calibrates with, found before the
first step and kept: a function of checkpoint and data, so that neither resuming nor the cut into
passes changes them. Nothing is added to the network but a `forward` of its layers, so that what is
saved is the plain fp32 checkpoint; `quantize --method static` calibrates it anew.

torchao's QAT knows linear layers only, and torch.ao.quantization, which knew both, is deprecated;
the rounding itself is torch's.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.base import Batch, Task
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.evaluation.calibration_batches import batches as calibration_batches
from zoo.store import evidence
from zoo.store.checkpoint import Checkpoint, open_checkpoint
from zoo.train.methods.base import Data, Method

if TYPE_CHECKING:
    from zoo.model.entry import Entry
    from zoo.train.args import TrainArgs

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""Of exactly these types: what inherits from them may compute otherwise."""
SHARE_OF_RATE = 0.1
"""Of the learning rate of the checkpoint's training: it has converged."""
NOT_AGAIN = (
    *("output_dir", "num_train_epochs", "max_steps", "resume", "teacher", "distill_temperature"),
    *("distill_alpha", "distill_hidden", "ssl", "unlabeled", "tune", "fsdp", "torch_compile"),
    "compile_layers",
    *("eval_strategy", "early_stopping_patience", "save_steps", "device"),
)
"""Of how the checkpoint was trained, what is as usual here."""


class QuantizationAware(Method):
    """Continues training from a checkpoint in the arithmetic that it will have as int8."""

    reads_layers = True  # what is rounded is computed whole

    @classmethod
    def is_asked(cls, args: "TrainArgs") -> bool:
        """Return whether `--qat` is given."""
        return args.qat is not None

    def look(self) -> None:
        """Check that `--qat` is a complete checkpoint of this model, in a folder other than the
        output."""
        folder = Path(str(self.setup.args.qat))
        if folder.resolve() == self.setup.folder.resolve():
            raise UserError(f"`qat` {folder} is where the result goes: give another `output_dir`")
        self._checkpoint = open_checkpoint(folder, self.setup.entry)
        self._subject = evidence.subject_digest(folder)

    def start(self) -> Checkpoint:
        """Return the checkpoint of `--qat` (`Method.start`)."""
        return self._checkpoint

    def read(self, task: Task, processor: Any) -> None:
        """Raise `UserError` if the data have other labels, or need another network, than the
        checkpoint's."""
        theirs, ours = self._checkpoint.task.config(), task.config()
        for name in sorted(theirs.keys() - {"args", "class_weights"}):
            if theirs[name] != ours.get(name):
                raise UserError(
                    f"`qat` {self._checkpoint.folder} was trained on data with other {name}: give "
                    "it that data, or train on this first"
                )

    def manifest(self) -> dict[str, Any]:
        """Return the digest of the checkpoint of `--qat` (`Method.manifest`)."""
        return {"qat": {"from": self._subject}}

    def model(self, model: nn.Module, data: Data) -> nn.Module:
        """Make the model's layers compute as in int8, in place (`Method.model`)."""
        batches = calibration_batches(data.task, data.features["train"])
        layers = prepare(model, data.task, batches, self.setup.device)
        if self.setup.is_main:
            print_lines(f"{layers} layers compute as in int8", file=sys.stderr)
        return model


def defaults(entry: "Entry", folder: Path, usual: Any) -> Any:
    """Return the defaults of a fine-tune that continues from a checkpoint: as in its training, but
    for one epoch, in fp32, with a tenth of its learning rate.

    Args:
        usual: the defaults of a fine-tune from the beginning: its `options`, `data`, `task`, and
            `train`.

    Raises `UserError` if the folder has no complete checkpoint of this model.
    """
    checkpoint = open_checkpoint(folder, entry)
    config = checkpoint.manifest["config"]
    plain = type(usual.train)
    known = {field.name for field in dataclasses.fields(plain)} - set(NOT_AGAIN)
    train = dataclasses.replace(
        usual.train,
        **{name: value for name, value in config["train"].items() if name in known},
        **{name: getattr(plain, name) for name in NOT_AGAIN},
    )
    train = dataclasses.replace(
        train,
        output_dir=str(folder.with_name(f"{folder.name}-qat")),
        num_train_epochs=1.0,
        learning_rate=train.learning_rate * SHARE_OF_RATE,
        dtype="fp32",
        qat=str(folder),
    )
    return dataclasses.replace(
        usual,
        options=type(usual.options)(**{n: _plain(one) for n, one in config["options"].items()}),
        data=DataArgs(**config["data"]),
        task=checkpoint.task.args,  # type: ignore[attr-defined]
        train=train,
    )


def _plain(value: Any) -> Any:
    """Return an option as it was before it was JSON, which has no tuples."""
    return tuple(value) if isinstance(value, list) else value


class QATLayer:
    """The `forward` of a layer, with weight and input rounded to int8 levels."""

    def __init__(self, layer: Any, low: float, high: float) -> None:
        """Args: low, high: least and greatest value of the layer's input; 0 is between them."""
        self.layer = layer
        self.scale = max((high - low) / 255, torch.finfo(torch.float32).eps)
        self.zero_point = round(-low / self.scale)

    def __call__(self, input: Tensor) -> Tensor:
        """Return the layer's output for an input, both weight and input rounded."""
        rounded = torch.fake_quantize_per_tensor_affine(input, self.scale, self.zero_point, 0, 255)
        weight, bias = rounded_weight(self.layer.weight), self.layer.bias
        if isinstance(self.layer, nn.Linear):
            return F.linear(rounded, weight, bias)
        convolved: Tensor = self.layer._conv_forward(rounded, weight, bias)
        return convolved


def rounded_weight(weight: Tensor) -> Tensor:
    """Round a weight, float32 [outputs, ...], to the nearest of 255 levels of each output
    channel."""
    largest = weight.detach().abs().flatten(1).amax(1)  # [outputs]
    scale = (largest / 127).clamp_min(torch.finfo(torch.float32).eps)
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127)


def prepare(model: nn.Module, task: Task, batches: Sequence[Batch], device: torch.device) -> int:
    """Make the linear and convolutional layers of a model compute as in int8; return their number.

    Args:
        batches: training samples that the ranges of the layers' inputs are measured on.

    Raises `UserError` if no such layer runs.
    """
    ranges: dict[nn.Module, tuple[float, float]] = {}

    def look(layer: nn.Module, arguments: Any) -> None:
        low, high = (float(one) for one in arguments[0].aminmax())
        before = ranges.get(layer, (0.0, 0.0))
        ranges[layer] = min(before[0], low), max(before[1], high)

    layers = [module for module in model.modules() if type(module) in LAYERS]
    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for batch in batches:
            task.forward(model, batch.to(device))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    if not ranges:
        raise UserError(f"`qat`: {type(model).__name__} has no linear or convolutional layer")
    for layer, (low, high) in ranges.items():
        layer.forward = QATLayer(layer, low, high)
    return len(ranges)
