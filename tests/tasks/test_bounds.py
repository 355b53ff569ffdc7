"""Numbers of flags: each has bounds, NaN lies in none, and whoever makes flags is told the same."""

import dataclasses
import importlib
import math
import re
from pathlib import Path
from typing import Annotated, Any

import pytest

from tasks.bounds import Bounded, Bounds, Count, Positive, Seed, numbers_of
from tasks.errors import UserError
from tests.cli import ROOT, run_cli
from zoo.model import registry

ROOMS = ("tasks", "zoo", "bench", "tools")


def _flag_classes() -> list[type]:
    """Every dataclass of flags in the tree: Options of models, Args, Inputs."""
    found = []
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for name in re.findall(r"^class (\w*Args|Options|Inputs)\b", path.read_text(), re.M):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found.append(getattr(importlib.import_module(module), name))
    return found


CLASSES = _flag_classes()
NUMBERS = [(each, *number) for each in CLASSES for number in numbers_of(each)]


def test_all_kinds_of_flags_are_found() -> None:
    names = {f"{each.__module__}.{each.__name__}" for each in CLASSES}
    assert {
        "zoo.train.args.TrainArgs",
        "tasks.data.source.DataArgs",
        "bench.cases.args.DecideArgs",
    } <= names
    assert {"zoo.cli.args.QuantizeArgs", "tasks.speech.speech_recognition.Inputs"} <= names
    for entry in registry.entries():
        assert entry.options in CLASSES and importlib.import_module(entry.task).Args in CLASSES
    assert len(NUMBERS) > 200


@pytest.mark.parametrize("flags", CLASSES, ids=lambda each: f"{each.__module__}.{each.__name__}")
def test_every_number_has_bounds_and_is_held_to_them(flags: type) -> None:
    given = {
        field.name: Path("x")
        for field in dataclasses.fields(flags)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    for name, kind, bounds in numbers_of(flags):
        assert bounds is not None, f"{flags.__module__}: {name} has no bounds"
        default = next(f.default for f in dataclasses.fields(flags) if f.name == name)
        several = isinstance(default, tuple)
        below = bounds.low - 1 if kind is int else math.nextafter(bounds.low, -math.inf)
        wrong: list[Any] = [below, "3", True, math.inf, math.nan]
        wrong += [bounds.low] * bounds.above + [bounds.high] * bounds.below
        wrong += [2**1100, 2.5] if kind is int else []
        for value in wrong:
            with pytest.raises(UserError, match=rf"^`{name}` .+(:| is )"):
                flags(**given | {name: (value,) if several else value})


@pytest.mark.parametrize(
    ("bounds", "value", "said"),
    [
        (Bounds(1, 10**9), 0, ": at least 1"),
        (Bounds(1, 10**9), 10**10, ": at most 1,000,000,000"),
        (Bounds(0), math.inf, ": a finite number"),
        (Bounds(0), math.nan, ": at least 0"),
        (Bounds(0, above=True), 0, ": above 0"),
        (Bounds(0, 1), 1.5, " is outside its range, from 0 to 1"),
        (Bounds(0, 1, below=True), 1, ": at least 0 and below 1"),
        (Bounds(0, 1, above=True, below=True), 0, ": above 0 and below 1"),
        (Bounds(0, 2**32 - 1), 2**64, ": at most 4,294,967,295"),
        (Bounds(0, said=": not negative"), -1, ": not negative"),
        (Bounds(0, said=": not negative"), math.inf, ": a finite number"),
    ],
)
def test_what_is_said(bounds: Bounds, value: float, said: str) -> None:
    assert value not in bounds
    assert bounds.refusal(value) == said


def test_ends_and_what_is_within() -> None:
    assert all(value in Bounds(0, 1) for value in (0, 0.5, 1))
    assert 0.5 in Bounds(0, 1, above=True, below=True)
    assert 0 not in Bounds(0, 1, above=True) and 1 not in Bounds(0, 1, below=True)


@dataclasses.dataclass(frozen=True)
class _Flags(Bounded):
    plain: float = 0.0
    count: Count | None = None
    sizes: tuple[Count, ...] = ()
    rate: Annotated[Positive | None, "a note"] = None
    seed: Seed = 0


def test_where_numbers_stand_in_a_type() -> None:
    assert [(name, kind, bounds is None) for name, kind, bounds in numbers_of(_Flags)] == [
        ("plain", float, True),
        ("count", int, False),
        ("sizes", int, False),
        ("rate", float, False),
        ("seed", int, False),
    ]
    _Flags(count=1, sizes=(1, 2), rate=1)
    with pytest.raises(UserError, match="`sizes` 0: at least 1"):
        _Flags(sizes=(1, 0))
    with pytest.raises(UserError, match=r"`count` 2\.5 is no whole number"):
        _Flags(count=2.5)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"`plain` \[0\.9\] is no number"):
        _Flags(plain=[0.9])  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"`count` \[1, 1, .*\.\.\. is no whole number"):
        _Flags(count=[1] * 1000)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("module", "argv", "said"),
    [
        ("zoo.vision.cnn_cls", ("finetune", "--seed", -1), "--seed -1: at least 0"),
        ("zoo.vision.cnn_cls", ("finetune", "--seed", 2**64), "at most 4,294,967,295"),
        ("zoo.vision.cnn_cls", ("finetune", "--num_train_epochs", "inf"), "a finite number"),
        ("zoo.vision.cnn_cls", ("finetune", "--num_train_epochs", "nan"), "above 0"),
        ("zoo.vision.cnn_cls", ("finetune", "--max_steps", 0), "at least 1, or -1"),
        ("zoo.vision.cnn_cls", ("finetune", "--dataloader_num_workers", -1), "from 0 to 1,024"),
        ("zoo.vision.cnn_cls", ("finetune", "--dropout", 5), "--dropout 5.0 is no probability"),
        ("zoo.vision.cnn_cls", ("finetune", "--cnn_dropout", 5), "at least 0 and below 1"),
        ("zoo.vision.cnn_cls", ("finetune", "--learning_rate", "nan"), "at least 0"),
        ("zoo.vision.cnn_cls", ("finetune", "--learning_rate", "inf"), "a finite number"),
        ("zoo.vision.cnn_cls", ("finetune", "--validation_size", "nan"), "at least 0 and below 1"),
        ("zoo.speech.kws_cls", ("finetune", "--max_seconds", "nan"), "above 0"),
        ("zoo.vision.cnn_cls", ("quantize", "x", "--minutes", "nan"), "--minutes nan: above 0"),
        ("zoo.vision.cnn_cls", ("prune", "x", "--sparsity", "nan"), "above 0 and below 1"),
        ("zoo.vision.cnn_cls", ("predict", "x", "--batch_size", 0), "--batch_size 0: at least 1"),
        ("zoo.vision.cnn_cls", ("evaluate", "x", "--mistakes", -1), "--mistakes -1: at least 0"),
        ("bench", ("decide", "x", "--p95_ms", "nan"), "--p95_ms nan: above 0"),
        ("bench", ("decide", "x", "--minutes", "9" * 400), "--minutes inf: a finite number"),
        (
            "bench",
            ("run", "minilm", "--minutes_per_case", "nan"),
            "--minutes_per_case nan: above 0",
        ),
        ("bench", ("compare", "minilm", "--margin", "inf"), "--margin inf: at least 0 and below 1"),
    ],
)
def test_the_command_line_is_held_to_them(
    module: str,
    argv: tuple[object, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if module == "bench":
        from bench import cli

        code, err = cli.main([str(word) for word in argv]), capsys.readouterr().err
    else:
        done = run_cli(module, *argv)
        code, err = done.code, done.err
    (line,) = err.splitlines()
    assert code == 2 and said in line, line
    assert not list(tmp_path.iterdir())


def test_help_says_the_bounds() -> None:
    done = run_cli("zoo.vision.cnn_cls", "finetune", "--help-all")
    text = " ".join(done.out.split())
    assert re.search(
        r"--learning_rate FLOAT peak learning rate \(at least 0; default: [\d.]+\)", text
    )
    assert "dropout before the head (at least 0 and below 1; default: 0.0)" in text
    assert "(at least 1)" in text and "(above 0; default:" in text
