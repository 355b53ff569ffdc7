"""Static int8 by PyTorch alone: torch.export's program, quantized by torchao's PT2E for what
Inductor has int8 kernels for on x86 (oneDNN's convolutions and linear layers), compiled ahead of
time."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.quantization.onnx_int8 import Feed
from zoo.runtimes import aoti, probe, transformers_export

if TYPE_CHECKING:
    from zoo.deploy.export import ExportSource


def build(original: "ExportSource", feeds: Sequence[Feed], folder: Path) -> dict[str, Any]:
    """Write `folder`/model.pt2 with int8 weights per channel, and uint8 activations whose ranges
    come from histograms over `feeds`, the quantizer's default; return what to record.

    Raises `UserError` where there is no C++ compiler, and whatever torch.export and Inductor raise
    of a network that they can't express.
    """
    import torch
    from torchao.quantization.pt2e import quantize_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    signature = probe.infer_signature(original.checkpoint, original.model, original.processor)
    _, large = original.modality.example_inputs(original.task, original.processor)
    # compiled for the strides of the example, silently wrong with others; runners get plain arrays
    example = {name: tensor.contiguous() for name, tensor in large.inputs.items()}
    program = aoti.trace(copy.deepcopy(original.model), example, signature, folder)
    # without VNNI pairs of products are added in 16 bits, which overflow
    config = x86.get_default_x86_inductor_quantization_config(
        reduce_range=not torch.cpu._is_vnni_supported()
    )
    quantizer = x86.X86InductorQuantizer().set_global(config)
    with torch.no_grad():  # with gradients to keep, nothing is frozen, and the products stay fp32
        prepared = quantize_pt2e.prepare_pt2e(program.module(), quantizer)
        for feed in feeds:
            prepared(**{name: torch.from_numpy(array) for name, array in feed.items()})
        quantized = torch.export.export(
            quantize_pt2e.convert_pt2e(prepared),
            (),
            kwargs=example,
            dynamic_shapes=transformers_export.shapes(signature),
        )
        return aoti.compile_program(quantized, folder)
