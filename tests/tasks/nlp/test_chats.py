"""Chats out of tables of several makers."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.nlp import causal_lm, chats
from tasks.nlp.causal_lm import Args

CHAT = [{"role": "user", "content": "图书?"}, {"role": "assistant", "content": "fine"}]


@pytest.mark.parametrize(
    "value",
    [
        CHAT,
        json.dumps(CHAT),
        [{"from": "human", "value": "图书?"}, {"from": "gpt", "value": "fine"}],
        [{**one, "name": None, "tool_calls": None} for one in CHAT],
        [{**CHAT[0], "weight": None}, {**CHAT[1], "weight": 1}],
        [
            {"role": "User", "content": [{"type": "text", "text": "图"}, {"text": "书?"}]},
            {"role": "model", "content": "fine"},
        ],
    ],
    ids=["list", "json", "sharegpt", "arrow", "weights", "parts"],
)
def test_chats_of_several_makers_are_the_same(value: Any) -> None:
    assert chats.messages_of(value, "row 1") == CHAT
    assert chats.of_text(chats.as_text(CHAT)) == CHAT


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("hello", "row 3: no chat, but text that is not JSON"),
        (None, "row 3: None is no list of messages"),
        ([], "row 3: \\[\\] is no list of messages"),
        (["hello"], "row 3, message 1: 'hello' is no object"),
        ([*CHAT, {"role": "judge", "content": "a"}], "row 3, message 3 has the role 'judge'"),
        ([{"content": "a"}], "row 3, message 1 has no role"),
        ([{"role": "user"}], "row 3, message 1 has no content"),
        ([{"role": "user", "content": 3}], "row 3, message 1 has the content 3, which is no text"),
        ([{"role": "user", "content": [{"type": "image"}]}], "has a part that is no text"),
        ([{"role": "user", "content": [None]}], "has a part that is no text: None"),
        ([{"role": "user", "content": ["a", {}]}], "has a part that is no text: {}"),
        ([{"role": "user", "content": [{"text": 3}]}], "has a part that is no text"),
        ([{**CHAT[1], "weight": 0}], "message 1 has the weight 0, and all answers are learned"),
        ([{**CHAT[1], "weight": 0.5}], "message 1 has the weight 0.5"),
        ([{"role": "assistant", "content": "", "tool_calls": [1]}], "has 'tool_calls'"),
    ],
)
def test_what_is_no_chat_is_named(value: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        chats.messages_of(value, "row 3")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_chats_of_any_table_are_the_same(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"c.{suffix}"
    if suffix == "csv":
        quoted = json.dumps(CHAT, ensure_ascii=False).replace('"', '""')
        file.write_text("n,conversations\n" + f'1,"{quoted}"\n' * 5, encoding="utf-8")
    else:
        rows = datasets.Dataset.from_list([{"conversations": CHAT, "n": 1}] * 5)
        rows.to_parquet(file) if suffix == "parquet" else rows.to_json(file)
    task, examples = causal_lm.from_data(Args(), DataArgs(data=str(file)))
    assert task.columns == {"messages": "conversations"} and task.form == "chats"
    assert examples.splits["train"].column_names == ["chat", "row"]
    assert {chats.as_text(CHAT)} == set(examples.splits["train"]["chat"])
    assert task.show(examples.splits["train"][0], 0) == "user: 图书? assistant: fine"


def test_a_bad_row_of_a_file_is_named(tmp_path: Path) -> None:
    rows = [{"messages": CHAT}] * 20
    rows[6] = {"messages": [{"role": "judge", "content": "a"}]}
    file = tmp_path / "c.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(UserError, match=r"c\.jsonl, train row 7, message 1 has the role 'judge'"):
        causal_lm.from_data(Args(), DataArgs(data=str(file)))
    with pytest.raises(UserError, match="`clean` html mends texts, and"):
        causal_lm.from_data(Args(clean="html"), DataArgs(data=str(file)))
