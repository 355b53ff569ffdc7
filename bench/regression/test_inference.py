"""Inference of small models, as people deploy them on a processor."""

from collections.abc import Callable

import pytest

from bench.cases.case import Case, threads_of

CASES = [
    Case.of(model, deployment, batch, length, threads=threads_of(None))
    for model, length in (("minilm", 32), ("resnet18", 64), ("kws_cls", None))
    for deployment in ("eager", "onnx")
    for batch in (1, 8)
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_inference(measured: Callable[[Case], None], case: Case) -> None:
    measured(case)
