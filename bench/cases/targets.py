"""What is timed, as `zoo.measure.Arm` names it: a deployment's inference here, a training step in
`bench.cases.training_step`, and text in `bench.cases.generation`."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from zoo.measure.workload import Forward, Generate, TrainStep, Workload
from zoo.runtimes.deployment import Deployment

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.base import Batch, Task

TARGETS: Mapping[type[Workload], str] = {
    Forward: "bench.cases.targets:inference",
    TrainStep: "bench.cases.training_step:training",
    Generate: "bench.cases.generation:generation",
}
"""What is timed, by the kind of workload."""
SEED = 0


class Inference:
    """A deployment and a batch; `call` runs the deployment once."""

    def __init__(self, call: Callable[[], Any], device: str) -> None:
        self.call = call
        if device.startswith("cuda") and "torch" in sys.modules:  # others wait by themselves
            self.synchronize = synchronize
        self.violations = Violations()


def inference(
    checkpoint: str, deployment: str, inputs: str, device: str, threads: int | None
) -> Inference:
    """Load a deployment and return it with its batch (`zoo.deploy.timed.call`)."""
    from zoo.deploy.timed import call

    once = call(checkpoint, deployment, inputs, device=device, threads=threads)
    return Inference(once, device)


def replays(deployment: Deployment, device: str) -> bool:
    """Return whether the deployment's training step is recorded and replayed as a whole; processors
    cannot do so, and other modes of torch.compile do it by themselves."""
    on_gpu = device.startswith("cuda")
    return deployment.only_trains or (deployment.mode == "reduce-overhead" and on_gpu)


def with_targets(inputs: "Mapping[str, Tensor]", task: "Task") -> "Batch":
    """Return the batch that the task's loss is computed from, with random targets."""
    import torch

    from tasks.base import Batch

    size = len(next(iter(inputs.values())))
    targets = task.random_targets(inputs, SEED)
    lengths = targets.pop("lengths", None)
    return Batch(inputs, torch.arange(size), targets, lengths=lengths)


class Violations:
    """Collects events that must not happen in a timed region, such as recompilations."""

    def __init__(self) -> None:
        self.seen: Mapping[str, int] = self._count()

    def __call__(self) -> list[str]:
        """Return the violations since the last call, as texts (`zoo.measure.Arm`)."""
        now = self._count()
        grown = {name: n - self.seen.get(name, 0) for name, n in now.items()}
        self.seen = now
        return [f"{name}: {n}" for name, n in grown.items() if n > 0]

    @staticmethod
    def _count() -> dict[str, int]:
        counted: dict[str, int] = {}
        if "torch._dynamo" in sys.modules:
            from torch._dynamo.utils import counters

            counted["frames compiled"] = int(counters["frames"]["total"])
            counted["graph breaks"] = sum(counters["graph_break"].values())
        if "torch" in sys.modules:
            import torch

            if torch.cuda.is_available() and torch.cuda.is_initialized():
                retries = torch.cuda.memory_stats().get("num_alloc_retries", 0)
                counted["retries of the allocator"] = int(retries)
        return counted


def synchronize() -> None:
    """Wait for the GPU."""
    import torch

    torch.cuda.synchronize()
