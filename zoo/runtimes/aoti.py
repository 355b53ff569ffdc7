"""AOTInductor: a program compiled ahead of time for this processor or GPU."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import Batch
from tasks.errors import UserError
from zoo.artifacts import Artifact
from zoo.runtimes import pt2
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.signature import Signature
from zoo.runtimes.torch_runner import TorchRunner

if TYPE_CHECKING:
    from torch import nn

FILE = "model.pt2"


def export(
    model: "nn.Module",
    example: Batch,
    signature: Signature,
    deployment: Deployment,
    folder: Path,
) -> dict[str, Any]:
    """Compiles torch.export's program into model.pt2; takes the machine's C++ compiler."""
    import torch

    pt2.export(model, example, signature, deployment, folder)
    program = torch.export.load(folder / pt2.FILE)
    (folder / pt2.FILE).unlink()
    try:
        torch._inductor.aoti_compile_and_package(
            program,
            package_path=str(folder / FILE),
            inductor_configs={"freezing": True},
        )
    except torch._inductor.exc.InvalidCxxCompiler as error:
        raise UserError(f"{deployment} needs a C++ compiler: install g++") from error
    return {"isa": torch.backends.cpu.get_cpu_capability()}


def load(
    artifact: Artifact, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """See `zoo.runtimes.load`."""
    import torch

    program = torch._inductor.aoti_load_package(str(artifact.folder / FILE))
    return TorchRunner(program, deployment, artifact.signature, device, threads)
