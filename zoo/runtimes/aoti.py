"""AOTInductor: a program compiled ahead of time for this processor or GPU."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import Tensors
from tasks.errors import UserError
from zoo.runtimes import pt2, transformers_export
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.signature import Signature
from zoo.runtimes.torch_runner import TorchRunner

if TYPE_CHECKING:
    from torch import nn

FILE = "model.pt2"


def export(
    model: "nn.Module",
    example: Tensors,
    signature: Signature,
    deployment: Deployment,
    folder: Path,
) -> dict[str, Any]:
    """Compiles torch.export's program into model.pt2; takes the machine's C++ compiler."""
    return compile_program(trace(model, example, signature, folder, deployment.numerics), folder)


def trace(
    model: "nn.Module", example: Tensors, signature: Signature, folder: Path, numerics: str = "fp32"
) -> Any:
    """torch.export's program of a model; `folder` gets the `export.json` that belongs to it."""
    import torch

    pt2.export(model, example, signature, Deployment("pt2", numerics), folder)
    program = torch.export.load(folder / pt2.FILE)
    (folder / pt2.FILE).unlink()
    return program


def compile_program(program: Any, folder: Path) -> dict[str, Any]:
    """Writes an exported program as model.pt2; returns what to record.

    Raises `UserError` where there is no C++ compiler.
    """
    import torch

    try:
        torch._inductor.aoti_compile_and_package(
            program,
            package_path=str(folder / FILE),
            inductor_configs={"freezing": True},
        )
    except torch._inductor.exc.InvalidCxxCompiler as error:
        raise UserError("AOTInductor needs a C++ compiler: install g++") from error
    return {"isa": torch.backends.cpu.get_cpu_capability()}


def load(
    artifact: Artifact, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """Load an artifact of AOTInductor; see `zoo.runtimes.load`."""
    import torch

    transformers_export.register_outputs(artifact.component)
    program = torch._inductor.aoti_load_package(str(artifact.folder / FILE))
    return TorchRunner(program, deployment, artifact.signature, device, threads)
