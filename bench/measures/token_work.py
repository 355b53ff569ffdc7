"""Bytes that the step of a further token must read, and the least seconds that takes on a machine.

Each weight that the step uses once, of an embedding the rows that are looked up, and the keys and
values of all tokens before it, those of an encoder too: as few FLOPs go with each of them, their
way from memory is the limit (Pope et al. 2022, "Efficiently Scaling Transformer Inference").
"""

from collections.abc import Mapping
from typing import Any

from bench.cases.job import MeasureJob
from bench.measures import ceilings
from bench.record.results import MeasureResult, Value

HALVES = ("bf16", "fp16")
"""Arithmetic whose keys and values take two bytes; that of all other is over those of fp32."""


def measure(job: MeasureJob, weight_size: float, arithmetic: str) -> MeasureResult:
    """Return the bytes of a step in the middle of the texts, and its least seconds by the copy
    bandwidth of the machine.

    Args:
        weight_size: bytes of a weight of the deployment.
        arithmetic: dtype of its products (`bench.measures.work.arithmetic`).
    """
    given = job.arm.kwargs
    told = job.once(  # all deployments compute the same
        "bench.measures.token_work:count",
        {"checkpoint": given["checkpoint"], "inputs": given["inputs"]},
    )
    size = 2 if arithmetic in HALVES else 4
    rows, tokens = job.work["samples"], job.work["new_tokens"]
    # a token of each row, in the middle of its text
    kept = told["before"] + told["a_step"] * tokens / rows / 2
    step = told["weights"] * weight_size + kept * size
    top = ceilings.find(job.case.device, job.case.threads, job.settings.timeout_s)
    values = {
        "weight_bytes": Value(told["weights"] * weight_size, "bytes"),
        "cache_bytes_per_token": Value(told["a_step"] * size / rows, "bytes"),
        "token_bytes": Value(step, "bytes"),
        "ceiling_bytes": Value(top.bytes, "bytes/s"),
        "least_token_seconds": Value(step / top.bytes, "s"),
    }
    return MeasureResult(values, reason="of a further token, bound by bytes")


def count(checkpoint: str, inputs: str) -> Mapping[str, int]:
    """In a process of its own: return numbers that the fp32 network has to read for a further
    token of each row: `weights`, and of keys and values those `before` it and those that `a_step`
    adds."""
    import torch

    from bench.cases.generation import generation, kept_tensors

    made = generation(checkpoint, "eager", inputs, "cpu", None)
    session = made.runner.start(made.inputs)
    before = sum(each.numel() for each in kept_tensors(session))
    used: dict[int, int] = {}

    def note(module: torch.nn.Module, given: tuple[Any, ...]) -> None:
        looked_up = isinstance(module, torch.nn.Embedding)
        for weight in module.parameters(recurse=False):
            rows = given[0].numel() if looked_up else len(weight)
            read = min(rows, len(weight)) * weight[0].numel() if weight.ndim else 1
            used[id(weight)] = max(used.get(id(weight), 0), read)

    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        made.step(session)
    finally:
        handle.remove()
    after = sum(each.numel() for each in kept_tensors(session))
    return {"weights": sum(used.values()), "before": before, "a_step": after - before}
