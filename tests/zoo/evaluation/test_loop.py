"""An evaluation: one pass, metrics once, and the hardest errors whatever the order and the cut."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from tasks.metrics.classification import ClassificationMetric
from tasks.metrics.intervals import DRAWS
from tests.cases import Case
from tests.cli import run_cli
from tests.finetuning import MODEL, Run, finetune
from zoo.deploy.export import ExportSource
from zoo.evaluation.loop import HardestErrors, Mistake, evaluate

SHORT = ("--max_steps", 2, "--learning_rate", 1e-3, "--eval_strategy", "no")
EVERY = 1000  # errors to keep, more than any split has


@pytest.fixture(scope="module")
def run(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A classifier that has learned little: about half of its predictions are wrong."""
    return finetune(tiny_bert, reviews, tmp_path_factory.mktemp("short") / "run", *SHORT)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many resamples each computation of metrics was asked for."""
    found: list[int] = []
    compute = ClassificationMetric.compute

    def counted(self: ClassificationMetric, level: float = 0.95, draws: int = DRAWS) -> Any:
        found.append(draws)
        return compute(self, level, draws)

    monkeypatch.setattr(ClassificationMetric, "compute", counted)
    return found


@pytest.fixture
def seen() -> Iterator[list[int]]:
    """How many rows each forward pass of a BERT classifier had."""
    rows: list[int] = []

    def note(module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if type(module).__name__ == "BertForSequenceClassification":
            rows.append(len(output.logits))

    handle = torch.nn.modules.module.register_module_forward_hook(note)
    yield rows
    handle.remove()


def test_training_bootstraps_once_and_that_at_its_end(
    tiny_bert: Path, reviews: Path, tmp_path: Path, computed: list[int]
) -> None:
    finetune(tiny_bert, reviews, tmp_path / "run", "--num_train_epochs", 2)
    expected = [0, 0, DRAWS, 0]
    assert computed == expected, "two of the schedule, the test split, and its constant answer"


def test_evaluate_computes_once_in_one_pass(run: Run, computed: list[int], seen: list[int]) -> None:
    done = run_cli(MODEL, "evaluate", run.folder, "--per_device_eval_batch_size", 25)
    assert done.code == 0 and "worst mistakes" in done.out, done.err
    assert seen == [25, 25, 10], "each of the 60 samples once"
    assert computed == [DRAWS, 0], "and the values of the constant answer"


def test_no_mistakes_cost_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.kinds.classification import Classification

    monkeypatch.delattr(Classification, "errors")
    done = run_cli(MODEL, "evaluate", run.folder, "--mistakes", 0)
    assert done.code == 0 and "worst mistakes" not in done.out, done.err


def _found(original: ExportSource, most: int, batch_size: int = 7) -> list[Mistake]:
    return list(
        evaluate(
            original.model,
            original.task,
            original.samples("test").features,
            batch_size=batch_size,
            accelerator=Accelerator(cpu=True),
            keep_errors=most,
        ).hardest
    )


@pytest.mark.parametrize("case", ["text", "vision", "speech"], indirect=True)
def test_the_hardest_are_those_of_each_sample_alone(case: Case, tmp_path: Path) -> None:
    short = ("--max_steps", 2, "--eval_strategy", "no")
    original = ExportSource.open(case.finetune(tmp_path / "run", *short).folder)
    task, features = original.task, original.samples("test").features
    examples, _ = original.examples("test")
    expected = []
    for i, example in enumerate(examples.splits["test"]):
        batch = task.collate(features.__getitems__([i]))
        with torch.inference_mode():
            outputs = task.forward(original.model, batch)
            loss = float(task.loss(outputs, batch).sum)
            (prediction,) = task.predict(original.model, batch, outputs)
        reading = task.to_json(prediction)
        said = reading["text"] if "text" in reading else reading["label"]
        truth = example["text"] if "text" in reading else task.labels[example["label"]]
        if said != truth:
            expected.append(Mistake(loss, i, truth, said, reading.get("score")))
    expected.sort(key=lambda one: -one.loss)
    assert len(expected) > 5
    every = _found(original, EVERY)
    assert [one[1:4] for one in every] == [one[1:4] for one in expected]
    scores = [(mine.score, its.score) for mine, its in zip(every, expected, strict=True)]
    assert all(mine == (its if its is None else pytest.approx(its)) for mine, its in scores)
    assert [one.loss for one in every] == pytest.approx([one.loss for one in expected], rel=1e-4)
    assert _found(original, 5) == every[:5]
    assert _found(original, 0) == []


losses = st.sampled_from([0.0, 0.5, 0.5000001, 2.0, float("inf"), float("nan")])


@given(st.lists(losses, max_size=20), st.integers(0, 8), st.integers(1, 3), st.integers(0, 99))
def test_neither_order_nor_ranks_matter(
    values: list[float], most: int, ranks: int, seed: int
) -> None:
    mistakes = [Mistake(loss, i, "a", "b") for i, loss in enumerate(values)]
    hardest_first = sorted(
        mistakes, key=lambda one: (-one.loss if one.loss == one.loss else -float("inf"), one.sample)
    )
    random.Random(seed).shuffle(mistakes)
    merged = HardestErrors(most)
    for rank in range(ranks):
        share = HardestErrors(most)
        for one in mistakes[rank::ranks]:
            share.update([one])
            assert len(share.ranked()) <= most
        merged.update(share.ranked())
    assert [one.sample for one in merged.ranked()] == [one.sample for one in hardest_first[:most]]
