"""The flags of training: those of its components side by side, in the order of --help."""

import dataclasses
from collections import Counter

import pytest

from tasks.errors import UserError
from zoo.train import args as module
from zoo.train.args import ScheduleArgs, TrainArgs, check
from zoo.train.methods.args import DistillationArgs, TuningArgs


def _names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def test_a_flag_is_of_one_component_and_stands_where_its_component_does() -> None:
    parts = [name for part in reversed(TrainArgs.__bases__) for name in _names(part)]
    assert _names(TrainArgs) == parts and set(Counter(parts).values()) == {1}
    assert parts[: len(_names(ScheduleArgs))] == _names(ScheduleArgs)
    assert parts[-2:] == ["seed", "dataloader_num_workers"]
    assert parts.index("teacher") < parts.index("qat") < parts.index("tune")


def test_a_component_is_checked_by_itself() -> None:
    with pytest.raises(UserError, match="`distill_alpha` 2"):
        DistillationArgs(distill_alpha=2.0)
    with pytest.raises(UserError, match=r"`dropout` 1\.0 is no probability below 1"):
        TuningArgs(dropout=1.0)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"max_steps": 0}, "`max_steps` 0: at least 1"),
        ({"ssl": "pseudo"}, "`ssl` pseudo wants `unlabeled` DATA"),
        ({"unlabeled": "rest"}, "`unlabeled` rest wants `ssl`"),
        ({"distill_alpha": 0.9}, "`distill_alpha` 0.9 wants `teacher`"),
        ({"qat": "x"}, "`dtype` fp32, not auto"),
        ({"qat": "x", "dtype": "fp32", "fsdp": True}, "leave `fsdp` away"),
        ({"dtype": "fp16", "optim": "adamax"}, "`optim` adamax has no kernel that does: adamw,"),
        ({"dtype": "fp16", "optim": "adagrad"}, "`optim` adagrad has no kernel that does: adamw,"),
        ({"nesterov": True}, "`optim` sgd with a `momentum`, not for `optim` adamw"),
        ({"nesterov": True, "optim": "sgd", "momentum": 0.0}, "not for `momentum` 0"),
        (
            {"lr_scheduler_type": "plateau", "eval_strategy": "no"},
            "`lr_scheduler_type` plateau follows evaluations, and `eval_strategy` no makes none",
        ),
        ({"compile_layers": "on", "torch_compile": True}, "leave `compile_layers` on away"),
        ({"compile_layers": "on", "qat": "x"}, "`qat` reads layers that `compile_layers` on melts"),
    ],
)
def test_each_component_says_what_it_cannot_stand_beside(
    flags: dict[str, object], expected: str
) -> None:
    with pytest.raises(UserError) as raised:
        check(TrainArgs(**flags))  # type: ignore[arg-type]
    assert expected in str(raised.value)


def test_the_first_mistake_is_told() -> None:
    with pytest.raises(UserError, match="`max_steps` 0"):
        check(TrainArgs(qat="x", ssl="pseudo", max_steps=0))
    assert module.CHECKS[0] is module.check_schedule
