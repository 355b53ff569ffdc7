"""FLOPs and bytes of a call, and how near the machine's own limits they bring it (Williams et al.
2009, "Roofline").

FLOPs are those of matrix products and convolutions, as PyTorch counts them, a multiplication and an
addition being two. Bytes are the least that must move: weights, inputs and outputs once each (of
an embedding only the rows that are looked up); activations may stay in caches. So the share of the
ceiling says what the best program could gain at most.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.cases import child
from bench.cases.job import MeasureJob
from bench.measures import ceilings
from bench.record.results import MeasureResult, Value
from zoo.measure.workload import TrainStep
from zoo.runtimes.deployment import Deployment

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1, "fp8": 1, "int4": 0.5}
"""Of a weight, by the beginning of the numerics; autocast keeps them in fp32."""
TRAINING_PASSES = 8
"""Over the weights, of a step with Adam: they are read and written, gradients and both averages
too."""


def measure(job: MeasureJob) -> MeasureResult:
    """The counts; the least seconds that the machine's ceilings allow for them."""
    numerics = Deployment.parse(job.case.deployment).numerics
    told = child.call(
        "bench.measures.work:count",
        {
            "is_training": isinstance(job.case.workload, TrainStep),
            "checkpoint": job.arm.kwargs["checkpoint"],
            "inputs": job.arm.kwargs["inputs"],
        },
        job.case.threads,
        timeout_s=job.settings.timeout_s,
    )
    if told["uncounted"]:
        reason = f"PyTorch counts no FLOPs of {told['uncounted']}"
        return MeasureResult(status="not_measured", reason=reason)
    size = 4 if numerics.startswith("autocast") else BYTES[numerics.partition("-")[0]]
    passes = TRAINING_PASSES if isinstance(job.case.workload, TrainStep) else 1
    least = told["weights"] * size * passes + told["other_bytes"]
    values = {"flops": Value(told["flops"], "1"), "least_bytes": Value(least, "bytes")}
    top = ceilings.find(job.case.device, job.case.threads, job.settings.timeout_s)
    kind = numerics.removeprefix("autocast-").partition("-")[0]
    if kind not in top.flops:
        return MeasureResult(values, reason=f"no ceiling is measured for {numerics}")
    by_flops, by_bytes = told["flops"] / top.flops[kind], least / top.bytes
    values |= {
        "ceiling_flops": Value(top.flops[kind], "FLOP/s"),
        "ceiling_bytes": Value(top.bytes, "bytes/s"),
        "least_seconds": Value(max(by_flops, by_bytes), "s"),
    }
    return MeasureResult(
        values, reason="bound by " + ("FLOPs" if by_flops >= by_bytes else "bytes")
    )


def count(is_training: bool, checkpoint: str, inputs: str) -> dict[str, Any]:
    """In a process of its own: one pass of the fp32 network on the processor, counted."""
    import numpy as np
    import torch
    from torch import nn
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from bench.cases.targets import with_targets
    from zoo.model.network import load_network
    from zoo.store.checkpoint import open_checkpoint

    opened = open_checkpoint(Path(checkpoint))
    model, _ = load_network(opened, torch.device("cpu"))
    recurrent = {type(m).__name__ for m in model.modules() if isinstance(m, nn.RNNBase)}
    with np.load(inputs, allow_pickle=False) as file:
        batch = {name: torch.from_numpy(file[name]) for name in file.files}
    counter = FlopCounterMode(display=False)
    # attention as matrix products: the fused kernel of the processor is not counted
    with counter, sdpa_kernel(SDPBackend.MATH):
        if is_training:
            full = with_targets(batch, opened.task)
            loss = opened.task.loss(opened.task.forward(model.train(), full), full)
            loss.sum.backward()
            outputs: Mapping[str, Any] = {}
        else:
            with torch.inference_mode():
                outputs = model(**batch)
    looked_up = {m.weight: m for m in model.modules() if isinstance(m, nn.Embedding)}
    rows = max(batch["input_ids"].numel() if "input_ids" in batch else 0, 0)
    weights = sum(
        min(p.numel(), rows * p.shape[-1]) if p in looked_up else p.numel()
        for p in model.parameters()
    )
    moved = [*batch.values(), *(t for t in outputs.values() if isinstance(t, torch.Tensor))]
    return {
        "flops": counter.get_total_flops(),
        "weights": weights,
        "other_bytes": sum(t.numel() * t.element_size() for t in moved),
        "uncounted": ", ".join(sorted(recurrent)),
    }
