"""What an optimizer step computes on the device: from batches to new weights.

Nothing here reads a value from the device, so that steps are queued ahead of it and one that was
recorded can be replayed (`zoo.train.step_graphs`). FSDP alone waits: it scales by a number.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tasks.base import Batch, Loss, Objective
from zoo.train.methods.base import Hook
from zoo.train.optim.optimizer import skips_by_itself
from zoo.train.optim.sharding import local, whole

if TYPE_CHECKING:
    from accelerate import Accelerator

    from zoo.train.args import TrainArgs


@dataclass(frozen=True)
class MicroBatch:
    """The batch of one forward and backward pass, with its weight and seed."""

    batch: Batch
    weight: float  # 0: only there so that every rank makes as many passes; else 1
    seed: int  # of what the network draws from torch's stream


@dataclass(frozen=True)
class StepResult:
    """The loss, gradient norm and logs of a step, as tensors on the device."""

    loss: Tensor  # float32 scalar: a mean over the targets of the whole step
    norm: Tensor  # float32 scalar: of the gradients, before they were clipped
    passed: Tensor  # bool [2]: whether loss and norm are finite, or may be otherwise for now
    logs: Mapping[str, Tensor]  # scalars: what the objective logs, means over the targets

    def packed(self) -> Tensor:
        """Return all values as one tensor, float32 [4 + logs]."""
        values = torch.stack([self.loss, self.norm, *self.logs.values()]).float()
        return torch.cat([values[:2], self.passed.float(), values[2:]])

    @classmethod
    def unpacked(cls, packed: Tensor, names: Sequence[str]) -> "StepResult":
        """Return the result that `packed` turned into this tensor, given the names of its logs."""
        logs = dict(zip(names, packed[4:], strict=True))
        return cls(packed[0], packed[1], packed[2:4] > 0, logs)


class OptimizerStep:
    """Computes gradients of the micro-batches of a step (`add`), then new weights (`finish`,
    `update`)."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        hooks: Sequence[Hook],
        accelerator: "Accelerator",
        args: "TrainArgs",
    ) -> None:
        """Args: model: the model to call: compiled or wrapped, if it is."""
        self.model, self.objective, self.optimizer = model, objective, optimizer
        self.hooks, self.accelerator, self.args = hooks, accelerator, args
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.scaler = next((hook.scaler for hook in hooks if hook.scaler is not None), None)
        # whether a step that is not finite is found on the device, which skips it by itself
        self.deferred = accelerator.device.type == "cuda" and skips_by_itself(optimizer)
        self._sums = torch.zeros(1, device=accelerator.device)
        self._names: list[str] = []
        self._found_inf: Tensor | None = None

    def accumulate(self, batches: Sequence[MicroBatch]) -> None:
        """Accumulate the gradients of the summed loss of all micro-batches."""
        for i, one in enumerate(batches):
            if self.accelerator.device.type == "cpu":
                # `torch.manual_seed` formats a stack trace for each kind of GPU in its turn
                torch.default_generator.manual_seed(one.seed)
            else:
                torch.manual_seed(one.seed)
            self.add(one.batch, one.weight, i == 0, i == len(batches) - 1)

    def add(self, batch: Batch, weight: float, first: bool, last: bool) -> None:
        """Run a forward and a backward pass over one micro-batch, and accumulate its gradients.

        Args: first, last: whether this is the first or the last micro-batch of the step.
        """
        with self._synchronized(last):
            self.backward(self.forward(batch), weight, first)

    def forward(self, batch: Batch) -> Loss:
        """Return the loss of a micro-batch."""
        device = self.accelerator.device
        with entered(hook.computing() for hook in self.hooks):
            return self.objective(self.model, batch if device.type == "cpu" else batch.to(device))

    def backward(self, loss: Loss, weight: float, first: bool) -> None:
        """Accumulate the gradients of a micro-batch, and its loss.

        Args: first: whether this is the first micro-batch of the step.
        """
        total = loss.sum if weight == 1 else loss.sum * weight
        if self.scaler is not None:
            total = total * self.scaler.scale
        total.backward()
        for hook in self.hooks:
            hook.after_backward()
        self._names = list(loss.logs)
        sums = torch.stack((loss.sum.detach(), loss.count, *loss.logs.values())).float()
        if weight != 1:
            sums = sums * weight
        self._sums = sums if first else self._sums + sums

    def finish(self) -> StepResult:
        """Divide the gradients by the global count of targets and clip them; return the step's
        result."""
        sums = self._sums
        if self.accelerator.num_processes > 1:
            sums = self.accelerator.reduce(sums, "sum")
        count = sums[1]
        logs = {n: total / count for n, total in zip(self._names, sums[2:], strict=True)}
        loss, norm = sums[0] / count, self._finish_gradients(count)
        passed = torch.stack([loss.detach(), norm.detach()]).isfinite()
        if self.deferred:
            self._found_inf = (~passed.all()).float()
            self.optimizer.found_inf = self._found_inf  # type: ignore[attr-defined]
            if self.scaler is not None:
                passed = self.scaler.after_step(passed, self._found_inf)
        return StepResult(loss.detach(), norm.detach(), passed, logs)

    def update(self) -> None:
        """Step the optimizer and drop the gradients."""
        self.optimizer.step()
        self.optimizer.zero_grad()
        for hook in self.hooks:
            hook.after_step(self._found_inf)

    def drop_gradients(self) -> None:
        """Discard the accumulated gradients and losses of a step that was abandoned."""
        self.optimizer.zero_grad()
        self.model.zero_grad()

    @property
    def log_names(self) -> list[str]:
        """Return the names of the values that the objective logged in the last pass."""
        return self._names

    def _synchronized(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Return a context in which ranks share gradients only in the last pass of a step."""
        if self.args.fsdp:
            self.model.set_requires_gradient_sync(last)  # type: ignore[operator]
        elif not last:
            no_sync: contextlib.AbstractContextManager[Any] = self.accelerator.no_sync(self.model)
            return no_sync
        return contextlib.nullcontext()

    def _finish_gradients(self, count: Tensor) -> Tensor:
        """Divide the summed gradients by the count and clip them; return their norm before
        clipping."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        # ranks have averaged their sums; undo that
        scale = self.accelerator.num_processes / count
        if self.scaler is not None:
            scale = scale / self.scaler.scale
        if self.args.l1:
            decayed = [
                p
                for group in self.optimizer.param_groups
                if group["weight_decay"] or not self.args.weight_decay
                for p in group["params"]
                if p.grad is not None and p.ndim > 1
            ]
            for p in decayed:
                assert p.grad is not None
                p.grad.add_(p.detach().sign() / scale, alpha=self.args.l1)
        norm: Tensor = whole(torch.nn.utils.get_total_norm(gradients)) * scale
        left = norm
        if (most := self.args.max_grad_value) > 0:  # of the gradients themselves: scale them first
            self._scale(gradients, scale)
            parts = [local(gradient) for gradient in gradients]
            torch._foreach_clamp_min_(parts, -most)
            torch._foreach_clamp_max_(parts, most)
            left = whole(torch.nn.utils.get_total_norm(gradients))
            scale = torch.ones_like(scale)
        if self.args.max_grad_norm > 0:
            scale = scale * torch.clamp(self.args.max_grad_norm / (left + 1e-6), max=1.0)
        self._scale(gradients, scale)
        return norm

    def _scale(self, gradients: list[Tensor], scale: Tensor) -> None:
        torch._foreach_mul_(gradients, float(scale) if self.args.fsdp else scale)


@contextlib.contextmanager
def entered(contexts: Iterable[contextlib.AbstractContextManager[Any]]) -> Iterator[None]:
    """Context manager that enters several contexts, the first of them outermost."""
    with contextlib.ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield
