"""ONNX programs that are well formed as files and wrong as programs."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.fuzz import mutations

DIMS = ([0], [-1], [2**40], [2**62, 2**62], [], [1] * 30)
PLACES = ("../../secret", "/etc/passwd", "", "model.onnx", "a\0b", "写真", ".", "x" * 300)


def _operator(draw: random.Random, model: Any) -> None:
    draw.choice(model.graph.node).op_type = draw.choice(
        ("Loop", "If", "NoSuch", "", "ATen", "Concat")
    )


def _domain(draw: random.Random, model: Any) -> None:
    draw.choice(model.graph.node).domain = draw.choice(("no.such", "com.microsoft", "写真"))


def _dims(draw: random.Random, model: Any) -> None:
    tensor = draw.choice(model.graph.initializer)
    tensor.dims[:] = draw.choice(DIMS)


def _kind(draw: random.Random, model: Any) -> None:
    draw.choice(model.graph.initializer).data_type = draw.choice((0, 7, 8, 16, 99))


def _location(draw: random.Random, model: Any) -> None:
    tensor = draw.choice(model.graph.initializer)
    tensor.data_location = 1
    del tensor.external_data[:]
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", draw.choice(PLACES)


def _offset(draw: random.Random, model: Any) -> None:
    tensor = draw.choice(model.graph.initializer)
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = (
        draw.choice(("offset", "length")),
        draw.choice(("-1", str(2**63), "x", "")),
    )


def _sparse(draw: random.Random, model: Any) -> None:
    import onnx

    attribute = draw.choice(model.graph.node).attribute.add()
    attribute.name, attribute.type = "x", onnx.AttributeProto.SPARSE_TENSOR
    values = attribute.sparse_tensor.values
    values.data_type, values.data_location = 1, 1
    values.name = "x"
    values.dims[:] = [1]
    entry = values.external_data.add()
    entry.key, entry.value = "location", "../../secret"


def _inputs(draw: random.Random, model: Any) -> None:
    node = draw.choice(model.graph.node)
    node.input[:] = draw.choice(([], ["nowhere"], list(node.output), list(node.input) * 3))


def _names(draw: random.Random, model: Any) -> None:
    draw.choice([*model.graph.input, *model.graph.output]).name = draw.choice(("", "x", "写真"))


def _version(draw: random.Random, model: Any) -> None:
    model.opset_import[0].version = draw.choice((0, -1, 1, 999, 2**40))


def _nothing(draw: random.Random, model: Any) -> None:
    del model.graph.node[draw.randrange(len(model.graph.node)) :]


def _deep(draw: random.Random, model: Any) -> None:
    """Graphs in graphs, as deep as protobuf reads."""
    graph = model.graph
    for _ in range(draw.choice((10, 30))):
        attribute = graph.node.add().attribute.add()
        attribute.name, attribute.type = "body", 5
        graph = attribute.g


WAYS: dict[str, Callable[[random.Random, Any], None]] = {
    "another operator": _operator,
    "another domain": _domain,
    "other dimensions": _dims,
    "another dtype": _kind,
    "weights elsewhere": _location,
    "an offset that lies": _offset,
    "a sparse attribute": _sparse,
    "other inputs": _inputs,
    "other names": _names,
    "another opset": _version,
    "fewer nodes": _nothing,
    "graphs in graphs": _deep,
}


def spoil(draw: random.Random, path: Path) -> mutations.Spoiled:
    """A program with one thing wrong."""
    import onnx

    model = onnx.load_model(path, load_external_data=False)
    name = draw.choice([*WAYS])
    WAYS[name](draw, model)
    return model.SerializeToString(deterministic=True), name
