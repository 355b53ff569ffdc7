"""The notation of deployments."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UserError
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES


@st.composite
def deployments(draw: st.DrawFn) -> Deployment:
    runtime = draw(st.sampled_from(sorted(RUNTIMES)))
    known = RUNTIMES[runtime]
    numerics, mode = draw(st.sampled_from(known.numerics)), draw(st.sampled_from(known.modes))
    return Deployment(runtime, numerics, mode)


@given(deployments())
def test_what_is_written_is_read(deployment: Deployment) -> None:
    assert Deployment.parse(str(deployment)) == deployment


@given(deployments())
def test_the_parts_come_in_either_order(deployment: Deployment) -> None:
    text = f"{deployment.runtime}+{deployment.numerics}:{deployment.mode}"
    assert Deployment.parse(text) == deployment


@given(deployments(), deployments())
def test_folders_are_as_different_as_deployments(one: Deployment, other: Deployment) -> None:
    assert (one.folder == other.folder) == (one == other)
    assert not set(one.folder) & set('/\\:*?"<>| ')


@given(st.text(max_size=30))
def test_any_other_text_is_refused_in_one_line(text: str) -> None:
    try:
        found = Deployment.parse(text)
    except UserError as error:
        assert len(str(error).splitlines()) <= max(1, len(text.splitlines())) + 1
    else:
        assert Deployment.parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("onxx", "did you mean onnx"),
        ("tflite", "there are eager, compile"),
        ("onnx+int9-dynamic", "did you mean int8-dynamic"),
        ("eager:max-autotune", "no mode of eager 'max-autotune'"),
        ("onnx+int8-static+fp32", "more than one numerics"),
        ("", "no runtime ''"),
        ("compile:", "no mode of compile ''"),
    ],
)
def test_errors_name_what_there_is(text: str, said: str) -> None:
    with pytest.raises(UserError, match=r"^deployment ") as caught:
        Deployment.parse(text)
    assert said in str(caught.value)


def test_the_examples_of_the_design() -> None:
    texts = ("eager", "eager+bf16", "eager+autocast-bf16", "compile:max-autotune+bf16", "onnx")
    for text in (*texts, "onnx+int8-dynamic", "onnx+int8-static", "openvino+int8-static", "aoti"):
        assert str(Deployment.parse(text)) == text


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_runtime_says_whether_it_exports_stages(name: str) -> None:
    spec = importlib.util.find_spec(RUNTIMES[name].module)
    assert spec is not None and spec.origin is not None
    brings = "\ndef export_stages(" in Path(spec.origin).read_text(encoding="utf-8")
    assert RUNTIMES[name].has_stages == brings
