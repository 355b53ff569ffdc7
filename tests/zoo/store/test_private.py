"""What must not leave the machine."""

import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.store import private

MANIFEST = {
    "model": "bert_cls",
    "source": {"model": "/home/me/weights", "repo": None, "license": None},
    "config": {
        "options": {"model": "/home/me/weights", "from_scratch": False},
        "data": {"data": "/work/shared/data/reviews", "validation_size": 0.1},
        "task": {"labels": ["/m/09x0r", "/home/me"], "args": {"lexicon": "~/words.txt"}},
        "train": {"output_dir": "C:\\runs\\x", "teacher": None, "learning_rate": 2e-4},
    },
}


def test_paths_become_their_last_part() -> None:
    found = private.published(MANIFEST)
    assert found["config"]["data"]["data"] == "reviews"
    assert found["config"]["options"]["model"] == found["source"]["model"] == "weights"
    assert found["config"]["train"] == {"output_dir": "x", "teacher": None, "learning_rate": 2e-4}
    assert found["config"]["task"]["args"]["lexicon"] == "words.txt"
    assert found["config"]["task"]["labels"] == ["/m/09x0r", "/home/me"]  # what it predicts
    assert private.published(found) == found
    assert MANIFEST["config"]["data"]["data"].startswith("/")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_no_setting_stays_absolute(settings: dict[str, object]) -> None:
    found = private.published({"config": {"train": settings}})
    assert private.published(found) == found

    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for one in value.values() for text in texts(one)]
        if isinstance(value, list):
            return [text for one in value for text in texts(one)]
        return [value] if isinstance(value, str) else []

    assert not any(Path(text).is_absolute() for text in texts(json.loads(json.dumps(found))))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("see /home/me/runs/x", "absolute path (/home/me/runs/x)"),
        ('{"data": "/work/shared"}', "absolute path (/work/shared)"),
        ("C:\\Users\\me", "absolute path (C:\\Users\\me)"),
        ('{"x": "C:\\\\Users\\\\me"}', "absolute path"),
        ("hf_" + "a" * 34, "token"),
        ("--data ../../home/anna/x.csv", "path that leads up (../../home/anna/x.csv)"),
        ("--data runs/../../anna/x", "path that leads up (runs/../../anna/x)"),
        ("--data ~anna/x.csv", "path in a home (~anna/x.csv)"),
        ("\\\\server\\anna\\x.csv", "path on a server (\\\\server\\anna\\x.csv)"),
        ("file://server/anna/x.csv", "address of files"),
        ("s3://bucket/anna/x.csv", "address of files"),
        ("https://anna:" + "a" * 34 + "@server/x", "an address with a name or password"),
        ("ssh://anna@server/x", "an address with a name or password"),
    ],
)
def test_what_tells(line: str, said: str) -> None:
    (fault,) = private.faults("card.md", f"first\n{line}\n", False)
    assert fault.startswith("card.md, line 2,") and said in fault
    assert "a" * 34 not in fault


@pytest.mark.parametrize(
    "line",
    [
        "https://huggingface.co/home/me",
        "<details>text</details>",
        "labels /m/09x0r and and/or",
        "python -m zoo.nlp.bert_cls finetune --output_dir runs/x",
        "a/home/b",
        '{"template": "a:\\nb", "note": "Args:\\n  x"}',
        '{"template": "a\\\\nfoo\\\\nbar", "x": "wait... a/b"}',
        "https://medium.com/@anna/x, s3 and ~5 files",
    ],
)
@pytest.mark.parametrize("name", ["card.md", "config.json"])
def test_what_does_not(line: str, name: str) -> None:
    assert private.faults(name, line, False) == []


@pytest.mark.parametrize(
    "path",
    ["../../home/anna/x.csv", "\\\\server\\anna\\x.csv", "C:\\Users\\anna\\x.csv", "~anna/x"],
)
def test_what_tells_is_found_in_json_too(path: str) -> None:
    line = json.dumps({"command": f"python -m zoo.nlp.bert_cls finetune --data {path}"})
    (fault,) = private.faults("evidence.jsonl", line, False)
    assert path in fault
    kept = private.published({"config": {"data": {"data": path}}})
    assert "anna" not in json.dumps(kept)


def test_the_name_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "workstation7.example.org")
    assert private.faults("zoo.json", '{"x": "workstation7"}', True)
    assert not private.faults("zoo.json", '{"x": "workstation77"}', True)
    assert not private.faults("card.md", "my workstation7", False)
