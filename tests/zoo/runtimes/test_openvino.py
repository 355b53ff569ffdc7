"""How OpenVINO runs a program in a process that has others beside it."""

import pytest

from zoo.runtimes.openvino import PRECISIONS, settings_of

openvino = pytest.importorskip("openvino")


@pytest.mark.parametrize("threads", [None, 1])
def test_threads_are_not_pinned(threads: int | None) -> None:
    """Each process would pin them to the same first cores: two workers on one core."""
    given = openvino.opset13.parameter([1, 4])
    model = openvino.Model([openvino.opset13.relu(given)], [given])
    compiled = openvino.Core().compile_model(model, "CPU", settings_of("fp32", threads))
    assert "fp32" in PRECISIONS and compiled.get_property("ENABLE_CPU_PINNING") is False
    if threads:
        assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
