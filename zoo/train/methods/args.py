"""Flags of the methods of training, each with what it can't stand beside it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tasks.bounds import BelowOne, Bounded, Bounds, Count, NotNegative, Positive, Share
from tasks.errors import UserError

if TYPE_CHECKING:
    from zoo.train.args import TrainArgs

Dropout = Annotated[float, Bounds(0, 1, below=True, said=" is no probability below 1")]


@dataclass(frozen=True)
class AverageArgs(Bounded):
    """See `zoo.train.methods.ema`."""

    ema_decay: BelowOne = 0.0
    """decay of an exponential moving average of the weights, which is then what is saved; 0 is
    off"""


@dataclass(frozen=True)
class PackingArgs(Bounded):
    """See `zoo.train.methods.packing`."""

    packing: Literal["auto", "on", "off"] = "auto"
    """texts lie one after the other in rows of one size, without padding; auto packs on a GPU where
    the model can"""
    train_sampling_strategy: Literal["auto", "random", "group_by_length"] = "auto"
    """order of an epoch; group_by_length keeps samples of similar length together, so that little
    is padded; auto is random where samples are packed, which have no padding"""

    def sampling_strategy(self, is_packed: bool) -> str:
        """Return the order of an epoch, `random` or `group_by_length`: the flag's value if given,
        else the faster one."""
        if self.train_sampling_strategy != "auto":
            return self.train_sampling_strategy
        return "random" if is_packed else "group_by_length"


def not_packed(args: "TrainArgs") -> str | None:
    """Return the flag that can't be combined with packed samples, or None."""
    flags = {
        "teacher": args.teacher is not None,
        "ssl": args.ssl != "none",
        "qat": args.qat is not None,
        "fsdp": args.fsdp,
        "torch_compile": args.torch_compile,  # which fails on it; single layers can be compiled
        "auto_find_batch_size": args.auto_find_batch_size,  # smaller passes have the same shape
    }
    return next((name for name, is_given in flags.items() if is_given), None)


def check_packing(args: "TrainArgs") -> None:
    """Raise `UserError` for a flag that can't be combined with packed samples."""
    if args.packing == "on" and (other := not_packed(args)):
        raise UserError(f"`packing` on can't stand beside `{other}`: leave one of them away")


@dataclass(frozen=True)
class UnlabelledArgs(Bounded):
    """See `zoo.train.methods.semi_supervised`."""

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


def check_unlabelled(args: "TrainArgs") -> None:
    """Raise `UserError` if only one of `ssl` and `unlabeled` is given."""
    if args.ssl != "none" and args.unlabeled is None:
        raise UserError(f"`ssl` {args.ssl} wants `unlabeled` DATA, or `unlabeled` rest")
    if args.ssl == "none" and args.unlabeled is not None:
        raise UserError(f"`unlabeled` {args.unlabeled} wants `ssl` pseudo or `ssl` fixmatch")


@dataclass(frozen=True)
class DistillationArgs(Bounded):
    """See `zoo.train.methods.distillation`."""

    teacher: str | None = None
    """checkpoint of the same task, labels and inputs whose predictions are learned beside the
    labels"""
    distill_temperature: Annotated[float, Bounds(0, above=True, said=": more than 0")] = 2.0
    """softens both predictions, as in section 4 of Hinton et al. 2015; 1 leaves them as they are"""
    distill_alpha: Share = 0.5
    """share of the teacher in the loss; the labels have the rest"""
    distill_hidden: NotNegative = 0.0
    """weight of the squared distance of the layers' outputs to the teacher's, of equal shape"""


DISTILLING = ("distill_temperature", "distill_alpha", "distill_hidden")


def check_distillation(args: "TrainArgs") -> None:
    """Raise `UserError` for distillation flags without a teacher, or flags that exclude one."""
    if args.teacher is None:
        for name in DISTILLING:
            if getattr(args, name) != getattr(DistillationArgs, name):
                raise UserError(f"`{name}` {getattr(args, name)} wants `teacher` CHECKPOINT")
        return
    if args.ssl != "none":
        raise UserError(f"`teacher` teaches on labelled data alone: leave it or `ssl` {args.ssl}")
    if args.distill_hidden and args.torch_compile:
        raise UserError("`distill_hidden` reads layers that `torch_compile` melts: leave one away")


@dataclass(frozen=True)
class QuantizationArgs(Bounded):
    """See `zoo.train.methods.qat`."""

    qat: str | None = None
    """checkpoint of this model to train on while its layers compute as static int8 will
    (quantization-aware training), all else as in its training, but shorter; then quantize"""


def check_quantization(args: "TrainArgs") -> None:
    """Raise `UserError` for flags that change the layers that `qat` changes, or that round weights
    too."""
    if args.qat is None:
        return
    if args.dtype != "fp32":
        raise UserError(
            f"`qat` rounds to 8 bits, and bf16 has no more: `dtype` fp32, not {args.dtype}"
        )
    if args.tune != "full" or args.fsdp or args.torch_compile:
        other = f"tune {args.tune}" if args.tune != "full" else "fsdp"
        other = "torch_compile" if args.torch_compile else other
        raise UserError(f"`qat` changes what layers compute: leave `{other}` away")


@dataclass(frozen=True)
class TuningArgs(Bounded):
    """See `zoo.train.methods.tuning`."""

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
