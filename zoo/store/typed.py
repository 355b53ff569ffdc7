"""JSON against the types of a dataclass: what a record says is what its reader takes it for."""

import dataclasses
import functools
import inspect
import math
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union

from tasks.errors import shortened

MISSING = dataclasses.MISSING


def fault(kind: Any, value: Any, where: str) -> str | None:
    """Return what of a JSON value does not fit a type, in one sentence; None where all fits.

    Args:
        kind: a type, or what stands for one in an annotation. Of a dataclass all fields are
            checked; those that it does not know are not looked at.
        where: the value's name, such as "config.data".
    """
    return next(_faults(kind, value, where), None)


def unknown(kind: type, value: Mapping[str, Any], where: str) -> str | None:
    """A field of a JSON object that a dataclass does not have, in one sentence."""
    extra = sorted(set(value) - {field.name for field in dataclasses.fields(kind)})
    return f"{where} has {extra[0]!r}, which is not known here" if extra else None


def _faults(kind: Any, value: Any, where: str) -> Iterator[str]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return
    if origin is Union or origin is types.UnionType:
        if all(any(True for _ in _faults(one, value, where)) for one in arguments):
            yield f"{where} is {_shown(value)}, not {_named(kind)}"
    elif origin is Literal:
        if not any(value == one and type(value) is type(one) for one in arguments):
            yield f"{where} is {_shown(value)}, none of {', '.join(map(str, arguments))}"
    elif origin is typing.Annotated:
        yield from _faults(arguments[0], value, where)
    elif dataclasses.is_dataclass(kind):
        yield from _of_fields(kind, value, where)
    elif origin in (tuple, list, Sequence):
        yield from _of_items(origin, arguments, value, where)
    elif origin in (dict, Mapping):
        if not isinstance(value, dict):
            yield f"{where} is {_shown(value)}, not an object"
            return
        for key, one in value.items():
            yield from _faults(arguments[1], one, f"{where}.{key}")
    elif not _is(kind, value):
        yield f"{where} is {_shown(value)}, not {_named(kind)}"


def _of_fields(kind: Any, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where or 'it'} is {_shown(value)}, not an object"
        return
    for field in dataclasses.fields(kind):
        name = f"{where}.{field.name}" if where else field.name
        if field.name in value:
            yield from _faults(_hint(kind, field.name), value[field.name], name)
        elif field.default is MISSING and field.default_factory is MISSING:
            yield f"it has no {name}"


def _of_items(origin: Any, arguments: tuple[Any, ...], value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{where} is {_shown(value)}, not a list"
        return
    kinds = list(arguments)
    if origin is not tuple or kinds[-1:] == [...]:
        kinds = [arguments[0]] * len(value)
    if len(kinds) != len(value):
        yield f"{where} has {len(value)} values, not {len(kinds)}"
        return
    for i, (kind, one) in enumerate(zip(kinds, value, strict=True)):
        yield from _faults(kind, one, f"{where}[{i}]")


def _is(kind: Any, value: Any) -> bool:
    if kind is None or kind is type(None):
        return value is None
    if kind is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and not (isinstance(value, float) and math.isnan(value))
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    if kind in (str, Path):
        return isinstance(value, str)
    return isinstance(value, kind) if isinstance(kind, type) else True


@functools.cache
def _hint(kind: Any, name: str) -> Any:
    """The type of a dataclass's field; Any for one that is imported for the type checker only."""
    owner = next(base for base in kind.__mro__ if name in inspect.get_annotations(base))
    alone = types.SimpleNamespace(__annotations__={name: inspect.get_annotations(owner)[name]})
    try:
        hints = typing.get_type_hints(alone, vars(sys.modules[owner.__module__]))
    except NameError:
        return Any
    return hints[name]


def _named(kind: Any) -> str:
    names = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}
    if kind is type(None) or kind is None:
        return "null"
    if typing.get_origin(kind) in (Union, types.UnionType):
        return " or ".join(map(_named, typing.get_args(kind)))
    if typing.get_origin(kind) is Literal:
        return " or ".join(map(str, typing.get_args(kind)))
    return names.get(kind, "an object" if dataclasses.is_dataclass(kind) else "a list")


def _shown(value: Any) -> str:
    return shortened(repr(value), 40)
