"""The Hub's rules for metadata, without the Hub."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.cards import rules
from tools.cards.validate import faults

METADATA: dict[str, Any] = {
    "language": ["en", "yue"],
    "license": "apache-2.0",
    "library_name": "transformers",
    "pipeline_tag": "text-classification",
    "tags": ["bert_cls"],
    "datasets": ["stanfordnlp/imdb", "glue"],
    "metrics": ["accuracy"],
    "base_model": "google-bert/bert-base-uncased",
    "base_model_relation": "finetune",
    "model-index": [
        {
            "name": "reviews",
            "results": [
                {
                    "task": {"type": "text-classification", "name": "Text Classification"},
                    "dataset": {
                        "type": "stanfordnlp/imdb",
                        "name": "IMDB",
                        "config": "plain_text",
                        "split": "test",
                        "args": {"fingerprint": "ab"},
                    },
                    "metrics": [{"type": "accuracy", "value": 0.9, "args": {"evidence": "e:1"}}],
                    "source": {"name": "evidence", "url": "https://huggingface.co/me/x"},
                }
            ],
        }
    ],
}
RESULT = ("model-index", 0, "results", 0)
METRIC = (*RESULT, "metrics", 0)


def _with(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(METADATA)
    part: Any = changed
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return changed


def _places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where there is anything in it."""
    inside: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    below = [place for key, one in inside for place in _places(one, (*path, key))]
    return [path, *below] if path else below


def test_what_the_hub_takes() -> None:
    assert faults(METADATA) == []
    assert faults({}) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("license",), "Apache-2.0", "license 'Apache-2.0' is none of the Hub's"),
        (("license",), "other", "license_name must say which"),
        (("language",), "english", "language 'english' is no code"),
        (("language",), ["en", "xx1"], "language 'xx1'"),
        (("pipeline_tag",), "sentiment", "pipeline_tag 'sentiment'"),
        (("library_name",), 3, "library_name is no text"),
        (("tags",), "one", "tags is no list of texts"),
        (("datasets",), ["my reviews"], "datasets: 'my reviews' is no id"),
        (("base_model",), "/home/me/bert", "base_model '/home/me/bert' is no id"),
        (("base_model_relation",), "child", "base_model_relation 'child' is none of"),
        (("model-index",), {}, "model-index is no list"),
        (("model-index", 0, "name"), 3, "model-index[0].name is no text"),
        (("model-index", 0, "results"), [], "results is no list of results"),
        ((*RESULT, "task"), {}, "results[0].task.type is no text"),
        ((*RESULT, "dataset", "type"), "my reviews", "dataset.type 'my reviews'"),
        ((*RESULT, "dataset", "config"), 3, "dataset.config is no text: 3"),
        ((*RESULT, "dataset", "args"), "x", "dataset.args has no names"),
        ((*RESULT, "metrics"), [], "metrics is no list of metrics"),
        ((*METRIC, "value"), float("nan"), "value is neither a finite number"),
        ((*METRIC, "value"), True, "value is neither a finite number"),
        ((*METRIC, "args", "evidence"), 1, "args.evidence is no text"),
        ((*RESULT, "source", "url"), "evidence.jsonl", "source.url 'evidence.jsonl' is no address"),
    ],
)
def test_what_the_hub_refuses(path: tuple[str | int, ...], value: Any, said: str) -> None:
    found = faults(_with(path, value))
    assert any(said in fault for fault in found), found


@given(st.sampled_from(_places(METADATA)))
def test_no_nulls_anywhere(path: tuple[str | int, ...]) -> None:
    (fault,) = faults(_with(path, None))
    assert fault.endswith("is null: leave it out") and str(path[-1]) in fault


@given(
    st.sampled_from(_places(METADATA)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ),
)
def test_nothing_breaks_it(path: tuple[str | int, ...], value: Any) -> None:
    assert all(fault.splitlines() == [fault] for fault in faults(_with(path, value)))


def test_the_lists() -> None:
    assert {"mit", "apache-2.0", "cc-by-nc-4.0", "llama3.1"} <= rules.licenses()
    assert {"text-classification", "automatic-speech-recognition"} <= rules.pipeline_tags()
    assert {"en", "de", "yue", "multilingual"} <= rules.languages()
    assert "EN" not in rules.languages() and len(rules.languages()) > 7000
    assert rules.hub_license("Apache-2.0") == "apache-2.0" and rules.hub_license("Mine") is None


@pytest.mark.parametrize("text", ["", "a/b/c", "a b", "/x", "-x", "x..y", 3, None])
def test_no_ids(text: object) -> None:
    assert not rules.is_hub_id(text)
