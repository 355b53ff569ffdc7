"""Bodies of requests: JSON, forms, and files as they are. Nothing here knows what they ask for."""

import base64
import binascii
import codecs
import itertools
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from tasks import json_files
from tasks.errors import UserError, did_you_mean, shortened
from zoo.serve.errors import BadRequest, ServeError

URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")
DATA_URL = re.compile(r"\s*data:[^,]{0,200},")
BLANKS = re.compile(r"\s+")
MOST_PARTS = 1_000
"""Of a form."""
LONGEST_NAME = 100
"""Bytes in which the first name of a form ends."""
MISTYPED = "application/x-www-form-urlencoded"
"""What curl says of any body unless it is told, and a form as HTML writes it."""


class UnsupportedMediaType(ServeError):
    """The body is coded in a way that is not read here."""

    status = 415


@dataclass(frozen=True)
class Form:
    """A form of several parts (RFC 7578)."""

    fields: Mapping[str, list[str]]
    files: Mapping[str, list[bytes]]


@dataclass(frozen=True)
class Body:
    """The body of a request, whole."""

    content: bytes
    content_type: str = ""
    """without its parameters, in small letters; empty where none is given"""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """of the content type: "boundary" """

    @property
    def is_form(self) -> bool:
        """Whether it is a form of several parts."""
        return self.content_type == "multipart/form-data"

    @property
    def is_json(self) -> bool:
        """Whether it is JSON by its type; where that says nothing, by its first character."""
        if self.content_type in ("", MISTYPED):
            begins = self.content.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
            return begins in (b"{", b"[", b'"')
        return self.content_type == "application/json" or self.content_type.endswith("+json")

    def is_urlencoded(self, names: Collection[str]) -> bool:
        """Whether it is a form as HTML writes it: by its type, and since that is what curl says of
        any body, by its first name, which is one of these."""
        first, equals, _ = self.content[:LONGEST_NAME].partition(b"=")
        return self.content_type == MISTYPED and bool(equals) and first.decode("latin-1") in names


async def read(request: Request) -> Body:
    """Return the body of a request.

    Raises `UnsupportedMediaType` for a compressed one: what it becomes has no bound.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise UnsupportedMediaType(f"a body in content-encoding {coding[:40]!r}: send it as it is")
    kind, options = parse_options_header(request.headers.get("content-type"))
    named = {name.decode("latin-1"): one.decode("latin-1") for name, one in options.items()}
    return Body(await request.body(), kind.decode("latin-1").strip().lower(), named)


def parse_json(content: bytes) -> Any:
    """Return the value of a JSON text.

    Raises `BadRequest` for what is no JSON (RFC 8259), which NaN and Infinity are not, for numbers
    too large for a float, and for texts that are not UTF-8.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8 text (byte {error.start:,})") from None
    if not text.strip():
        raise BadRequest("the body is empty")
    try:
        return json_files.parse(text, strict=True)
    except ValueError as error:
        raise BadRequest(f"the body is no JSON: {error}") from None


def parse_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is. Raises `BadRequest` where it is none."""
    value = parse_json(content)
    if not isinstance(value, dict):
        raise BadRequest(f"the body is {name_of(value)}, and not a JSON object")
    return value


def parse_form(body: Body) -> Form:
    """Return the fields and files of a form. Raises `BadRequest` where it is damaged or cut short.

    The same name may come several times.
    """
    fields: dict[str, list[str]] = {}
    files: dict[str, list[bytes]] = {}
    ended: list[bool] = []
    parts = itertools.count(1)

    def name_of_part(part: Field | File) -> str:
        if next(parts) > MOST_PARTS:
            raise FormParserError(f"it has more than {MOST_PARTS:,} parts")
        return _utf8(part.field_name or b"", "the name of a field")

    def add_field(part: Field) -> None:
        name = name_of_part(part)
        fields.setdefault(name, []).append(_utf8(part.value or b"", f"the field {name!r}"))

    def add_file(part: File) -> None:
        part.file_object.seek(0)
        files.setdefault(name_of_part(part), []).append(part.file_object.read())

    try:
        parser = FormParser(
            "multipart/form-data",
            add_field,
            add_file,
            on_end=lambda: ended.append(True),
            boundary=body.parameters.get("boundary"),
            config={"MAX_MEMORY_FILE_SIZE": len(body.content) + 1},  # it is in memory already
        )
        parser.write(body.content)
        parser.finalize()
    except FormParserError as error:
        raise BadRequest(f"the body is no form of several parts: {error}") from None
    if not ended:
        raise BadRequest("the body is a form that was cut short: its last boundary is missing")
    return Form(fields, files)


def parse_urlencoded(content: bytes) -> Form:
    """Return the fields of a form as HTML writes it. Raises `BadRequest` for more than may be, and
    for texts that are not UTF-8."""
    text, fields = _utf8(content, "the body"), dict[str, list[str]]()
    try:
        pairs = parse_qsl(text, True, errors="strict", max_num_fields=MOST_PARTS)
    except UnicodeDecodeError:
        raise BadRequest("the form is not UTF-8 text") from None
    except ValueError:
        raise BadRequest(f"the form has more than {MOST_PARTS:,} fields") from None
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return Form(fields, {})


def _utf8(content: bytes, what: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest(f"{what} is not UTF-8 text") from None


def parse_base64(text: str, field: str, what: str) -> bytes:
    """Return the content that a base64 text or a data URL stands for.

    Args:
        field: the field of the request that holds it.
        what: what is wanted, for messages: "an image file".

    Raises `UserError` for a URL, as nothing is fetched, and for what is no base64.
    """
    if URL.match(text):
        raise UserError(
            f"`{field}` is a URL, and nothing is fetched", field, f"send the content of {what}"
        )
    head = DATA_URL.match(text)
    if head and ";base64" not in head[0].lower():
        raise UserError(f"`{field}` is a data URL without base64", field)
    try:
        content = base64.b64decode(BLANKS.sub("", text[head.end() if head else 0 :]), validate=True)
    except (binascii.Error, ValueError):
        raise UserError(
            f"`{field}` is a text that is no base64 of {what}", field, f"send {what} in base64"
        ) from None
    if not content:
        raise UserError(f"`{field}` is empty", field, f"send {what} in base64")
    return content


def name_of(value: Any) -> str:
    """Return what kind of JSON value something is, for messages: "a list"."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def check_names(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Raise `UserError` for a field that nothing here reads: it would be left out silently."""
    for name in given:
        if name not in known:
            shown = shortened(name, 40)
            hint = did_you_mean(name, known) or f"there is {', '.join(known)}"
            raise UserError(f"{where} has a field {shown!r}, which is not known here", name, hint)


def count_of(value: Any, field: str) -> int:
    """Return a whole number of at least 1 out of JSON or, as text, out of a form or URL.

    Raises `UserError` for anything else.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"`{field}` is {_shown(value)}: a whole number of at least 1", field)
    return value


def share_of(value: Any, field: str) -> float:
    """Return a number from 0 to 1 out of JSON. Raises `UserError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(f"`{field}` is {_shown(value)}: a number from 0 to 1", field)
    return float(value)


def text_of(value: Any, field: str) -> str:
    """Return a text out of JSON. Raises `UserError` for anything else."""
    if not isinstance(value, str):
        raise UserError(f"`{field}` is {name_of(value)}, and not a text", field)
    return value


def flag_of(value: Any, field: str) -> bool:
    """Return true or false out of JSON or, as text, out of a form.

    Raises `UserError` for anything else.
    """
    known = {"true": True, "false": False, "1": True, "0": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    if not isinstance(value, bool):
        raise UserError(f"`{field}` is {_shown(value)}: true or false", field)
    return value


def list_of(value: Any, field: str, one: Callable[[Any, str], Any]) -> list[Any]:
    """Return a list out of JSON, each element read by `one`. Raises `UserError` for no list."""
    if not isinstance(value, list):
        raise UserError(f"`{field}` is {name_of(value)}, and not a list", field)
    return [one(each, field) for each in value]


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, int | float) else name_of(value)
