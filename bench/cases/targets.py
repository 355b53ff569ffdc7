"""What is timed, as `zoo.measure.Arm` names it: a deployment's inference, or a training step."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import UserError
from zoo.measure.workload import Forward, Generate, TrainStep, Workload
from zoo.runtimes.deployment import Deployment

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tasks.base import Batch, Task
    from zoo.store.checkpoint import Checkpoint

TARGETS: Mapping[type[Workload], str] = {
    Forward: "bench.cases.targets:inference",
    TrainStep: "bench.cases.targets:training",
    Generate: "bench.cases.generation:generation",
}
"""What is timed, by the kind of workload."""
TRAINED = ("fp32", "tf32", "bf16", "autocast-bf16")
SEED = 0


class Inference:
    """A deployment and a batch; `call` runs it once."""

    def __init__(self, call: Callable[[], Any], device: str) -> None:
        self.call = call
        if device.startswith("cuda") and "torch" in sys.modules:  # others wait by themselves
            self.synchronize = synchronize
        self.violations = Violations()


def inference(
    checkpoint: str, deployment: str, inputs: str, device: str, threads: int | None
) -> Inference:
    """Loads a deployment; see `zoo.deploy.timed.call`."""
    from zoo.deploy.timed import call

    once = call(checkpoint, deployment, inputs, device=device, threads=threads)
    return Inference(once, device)


class TrainingStep:
    """A training step as the loop makes it, on one batch: forward, backward, optimizer.

    bf16 keeps the network's weights in bf16 and the optimizer's in fp32
    (`zoo.speedups.bf16_weights`).
    """

    def __init__(
        self,
        checkpoint: "Checkpoint",
        model: "nn.Module",
        deployment: Deployment,
        batch: "Batch",
        device: str,
    ) -> None:
        import torch

        from zoo.model.network import network_of
        from zoo.speedups.bf16_weights import Bf16Weights
        from zoo.train.args import TrainArgs
        from zoo.train.optim.optimizer import make_optimizer, no_decay_names

        self.task, self.device = checkpoint.task, torch.device(device)
        self.deployment = deployment
        self.batch = batch.to(self.device)
        self.dtype = torch.bfloat16 if deployment.numerics == "autocast-bf16" else torch.float32
        self.model = model.to(self.device).train()
        if deployment.runtime == "eager":  # the compiler does its own, as in training
            network_of(checkpoint.entry).optimize_training(self.model, None)
        no_decay = no_decay_names(self.model)
        self.bf16 = Bf16Weights(self.model) if deployment.numerics == "bf16" else None
        keeper: Any = self.bf16 or self.model
        named = list(keeper.named_parameters())
        self.parameters = [parameter for _, parameter in named if parameter.requires_grad]
        recipe = dict(checkpoint.entry.recipe)
        self.optimizer = make_optimizer(named, no_decay, TrainArgs(**recipe))
        self.program: Any = self.model
        if deployment.runtime == "compile":
            mode = deployment.mode.removesuffix("-static")
            self.program = torch.compile(
                self.model,
                mode=None if mode == "default" else mode,
                dynamic=not deployment.mode.endswith("static"),
            )
        if self.device.type == "cuda":
            self.synchronize = synchronize
        self.violations = Violations()

    def call(self) -> None:
        """The whole step."""
        self.backward(self.forward())
        self.optimize()

    def forward(self) -> "Tensor":
        """The mean loss of the batch."""
        with self._arithmetic():
            loss = self.task.loss(self.task.forward(self.program, self.batch), self.batch)
        return loss.sum / loss.count

    def backward(self, loss: "Tensor") -> None:
        """Gradients of all that is trained."""
        with self._arithmetic(backward=True):
            loss.backward()
        if self.bf16:
            self.bf16.collect()

    def optimize(self) -> None:
        """Clips the gradients, as the loop does, and updates the weights."""
        import torch

        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.bf16:
            self.bf16.publish()

    def outputs(self) -> dict[str, np.ndarray]:
        """The outputs for the batch without dropout, by name, by the program that is trained."""
        import torch

        self.model.eval()
        with torch.no_grad(), self._arithmetic():
            found: Any = self.program(**self.batch.inputs)
        self.model.train()
        tensors = {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
        return {
            name: (value.float() if value.is_floating_point() else value).cpu().numpy()
            for name, value in tensors.items()
        }

    @contextlib.contextmanager
    def _arithmetic(self, backward: bool = False) -> Iterator[None]:
        """The backward pass computes in the types of the forward pass: autocast is for that."""
        import torch

        from zoo.machine.precision import autocast
        from zoo.runtimes.torch_runner import float32

        dtype = torch.float32 if backward else self.dtype
        with autocast(self.device, dtype), float32(self.deployment, str(self.device)):
            yield


def training(
    checkpoint: str, deployment: str, inputs: str, device: str, threads: int | None
) -> TrainingStep:
    """Loads a checkpoint to be trained, with random targets.

    Raises `UserError` for a deployment that trains nothing.
    """
    wanted = Deployment.parse(deployment)
    if wanted.runtime not in ("eager", "compile") or wanted.numerics not in TRAINED:
        raise UserError(
            f"{deployment} does not train: eager and compile do, with {', '.join(TRAINED)}"
        )
    import torch

    from zoo.model.network import load_network
    from zoo.runtimes.torch_runner import must_compute
    from zoo.speedups import allocator
    from zoo.store.checkpoint import open_checkpoint

    must_compute(wanted, device)

    allocator.keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    opened = open_checkpoint(Path(checkpoint))
    model, _ = load_network(opened, torch.device("cpu"))
    with np.load(inputs, allow_pickle=False) as file:
        drawn = {name: torch.from_numpy(file[name]) for name in file.files}
    return TrainingStep(opened, model, wanted, with_targets(drawn, opened.task), device)


def with_targets(inputs: "Mapping[str, Tensor]", task: "Task") -> "Batch":
    """Return the batch that the task's loss is computed of, with random targets."""
    import torch

    from tasks.base import Batch

    size = len(next(iter(inputs.values())))
    targets = task.random_targets(inputs, SEED)
    lengths = targets.pop("lengths", None)
    return Batch(inputs, torch.arange(size), targets, lengths=lengths)


class Violations:
    """What happened since it was last asked that must not happen in a timed region."""

    def __init__(self) -> None:
        self.seen: Mapping[str, int] = self._count()

    def __call__(self) -> list[str]:
        """As `zoo.measure.Arm` has it."""
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
    """Waits for the GPU."""
    import torch

    torch.cuda.synchronize()
