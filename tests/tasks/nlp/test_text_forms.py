"""Which form of data columns are, and how prompts and completions are put together."""

from pathlib import Path
from typing import Any

import datasets
import pytest

from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.nlp import causal_lm, text_forms
from tasks.nlp.causal_lm import Args
from tasks.nlp.text_forms import FormArgs


@pytest.mark.parametrize(
    ("names", "flags", "expected"),
    [
        (("id", "text"), {}, {"text": "text"}),
        (("text", "messages"), {}, {"messages": "messages"}),
        (("text", "messages"), {"text_column": "text"}, {"text": "text"}),
        (("Prompt", "completion"), {}, {"prompt": "Prompt", "completion": "completion"}),
        (
            ("instruction", "input", "output", "text"),
            {},
            {"prompt": "instruction", "completion": "output", "context": "input"},
        ),
        (("question", "text"), {}, {"text": "text"}),
        (("q", "answer"), {"prompt_column": "q"}, {"prompt": "q", "completion": "answer"}),
        (
            ("q", "a"),
            {"prompt_column": "q", "completion_column": "a"},
            {"prompt": "q", "completion": "a"},
        ),
        (("conversations",), {}, {"messages": "conversations"}),
        (("x",), {"messages_column": "x"}, {"messages": "x"}),
    ],
)
def test_columns_tell_the_form(names: Any, flags: Any, expected: dict[str, str]) -> None:
    found = text_forms.find(names, FormArgs(**flags), "the data")
    assert {key: name for key, name in found.items() if name} == expected


@pytest.mark.parametrize(
    ("names", "flags", "said"),
    [
        (("x", "y"), {}, "has no text column"),
        (("x", "y"), {"prompt_column": "x"}, "has no completion column"),
        (("x",), {"text_column": "x", "messages_column": "x"}, "of two forms of data"),
        (("x",), {"completion_column": "x", "messages_column": "x"}, "of two forms of data"),
        (("x",), {"messages_column": "y"}, "has no column 'y' for the messages"),
    ],
)
def test_what_is_not_plain_is_refused(names: Any, flags: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        text_forms.find(names, FormArgs(**flags), "the data")


def written(tmp_path: Path, lines: str) -> DataArgs:
    (tmp_path / "a.csv").write_text(lines)
    return DataArgs(data=str(tmp_path / "a.csv"), validation_size=0, test_size=0)


def test_instructions_go_on_with_their_input(tmp_path: Path, capsys: Any) -> None:
    data = written(tmp_path, "instruction,input,output\nsay,it,yes\nsay,,no\n")
    task, examples = causal_lm.from_data(Args(), data)
    train = examples.splits["train"]
    assert train["text"][:] == ["say\n\nit", "say"] and train["text_pair"][:] == ["yes", "no"]
    assert task.form == "completions" and task.args.separator == "\n"
    assert "(with 'input' behind), completions in 'output'" in capsys.readouterr().err
    seen = causal_lm.for_evaluation(task, data, "train", examples.fingerprint)
    assert seen.splits["train"]["text"][:] == train["text"][:]


@pytest.mark.parametrize(
    ("rows", "asked", "expected"),
    [
        ((("a", " b"), ("a ", "b")), None, ""),
        ((("a", "b"), ("a", " b")), None, "\n"),
        ((("a", " b"),), r" =>\n", " =>\n"),
    ],
)
def test_what_stands_between(rows: Any, asked: str | None, expected: str) -> None:
    prompts, answers = zip(*rows, strict=True)
    train = datasets.Dataset.from_dict({"text": prompts, "text_pair": answers})
    assert text_forms.separator_of(FormArgs(separator=asked), train) == expected


def test_data_of_another_form_are_refused(tmp_path: Path) -> None:
    data = written(tmp_path, "prompt,completion\na,b\nc,d\n")
    task, _ = causal_lm.from_data(Args(), data)
    (tmp_path / "b.csv").write_text("text\na\n")
    other = DataArgs(data=str(tmp_path / "b.csv"))
    with pytest.raises(UserError, match="no 'prompt' and 'completion', which training read as"):
        causal_lm.for_evaluation(task, other, None, "x")
