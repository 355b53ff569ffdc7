"""--fail_if: when a comparison fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UserError
from zoo.measure.fail_if import WORDS, VerdictCondition


@pytest.mark.parametrize(
    ("text", "word", "speedup", "holds"),
    [
        ("slower", "slower", 0.99, True),
        ("slower:3%", "slower", 1 / 1.031, True),
        ("slower:3%", "slower", 1 / 1.029, False),
        ("slower:3%", "can't tell", 0.5, False),
        ("faster:10%", "faster", 1.2, True),
        ("faster:10%", "faster", 1.05, False),
        ("cant_tell", "can't tell", 1.0, True),
        ("same", "slower", 0.9, False),
    ],
)
def test_what_fails(text: str, word: str, speedup: float, holds: bool) -> None:
    assert VerdictCondition.parse(text).holds(word, speedup) == holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slowr:3%", "did you mean slower"),
        ("slower:3", "slower:3%"),
        ("same:3%", "only slower and faster have a size"),
        ("", "Write slower"),
        ("slower:-3%", "Write slower"),
    ],
)
def test_what_is_no_condition(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        VerdictCondition.parse(text)


@given(st.sampled_from(["slower", "faster"]), st.floats(0, 500, allow_nan=False))
def test_sizes_are_read(word: str, percent: float) -> None:
    text = f"{word}:{percent:.3f}%"
    assert VerdictCondition.parse(text).share == pytest.approx(float(f"{percent:.3f}") / 100)
    assert VerdictCondition.parse(word).word == WORDS[word]
