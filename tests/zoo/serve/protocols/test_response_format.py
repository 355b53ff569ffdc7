"""`response_format`: what is read of it, and what is refused before a model hears of it."""

import json
import re
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.serve.protocols.response_format import LONGEST, schema_of, settings_of

FILM = {"type": "object", "properties": {"pattern": {"enum": ["good", "bad"]}}}


def _asked(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "film", "schema": schema}}


def test_it_is_a_schema_any_object_or_any_text() -> None:
    found = schema_of(_asked(FILM))
    assert found is not None and json.loads(found) == FILM, "a property may be called pattern"
    assert schema_of({"type": "json_object"}) == '{"type": "object"}'
    assert schema_of({"type": "text"}) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("json", "`response_format` is a text, and not an object"),
        ({"type": "xml"}, "the type 'xml'; there is text, json_object, json_schema"),
        ({}, "the type 'None'"),
        ({"type": "json_object", "schema": {}}, "a field 'schema'"),
        ({"type": "json_schema"}, "`json_schema` is null, and not an object"),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, "the `schema` .* is null"),
        (_asked("{}"), "is a text, and not an object"),
        (_asked({"enum": ["a" * LONGEST]}), f"characters: {LONGEST:,} at most"),
        (_asked({"items": [{"pattern": "a{9}"}]}), "`pattern` can't be had"),
        (_asked({"properties": {"a": {"patternProperties": {}}}}), "`patternProperties` can't"),
    ],
)
def test_what_is_none_is_told(given: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        schema_of(given)


def test_vllms_names_say_the_same() -> None:
    for given in (FILM, json.dumps(FILM)):
        found = settings_of({"structured_outputs": {"json": given, "regex": None}})
        assert json.loads(found["json_schema"] or "") == FILM
    found = settings_of({"structured_outputs": {"json_object": True}})
    assert found == settings_of({"response_format": {"type": "json_object"}})
    assert settings_of({"prompt": "a"}) == {}


def test_one_of_several_texts() -> None:
    texts = ["so-so (2.5)", "a|b", "[x]^$", "\\d+ \u56fe", "{1}"]
    found = settings_of({"structured_outputs": {"choice": texts}})["regex"]
    assert found is not None
    assert all(re.fullmatch(found, one) for one in texts)
    assert not any(
        re.fullmatch(found, one) for one in ("a", "so-so (2x5)", "7 \u56fe", "".join(texts))
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("json", "`structured_outputs` is a text, and not an object"),
        ({}, "has 0 fields, and takes one; there is json, json_object, choice"),
        ({"json": {}, "choice": ["a"]}, "has 2 fields, and takes one"),
        ({"regex": "a{9}"}, "`regex` can't be had in `structured_outputs` here; there is json"),
        ({"jsn": {}}, "a field 'jsn'.*did you mean json"),
        ({"json": "{"}, "`json` is no JSON"),
        ({"json": ["a"]}, "`json` is a list, and not an object"),
        ({"json": {"pattern": "a"}}, "`pattern` can't be had"),
        ({"json_object": "yes"}, "true or false"),
        ({"choice": []}, "`choice` is a list of texts, none of them empty"),
        ({"choice": ["a", ""]}, "none of them empty"),
        ({"choice": ["a", 1]}, "`choice` is a number, and not a text"),
        ({"choice": ["a" * (LONGEST + 1)]}, f"at most 256, together {LONGEST:,}"),
    ],
)
def test_what_vllm_takes_and_we_do_not(given: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        settings_of({"structured_outputs": given})


def test_only_one_of_both() -> None:
    both = {"response_format": {"type": "text"}, "structured_outputs": {"choice": ["a"]}}
    with pytest.raises(UserError, match="both say what a text is; give one"):
        settings_of(both)
