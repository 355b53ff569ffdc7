"""`response_format` of OpenAI's API for texts: JSON, of a schema or any object.

    {"type": "text"}
    {"type": "json_object"}
    {"type": "json_schema", "json_schema": {"name": "film", "schema": {...}}}

The text matches the schema whether `strict` is asked for or not, unless it is cut short by its
limit of tokens. What follows schemas is the package llguidance, an extra. Regular expressions in a
schema are not taken from clients: to follow one of a few characters, `(a{1000}){1000}`, takes
seconds, in which a worker writes nothing for anybody.
https://platform.openai.com/docs/guides/structured-outputs
"""

import json
from collections.abc import Mapping
from typing import Any

from tasks.errors import UserError
from zoo.serve.protocols.bodies import check_names, name_of

FIELD = "response_format"
TEXT, OBJECT, SCHEMA = TYPES = ("text", "json_object", "json_schema")
LONGEST = 16_384
"""Characters of a schema: what follows a longer one takes long to make, while others wait."""
BY_PATTERN = ("pattern", "patternProperties")
"""Of a schema what holds regular expressions."""
BY_NAME = ("properties", "$defs", "definitions", "dependentSchemas")
"""Of a schema what holds schemas by a name of anybody's."""
VALUES = ("const", "enum", "default", "examples")
"""Of a schema what holds values, and no schemas."""


def schema_of(given: Any) -> str | None:
    """Return the JSON schema that a text is to match, as text; None where it may be any.

    Raises `UserError` for what is no such format, and for a schema that is not taken.
    """
    if not isinstance(given, Mapping):
        raise UserError(f"`{FIELD}` is {name_of(given)}, and not an object", FIELD)
    kind = given.get("type")
    if kind not in TYPES:
        raise UserError(
            f"`{FIELD}` has the type {str(kind)[:40]!r}", FIELD, f"there is {', '.join(TYPES)}"
        )
    check_names(given, ("type", SCHEMA) if kind == SCHEMA else ("type",), f"`{FIELD}`")
    if kind == TEXT:
        return None
    if kind == OBJECT:
        return json.dumps({"type": "object"})
    wrapped = given.get(SCHEMA)
    if not isinstance(wrapped, Mapping):
        raise UserError(f"`{SCHEMA}` is {name_of(wrapped)}, and not an object", SCHEMA)
    check_names(wrapped, ("name", "description", "schema", "strict"), f"`{SCHEMA}`")
    schema = wrapped.get("schema")
    if not isinstance(schema, Mapping):
        raise UserError(f"the `schema` of `{SCHEMA}` is {name_of(schema)}, and not an object")
    text = json.dumps(schema)
    if len(text) > LONGEST:
        raise UserError(f"the `schema` has {len(text):,} characters: {LONGEST:,} at most")
    if (name := _pattern_in(schema)) is not None:
        raise UserError(f"`{name}` can't be had in a `schema` here", name, "leave it out")
    return text


def _pattern_in(schema: Any) -> str | None:
    """Return the keyword that holds a regular expression anywhere in a schema; None if there is
    none."""
    if isinstance(schema, list):
        return next(filter(None, map(_pattern_in, schema)), None)
    if not isinstance(schema, Mapping):
        return None
    for name, value in schema.items():
        if name in BY_PATTERN:
            return str(name)
        if name in VALUES:
            continue
        inner = list(value.values()) if name in BY_NAME and isinstance(value, Mapping) else value
        if (found := _pattern_in(inner)) is not None:
            return found
    return None
