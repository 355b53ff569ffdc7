"""Exporting by `transformers.exporters`, which knows what of a model must be rewritten for which
format, and writes `export.json`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import Tensors
from zoo.runtimes.signature import Signature

if TYPE_CHECKING:
    from torch import nn


def shapes(signature: Signature) -> dict[str, dict[int, Any]]:
    """The dimensions that vary, as torch.export takes them: it raises where one would be baked in.

    They have names, so that the inputs share them and the ranges are known while it traces:
    ExecuTorch plans its memory by these.
    """
    from torch.export import Dim

    varying = {
        name: Dim(name, min=least, max=most) for name, (least, most) in signature.limits.items()
    }
    return {
        port.name: {
            axis: varying[size] for axis, size in enumerate(port.dims) if isinstance(size, str)
        }
        for port in signature.inputs
    }


def export(exporter: Any, config: Any, model: "nn.Module", example: Tensors, folder: Path) -> None:
    """Writes a program and its `export.json` into a folder.

    Args:
        exporter: one of transformers' exporters.
        config: its configuration.
        example: inputs to trace with; no size that varies may be 0 or 1.
    """
    exported = exporter.export(model, dict(example), config)
    exported.save_pretrained(folder)
