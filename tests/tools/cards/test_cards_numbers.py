"""Numbers are rounded to what can be told, in one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.cards.numbers import MARK, format_fact, text
from zoo.machine.formatting import NOT_MEASURED
from zoo.store.evidence import Fact


def _fact(name: str, value: float | None, unit: str, *interval: float, **fields: object) -> Fact:
    between = None
    if interval:
        between = {"low": interval[0], "high": interval[1], "level": 0.95, "method": "x"}
    return Fact("metric", name, value, unit, subject="s", run="r", interval=between, **fields)


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        (_fact("accuracy", 0.8573333, "1", 0.83872, 0.87412), "0.857 (0.839 to 0.874)"),
        (_fact("accuracy", 1.0, "1", 1.0, 1.0), "1.0000 (1.0000 to 1.0000)"),
        (_fact("latency", 0.0144118, "s", 0.00938, 0.02212), "14 ms (9 to 22)"),
        (_fact("latency", 0.00047939, "s", 0.000266, 0.000864), "479 µs (266 to 864)"),
        (_fact("train_seconds", 154.97, "s"), "155 s"),
        (_fact("speedup", 4.66287, "1", 3.6367, 5.9785), "4.7× (3.6 to 6.0)"),
        (_fact("accuracy_drop", 0.004, "1", -0.0025, 0.0105), "+0.004 (-0.003 to +0.011)"),
        (_fact("accuracy_drop", -0.00001, "1", -0.004, 0.004), "0.0000 (-0.0040 to +0.0040)"),
        (_fact("peak_memory", 224160768, "bytes"), "224 MB"),
        (_fact("train_peak_memory", 2288758784, "bytes"), "2.29 GB"),
        (_fact("weights_size", 1234, "bytes"), "1.23 kB"),
        (_fact("sqnr", 127.2556, "dB"), "127 dB"),
        (_fact("parameters", 22713986, "1"), "22,713,986"),
        (_fact("max_absolute_difference", 1.59622e-06, "1"), "1.6e-06"),
        (_fact("perplexity", 1234.5, "1"), "1,234"),
        (_fact("argmax_agreement", 0.98095, "1"), "0.981"),
        (_fact("latency", None, "s", status="oom"), "out of memory"),
        (_fact("latency", 0.1, "s", status="wrong"), "wrong"),
        (_fact("latency", None, "s", status="unavailable"), "not available"),
    ],
)
def test_how_numbers_read(fact: Fact, said: str) -> None:
    assert text(fact) == said
    assert format_fact(fact) == f"{said}<!-- e:{fact.id} -->"
    assert MARK.findall(format_fact(fact)) == [fact.id]


def test_what_nobody_measured() -> None:
    assert format_fact(None) == NOT_MEASURED == "not measured"


@given(
    value=st.floats(1e-3, 1e6),
    below=st.floats(0, 0.5),
    above=st.floats(0, 0.5),
)
def test_rounding_is_finer_than_the_interval(value: float, below: float, above: float) -> None:
    low, high = value * (1 - below), value * (1 + above)
    said = text(_fact("metric", value, "1", low, high)).replace(",", "")
    number, between = said.split(" ", 1)
    ends = [float(one) for one in between.strip("()").split(" to ")]
    width = high - low
    step = max(width / 10, 1e-6) if width else 1e-4
    for rounded, true in ((float(number), value), (ends[0], low), (ends[1], high)):
        assert abs(rounded - true) <= 0.501 * step
    assert ends[0] <= float(number) <= ends[1]
