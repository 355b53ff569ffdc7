"""diff and --fail_if: what got worse between two revisions."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UserError
from tests.tools.hub.running import hub_cli, push
from tests.tools.hub.tiny_hub import TinyHub
from tools.hub.fail_if import ChangeCondition
from zoo.store import evidence

REPO = "user/reviews"


@pytest.mark.parametrize(
    ("text", "before", "after", "holds"),
    [
        ("accuracy<-0.005", 0.9, 0.894, True),
        ("accuracy<-0.005", 0.9, 0.896, False),
        ("accuracy < -0.005", 0.9, 0.95, False),
        ("accuracy<0", 0.9, 0.9, False),
        ("accuracy>5%", 1.0, 1.06, True),
        ("accuracy>5%", 1.0, 1.04, False),
        ("accuracy<-5%", -1.0, -1.06, True),
        ("accuracy>5%", 0.0, 1.0, False),
        ("accuracy>1e-3", 0.0, 0.002, True),
        ("wer>0", 0.9, 1.0, False),
    ],
)
def test_when_a_condition_holds(text: str, before: float, after: float, holds: bool) -> None:
    assert ChangeCondition.parse(text).holds("accuracy", before, after) == holds


@pytest.mark.parametrize("text", ["", "accuracy", "accuracy<", "<5", "accuracy=1", "Accuracy<1"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(UserError, match="latency>5%"):
        ChangeCondition.parse(text)


@given(st.floats(-1e3, 1e3), st.booleans(), st.booleans())
def test_conditions_read_as_they_were_written(bound: float, rise: bool, share: bool) -> None:
    said = f"latency{'>' if rise else '<'}{bound:.3f}{'%' if share else ''}"
    found = ChangeCondition.parse(said)
    assert (found.is_rise, found.is_share) == (rise, share)
    assert found.bound == pytest.approx(round(bound, 3) / (100 if share else 1))


def _worse(checkpoint: Path) -> None:
    """A later measurement finds a lower accuracy."""
    subject = evidence.subject_digest(checkpoint)
    told = next(
        fact
        for fact in evidence.read(checkpoint)
        if (fact.name, fact.split, fact.subject) == ("accuracy", "test", subject)
    )
    assert told.value is not None
    value = told.value - 0.1
    evidence.append(checkpoint, [dataclasses.replace(told, value=value, interval=None)])
    (checkpoint / "README.md").unlink()


def test_what_got_worse_is_shown_and_fails(hub: TinyHub, checkpoint: Path) -> None:
    push(checkpoint, REPO)
    push(checkpoint, REPO, "--revision", "worse", "--fail_if", "accuracy<-0.005")
    assert hub_cli("diff", REPO, "main", "worse", "--fail_if", "accuracy<-0.005").code == 0
    _worse(checkpoint)
    head = hub.repos[REPO].branches["worse"]
    gate = ("--revision", "worse", "--fail_if", "accuracy<-0.005")
    done = hub_cli("push", checkpoint, REPO, *gate)
    assert done.code == 1 and "accuracy (test, eager) went from" in done.err
    assert hub.repos[REPO].branches["worse"] == head
    push(checkpoint, REPO, "--revision", "worse", "--fail_if", "accuracy<-0.5")
    done = hub_cli("diff", REPO, "main", "worse")
    assert done.code == 0 and "numbers that differ: 1;" in done.out and "-0.1" in done.out
    done = hub_cli("diff", REPO, "main", "worse", "--fail_if", "accuracy<-0.005", "wer>0")
    assert done.code == 1
    assert "accuracy < -0.005" in done.err and "wer was not measured on both sides" in done.err
