"""How far a piece of work has come, on a terminal and in a pipe."""

import re

import pytest

from tests.terminals import on_a_terminal
from zoo.machine.progress import (
    EVERY_S,
    WINDOW_S,
    ProgressBar,
    Rate,
    samples_per_second,
    units_per_second,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_the_last_steps() -> None:
    rate = Rate()
    assert rate.per_second is None
    rate.add(5.0, 32)  # the first step, which also loads kernels
    assert rate.per_second is None
    rate.add(5.0001, 64)
    assert rate.per_second is None, "too little is known: no 320,000 samples/s"
    for step in range(1, 21):
        rate.add(5.0 + step, 64 + 10 * step)
    assert rate.per_second == pytest.approx(10)
    for step in range(1, 12):
        rate.add(25.0 + step, 264 + 100 * step)
    assert WINDOW_S == 10 and rate.per_second == pytest.approx(100), "the slow time is forgotten"
    rate.add(96.0, 1364 + 60)
    assert rate.per_second == pytest.approx(1), "one step that is longer than the window"


def test_a_pipe_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    bar = ProgressBar("training", 10_000, clock=clock)
    for second in range(100):
        clock.now = float(second)
        bar.show(100 * second, 87.345, "loss 0.5")
    bar.say("step 10")
    clock.now = 98.0 + EVERY_S
    bar.show(9999, 0.0)
    bar.close()
    found = capsys.readouterr()
    assert found.out == "" and "\r" not in found.err
    assert found.err.splitlines() == [
        "training 30%: 87.3 samples/s, 80 s left, loss 0.5, 3,000 of 10,000 samples",
        "training 60%: 87.3 samples/s, 46 s left, loss 0.5, 6,000 of 10,000 samples",
        "training 90%: 87.3 samples/s, 11 s left, loss 0.5, 9,000 of 10,000 samples",
        "step 10",
    ]


def test_a_terminal_gets_a_bar() -> None:
    def run() -> int:
        bar = ProgressBar("training", 100, done=20)
        bar.show(60, 10.0, "loss 0.5, accuracy 0.75")
        bar.say("step 10\x1b[2J")
        bar.show(100, 10.0, "loss 0.4, accuracy 0.75")
        bar.close()
        return 0

    out = on_a_terminal(run, columns=120).out
    last = re.split(r"[\r\n]+", out.strip())[-1]
    assert last.startswith("training 100%|")
    assert "10 samples/s, loss 0.4, accuracy 0.75, 100 of 100 samples" in last
    assert "step 10\\x1b[2J" in out and "\x1b[2J" not in out


@pytest.mark.parametrize("total", [0, 100])
def test_nothing_is_shown_of_what_is_over_at_once(total: int) -> None:
    def run() -> int:
        bar = ProgressBar("evaluating test", total, stays=False)
        bar.show(total, None)
        bar.close()
        return 0

    assert "evaluating" not in on_a_terminal(run, columns=120).out


@pytest.mark.parametrize(
    ("rate", "text"), [(0.2414, "0.241 samples/s"), (87.345, "87.3 samples/s"), (1234.5, "1,234")]
)
def test_rates(rate: float, text: str) -> None:
    assert samples_per_second(rate).startswith(text)


def test_units_as_people_say_them() -> None:
    assert units_per_second(5120.4, "tokens") == "5,120 tokens/s"
    assert units_per_second(20.9, "seconds") == "21 s of sound/s"
    assert units_per_second(1e6, "pixels") == ""
