"""What TensorRT is told, and that nothing else runs under its name (it has no machine here)."""

from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.runtimes import must_be_available, onnx_session, tensorrt
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.signature import Signature, TensorSpec

FP16 = Deployment("tensorrt", "fp16")
TEXT = Signature(
    tuple(
        TensorSpec(name, "int64", ("batch", "length")) for name in ("input_ids", "attention_mask")
    ),
    ("logits",),
    {"batch": (1, 64), "length": (1, 512)},
)


class Session:
    """Stands for an inference session with these providers."""

    def __init__(self, *providers: str) -> None:
        self.providers = providers

    def get_providers(self) -> list[str]:
        return list(self.providers)


def _load(monkeypatch: pytest.MonkeyPatch, here: list[str], session: Session) -> list[Any]:
    """Loads with these providers here; what the session was asked for."""
    onnxruntime = pytest.importorskip("onnxruntime")
    asked: list[Any] = []
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: here)
    monkeypatch.setattr(onnx_session, "open_session", lambda *given: asked.append(given) or session)
    tensorrt.load(Artifact(Path("a"), FP16, TEXT, {}), FP16, "cuda:1", 2)
    return asked


def test_one_engine_for_all_shapes_of_the_signature() -> None:
    found = tensorrt.settings(TEXT, FP16, "cuda:1")
    assert found == {
        "device_id": 1,
        "trt_fp16_enable": True,
        "trt_profile_min_shapes": "input_ids:1x1,attention_mask:1x1",
        "trt_profile_opt_shapes": "input_ids:1x512,attention_mask:1x512",
        "trt_profile_max_shapes": "input_ids:64x512,attention_mask:64x512",
    }


def test_sizes_without_limit_are_left_to_it() -> None:
    sound = Signature(
        (TensorSpec("x", "float32", ("batch", 80, "frames")),), ("y",), {"batch": (1, 64)}
    )
    assert set(tensorrt.settings(sound, FP16, "cuda")) == {"device_id", "trt_fp16_enable"}


def test_fixed_sizes_stay() -> None:
    image = Signature((TensorSpec("x", "float32", ("batch", 3, 8, 8)),), ("y",), {"batch": (1, 64)})
    found = tensorrt.settings(image, Deployment("tensorrt"), "cuda")
    assert found["trt_profile_max_shapes"] == "x:64x3x8x8" and not found["trt_fp16_enable"]


def test_the_session_is_asked_for_it_first(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [tensorrt.PROVIDER, "CUDAExecutionProvider"]
    ((program, providers, threads),) = _load(monkeypatch, both, Session(*both))
    assert program == Path("a/model.onnx") and threads == 2
    assert [name for name, _ in providers] == both


def test_cuda_alone_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [tensorrt.PROVIDER, "CUDAExecutionProvider"]
    with pytest.raises(UserError, match="could not start"):
        _load(monkeypatch, both, Session("CUDAExecutionProvider"))
    with pytest.raises(UserError, match="has no TensorrtExecutionProvider: pip install"):
        _load(monkeypatch, ["CPUExecutionProvider"], Session())


def test_where_it_is_missing_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[tensorrt\]'"):
        must_be_available(FP16, "cuda")
    with pytest.raises(UserError, match="runs on cuda, not on cpu"):
        must_be_available(FP16)
