"""`response_format` of OpenAI's API for texts: JSON, of a schema or any object; and what vLLM calls
`structured_outputs`.

    "response_format": {"type": "text"}
    "response_format": {"type": "json_object"}
    "response_format": {"type": "json_schema", "json_schema": {"name": "film", "schema": {...}}}
    "structured_outputs": {"json": {...}}
    "structured_outputs": {"json_object": true}
    "structured_outputs": {"choice": ["good", "bad"]}

The text matches the schema whether `strict` is asked for or not, unless it is cut short by its
limit of tokens. What follows schemas is the package llguidance, an extra. Regular expressions and
grammars are not taken from clients: to follow one of a few characters, `(a{1000}){1000}`, takes
seconds, in which a worker writes nothing for anybody.
https://platform.openai.com/docs/guides/structured-outputs
https://docs.vllm.ai/en/latest/features/structured_outputs/
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tasks import json_files
from tasks.errors import UserError
from zoo.serve.protocols.bodies import check_names, flag_of, list_of, name_of, text_of

FIELD = "response_format"
STRUCTURED = "structured_outputs"
FIELDS = (FIELD, STRUCTURED)
TEXT, OBJECT, SCHEMA = TYPES = ("text", "json_object", "json_schema")
JSON, ANY_JSON, CHOICE = WAYS = ("json", "json_object", "choice")
REFUSED = ("regex", "grammar", "structural_tag", "whitespace_pattern", "disable_any_whitespace")
"""Of vLLM's ways those that are not taken, or change what another one allows."""
ANY_OBJECT = json.dumps({"type": "object"})
LONGEST = 16_384
"""Characters of a schema, or of all choices: what follows longer ones takes long to make, while
others wait."""
MOST_CHOICES = 256
META = re.compile(r"[\\.+*?()|\[\]{}^$#&\-~]")
"""Characters that mean something in a regular expression of Rust's."""
BY_PATTERN = ("pattern", "patternProperties")
"""Of a schema what holds regular expressions."""
BY_NAME = ("properties", "$defs", "definitions", "dependencies", "dependentRequired",
           "dependentSchemas")  # fmt: skip
"""Of a schema what holds schemas by a name of anybody's."""
VALUES = ("const", "enum", "default", "examples")
"""Of a schema what holds values, and no schemas."""


def settings_of(request: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what a text is to match as settings of the text, `json_schema` or `regex`; nothing
    where a request does not say.

    Raises `UserError` for what is no such format, for what is not taken, and for both fields.
    """
    given = [name for name in FIELDS if name in request]
    if len(given) > 1:
        raise UserError(f"`{FIELD}` and `{STRUCTURED}` both say what a text is", FIELD, "give one")
    if not given:
        return {}
    if given == [FIELD]:
        return {"json_schema": schema_of(request[FIELD])}
    return _structured(request[STRUCTURED])


def _structured(given: Any) -> dict[str, str | None]:
    """Return the settings that one of vLLM's ways to say what a text matches stands for."""
    if not isinstance(given, Mapping):
        raise UserError(f"`{STRUCTURED}` is {name_of(given)}, and not an object", STRUCTURED)
    asked = {name: value for name, value in given.items() if value not in (None, False)}
    check_names(asked, (*WAYS, *REFUSED), f"`{STRUCTURED}`")
    there = f"there is {', '.join(WAYS)}"
    if refused := next((name for name in REFUSED if name in asked), None):
        raise UserError(f"`{refused}` can't be had in `{STRUCTURED}` here", refused, there)
    if len(asked) != 1:
        raise UserError(f"`{STRUCTURED}` has {len(asked)} fields, and takes one", STRUCTURED, there)
    [(way, value)] = asked.items()
    if way == ANY_JSON:
        return {"json_schema": ANY_OBJECT if flag_of(value, way) else None}
    if way == CHOICE:
        return {"regex": _any_of(list_of(value, way, text_of))}
    if isinstance(value, str):
        try:
            value = json_files.parse(value, strict=True)
        except ValueError as error:
            raise UserError(f"`{JSON}` is no JSON: {error}", JSON) from None
    return {"json_schema": _taken(value, f"`{JSON}`")}


def _any_of(texts: Sequence[str]) -> str:
    """Return the regular expression that these texts alone match."""
    if not texts or "" in texts:
        raise UserError(f"`{CHOICE}` is a list of texts, none of them empty", CHOICE)
    if len(texts) > MOST_CHOICES or sum(map(len, texts)) > LONGEST:
        raise UserError(
            f"`{CHOICE}` has {len(texts):,} texts, together {sum(map(len, texts)):,} characters: at"
            f" most {MOST_CHOICES:,}, together {LONGEST:,}",
            CHOICE,
        )
    return "|".join(META.sub(r"\\\g<0>", text) for text in texts)


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
        return ANY_OBJECT
    wrapped = given.get(SCHEMA)
    if not isinstance(wrapped, Mapping):
        raise UserError(f"`{SCHEMA}` is {name_of(wrapped)}, and not an object", SCHEMA)
    check_names(wrapped, ("name", "description", "schema", "strict"), f"`{SCHEMA}`")
    return _taken(wrapped.get("schema"), f"the `schema` of `{SCHEMA}`")


def _taken(schema: Any, what: str) -> str:
    """Return a schema of a client as text. Raises `UserError` for one that is not taken."""
    if not isinstance(schema, Mapping):
        raise UserError(f"{what} is {name_of(schema)}, and not an object")
    text = json.dumps(schema)
    if len(text) > LONGEST:
        raise UserError(f"{what} has {len(text):,} characters: {LONGEST:,} at most")
    if (name := _pattern_in(schema)) is not None:
        raise UserError(f"`{name}` can't be had in a schema here", name, "leave it out")
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
