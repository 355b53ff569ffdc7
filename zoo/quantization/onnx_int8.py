"""int8 by ONNX Runtime's quantizer: dynamic (per channel), and static with calibration, as QDQ; and
int8 or int4 of weights alone."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.runtimes.onnx import FILE

Feed = Mapping[str, np.ndarray]
DYNAMIC_OPERATORS = ("MatMul", "Gemm")
"""Not Conv: with scales that are found while it runs, its accuracy is ruined."""
WITH_WEIGHTS = ("MatMul", "Gemm", "Conv")
BETWEEN_CONVOLUTIONS = ("Add", "MaxPool", "GlobalAveragePool", "AveragePool")
"""What is quantized with them: else each output of a convolution would be turned to fp32 and back.
"""
BLOCK_SIZE = 32
"""Weights that share a scale: the smallest that ONNX Runtime has, which loses least."""
OF_TRANSFORMERS = ("LayerNormalization", "Softmax")
"""Where a program has one of these, only layers with weights are quantized. A mask that is added to
scores spans the whole range of fp32, and the residual stream has outliers, which take the range of
an 8-bit scale (Dettmers et al. 2022, "LLM.int8()", section 3)."""


def dynamic(source: Path, target: Path, exclude: Sequence[str] = ()) -> None:
    """Write `target`/model.onnx with int8 weights per channel and activations quantized at run
    time."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source / FILE,
        target / FILE,
        op_types_to_quantize=list(DYNAMIC_OPERATORS),
        per_channel=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=list(exclude),
        use_external_data_format=True,
    )
    _one_data_file(target)


def static(
    source: Path,
    target: Path,
    feeds: Iterable[Feed],
    exclude: Sequence[str] = (),
    ranges: Path | None = None,
) -> None:
    """Write `target`/model.onnx as QDQ: int8 weights per channel, uint8 activations whose ranges
    are the extremes over `feeds`.

    Args:
        ranges: a file that keeps them; where it is there already, `feeds` are not run again.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    graph = onnx.load(source / FILE, load_external_data=False).graph
    transformer = any(node.op_type in OF_TRANSFORMERS for node in graph.node)
    weighted = set(_with_weights(graph))
    between = (
        [] if transformer else [n.name for n in graph.node if n.op_type in BETWEEN_CONVOLUTIONS]
    )
    chosen = [name for name in [*weighted, *between] if name not in exclude]
    quantize_static(
        source / FILE,
        target / FILE,
        _Reader(feeds),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=[*WITH_WEIGHTS, *BETWEEN_CONVOLUTIONS],
        nodes_to_quantize=chosen,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        use_external_data_format=True,
        calibration_cache_path=ranges,
    )
    _one_data_file(target)


def weight_only(
    source: Path, target: Path, bits: int, exclude: Sequence[str] = (), file: str = FILE
) -> None:
    """Write a program of `target` with weights of 8 or 4 bits in blocks that have a scale each.

    Activations stay in fp32, but for the products, which ONNX Runtime computes in int8 (accuracy
    level 4 of its operator MatMulNBits): it rounds each row of them in blocks as well.
    """
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import (
        DefaultWeightOnlyQuantConfig,
        MatMulNBitsQuantizer,
    )

    model = onnx.load(source / file)
    config = DefaultWeightOnlyQuantConfig(
        block_size=BLOCK_SIZE, is_symmetric=True, accuracy_level=4, bits=bits
    )
    quantizer = MatMulNBitsQuantizer(model, nodes_to_exclude=list(exclude), algo_config=config)
    quantizer.process()
    _save(quantizer.model.model, target, file)


def prepare(source: Path, target: Path, file: str = FILE) -> None:
    """Write a copy of an fp32 program that the quantizer accepts: batch norms folded into
    convolutions, and no weight shapes, which would be wrong after it transposes them."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # basic: what stays standard ONNX, which the quantizer and other runtimes read
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target / file)
    external = "session.optimized_model_external_initializers"
    options.add_session_config_entry(f"{external}_file_name", _data(file))
    options.add_session_config_entry(f"{external}_min_size_in_bytes", "0")
    onnxruntime.InferenceSession(source / file, options, providers=["CPUExecutionProvider"])
    model = onnx.load(target / file)
    del model.graph.value_info[:]
    for name in (file, _data(file)):
        (target / name).unlink()
    _save(model, target, file)


def layers(folder: Path) -> list[str]:
    """Return the names of the nodes with weights, in execution order."""
    import onnx

    return _with_weights(onnx.load(folder / FILE, load_external_data=False).graph)


def _with_weights(graph: Any) -> list[str]:
    weights = {tensor.name for tensor in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type in WITH_WEIGHTS and weights & set(node.input[1:])
    ]


class _Reader:
    """A reader of calibration batches for ONNX Runtime."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self.feeds = iter(feeds)

    def get_next(self) -> Any:
        """Return the next batch; None at the end."""
        return next(self.feeds, None)


def _one_data_file(folder: Path) -> None:
    """Save a program again, so that all its weights are in the files that this project expects."""
    import onnx

    model = onnx.load(folder / FILE)
    for path in folder.iterdir():
        path.unlink()
    _save(model, folder)


def _save(model: Any, folder: Path, file: str = FILE) -> None:
    import onnx

    data = _data(file)
    onnx.save(model, folder / file, save_as_external_data=True, location=data, size_threshold=1024)


def _data(file: str) -> str:
    """Return the name of the file that has the weights of a program."""
    return f"{file}.data"
