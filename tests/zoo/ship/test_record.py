"""What was done before, the time, and what a result is worth."""

from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from tasks.metrics.spec import metric_spec
from zoo.ship import judge
from zoo.ship.clock import CARD_S, Clock
from zoo.ship.record import Record, alone
from zoo.store import evidence

ASKED: dict[str, Any] = {"data": "a" * 64, "model": "rnn_cls", "weights": None}


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    record = Record.open(folder)
    record.must_be(ASKED)
    record.done("training", digest="b" * 64)
    record.save(12.5)
    again = Record.open(folder)
    again.must_be(ASKED)
    assert (again.spent, again.steps) == (12.5, {"training": {"digest": "b" * 64}})


def test_other_data_are_another_run(tmp_path: Path) -> None:
    record = Record.open(tmp_path)
    record.must_be(ASKED)
    record.done("training")
    record.save(1)
    with pytest.raises(UserError, match=r"begun with data a+.*, and now it is b"):
        Record.open(tmp_path).must_be(ASKED | {"data": "b" * 64})
    with pytest.raises(UserError, match="begun with weights none, and now it is minilm"):
        Record.open(tmp_path).must_be(ASKED | {"weights": "minilm"})


@pytest.mark.parametrize("name", ["zoo.json", "notes.txt"])
def test_a_folder_of_something_else(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match="holds what was made otherwise"):
        Record.open(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"asked": {}}', '{"asked": 1, "spent": 1, "steps": {}}']
)
def test_damage(tmp_path: Path, content: str) -> None:
    place = tmp_path / "logs" / "ship"
    place.mkdir(parents=True)
    (place / "record.json").write_text(content)
    with pytest.raises(UserError, match=r"record\.json is damaged"):
        Record.open(tmp_path)


def test_one_at_a_time(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(UserError), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"), alone(tmp_path / "file" / "run"):
        pass


def test_time_is_shared_out() -> None:
    now = 0.0
    clock = Clock(10, clock=lambda: now)
    assert clock.training_ends() == pytest.approx(600 - CARD_S - 210)
    now = 300.0
    assert clock.spent() == 300 and clock.left() == 300 and 250 < clock.deciding() < 300
    clock.before = 100.0
    assert clock.left() == 200
    now = 10_000.0
    assert clock.left() == 0 and clock.deciding() < 0
    assert Clock(60).training_ends() > 3_000, "more than eight minutes find no other deployment"


def _facts(folder: Path, name: str, value: float, low: float, high: float, constant: float) -> None:
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    common: dict[str, Any] = {"subject": evidence.subject_digest(folder), "run": "one", "n": 100}
    ends = {"low": low, "high": high, "level": 0.95, "method": "wilson"}
    split = {"split": "test", "deployment": "eager"}
    facts = [
        evidence.fact("metric", name, value, "1", interval=ends, **split, **common),
        evidence.fact("constant", f"constant_{name}", constant, "1", label="a", **split, **common),
    ]
    evidence.append(folder, facts)


@pytest.mark.parametrize(
    ("name", "numbers", "is_any"),
    [
        ("accuracy", (0.8, 0.7, 0.9, 0.5), True),
        ("accuracy", (0.6, 0.5, 0.7, 0.5), False),
        ("accuracy", (0.6, 0.45, 0.7, 0.5), False),
        ("wer", (0.3, 0.2, 0.4, 1.0), True),
        ("wer", (0.97, 0.93, 1.01, 1.0), False),
    ],
)
def test_worth_by_the_interval(
    tmp_path: Path, name: str, numbers: tuple[float, float, float, float], is_any: bool
) -> None:
    _facts(tmp_path, name, *numbers)
    found = judge.worth(tmp_path, metric_spec(name))
    assert found is not None and found.is_any == is_any
    assert f"always 'a' gives {numbers[3]:.4f}" in str(found) and "n = 100" in str(found)
    assert "no better than always 'a'" in found.refusal(1_000)


def test_other_weights_have_no_worth(tmp_path: Path) -> None:
    _facts(tmp_path, "accuracy", 0.8, 0.7, 0.9, 0.5)
    (tmp_path / "model.safetensors").write_bytes(b"others")
    assert judge.worth(tmp_path, metric_spec("accuracy")) is None


def test_what_was_never_trained_is_begun_anew(tmp_path: Path) -> None:
    """As where the data had a fault, which was mended."""
    record = Record.open(tmp_path)
    record.must_be(ASKED)
    record.save(40)
    again = Record.open(tmp_path)
    again.must_be(ASKED)
    assert again.spent == 40
    again.must_be(ASKED | {"data": "b" * 64})
    assert again.spent == 0 and not again.is_begun
    again.save(50)
    (tmp_path / "state").mkdir()
    with pytest.raises(UserError, match="begun with data b"):
        Record.open(tmp_path).must_be(ASKED)
