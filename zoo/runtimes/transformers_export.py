"""Exporting by `transformers.exporters`, which knows what of a model must be rewritten for which
format, and writes `export.json`."""

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.atomic import write_json
from tasks.base import Tensors
from zoo.runtimes.signature import Signature

if TYPE_CHECKING:
    from torch import nn

COMPONENT = "model"
"""What transformers calls the program of a model that is one program."""
CLASS = re.compile(r'"type": "((?:transformers|zoo)(?:\.\w+)*)[.:](\w+)"')
"""A class of outputs, as the spec of a program names it."""


def shapes(signature: Signature) -> dict[str, dict[int, Any]]:
    """The dimensions that vary, as torch.export takes them: it raises where one would be baked in.

    They have names, so that the inputs share them and the ranges are known while it traces:
    ExecuTorch plans its memory by these. A size without limits follows from others.
    """
    from torch.export import Dim

    varying = {
        name: Dim(name, min=least, max=most) for name, (least, most) in signature.limits.items()
    }
    return {
        port.name: {
            axis: varying.get(size, Dim.DYNAMIC)
            for axis, size in enumerate(port.dims)
            if isinstance(size, str)
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
    save({COMPONENT: exporter.export(model, dict(example), config)}, model, folder)


def save(exported: Mapping[str, Any], model: "nn.Module", folder: Path) -> None:
    """Writes programs, the configurations of their model and `export.json` into a folder.

    Args:
        exported: what transformers' exporters gave, by the name of each program: an
            `ExportedModel`, or, before transformers had that class (5.17), the program itself.
        model: the configurations are its own.
    """
    configs = {
        name: found
        for name in ("config", "generation_config")
        if (found := getattr(model, name, None)) is not None
    }
    first = next(iter(exported.values()))
    if not hasattr(first, "save_pretrained"):
        _save_programs(exported, type(model).__name__, folder)
        for found in configs.values():
            found.save_pretrained(folder)
        return
    if set(exported) == {COMPONENT} and first.config is not None:
        first.save_pretrained(folder)
        return
    components = {name: each.components[COMPONENT] for name, each in exported.items()}
    type(first)(components, first.export_format, **configs).save_pretrained(folder)


def _save_programs(programs: Mapping[str, Any], architecture: str, folder: Path) -> None:
    """Writes programs as a later transformers does, and of its `export.json` what loading takes."""
    import torch
    import transformers

    components = {}
    for name, program in programs.items():
        metadata: dict[str, Any] = {
            "architecture": architecture,
            "packages": {"transformers": transformers.__version__, "torch": torch.__version__},
        }
        if isinstance(program, torch.export.ExportedProgram):
            kind, file = "dynamo", f"{name}.pt2"
            torch.export.save(program, folder / file)
            specs = {"in_spec": program.call_spec.in_spec, "out_spec": program.call_spec.out_spec}
            dumps = torch.utils._pytree.treespec_dumps
            metadata |= {each: dumps(spec) for each, spec in specs.items() if spec is not None}
        elif hasattr(program, "write_to_file"):
            kind, file = "executorch", f"{name}.pte"
            with (folder / file).open("wb") as stream:
                program.write_to_file(stream)
        else:
            kind, file = "onnx", f"{name}.onnx"
            program.save(folder / file, external_data=True)  # weights beside it, in FILE.data
        components[name] = {"file": file, "metadata": metadata}
    manifest = {"schema_version": 1, "export_format": kind, "components": components}
    write_json(folder / "export.json", manifest)


def register_outputs(component: Mapping[str, Any]) -> None:
    """Makes the classes known that a torch program gives its outputs in: it holds them by name.

    Args:
        component: what `export.json` has of the program.
    """
    from torch.utils import _pytree
    from transformers.exporters.exporter_dynamo import register_pytree_node

    for spec in (component.get("in_spec"), component.get("out_spec")):
        for module, name in CLASS.findall(spec or ""):
            kind = getattr(importlib.import_module(module), name)  # most register themselves
            if kind not in _pytree.SUPPORTED_NODES:
                register_pytree_node(kind)
