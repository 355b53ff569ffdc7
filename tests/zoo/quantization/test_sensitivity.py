"""Which layers lose most: each recipe is asked, as another rounding ruins other layers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zoo.quantization import onnx_int8
from zoo.quantization.recipes import RecipeInputs
from zoo.runtimes.onnx import FILE

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def material(tmp_path: Path) -> RecipeInputs:
    """Two layers: "inputs" has an outlier among its inputs, beside weights that are 0; "weights"
    has some among its weights, beside inputs that are nearly 0."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    inputs, weights, a, b = rng.normal(size=(4, 64, 64)).astype(np.float32)
    inputs[:, 0], a[: onnx_int8.BLOCK_SIZE] = 1000, 0
    weights[:, :: onnx_int8.BLOCK_SIZE], b[:: onnx_int8.BLOCK_SIZE] = 0.001, 20
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["one"], "inputs"),
        helper.make_node("MatMul", ["y", "b"], ["other"], "weights"),
        helper.make_node("Sub", ["one", "other"], ["out"], "sub"),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 64])
        for name in ("x", "y", "out")
    ]
    kept = [numpy_helper.from_array(array, name) for name, array in (("a", a), ("b", b))]
    graph = helper.make_graph(nodes, "two", ports[:2], ports[2:], kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / FILE)
    nothing: Any = None
    exported: Any = SimpleNamespace(manifest={})  # of one program
    feeds = [{"x": inputs, "y": weights}]
    return RecipeInputs(nothing, exported, tmp_path, feeds, tmp_path / "ranges.json")


@pytest.mark.parametrize(
    ("numerics", "worst"),
    [
        ("int8-static", "inputs"),
        ("int8-dynamic", "inputs"),
        ("int4-weight-only", "weights"),
        ("int8-weight-only", "weights"),
    ],
)
def test_layers_are_ranked_by_the_recipe_itself(
    numerics: str, worst: str, material: RecipeInputs
) -> None:
    """Each alone: none needs what another has found."""
    ranking = material.ranking(numerics)
    assert ranking[0] == worst and sorted(ranking) == ["inputs", "weights"]
    assert material.ranking(numerics) is ranking
