"""What can be said about training: the flags of its components, side by side. Names and meanings
are those of transformers' TrainingArguments.

Nothing here imports torch, and neither do the other files called `args`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tasks.bounds import BelowOne, Bounded, Bounds, Count, NotNegative, Positive, Seed, Threads
from tasks.errors import UserError
from zoo.train.methods.args import (
    AverageArgs,
    DistillationArgs,
    PackingArgs,
    QuantizationArgs,
    TuningArgs,
    UnlabelledArgs,
    check_distillation,
    check_packing,
    check_quantization,
    check_unlabelled,
)
from zoo.train.optim.args import (
    LearningRateArgs,
    OptimizerArgs,
    check_learning_rate,
    check_optimizer,
)

if TYPE_CHECKING:
    from tasks.base import Task
    from tasks.metrics import MetricSpec

Epochs = Annotated[float, Bounds(0, above=True)]


@dataclass(frozen=True)
class ScheduleArgs(Bounded):
    """How long is trained, and in which steps."""

    output_dir: str | None = None
    """where the checkpoint goes; runs/MODEL by default"""
    num_train_epochs: Epochs = 3.0
    """passes over the training data; may be a fraction"""
    max_steps: Annotated[int, Bounds(-1, 10**9)] = -1
    """optimizer steps; overrides num_train_epochs when positive"""
    minutes: Positive | None = None
    """for everything, the last evaluation included: the steps that fit, and no more than these"""
    per_device_train_batch_size: Count = 32
    """samples of a device in one pass; times accumulation and devices it makes an optimizer step"""
    per_device_eval_batch_size: Count = 64
    """samples of a device in one evaluation pass"""
    gradient_accumulation_steps: Count = 1
    """passes whose gradients make one optimizer step"""
    token_budget: Count | None = None
    """most tokens (pixels, seconds), padding included, in one pass; no effect on the result"""


def check_schedule(args: "TrainArgs") -> None:
    """Raise `UserError` for a run that would take no optimizer step."""
    if args.max_steps == 0:
        raise UserError("`max_steps` 0: at least 1, or -1, so that `num_train_epochs` counts")


@dataclass(frozen=True)
class LossArgs(Bounded):
    """What changes the loss itself."""

    label_smoothing_factor: BelowOne = 0.0
    """label smoothing"""
    l1: NotNegative = 0.0
    """weight of the sum of absolute weights in the loss; biases and norms are spared"""


@dataclass(frozen=True)
class ExecutionArgs(Bounded):
    """Where and how a step is computed."""

    torch_compile: bool = False
    """compile the model with torch.compile"""
    compile_layers: Literal["auto", "on", "off"] = "auto"
    """compile the layers that a model repeats, all at the cost of one; auto does on a GPU where the
    training is long enough to win more time than that takes"""
    speedups: bool = True
    """faster training that computes the same; off to compare"""
    cuda_graphs: Literal["auto", "on", "off"] = "auto"
    """record an optimizer step once for each shape of its batches and replay it, on NVIDIA's GPUs:
    no time goes into launching kernels; auto does where it can"""
    fsdp: bool = False
    """spread weights, gradients and optimizer state over processes (FSDP2)"""
    auto_find_batch_size: bool = False
    """halve the size of a pass when memory runs out; the optimizer step stays what it is"""
    dtype: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    """arithmetic of training; auto is bf16 where the processor or GPU has it, else fp32. tf32
    rounds what is multiplied, fp16 scales the loss: both on NVIDIA's GPUs. Weights stay fp32"""
    device: str = "auto"
    """cuda, mps or cpu; auto takes the first of them that is there"""
    threads: Threads | None = None
    """of the processor; by default as many as there are cores, or fewer where a short measurement
    shows that they get less than that and fewer are faster; OMP_NUM_THREADS is kept to"""


def check_execution(args: "TrainArgs") -> None:
    """Raise `UserError` for flags that compile layers twice, flags that compile layers another flag
    must read, and an optimizer that can't skip the steps lost in fp16."""
    if args.compile_layers == "on" and args.torch_compile:
        raise UserError("`torch_compile` compiles the layers too: leave `compile_layers` on away")
    if args.compile_layers == "on" and (args.qat or args.distill_hidden):
        flag = "qat" if args.qat else "distill_hidden"
        raise UserError(f"`{flag}` reads layers that `compile_layers` on melts: leave one away")
    if args.dtype == "fp16" and args.optim not in ("adamw", "adam", "sgd"):
        raise UserError(
            f"`dtype` fp16 skips steps that overflow, and `optim` {args.optim} has no kernel that "
            "does: adamw, adam and sgd have"
        )


@dataclass(frozen=True)
class EvaluationArgs(Bounded):
    """When a run is evaluated, and what follows from it."""

    eval_strategy: Literal["epoch", "steps", "no"] = "epoch"
    """when to evaluate on the validation split"""
    eval_steps: Count = 500
    """optimizer steps between evaluations, with eval_strategy steps"""
    metric_for_best_model: str | None = None
    """metric that decides which checkpoint is the best, and early stopping; `loss` is that on the
    validation split; the task's main metric by default"""
    early_stopping_patience: Count | None = None
    """stop after this many evaluations without a better metric"""
    early_stopping_threshold: NotNegative = 0.0
    """what counts as better"""


def metric_for_best(args: EvaluationArgs, task: "Task") -> "MetricSpec":
    """Return the metric that decides which checkpoint is the best.

    Raises `UserError` if the task does not measure the metric that the flags name.
    """
    name = args.metric_for_best_model
    if name is None:
        return task.primary
    from tasks.metrics.spec import metric_spec

    known = [*(one.name for one in task.accumulator().compute()), "loss"]
    name = name.removeprefix("eval_")  # which transformers' names may have
    if name not in known:
        raise UserError(
            f"`metric_for_best_model` {args.metric_for_best_model}: this task measures "
            f"{', '.join(known[:-1])}, and the {known[-1]}"
        )
    return metric_spec(name)


@dataclass(frozen=True)
class StateArgs(Bounded):
    """When a run saves what it needs to go on."""

    save_steps: Count | None = None
    """optimizer steps between saved states"""
    save_minutes: NotNegative | None = 10.0
    """minutes between saved states"""
    save_total_limit: Count = 2
    """saved states kept; the best checkpoint is kept beside them"""
    resume: bool = False
    """go on from the newest saved state; where there is none, begin anew"""


@dataclass(frozen=True)
class LoggingArgs(Bounded):
    """What is told of a run, and what its numbers are drawn from."""

    logging_steps: Count = 10
    """optimizer steps between log lines"""
    report_to: Literal["tensorboard", "trackio", "wandb", "none"] = "tensorboard"
    """where curves go, beside the log"""
    seed: Seed = 42
    """decides order, dropout and new weights"""
    dataloader_num_workers: Annotated[int, Bounds(0, 1024)] = 0
    """processes that prepare batches; 0 prepares them in the main one"""


@dataclass(frozen=True)
class TrainArgs(  # the last has the first fields: `--help` begins with them
    LoggingArgs,
    StateArgs,
    EvaluationArgs,
    PackingArgs,
    ExecutionArgs,
    TuningArgs,
    QuantizationArgs,
    DistillationArgs,
    UnlabelledArgs,
    AverageArgs,
    LossArgs,
    LearningRateArgs,
    OptimizerArgs,
    ScheduleArgs,
):
    """How a model is trained."""


CHECKS = (
    check_schedule,
    check_optimizer,
    check_learning_rate,
    check_execution,
    check_unlabelled,
    check_distillation,
    check_quantization,
    check_packing,
)


def check(args: TrainArgs) -> None:
    """Raise `UserError` for the first flag that contradicts another one."""
    for one in CHECKS:
        one(args)
