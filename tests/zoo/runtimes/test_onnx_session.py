"""An ONNX program is looked at before it is opened: wherever it names a file, and what it runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.runtimes.onnx_session import kept_outside, must_stay_inside, open_session

onnx = pytest.importorskip("onnx")
OUTSIDE = "../../config.json"


def tensor(place: str = OUTSIDE) -> Any:
    """A weight that lies in another file."""
    made = onnx.TensorProto(name="stolen", data_type=1, dims=[1], data_location=1)
    made.external_data.add(key="location", value=place)
    return made


def node(**attributes: Any) -> Any:
    made = onnx.NodeProto(op_type="Constant", output=["stolen"])
    made.attribute.append(onnx.AttributeProto(name="value", **attributes))
    return made


def graph(*nodes: Any, **more: Any) -> Any:
    return onnx.GraphProto(name="g", node=nodes, **more)


def sparse() -> Any:
    return onnx.SparseTensorProto(values=tensor(), dims=[1])


PLACES: dict[str, Callable[[Any], object]] = {
    "initializer": lambda model: model.graph.initializer.append(tensor()),
    "sparse values": lambda model: model.graph.sparse_initializer.append(sparse()),
    "sparse indices": lambda model: model.graph.sparse_initializer.append(
        onnx.SparseTensorProto(indices=tensor(), dims=[1])
    ),
    "attribute": lambda model: model.graph.node.append(node(t=tensor())),
    "attributes": lambda model: model.graph.node.append(node(tensors=[tensor()])),
    "sparse attribute": lambda model: model.graph.node.append(node(sparse_tensor=sparse())),
    "sparse attributes": lambda model: model.graph.node.append(node(sparse_tensors=[sparse()])),
    "inner graph": lambda model: model.graph.node.append(
        node(g=graph(node(sparse_tensor=sparse())))
    ),
    "inner graphs": lambda model: model.graph.node.append(
        node(graphs=[graph(initializer=[tensor()])])
    ),
    "function": lambda model: model.functions.append(
        onnx.FunctionProto(name="f", node=[node(sparse_tensor=sparse())])
    ),
    "default of a function": lambda model: model.functions.append(
        onnx.FunctionProto(
            name="f", attribute_proto=[onnx.AttributeProto(name="a", sparse_tensor=sparse())]
        )
    ),
    "training": lambda model: model.training_info.append(
        onnx.TrainingInfoProto(algorithm=graph(node(t=tensor())))
    ),
    "start of training": lambda model: model.training_info.append(
        onnx.TrainingInfoProto(initialization=graph(initializer=[tensor()]))
    ),
}


def written(model: Any, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("place", PLACES)
def test_weights_outside_are_found_wherever_they_are_named(place: str, tmp_path: Path) -> None:
    model = onnx.ModelProto(ir_version=10, graph=graph())
    PLACES[place](model)
    program = written(model, tmp_path)
    assert kept_outside(program) == {OUTSIDE}
    with pytest.raises(UserError, match=r"keeps weights in \.\./\.\./config\.json.*refused"):
        must_stay_inside(program)


def test_weights_beside_it_are_taken_and_links_are_not(tmp_path: Path) -> None:
    model = onnx.ModelProto(ir_version=10, graph=graph(initializer=[tensor("model.onnx.data")]))
    program = written(model, tmp_path / "artifact")
    (tmp_path / "other").write_bytes(b"1234")
    must_stay_inside(program)
    (program.parent / "model.onnx.data").symlink_to(tmp_path / "other")
    with pytest.raises(UserError, match="refused"):
        must_stay_inside(program)


def test_an_engine_is_no_graph(tmp_path: Path) -> None:
    """onnxruntime hands it to the device's library, from the program or from a file beside it."""
    engine = onnx.NodeProto(op_type="EPContext", domain="com.microsoft", output=["y"])
    model = onnx.ModelProto(ir_version=10, graph=graph(node(g=graph(engine))))
    with pytest.raises(UserError, match="EPContext"):
        must_stay_inside(written(model, tmp_path))


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 50, b"[]"], ids=["empty", "binary", "json"])
def test_what_is_no_program_is_told_in_one_line(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(UserError) as told:
        open_session(tmp_path / "model.onnx", ["CPUExecutionProvider"], 1)
    assert "\n" not in str(told.value) and "model.onnx" in str(told.value)
