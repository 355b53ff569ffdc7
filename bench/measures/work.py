"""FLOPs and bytes of a call, and how near the machine's own limits they bring it (Williams et al.
2009, "Roofline").

FLOPs are those of matrix products and convolutions, as PyTorch counts them, a multiplication and an
addition being two. Bytes are the least that must move: weights, inputs and outputs once each (of
an embedding only the rows that are looked up); activations may stay in caches. So the share of the
ceiling says what the best program could gain at most.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cases.job import MeasureJob
from bench.measures import ceilings, data_sheets, token_work
from bench.record.results import MeasureResult, Value
from zoo.machine import environment
from zoo.measure.workload import Generate, TrainStep
from zoo.runtimes.deployment import Deployment

if TYPE_CHECKING:
    from torch import nn

    from tasks.base import Batch, Task

META = "meta"
"""PyTorch's device whose tensors have a shape and no values."""
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1, "fp8": 1, "int4": 0.5}
"""Of a weight, by the beginning of the numerics; autocast keeps them in fp32."""
TRAINING_PASSES = 8
"""Over the weights, of a step with Adam: they are read and written, gradients and both averages
too."""


def measure(job: MeasureJob) -> MeasureResult:
    """Return FLOPs, bytes and the least seconds of a case that the machine's ceilings allow; of
    texts that are written, those of a further token (`bench.measures.token_work`)."""
    numerics = Deployment.parse(job.case.deployment).numerics
    size = 4 if numerics.startswith("autocast") else BYTES[numerics.partition("-")[0]]
    kind = arithmetic(numerics, job.case.device)
    if isinstance(job.case.workload, Generate):
        return token_work.measure(job, size, kind)
    told = job.once(  # all deployments compute the same
        "bench.measures.work:count",
        {
            "is_training": isinstance(job.case.workload, TrainStep),
            "checkpoint": job.arm.kwargs["checkpoint"],
            "inputs": job.arm.kwargs["inputs"],
        },
    )
    if told["uncounted"]:
        reason = f"PyTorch counts no FLOPs of {told['uncounted']}"
        return MeasureResult(status="not_measured", reason=reason)
    passes = TRAINING_PASSES if isinstance(job.case.workload, TrainStep) else 1
    least = told["weights"] * size * passes + told["other_bytes"]
    values = {"flops": Value(told["flops"], "1"), "least_bytes": Value(least, "bytes")}
    top = ceilings.find(job.case.device, job.case.threads, job.settings.timeout_s)
    sheet = _sheet(job.case.device)
    if sheet is not None and kind in sheet.flops:
        values["sheet_flops"] = Value(sheet.flops[kind], "FLOP/s")
    if kind not in top.flops:
        return MeasureResult(values, reason=f"no ceiling is measured for {numerics}")
    by_flops, by_bytes = told["flops"] / top.flops[kind], least / top.bytes
    values |= {
        "ceiling_flops": Value(top.flops[kind], "FLOP/s"),
        "ceiling_bytes": Value(top.bytes, "bytes/s"),
        "least_seconds": Value(max(by_flops, by_bytes), "s"),
    }
    by = "FLOPs" if by_flops >= by_bytes else "bytes"
    named = {"sheet": sheet.name} if sheet and "sheet_flops" in values else {}
    return MeasureResult(values, reason=f"bound by {by}", samples=named)


def arithmetic(numerics: str, device: str = "cpu") -> str:
    """Return the dtype of a deployment's matrix products, by its numerics.

    If only the weights are quantized, they are turned to floats first: bf16 on a GPU
    (`zoo.runtimes.torchao`).
    """
    if numerics.endswith("weight-only"):
        return "bf16" if device.startswith("cuda") else "fp32"
    return numerics.removeprefix("autocast-").partition("-")[0]


def _sheet(device: str) -> data_sheets.Sheet | None:
    """Return the vendor's data sheet of a device, or None if it is not known."""
    name = environment.machine(gpu=True).get("gpu") if device.startswith("cuda") else None
    return data_sheets.sheet_of(name) if name else None


def count(is_training: bool, checkpoint: str, inputs: str) -> dict[str, Any]:
    """In a process of its own: return the counts of one pass of the fp32 network.

    Shapes decide the counts, so the pass computes nothing (PyTorch's meta device) if the network
    can do without values; else it runs on the processor.
    """
    import numpy as np
    import torch
    from torch import nn

    from bench.cases.targets import with_targets
    from tasks.base import Batch
    from zoo.model.network import load_network
    from zoo.store.checkpoint import open_checkpoint

    opened = open_checkpoint(Path(checkpoint))
    model, _ = load_network(opened, torch.device("cpu"))
    recurrent = {type(m).__name__ for m in model.modules() if isinstance(m, nn.RNNBase)}
    with np.load(inputs, allow_pickle=False) as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file.files}
    batch = with_targets(arrays, opened.task) if is_training else Batch(arrays, torch.empty(0))
    uncounted = ""
    try:
        shapes = without_full_mask(batch).to(META)
        flops, sizes = one_pass(on_meta(model), opened.task, shapes, is_training)
    except Exception:  # each network that looks at values has its own
        flops, sizes = one_pass(model, opened.task, batch, is_training)
        uncounted = ", ".join(sorted(recurrent))  # one kernel on the processor
    looked_up = {m.weight: m for m in model.modules() if isinstance(m, nn.Embedding)}
    rows = arrays["input_ids"].numel() if "input_ids" in arrays else 0
    weights = sum(
        min(p.numel(), rows * p.shape[-1]) if p in looked_up else p.numel()
        for p in model.parameters()
    )
    return {
        "flops": flops,
        "weights": weights,
        "other_bytes": sum(t.numel() * t.element_size() for t in arrays.values()) + sizes,
        "uncounted": uncounted,
    }


def without_full_mask(batch: "Batch") -> "Batch":
    """Return the batch without its mask if the mask masks nothing: networks inspect the mask's
    values, which a meta tensor does not have."""
    import dataclasses

    inputs = dict(batch.inputs)
    if "attention_mask" in inputs and bool(inputs["attention_mask"].all()):
        del inputs["attention_mask"]
    return dataclasses.replace(batch, inputs=inputs)


def on_meta(model: "nn.Module") -> "nn.Module":
    """Return a copy of a network without its values, which takes no memory."""
    import copy

    import torch
    from torch import nn

    meta = torch.device(META)
    memo: dict[int, Any] = {id(b): b.to(meta) for b in model.buffers()}
    for p in model.parameters():
        memo[id(p)] = nn.Parameter(p.detach().to(meta), requires_grad=p.requires_grad)
    return copy.deepcopy(model, memo)


def one_pass(
    model: "nn.Module", task: "Task", batch: "Batch", is_training: bool
) -> tuple[int, int]:
    """Return the FLOPs of a pass (with backward if `is_training`), and the bytes of its outputs."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model.eval()
    counter = FlopCounterMode(display=False)
    # attention as matrix products: the fused kernel of the processor is not counted
    with counter, sdpa_kernel(SDPBackend.MATH):
        if is_training:
            # as in evaluation: dropout has no FLOPs, and which layers are dropped is chance
            task.loss(task.forward(model, batch), batch).sum.backward()
            outputs: Mapping[str, Any] = {}
        else:
            with torch.no_grad():  # the counter takes wav2vec2's weight norm apart, by its gradient
                outputs = model(**batch.inputs)
    given = [value for value in outputs.values() if isinstance(value, torch.Tensor)]
    return counter.get_total_flops(), sum(t.numel() * t.element_size() for t in given)
