"""The harness on itself."""

from collections.abc import Iterator

import pytest

from bench import cli, selftest
from bench.args import SelftestArgs
from bench.selftest import Check


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


@pytest.mark.slow
def test_all_hold() -> None:
    assert cli.main(["selftest", "--budget_s", "20"]) == 0
