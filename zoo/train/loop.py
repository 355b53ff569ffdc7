"""The loop: one for every model, task and objective.

An optimizer step is N samples of the epoch's order, globally. Its loss is the sum over all of them
divided by the count of their valid targets, whatever the cut into passes and ranks; gradients are
accumulated as sums and divided once, together with clipping.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from tasks.base import Collate, Features, Objective, Task
from tasks.errors import UserError
from tasks.packed import PackedShape
from tasks.randomness import EpochView
from zoo.evaluation import constant_answer
from zoo.evaluation.loop import Evaluation, batches, evaluate
from zoo.machine.memory import out_of_memory
from zoo.machine.signals import Stopped, StopRequest, stop_on_signal
from zoo.train.args import TrainArgs, metric_for_best
from zoo.train.device_feed import DeviceFeed, Step
from zoo.train.methods.base import Hook
from zoo.train.optim.optimizer import make_optimizer, no_decay_names, set_learning_rates
from zoo.train.optim.schedules import lr_factor, plateau_warning
from zoo.train.optim.sharding import keep_integers_local, shard
from zoo.train.optimizer_step import MicroBatch, OptimizerStep, StepResult, entered
from zoo.train.reporting.device_log import DeviceLog
from zoo.train.resume import state as states
from zoo.train.resume.order import (
    MicroBatchIds,
    cut_packed,
    cut_step,
    epoch_order,
    pass_overhead,
)
from zoo.train.resume.progress import Progress, Watcher
from zoo.train.step_graphs import graphs_for
from zoo.train.time_limit import TimeLimit, schedule_of

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")


class Loop:
    """The training loop: steps, evaluations, logs and saved states, until the schedule ends
    (`run`)."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        objective: Objective,
        collate: Collate,
        train: Features,
        validation: Features | None,
        args: TrainArgs,
        accelerator: "Accelerator",
        folder: Path,
        watcher: Watcher,
        save_best: Callable[[nn.Module], None],
        dtype: torch.dtype,
        record: Mapping[str, Any] | None = None,
        hooks: Sequence[Hook] = (),
        packing: PackedShape | None = None,
        limit: TimeLimit | None = None,
    ) -> None:
        """Prepare the optimizer, hooks, schedule and device feed; `run` starts the training.

        Args:
            dtype: arithmetic of evaluations; training is in fp32 unless a hook changes it.
            record: stored as "run" in every saved state (`zoo.train.resume.run_record`).
            hooks: callbacks around steps, from `zoo.train.methods.known.hooks_of`.
            packing: the shape of every pass if `collate` packs samples, else None.
            limit: when the run has to be over.
        """
        self.record, self.hooks, self.packing = record, hooks, packing
        self.task, self.args, self.collate = task, args, collate
        self.best_by = metric_for_best(args, task)
        self.train_features, self.validation = train, validation
        self.accelerator, self.watcher, self.save_best = accelerator, watcher, save_best
        self.states = folder / "state"
        self.dtype = dtype
        self.module = model
        if args.fsdp:
            shard(model, accelerator.device, accelerator.num_processes)
        self.named: dict[str, Tensor] = dict(model.named_parameters())  # what is trained, in fp32
        for hook in hooks:
            self.named = hook.attach(model, self.named)
        self.optimizer = make_optimizer(list(self.named.items()), no_decay_names(model), args)
        compiled: Any = torch.compile(model, dynamic=True) if args.torch_compile else model
        keep_integers_local(compiled)
        self.model: nn.Module = compiled if args.fsdp else accelerator.prepare_model(compiled)
        self.computed = OptimizerStep(
            self.model, objective, self.optimizer, hooks, accelerator, args
        )
        for hook in hooks:
            hook.begin(self.computed.parameters)
        self.graphs = graphs_for(self.computed, watcher.note)
        self.feed = DeviceFeed(accelerator.device, args.dataloader_num_workers)
        ranks = accelerator.num_processes
        self.schedule = schedule_of(args, len(train), ranks, limit, watcher.fit)
        self._pass_overhead = pass_overhead(train.lengths, accelerator.device.type)
        self.progress = Progress(sampling=args.sampling_strategy(packing is not None))
        self.progress.threads = self._threads()
        self.log = DeviceLog(watcher, self.computed.deferred)
        self._saved_at = time.monotonic()
        self._mark = time.perf_counter()

    def _as_saved(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which the module has the weights that are saved: in fp32, and
        averaged if the run averages weights."""
        return entered(hook.as_saved() for hook in self.hooks)

    def run(self, resume: bool) -> Progress:
        """Train to the end of the schedule, or until patience runs out; return the progress.

        With `resume`, continue from the newest complete state, which must exist. Raises `Stopped`
        after saving where SIGINT or SIGTERM came, and `UserError` where the loss is not finite or
        memory or disk ran out; earlier states stay intact.
        """
        per_epoch = -(-self.schedule.epoch_size // self.schedule.step_size)
        steps, can_evaluate = (self.schedule.total_steps, per_epoch), self.validation is not None
        if warning := plateau_warning(self.args, *steps, can_evaluate=can_evaluate):
            self.watcher.note(warning)
        with self.graphs.stream() if self.graphs else contextlib.nullcontext():
            if resume:
                self._resume()
            elif self.accelerator.is_main_process:
                self.watcher.rewind(0)
            self.model.train()
            self._mark = time.perf_counter()
            with stop_on_signal() as stop:
                while not self._ended():
                    self._epoch(stop)
            self._settle()
            if self.progress.best is None:
                with self._as_saved():
                    self.save_best(self.module)
            self._save()
        return self.progress

    def _ended(self) -> bool:
        return self.progress.stopped_early or self.schedule.finished(self.progress.place)

    def _epoch(self, stop: StopRequest) -> None:
        """Train on the rest of the current epoch."""
        progress = self.progress
        with self.feed.steps(self._steps()) as steps:
            begin = time.perf_counter()
            for step in steps:
                progress.data_seconds += time.perf_counter() - begin
                self._step(step)
                self._after_step(self._agree(stop.signum))
                if self._ended():
                    return
                self.feed.keep_pace()  # who waits for the device does not wait for data
                begin = time.perf_counter()

    def _steps(self) -> Iterator[Step]:
        """Yield the remaining steps of the current epoch.

        A step is divided into passes when its first batch is prepared; workers prepare a few passes
        ahead.
        """
        args, place = self.args, self.progress.place
        by_length = self.progress.sampling == "group_by_length"
        order = epoch_order(self.train_features.lengths, args.seed, place.epoch, by_length)
        order = order[place.sample :]
        size = self.schedule.step_size
        ids_of_steps = (order[i : i + size] for i in range(0, len(order), size))
        steps, ahead = itertools.tee((ids, self._cut(ids)) for ids in ids_of_steps)
        chunks = (one.ids for _, passes in ahead for one in passes)
        workers, pin = args.dataloader_num_workers, self.accelerator.device.type == "cuda"
        seen = self.train_features.view(EpochView(args.seed, place.epoch))
        loader = batches(seen, self.collate, chunks, workers, pin)
        for ids, passes in steps:
            yield Step(ids, passes, [next(loader) for _ in passes])

    def _cut(self, ids: np.ndarray) -> list[MicroBatchIds]:
        """Return the passes of this rank over the samples of a step."""
        sizes = self.train_features.lengths, self.train_features.rows
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        if self.packing is not None:
            return cut_packed(ids, *sizes, world_size=world, shape=self.packing)[rank]
        ranks = cut_step(
            ids,
            *sizes,
            world_size=world,
            max_samples=self.progress.max_samples or self.args.per_device_train_batch_size,
            budget=self.args.token_budget,
            overhead=self._pass_overhead,
        )
        return ranks[rank]

    def _step(self, step: Step) -> None:
        progress, args = self.progress, self.args
        factor = lr_factor(
            args.lr_scheduler_type,
            self.schedule.steps_done(progress.place),
            self.schedule.total_steps,
            args.warmup_steps,
        )
        factor *= progress.plateau.factor
        set_learning_rates(self.optimizer, factor)
        done = self.schedule.steps_done(progress.place) / self.schedule.total_steps
        for hook in self.hooks:
            hook.before_step(done)
        result = self._new_weights(step)
        self.log.add(result.logs)
        self.watcher.samples(progress.step, progress.place, step.ids)
        progress.step += 1
        progress.samples += len(step.ids)
        progress.units += float(self.train_features.lengths[step.ids].sum())
        progress.place = progress.place.after(len(step.ids), self.schedule.epoch_size)
        self._count_time()
        self.watcher.step(progress, len(step.ids))
        if progress.step % args.logging_steps == 0:
            self._log(factor * args.learning_rate, result.norm)

    def _count_time(self) -> None:
        """Add the seconds since the last call to the training time, and start counting from now."""
        now = time.perf_counter()
        self.progress.seconds += now - self._mark
        self._mark = now

    def _new_weights(self, step: Step) -> StepResult:
        """Compute a step and update the weights; a replayed step is checked only after the
        update."""
        progress = self.progress
        checked = False

        def plain() -> StepResult:
            nonlocal checked
            self._gradients_that_fit(step)
            result, checked = self.computed.finish(), True
            self.log.check(progress.step, step.ids, result.loss, result.passed)
            self.computed.update()
            return result

        if self.graphs is None:
            return plain()
        result = self.graphs.run(self._micro_batches(step), plain)
        if not checked:
            self.log.check(progress.step, step.ids, result.loss, result.passed)
        return result

    def _gradients_that_fit(self, step: Step) -> None:
        """Accumulate the gradients of a step, in smaller passes after an out-of-memory error if
        `--auto_find_batch_size` allows it; else raise `UserError`."""
        limit = self.progress.max_samples
        if limit and any(len(one.ids) > limit for one in step.passes):
            step = self._recut(step)
        try:
            self._with_room(lambda: self.computed.accumulate(self._micro_batches(step)))
            return
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            largest = max(len(one.ids) for one in step.passes)
            alone = self.accelerator.num_processes == 1
            if not (self.args.auto_find_batch_size and largest > 1 and alone):
                raise UserError(
                    f"out of memory with {largest} samples in a pass: lower "
                    "`per_device_train_batch_size` (and raise `gradient_accumulation_steps` to "
                    "keep the step), `max_length` or `token_budget`, or turn on "
                    "`gradient_checkpointing` or `auto_find_batch_size`"
                ) from error
        self.progress.max_samples = largest // 2
        self.watcher.note(f"out of memory: passes of {largest // 2} samples from here on")
        self.computed.drop_gradients()
        if self.graphs:
            self.graphs.drop("memory is short")
        self._gradients_that_fit(step)

    def _with_room(self, work: Callable[[], T]) -> T:
        """Return the result of `work`; if memory runs out, free that of recorded steps and try once
        more."""
        return self.graphs.with_room(work) if self.graphs else work()

    def _recut(self, step: Step) -> Step:
        passes = self._cut(step.ids)
        seen = self.train_features.view(EpochView(self.args.seed, self.progress.place.epoch))
        loaded = batches(seen, self.collate, [one.ids for one in passes])
        return Step(step.ids, passes, list(loaded))

    def _micro_batches(self, step: Step) -> list[MicroBatch]:
        """Return the batches of a step with their seeds.

        What a network draws from torch's generator (dropout, transformers' own SpecAugment) follows
        from the position of the pass, so no random state is saved; a step divided differently draws
        differently. What is drawn for a sample comes in its batch (`tasks.base.Objective`).
        """
        place, rank = self.progress.place, self.accelerator.process_index
        found = []
        for i, (one, batch) in enumerate(zip(step.passes, step.batches, strict=True)):
            key = [self.args.seed, place.epoch, place.sample, rank, i]
            seed = np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1
            found.append(MicroBatch(batch, float(one.counts), int(seed)))
        return found

    def _agree(self, signum: int | None) -> int | None:
        """Return the signal that any rank has received, or None: all ranks must stop at the same
        step."""
        if self.accelerator.num_processes == 1:
            return signum
        mine = torch.tensor([float(signum or 0)], device=self.accelerator.device)
        highest = int(self.accelerator.gather(mine).max())
        return highest or None

    def _after_step(self, signum: int | None) -> None:
        args, progress = self.args, self.progress
        epoch_ended = progress.place.sample == 0
        ended = self.schedule.finished(progress.place)
        due = {
            "epoch": epoch_ended or ended,
            "steps": progress.step % args.eval_steps == 0 or ended,
            "no": False,
        }[args.eval_strategy]
        if due and self.validation is not None:
            self._settle()
            self._evaluate(self.validation)
            self._mark = time.perf_counter()  # evaluating and saving are not training
        minutes = (time.monotonic() - self._saved_at) / 60
        by_step = args.save_steps is not None and progress.step % args.save_steps == 0
        by_time = args.save_minutes is not None and self._main_says(minutes >= args.save_minutes)
        if signum is not None or by_step or by_time:
            self._settle()
            self._save(signum)
            self._mark = time.perf_counter()
        if signum is not None:
            raise Stopped(signum, str(self.states))

    def _settle(self) -> None:
        """Wait for the queued steps, so that their time counts as training and their errors are
        raised before their weights are evaluated or saved."""
        self.log.flush()
        if self.accelerator.device.type == "cuda":
            torch.cuda.current_stream(self.accelerator.device).synchronize()
        self._count_time()

    def _main_says(self, mine: bool) -> bool:
        if self.accelerator.num_processes == 1:
            return mine
        answer = torch.tensor([float(mine and self.accelerator.is_main_process)])
        return bool(self.accelerator.gather(answer.to(self.accelerator.device)).max())

    def _evaluate(self, features: Features) -> Evaluation:
        with self._as_saved():
            found = self._with_room(
                lambda: evaluate(
                    self.model,
                    self.task,
                    features,
                    batch_size=self.args.per_device_eval_batch_size,
                    accelerator=self.accelerator,
                    dtype=self.dtype,
                    workers=self.args.dataloader_num_workers,
                    split="validation",
                )
            )
            metric, progress = self.best_by, self.progress
            value = found.loss if metric.name == "loss" else found.value(metric.name)
            sign = 1 if metric.greater_is_better else -1
            gain = np.inf if progress.best is None else sign * (value - progress.best)
            if gain > self.args.early_stopping_threshold:
                progress.evaluations_without_gain = 0
            else:  # also where the metric is not a number
                progress.evaluations_without_gain += 1
            if better := bool(gain > 0 and np.isfinite(value)):
                progress.best = value
                self.save_best(self.module)
        patience = self.args.early_stopping_patience
        progress.stopped_early = (
            patience is not None and progress.evaluations_without_gain >= patience
        )
        record = {name: value for name, value in found.values.items() if np.isfinite(value)}
        self.watcher.log(
            {
                "step": progress.step,
                "epoch": round(self._epochs(), 4),
                "split": "validation",
                "loss": found.loss,
                "best": better,
                **record,
            }
        )
        if (warning := constant_answer.warning(self.task, found.accumulator)) is not None:
            self.watcher.note(f"on validation {warning}")
        if (lowered := progress.plateau.follow(value, metric, self.args)) is not None:
            self.watcher.note(lowered)
        return found

    def _epochs(self) -> float:
        place = self.progress.place
        return place.epoch + place.sample / self.schedule.epoch_size

    def _log(self, learning_rate: float, norm: Tensor) -> None:
        progress = self.progress
        self.log.record(
            {
                "step": progress.step,
                "epoch": round(self._epochs(), 4),
                "split": "train",
                "learning_rate": learning_rate,
                "samples_per_second": progress.samples / progress.seconds,
                f"{self.task.unit}_per_second": progress.units / progress.seconds,
                "data_wait": progress.data_seconds / progress.seconds,
            },
            norm,
        )

    def _save(self, signum: int | None = None) -> None:
        self._saved_at = time.monotonic()
        self.log.flush()
        tensors = {  # on every rank: sharded tensors are put together by all
            "weights": states.model_tensors(self.module, self.named),
            "optimizer": states.optimizer_tensors(self.optimizer, self.module),
        }
        for hook in self.hooks:
            tensors |= hook.state()
        if self.accelerator.is_main_process:
            self.watcher.flush()
            losses = [float(loss) for loss in self.log.losses]
            logs = {name: [float(x) for x in values] for name, values in self.log.logs.items()}
            pending = {"pending_losses": losses, "pending_logs": logs}
            progress = asdict(self.progress) | {"signal": signum, "run": self.record} | pending
            try:
                states.save(self.states, self.progress.step, tensors, progress)
            except OSError as error:
                raise UserError(
                    f"can't save to {self.states}: {error.strerror or error}; the last good state "
                    "stays: free some space, then go on with `resume`"
                ) from error
            states.prune(self.states, self.args.save_total_limit)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        found, complaints = states.newest(self.states)
        for complaint in complaints:
            self.watcher.note(complaint)
        assert found is not None, "who asks to resume has seen a whole state"
        try:
            states.load_model_tensors(self.module, found.tensors["weights"], self.named)
            states.load_optimizer_tensors(self.optimizer, found.tensors["optimizer"], self.module)
            for hook in self.hooks:
                hook.load_state(found.tensors)
        except (KeyError, RuntimeError) as error:
            raise UserError(
                f"the state in {self.states} is of another model or way of training ({error}): go "
                "on with the `model`, `tune`, `optim`, `ema_decay`, `fsdp` and `speedups` of then"
            ) from error
        device = self.accelerator.device
        self.log.losses = [torch.tensor(x, device=device) for x in found.progress["pending_losses"]]
        self.log.logs = {
            name: [torch.tensor(x, device=device) for x in values]
            for name, values in found.progress.get("pending_logs", {}).items()
        }
        self.progress = Progress.read(dict(found.progress))
        self.progress.threads = self._threads()
        patience = self.args.early_stopping_patience  # may be another one by now
        self.progress.stopped_early &= (
            patience is not None and self.progress.evaluations_without_gain >= patience
        )
        self._refuse_shorter()
        if self.accelerator.is_main_process:
            self.watcher.rewind(self.progress.step)
        self.watcher.note(f"going on at step {self.progress.step}, epoch {self._epochs():.2f}")
        changes = (self.record or {}).get("changes", [])
        if changes and changes[-1]["step"] == self.progress.step:
            for name, (then, now) in changes[-1]["flags"].items():
                self.watcher.note(f"from here on `{name}` is {now}, not {then}")

    def _threads(self) -> int | None:
        """Return the threads that decide the last bits of what is computed; None on a GPU."""
        return torch.get_num_threads() if self.accelerator.device.type == "cpu" else None

    def _refuse_shorter(self) -> None:
        """Raise `UserError` for a schedule that ends before the position of the resumed state."""
        done, total = self.schedule.steps_done(self.progress.place), self.schedule.total_steps
        if done >= total + 1 and not self.progress.stopped_early:
            flag = "max_steps" if self.args.max_steps > 0 else "num_train_epochs"
            raise UserError(
                f"`{flag}` {getattr(self.args, flag)} ends before the state in {self.states} (step "
                f"{self.progress.step}, epoch {self._epochs():.2f}): give more"
            )
