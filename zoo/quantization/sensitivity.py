"""Which layers lose most when they are quantized: each alone, the others in fp32."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from zoo.deploy import parity
from zoo.quantization import onnx_int8
from zoo.quantization.onnx_int8 import Feed
from zoo.runtimes.onnx import FILE

MOST_LAYERS = 64
"""What is looked at one by one; of deeper networks, every second, third, ... layer stands for its
neighbours."""

Quantize = Callable[[Path, Sequence[str]], object]
"""Writes the quantized program to a folder, but for the layers that are named: these stay in fp32.
"""


def rank(quantize: Quantize, source: Path, feeds: Sequence[Feed]) -> list[str]:
    """Return the layers of a prepared program (`onnx_int8.prepare`), the most sensitive first.

    Args:
        quantize: by which they lose.
        feeds: inputs that are compared; the first output decides, by its SQNR.
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
            quantize(target, others)
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
