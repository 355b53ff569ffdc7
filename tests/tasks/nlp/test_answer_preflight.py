"""What is suspicious in prompts with completions, and in chats."""

from typing import Any

import datasets
import pytest

from tasks.nlp import answer_preflight, chats


def split(*rows: Any) -> datasets.Dataset:
    read = [[{"role": role, "content": text} for role, text in row] for row in rows]
    return datasets.Dataset.from_dict({"chat": [*map(chats.as_text, read)]})


def fine(i: int) -> list[tuple[str, str]]:
    return [("system", "s"), ("user", f"q{i}"), ("assistant", f"a{i}")]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[("user", "q"), ("assistant", " ")]], "1 row with an empty answer, the first is 4"),
        ([[("assistant", "a"), ("user", "q")]], "1 row with roles out of order"),
        ([[("user", "q"), ("user", "q"), ("assistant", "a")]], "1 row with roles out of order"),
        ([[("system", "q")]], "1 row without a user, the first is 4"),
        ([[("user", f"{i}"), ("assistant", "no")] for i in range(4)], "4 of 7 answers are 'no'"),
        ([fine(0)], "1 row repeat a text of the same split"),
        ([[("user", "<|end|>")]], "special token, which is read as that token; the first is 4"),
    ],
)
def test_what_is_suspicious_in_chats(rows: Any, said: str) -> None:
    whole = {"train": split(*(fine(i) for i in range(3)), *rows)}
    found = answer_preflight.check(whole, "chats", ["<|end|>"])
    assert [one.level for one in found] == ["warning"] and said in found[0].message


def test_good_chats_pass_and_those_of_two_splits_are_told() -> None:
    train, test = split(fine(1), fine(2), fine(3)), split(fine(4), fine(5))
    assert answer_preflight.check({"train": train, "test": test}, "chats") == []
    [found] = answer_preflight.check({"train": train, "test": split(fine(2))}, "chats")
    assert "1 text of test also in train" in found.message


def test_completions_that_are_all_empty_are_an_error() -> None:
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "text_pair": ["", " "]})
    [found] = answer_preflight.check({"train": rows}, "completions")
    assert found.level == "error"
