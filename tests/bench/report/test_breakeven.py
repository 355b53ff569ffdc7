"""When a slower start has paid off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.breakeven import break_even
from tests.bench.report.made import sampled

SECONDS = st.floats(0.001, 10)


@pytest.mark.parametrize(
    ("start", "call", "word", "calls"),
    [
        (1.0, 0.05, "at once", None),
        (1.0, 0.1, "at once", None),  # no telling for how long
        (3.0, 0.05, "after", 1 + 1 / 0.05),
        (3.0, 0.1, "can't tell", None),
        (3.0, 0.2, "never", None),
        (1.0, 0.2, "until", 1 + 1 / 0.1),
    ],
)
def test_against_a_start_of_2_s_and_calls_of_100_ms(
    start: float, call: float, word: str, calls: float | None
) -> None:
    found = break_even(start, sampled(call, "s"), 2.0, sampled(0.1, "s"))
    assert found.word == word
    assert found.calls == (None if calls is None else pytest.approx(calls))


def test_in_words() -> None:
    found = break_even(1002.0, sampled(0.05, "s"), 2.0, sampled(0.1, "s"))
    assert str(found) == "after 20,001 calls" and found.interval() == "18,876 to 21,260"


@given(SECONDS, SECONDS, SECONDS, SECONDS)
def test_at_that_call_both_have_taken_as_long(
    start: float, call: float, base_start: float, base_call: float
) -> None:
    found = break_even(start, sampled(call, "s"), base_start, sampled(base_call, "s"))
    if found.calls is None:
        return
    one = start + (found.calls - 1) * call
    other = base_start + (found.calls - 1) * base_call
    assert one == pytest.approx(other, rel=1e-6)
    assert found.low is not None and found.high is not None
    assert 1 <= found.low <= found.calls <= found.high
