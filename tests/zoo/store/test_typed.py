"""JSON is held against the types of a dataclass, and what does not fit is named."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from zoo.runtimes.signature import Signature
from zoo.store import typed
from zoo.train.args import TrainArgs


@dataclasses.dataclass(frozen=True)
class Inner:
    rate: int
    name: str | None = None


@dataclasses.dataclass(frozen=True)
class Outer:
    number: float
    kind: Literal["a", "b"]
    inner: Inner
    pair: tuple[int, str] = (1, "x")
    many: tuple[float, ...] = ()
    table: Mapping[str, int] = dataclasses.field(default_factory=dict)
    flag: bool = False
    anything: Any = None


GOOD: dict[str, Any] = {"number": 1, "kind": "a", "inner": {"rate": 8000}}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"number": 0.5, "pair": [2, "y"], "many": [1, 2.5], "table": {"a": 1}, "flag": True},
        {"inner": {"rate": 1, "name": None}, "anything": [{}], "not known": 3},
        {"number": float("inf")},
    ],
)
def test_what_fits_is_taken(more: dict[str, Any]) -> None:
    assert typed.fault(Outer, GOOD | more, "") is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"number": "1"}, "number is '1', not a number"),
        ({"number": True}, "number is True, not a number"),
        ({"number": float("nan")}, "number is nan, not a number"),
        ({"number": None}, "number is None, not a number"),
        ({"kind": "c"}, "kind is 'c', none of a, b"),
        ({"kind": ["a"]}, "kind is ['a'], none of a, b"),
        ({"inner": []}, "inner is [], not an object"),
        ({"inner": {}}, "it has no inner.rate"),
        ({"inner": {"rate": 1.5}}, "inner.rate is 1.5, not an integer"),
        ({"inner": {"rate": 10**30}}, "inner.rate is 1000"),
        ({"inner": {"rate": 1, "name": 2}}, "inner.name is 2, not a text or null"),
        ({"pair": [1]}, "pair has 1 values, not 2"),
        ({"pair": ["x", "x"]}, "pair[0] is 'x', not an integer"),
        ({"many": "abc"}, "many is 'abc', not a list"),
        ({"many": [1, None]}, "many[1] is None, not a number"),
        ({"table": {"a": "b"}}, "table.a is 'b', not an integer"),
        ({"table": []}, "table is [], not an object"),
        ({"flag": 1}, "flag is 1, not true or false"),
    ],
)
def test_what_does_not_fit_is_named(more: dict[str, Any], said: str) -> None:
    assert (typed.fault(Outer, GOOD | more, "") or "").startswith(said)


def test_what_is_missing_or_no_object_is_named() -> None:
    assert typed.fault(Outer, {"number": 1}, "") == "it has no kind"
    assert typed.fault(Outer, [], "config") == "config is [], not an object"
    assert typed.unknown(Inner, {"rate": 1, "speed": 2}, "inner") == (
        "inner has 'speed', which is not known here"
    )


def test_what_dataclasses_write_fits_them() -> None:
    for kind in (TrainArgs(), Signature((), ("logits",), {"batch": (1, None)})):
        written = json.loads(json.dumps(dataclasses.asdict(kind)))
        assert typed.fault(type(kind), written, "") is None
