"""An ONNX program is looked at before it is opened: wherever it names a file, and what it runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.runtimes.onnx_session import (
    PARTS,
    kept_outside,
    must_stay_inside,
    open_session,
    provider,
)

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


def test_every_message_that_leads_to_operators_or_weights_is_read() -> None:
    """As the installed onnx describes them: a new version may have more."""
    messages: dict[str, dict[int, str]] = {}

    def follow(message: Any) -> None:
        if message.name not in messages:
            parts = [field for field in message.fields if field.message_type is not None]
            messages[message.name] = {part.number: part.message_type.name for part in parts}
            for part in parts:
                follow(part.message_type)

    follow(onnx.ModelProto.DESCRIPTOR)
    wanted = {"NodeProto", "TensorProto"}
    while more := {name for name, parts in messages.items() if wanted & {*parts.values()}} - wanted:
        wanted |= more
    leading = {
        name: {number: part for number, part in messages[name].items() if part in wanted}
        for name in wanted
    }
    outside = onnx.TensorProto.DESCRIPTOR.fields_by_name["external_data"]
    leading["TensorProto"][outside.number] = outside.message_type.name
    leading[outside.message_type.name] = {}
    ours = {
        f"{name}Proto": {number: f"{part}Proto" for number, part in parts.items()}
        for name, parts in PARTS.items()
    }
    assert ours == leading


def test_nothing_hides_behind_odd_bytes(tmp_path: Path) -> None:
    """protobuf takes a key of 33 bits for one of 32, and merges what should be there once."""
    path = tmp_path / "model.onnx"
    inner = graph(node(t=tensor("data"))).SerializeToString()
    hidden = bytes([0xBA, 0x80, 0x80, 0x80, 0x10, len(inner)]) + inner  # field 7, and bit 32
    path.write_bytes(hidden)
    with pytest.raises(UserError, match="damaged"):
        kept_outside(path)
    part = bytes([0x3A, len(inner)]) + inner
    path.write_bytes(part + onnx.ModelProto(graph=graph(node(t=tensor()))).SerializeToString())
    assert kept_outside(path) == {"data", OUTSIDE}


def test_a_program_that_was_cut_off_is_damaged_or_names_no_more(tmp_path: Path) -> None:
    model = onnx.ModelProto(ir_version=10, graph=graph(node(g=graph(node(sparse_tensor=sparse())))))
    whole = model.SerializeToString()
    path = tmp_path / "model.onnx"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        if length <= 2:  # before the graph begins; the version is a field by itself
            continue
        with pytest.raises(UserError, match="damaged"):
            kept_outside(path)


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


class Session:
    """An inference session that has started the processor's provider alone, as onnxruntime does
    where CUDA's libraries do not load."""

    def __init__(self, program: Path, options: Any, providers: Any) -> None:
        self.asked = providers

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


def test_a_gpu_that_can_not_be_started_is_no_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    here = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: here)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    program = written(onnx.ModelProto(ir_version=10, graph=graph()), tmp_path)
    with pytest.raises(UserError, match="could not start CUDAExecutionProvider: it is of another"):
        open_session(program, [provider("cuda")], 1)
    assert open_session(program, [provider("cpu")], 1).asked == ["CPUExecutionProvider"]


def test_fp32_is_fp32_on_the_gpu_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime's own default is TF32 (cuda_execution_provider_info.h: use_tf32)."""
    onnxruntime = pytest.importorskip("onnxruntime")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    name, settings = provider("cuda:1")
    assert name == "CUDAExecutionProvider" and settings == {"device_id": 1, "use_tf32": 0}
    assert provider("cuda")[1]["device_id"] == 0
    with pytest.raises(UserError, match="has no CPUExecutionProvider"):
        provider("cpu")
