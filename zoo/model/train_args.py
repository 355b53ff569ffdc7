"""What can be said about training. Names and meanings are those of transformers'
TrainingArguments."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tasks.bounds import BelowOne, Bounded, Bounds, Count, NotNegative, Positive, Seed, Share
from tasks.errors import UserError

if TYPE_CHECKING:
    from tasks.base import Task
    from tasks.metrics import MetricSpec

Epochs = Annotated[float, Bounds(0, above=True)]
Dropout = Annotated[float, Bounds(0, 1, below=True, said=" is no probability below 1")]


@dataclass(frozen=True)
class TrainArgs(Bounded):
    """How a model is trained."""

    output_dir: str | None = None
    """where the checkpoint goes; runs/MODEL by default"""
    num_train_epochs: Epochs = 3.0
    """passes over the training data; may be a fraction"""
    max_steps: Annotated[int, Bounds(-1, 10**9)] = -1
    """optimizer steps; overrides num_train_epochs when positive"""
    per_device_train_batch_size: Count = 32
    """samples of a device in one pass; times accumulation and devices it makes an optimizer step"""
    per_device_eval_batch_size: Count = 64
    """samples of a device in one evaluation pass"""
    gradient_accumulation_steps: Count = 1
    """passes whose gradients make one optimizer step"""
    token_budget: Count | None = None
    """most tokens (pixels, seconds), padding included, in one pass; no effect on the result"""

    optim: Literal["adamw", "adam", "sgd", "rmsprop", "adamax"] = "adamw"
    """optimizer; sgd and rmsprop use `momentum`"""
    learning_rate: NotNegative = 5e-5
    """peak learning rate"""
    weight_decay: NotNegative = 0.0
    """decay of weights; biases and norms are spared"""
    adam_beta1: BelowOne = 0.9
    """Adam's decay of the first moment"""
    adam_beta2: BelowOne = 0.999
    """Adam's decay of the second moment"""
    adam_epsilon: NotNegative = 1e-8
    """Adam's epsilon"""
    momentum: BelowOne = 0.9
    """momentum of sgd and rmsprop"""
    max_grad_norm: NotNegative = 1.0
    """clip the global gradient norm to this; 0 clips nothing"""
    lr_scheduler_type: Literal["linear", "cosine", "constant", "exponential"] = "linear"
    """learning rate after warmup; exponential falls to 1% at the end"""
    warmup_steps: NotNegative = 0.0
    """steps of linear warmup; below 1, a share of all steps"""
    label_smoothing_factor: BelowOne = 0.0
    """label smoothing"""
    l1: NotNegative = 0.0
    """weight of the sum of absolute weights in the loss; biases and norms are spared"""
    ema_decay: BelowOne = 0.0
    """decay of an exponential moving average of the weights, which is then what is saved; 0 is
    off"""

    ssl: Literal["none", "pseudo", "fixmatch"] = "none"
    """learn from `unlabeled` as well: pseudo learns the model's own sure predictions, fixmatch
    learns them on strongly varied examples"""
    unlabeled: str | None = None
    """data without labels: a file, folder or Hub id, or "rest": the training rows that
    --max_train_samples leaves out"""
    unlabeled_ratio: Count = 7
    """unlabelled samples beside each labelled one"""
    ssl_threshold: BelowOne = 0.95
    """probability from which a prediction counts as sure"""
    ssl_weight: NotNegative = 1.0
    """weight of the unlabelled loss"""

    teacher: str | None = None
    """checkpoint of the same task, labels and inputs whose predictions are learned beside the
    labels"""
    distill_temperature: Annotated[float, Bounds(0, above=True, said=": more than 0")] = 2.0
    """softens both predictions, as in section 4 of Hinton et al. 2015; 1 leaves them as they are"""
    distill_alpha: Share = 0.5
    """share of the teacher in the loss; the labels have the rest"""
    distill_hidden: NotNegative = 0.0
    """weight of the squared distance of the layers' outputs to the teacher's, of equal shape"""

    qat: str | None = None
    """checkpoint of this model to train on while its layers compute as static int8 will
    (quantization-aware training), all else as in its training, but shorter; then quantize"""

    tune: Literal["full", "head", "gradual", "lora"] = "full"
    """what is trained: all; the head; head first and then layer by layer; low-rank adapters"""
    lora_r: Count = 8
    """rank of LoRA's matrices"""
    lora_alpha: Positive = 16.0
    """LoRA's scale, divided by the rank"""
    lora_dropout: BelowOne = 0.05
    """dropout before LoRA's matrices"""
    layerwise_lr_decay: Positive = 1.0
    """each layer learns this much slower than the one above it (Howard & Ruder 2018 use 1/2.6)"""
    dropout: Dropout | None = None
    """dropout everywhere in the network; the model's own by default"""
    gradient_checkpointing: bool = False
    """recompute activations in the backward pass: less memory, more time"""
    torch_compile: bool = False
    """compile the model with torch.compile"""
    speedups: bool = True
    """faster training that computes the same; off to compare"""
    fsdp: bool = False
    """spread weights, gradients and optimizer state over processes (FSDP2)"""
    auto_find_batch_size: bool = False
    """halve the size of a pass when memory runs out; the optimizer step stays what it is"""
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """arithmetic of training; auto is bf16 where the processor or GPU has it. Weights stay fp32"""
    device: str = "auto"
    """cuda, mps or cpu; auto takes the first of them that is there"""

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

    save_steps: Count | None = None
    """optimizer steps between saved states"""
    save_minutes: NotNegative | None = 10.0
    """minutes between saved states"""
    save_total_limit: Count = 2
    """saved states kept; the best checkpoint is kept beside them"""
    resume: bool = False
    """go on from the newest saved state; where there is none, begin anew"""

    logging_steps: Count = 10
    """optimizer steps between log lines"""
    report_to: Literal["tensorboard", "trackio", "wandb", "none"] = "tensorboard"
    """where curves go, beside the log"""
    seed: Seed = 42
    """decides order, dropout and new weights"""
    dataloader_num_workers: Annotated[int, Bounds(0, 1024)] = 0
    """processes that prepare batches; 0 prepares them in the main one"""


def metric_for_best(args: TrainArgs, task: "Task") -> "MetricSpec":
    """The metric that decides which checkpoint is the best.

    Raises `UserError` for one that the task does not measure.
    """
    name = args.metric_for_best_model
    if name is None:
        return task.primary
    from tasks.metrics.spec import metric_spec

    known = [*(one.name for one in task.tally().compute()), "loss"]
    name = name.removeprefix("eval_")  # which transformers' names may have
    if name not in known:
        raise UserError(
            f"--metric_for_best_model {args.metric_for_best_model}: this task measures "
            f"{', '.join(known[:-1])}, and the {known[-1]}"
        )
    return metric_spec(name)


DISTILLING = ("distill_temperature", "distill_alpha", "distill_hidden")


def check(args: TrainArgs) -> None:
    """Raises `UserError` for the first thing that makes no sense beside the others."""
    if args.max_steps == 0:
        raise UserError("--max_steps 0: at least 1, or -1, so that --num_train_epochs counts")
    if args.ssl != "none" and args.unlabeled is None:
        raise UserError(f"--ssl {args.ssl} wants --unlabeled DATA, or --unlabeled rest")
    if args.ssl == "none" and args.unlabeled is not None:
        raise UserError(f"--unlabeled {args.unlabeled} wants --ssl pseudo or --ssl fixmatch")
    _check_distillation(args)
    _check_qat(args)


def _check_qat(args: TrainArgs) -> None:
    if args.qat is None:
        return
    if args.dtype != "fp32":
        raise UserError(
            f"--qat rounds to 8 bits, and bf16 has no more: --dtype fp32, not {args.dtype}"
        )
    if args.tune != "full" or args.fsdp or args.torch_compile:
        other = f"tune {args.tune}" if args.tune != "full" else "fsdp"
        other = "torch_compile" if args.torch_compile else other
        raise UserError(f"--qat changes what layers compute: leave --{other} away")


def _check_distillation(args: TrainArgs) -> None:
    if args.teacher is None:
        for name in DISTILLING:
            if getattr(args, name) != getattr(TrainArgs, name):
                raise UserError(f"--{name} {getattr(args, name)} wants --teacher CHECKPOINT")
        return
    if args.ssl != "none":
        raise UserError(f"--teacher teaches on labelled data alone: leave it or --ssl {args.ssl}")
    if args.distill_hidden and args.torch_compile:
        raise UserError("--distill_hidden reads layers that --torch_compile melts: leave one away")
