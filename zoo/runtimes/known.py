"""The runtimes there are, as data: what each is called, can compute in, and needs."""

import importlib.util
from dataclasses import dataclass

FLOATS = ("fp32", "tf32", "bf16", "fp16", "autocast-bf16", "autocast-fp16")
COMPILE_MODES = (
    "default",
    "reduce-overhead",
    "max-autotune",
    "max-autotune-no-cudagraphs",
)


@dataclass(frozen=True)
class Runtime:
    """A runtime that the zoo knows. Its module has `load`, and `export` where it has artifacts."""

    module: str
    summary: str
    numerics: tuple[str, ...] = ("fp32",)
    modes: tuple[str, ...] = ("default",)
    training_modes: tuple[str, ...] = ()  # in which it runs a training step only
    artifact: str | None = None  # the file that holds the program; None runs the checkpoint itself
    devices: tuple[str, ...] = ("cpu",)  # the first is where an artifact is proven
    packages: tuple[str, ...] = ()  # importable names beside torch
    extra: str | None = None  # of pyproject.toml, that brings them
    is_code: bool = False  # whether loading it may run code: see zoo.runtimes.provenance
    has_stages: bool = False  # whether it runs what is exported with a cache: `export_stages`
    writes: bool = False  # whether it runs a model token by token, with a cache, at all
    most_rows: int | None = None  # of a batch, where the program plans its memory beforehand

    def missing(self) -> str | None:
        """Why it can't run here, in a line; None where nothing is known against it."""
        absent = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if not absent:
            return None
        how = f"pip install -e '.[{self.extra}]'" if self.extra else f"pip install {absent[0]}"
        return f"{' and '.join(absent)} is not installed: {how}"


RUNTIMES = {
    "eager": Runtime(
        "zoo.runtimes.eager",
        "PyTorch as it is",
        FLOATS,
        training_modes=("cuda-graphs",),
        devices=("cpu", "cuda", "mps"),
        writes=True,
    ),
    "compile": Runtime(
        "zoo.runtimes.compiled",
        "torch.compile",
        FLOATS,
        (*COMPILE_MODES, *(f"{mode}-static" for mode in COMPILE_MODES)),
        devices=("cpu", "cuda"),
    ),
    "pt2": Runtime(
        "zoo.runtimes.pt2", "torch.export", ("fp32", "bf16"), artifact="model.pt2", is_code=True
    ),
    "aoti": Runtime(
        "zoo.runtimes.aoti",
        "AOTInductor",
        ("fp32", "bf16", "int8-static"),
        artifact="model.pt2",
        is_code=True,
    ),
    "torchscript": Runtime(
        "zoo.runtimes.torchscript", "TorchScript, by trace", artifact="model.ts", is_code=True
    ),
    "onnx": Runtime(
        "zoo.runtimes.onnx",
        "ONNX Runtime",
        ("fp32", "int8-dynamic", "int8-static", "int8-weight-only", "int4-weight-only"),
        artifact="model.onnx",
        devices=("cpu", "cuda"),
        packages=("onnx", "onnxscript", "onnxruntime"),
        extra="onnx",
        has_stages=True,
        writes=True,
    ),
    "tensorrt": Runtime(
        "zoo.runtimes.tensorrt",
        "TensorRT, through ONNX Runtime",
        ("fp32", "fp16"),
        artifact="model.onnx",
        devices=("cuda",),
        packages=("onnx", "onnxscript", "onnxruntime", "tensorrt"),
        extra="tensorrt",
        most_rows=64,
    ),
    "openvino": Runtime(
        "zoo.runtimes.openvino",
        "OpenVINO",
        ("fp32", "bf16", "int8-static"),
        artifact="openvino_model.xml",
        packages=("openvino",),
        extra="openvino",
    ),
    "executorch": Runtime(
        "zoo.runtimes.executorch",
        "ExecuTorch with XNNPACK",
        artifact="model.pte",
        packages=("executorch",),
        extra="executorch",
        most_rows=8,
    ),
    "torchao": Runtime(
        "zoo.runtimes.torchao",
        "torchao's quantized linear layers, compiled",
        ("int8-dynamic", "int8-weight-only", "int4-weight-only", "fp8-dynamic"),
        devices=("cpu", "cuda"),
        packages=("torchao",),
        extra="torchao",
    ),
}
