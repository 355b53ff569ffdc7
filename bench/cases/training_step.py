"""A training step of `finetune`, over and over on one batch.

It is the loop's own step (`zoo.train.optimizer_step`), with the hooks, the speed-ups, the compiler
and the CUDA graphs that flags of `finetune` ask for:

    eager                     the network with its speed-ups
    eager:cuda-graphs         steps are recorded and replayed, too; on NVIDIA's GPUs
    compile                   layers that repeat are compiled; the whole network where none do
    compile:reduce-overhead   both; on a processor as `compile`
    compile:MODE              the whole network in another mode of torch.compile, or for one shape

What the loop does beside it is left out: reading and copying batches, and looking at losses.
"""

import atexit
import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.cases.targets import SEED, Violations, replays, synchronize, with_targets
from tasks.base import Batch, Loss, supervised
from tasks.errors import UserError
from zoo.machine.precision import fp32_products
from zoo.model.network import load_network, network_of
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.torch_runner import must_compute
from zoo.speedups import allocator
from zoo.speedups.compiled_layers import compile_layers, compiled_in_evaluation, layers_of
from zoo.store.checkpoint import Checkpoint, open_checkpoint
from zoo.train.args import TrainArgs
from zoo.train.finetune import make_accelerator
from zoo.train.methods.faster import speed_up
from zoo.train.methods.known import hooks_of
from zoo.train.optim.optimizer import make_optimizer, no_decay_names, set_learning_rates
from zoo.train.optimizer_step import MicroBatch, OptimizerStep, StepResult, entered
from zoo.train.step_graphs import WARM_UP, NotReplayed, StepGraphs, replayed

TRAINED = ("fp32", "tf32", "bf16", "autocast-bf16")
AS_FINETUNE = ("default", "reduce-overhead", "cuda-graphs")
"""Modes that `finetune` trains in; in the others all is torch.compile's."""


class TrainingStep:
    """A training step on one batch: `call` runs it whole, `forward`, `backward`, `optimize` its
    parts.

    bf16 keeps the network's weights in bf16 and the optimizer's in fp32
    (`zoo.speedups.bf16_weights`).
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        model: nn.Module,
        deployment: Deployment,
        batch: Batch,
        device: str,
    ) -> None:
        """Prepare a loaded network for training; it is changed in place.

        Raises `UserError` for a deployment that replays steps on a device or with a recipe whose
        steps cannot be replayed.
        """
        self.deployment, self.model, self.task = deployment, model, checkpoint.task
        args = TrainArgs(**{**checkpoint.entry.recipe, "device": device})
        accelerator = make_accelerator(args)
        here = accelerator.device.type
        assert here == torch.device(device).type, f"accelerate keeps its first device, {here}"
        self.products = contextlib.ExitStack()  # as long as the step is there
        if deployment.numerics in ("fp32", "tf32"):
            rounded = deployment.numerics == "tf32"
            self.products.enter_context(fp32_products(accelerator.device, rounded))
        self.model.to(accelerator.device).train()
        program = accelerator.prepare_model(_program(checkpoint, model, deployment, args))
        self.program: Any = program
        self.batch = batch.to(accelerator.device)
        self._make_step(checkpoint, program, args, accelerator)
        self.graphs: StepGraphs | None = None
        self._reasons: list[str] = []  # why it is not replayed
        if replays(deployment, device):
            self.graphs = self._graphs()
        self._steps = 0
        if accelerator.device.type == "cuda":
            self.synchronize = synchronize
        self.violations = Violations()

    def _make_step(
        self, checkpoint: Checkpoint, program: nn.Module, args: TrainArgs, accelerator: Any
    ) -> None:
        """Create hooks, optimizer and step in the same way as `zoo.train.loop.Loop`."""
        numerics = self.deployment.numerics
        dtype = torch.bfloat16 if numerics.endswith("bf16") else torch.float32
        # bf16 weights are a speed-up; without it the loop trains by autocast, as ranks do together
        weights = dataclasses.replace(args, speedups=not numerics.startswith("autocast"))
        hooks = hooks_of(weights, accelerator, dtype)
        named: dict[str, Tensor] = dict(self.model.named_parameters())
        for hook in hooks:
            named = hook.attach(self.model, named)
        self.optimizer = make_optimizer(list(named.items()), no_decay_names(self.model), args)
        objective = supervised(checkpoint.task, args.label_smoothing_factor)
        self.step = OptimizerStep(program, objective, self.optimizer, hooks, accelerator, args)
        for hook in hooks:
            hook.begin(self.step.parameters)

    def _graphs(self) -> StepGraphs:
        try:
            graphs = replayed(self.step, self._reasons.append)
        except NotReplayed as obstacle:
            raise UserError(f"{self.deployment}: no CUDA graphs: {obstacle}") from None
        # all that follows is on its stream, as in a training; left before CUDA is gone
        stream = contextlib.ExitStack()
        stream.enter_context(graphs.stream())
        atexit.register(stream.close)
        return graphs

    def call(self) -> None:
        """Run the whole step; if it is to be replayed, the first call also warms up and records it.

        Raises `UserError` if the deployment replays steps and this one cannot be replayed.
        """
        if self.graphs is None or self.graphs.recorded:
            self._do()
            return
        for _ in range(WARM_UP + 1):
            self._do()
        if not self.graphs.recorded:
            reason = self._reasons[0] if self._reasons else "the batch is not of tensors alone"
            raise UserError(f"{self.deployment}: {reason}")

    def _do(self) -> None:
        set_learning_rates(self.optimizer, 1.0)
        batches = [MicroBatch(self.batch, 1.0, self._steps)]
        self._steps += 1

        def plain() -> StepResult:
            self.step.accumulate(batches)
            result = self.step.finish()
            self.step.update()
            return result

        if self.graphs is None:
            plain()
        else:
            self.graphs.run(batches, plain)

    def forward(self) -> Loss:
        """Return the loss of the batch, summed over its targets."""
        torch.manual_seed(self._steps)
        return self.step.forward(self.batch)

    def backward(self, loss: Loss) -> None:
        """Compute the gradients of all trained parameters."""
        self.step.backward(loss, 1.0, first=True)

    def optimize(self) -> None:
        """Divide the gradients by the count of targets, clip them, and update the weights."""
        set_learning_rates(self.optimizer, 1.0)
        self._steps += 1
        self.step.finish()
        self.step.update()

    def outputs(self) -> dict[str, np.ndarray]:
        """Return the trained program's outputs for the batch, by name, without dropout."""
        self.model.eval()
        computing = entered(hook.computing() for hook in self.step.hooks)
        with torch.no_grad(), compiled_in_evaluation(self.model), computing:
            found: Mapping[str, Any] = self.program(**self.batch.inputs)
        self.model.train()
        tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
        return {
            name: (value.float() if value.is_floating_point() else value).cpu().numpy()
            for name, value in tensors.items()
        }


def _program(
    checkpoint: Checkpoint, model: nn.Module, deployment: Deployment, args: TrainArgs
) -> nn.Module:
    """Return the network as training calls it: changed in place, or compiled, as `finetune` does.

    See `zoo.train.methods.faster` and `--torch_compile` in `zoo.train.loop`.
    """
    compiles, mode = deployment.runtime == "compile", deployment.mode
    by_layers = compiles and mode in AS_FINETUNE and bool(layers_of(model))
    if not compiles or (by_layers and args.device != "cpu"):
        speed_up(network_of(checkpoint.entry), model, None, ranks=1)
    if by_layers:
        compile_layers(model)
        return model
    if not compiles:
        return model
    own = None if mode in AS_FINETUNE else mode.removesuffix("-static")
    whole: Any = torch.compile(
        model, mode=None if own == "default" else own, dynamic=not mode.endswith("-static")
    )
    return whole  # type: ignore[no-any-return]


def training(
    checkpoint: str, deployment: str, inputs: str, device: str, threads: int | None
) -> TrainingStep:
    """Load a checkpoint for training, with random targets.

    Raises `UserError` for a deployment that cannot be trained.
    """
    wanted = Deployment.parse(deployment)
    if wanted.runtime not in ("eager", "compile") or wanted.numerics not in TRAINED:
        raise UserError(
            f"{deployment} does not train: eager and compile do, with {', '.join(TRAINED)}"
        )
    must_compute(wanted, device)
    place = torch.device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place.index or 0)
    allocator.keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    opened = open_checkpoint(Path(checkpoint))
    model, _ = load_network(opened, torch.device("cpu"))
    with np.load(inputs, allow_pickle=False) as file:
        drawn = {name: torch.from_numpy(file[name]) for name in file.files}
    return TrainingStep(opened, model, wanted, with_targets(drawn, opened.task), device)
