"""`response_format`: what is read of it, and what is refused before a model hears of it."""

import json
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.serve.protocols.response_format import LONGEST, schema_of

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
