"""The harness on itself."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from bench import cli
from bench.cases.args import SelftestArgs
from bench.validity import selftest
from bench.validity.selftest import Check


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], passed: bool, code: int
) -> None:
    def checks(_: SelftestArgs) -> Iterator[Check]:
        yield Check("one", True, "1 ms")
        yield Check("other", passed, "2 ms")

    monkeypatch.setattr(selftest, "_checks", checks)
    assert cli.main(["selftest"]) == code
    assert capsys.readouterr().out.splitlines()[1].startswith("ok" if passed else "FAIL")


class Told(NamedTuple):
    """As much of a comparison as is counted."""

    verdict: Any
    floor: float | None


def _told(word: str, floor: float = 0.01) -> Told:
    return Told(SimpleNamespace(word=word), floor)


@pytest.mark.parametrize(
    ("same", "apart", "passed"),
    [
        (["same"] * 30, ["slower"] * 30, (True, True)),
        (["faster", *["same"] * 29], ["slower"] * 29 + ["can't tell"], (True, True)),
        (["faster", "slower", *["same"] * 28], ["slower"] * 29 + ["same"], (False, True)),
        (["can't tell"] * 30, ["slower"] * 27 + ["same"] * 3, (True, False)),
        (["same"] * 30, ["slower"] * 29 + ["faster"], (True, False)),
        (["same"], ["slower"], (True, True)),
        (["slower"], ["same"], (False, False)),
    ],
)
def test_verdicts_are_counted(
    monkeypatch: pytest.MonkeyPatch, same: list[str], apart: list[str], passed: tuple[bool, bool]
) -> None:
    told = iter([each for pair in zip(same, apart, strict=True) for each in pair])
    monkeypatch.setattr(selftest, "_against", lambda *_: _told(next(told)))
    args = SelftestArgs(repeat=len(same))
    checks = list(selftest._verdicts(100, args))
    assert tuple(check.passed for check in checks) == passed
    if len(same) > 1:
        assert f"{max(map(apart.count, apart))}" in checks[1].found


def test_what_the_floor_forbids_to_tell_may_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "_against", lambda *_: _told("can't tell", floor=0.05))
    same, apart = selftest._verdicts(100, SelftestArgs(repeat=3))
    assert same.passed and apart.passed and "of the 0" in apart.found


@pytest.mark.slow
def test_all_hold() -> None:
    assert cli.main(["selftest", "--minutes", "0.33"]) == 0
