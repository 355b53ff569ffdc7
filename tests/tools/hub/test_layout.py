"""The allow-list: no stray name ever goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.hub import layout

SEGMENT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
ENDINGS = (".bin", ".pt", ".pt2", ".ts", ".pkl", ".py", ".so", ".log", ".sh", ".exe", ".h5")


@given(st.lists(SEGMENT, min_size=1, max_size=3), st.sampled_from(ENDINGS))
def test_no_program_and_no_pickle_goes(parts: list[str], ending: str) -> None:
    assert not layout.allowed("/".join(parts) + ending)


@given(SEGMENT, st.sampled_from(layout.PATTERNS))
def test_no_folder_of_another_name_goes(folder: str, pattern: str) -> None:
    name = pattern.replace("*", "x")
    assert layout.allowed(name)
    assert not layout.allowed(f"{folder}/{name}") or f"{folder}/" in ("onnx/", "card/")
    assert not layout.allowed(f"state/{name}") and not layout.allowed(f"logs/{name}")


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_what_is_allowed_stays_inside(path: str) -> None:
    if layout.allowed(path):
        assert not path.startswith(("/", "~", ".", "\\")) or path.startswith(".eval_results/")
        assert ".." not in path.split("/") and "\\" not in path


@pytest.mark.parametrize(
    "path",
    [
        "../config.json",
        "/config.json",
        "onnx/../config.json",
        "onnx//model.onnx",
        "onnx/a/model.onnx",
        "./config.json",
        "model-../../x-of-2.safetensors",
        "card/..\\x.png",
        "onnx/a\n.onnx",
        "plots/mistakes.png",
        "plots/mistakes.json",
        "card/mistakes.json",
        "logs/metrics.jsonl",
        "state/step-1/weights.safetensors",
        "artifacts/aoti/model.pt2",
        "adapter/adapter_model.safetensors",
        "",
    ],
)
def test_these_do_not_go(path: str) -> None:
    assert not layout.allowed(path)


@pytest.mark.parametrize(
    "path",
    [
        "config.json",
        "model.safetensors",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "preprocessor_config.json",
        "generation_config.json",
        "README.md",
        "evidence.jsonl",
        "zoo.json",
        "onnx/model.onnx",
        "onnx/model_int8.onnx_data",
        "onnx/model_int8.export.json",
        "onnx/encoder.onnx",
        "card/front-0123456789ab.png",
        "card/confusions-0123456789ab.png",
    ],
)
def test_these_do(path: str) -> None:
    assert layout.allowed(path)
