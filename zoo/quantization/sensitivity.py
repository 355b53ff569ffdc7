"""Which layers lose most when they are quantized: each alone, the others in fp32."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.deploy import parity
from zoo.quantization import onnx_int8
from zoo.quantization.onnx_int8 import Feed
from zoo.runtimes.onnx import FILE

MOST_LAYERS = 64
"""What is looked at one by one; of deeper networks, every second, third, ... layer stands for its
neighbours."""


def rank(method: str, source: Path, feeds: Sequence[Feed], ranges: Path) -> list[str]:
    """Return the layers of a prepared program (`onnx_int8.prepare`), the most sensitive first.

    Args:
        method: "dynamic" or "static".
        feeds: inputs that are compared; the first output decides, by its SQNR.
        ranges: the calibration that `onnx_int8.static` has kept; not needed for dynamic.
    """
    names = onnx_int8.layers(source)
    stride = -(-len(names) // MOST_LAYERS)
    reference = _outputs(source, feeds)
    losses: dict[str, float] = {}
    for start in range(0, len(names), stride):
        group = names[start : start + stride]
        others = [name for name in names if name not in group]
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder)
            if method == "dynamic":
                onnx_int8.dynamic(source, target, others)
            else:
                onnx_int8.static(source, target, (), others, ranges)
            found = parity.sqnr(reference, _outputs(target, feeds))
        losses |= dict.fromkeys(group, found)
    return sorted(names, key=lambda name: losses[name])


def _outputs(folder: Path, feeds: Sequence[Feed]) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        folder / FILE, options, providers=["CPUExecutionProvider"]
    )
    return np.concatenate([session.run(None, dict(feed))[0].ravel() for feed in feeds])
