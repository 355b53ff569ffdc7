"""Bounds of numbers, declared beside the fields of flags and checked wherever flags are made: on
the command line, from a file, in Python.

A class of flags inherits `Bounded`, and each of its numbers is one of the types here.
"""

import dataclasses
import math
import numbers
import os
import sys
import typing
from collections.abc import Hashable, Iterator, Sequence
from functools import cache
from typing import Annotated, Any, cast

from tasks.errors import UserError, shortened

LIMITLESS = 10**9
"""From here on an upper bound is that of the machine, and not worth saying."""


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The range of valid numbers, as in `Annotated[int, Bounds(1, 100)]`; NaN is never valid."""

    low: float
    high: float = sys.float_info.max
    above: bool = False  # whether `low` itself is out
    below: bool = False  # whether `high` itself is out
    said: str | None = None  # what an error says behind the value, where not `str(bounds)`

    def __contains__(self, value: Any) -> bool:
        # written so that NaN, which is neither less nor more, is out
        over = self.low < value if self.above else self.low <= value
        under = value < self.high if self.below else value <= self.high
        return bool(over and under)

    def __str__(self) -> str:
        if self.high >= LIMITLESS:
            return f"{'above' if self.above else 'at least'} {self.low:,.12g}"
        if not self.above and not self.below:
            return f"from {self.low:,.12g} to {self.high:,.12g}"
        return (
            f"{'above' if self.above else 'at least'} {self.low:,.12g} and "
            f"{'below' if self.below else 'at most'} {self.high:,.12g}"
        )

    def refusal(self, value: Any) -> str:
        """Return the end of the error message for a number outside the bounds."""
        if self.high >= LIMITLESS and value > self.high:
            return f": at most {self.high:,.12g}" if value < math.inf else ": a finite number"
        if self.said is not None:
            return self.said
        ranged = self.high < LIMITLESS and not (self.above or self.below)
        return f" is outside its range, {self}" if ranged else f": {self}"


Count = Annotated[int, Bounds(1, LIMITLESS)]
CountOrZero = Annotated[int, Bounds(0, LIMITLESS)]
MOST_THREADS = max(64, 4 * (os.cpu_count() or 1))
"""Far more threads than cores wait for each other so long that nothing seems to move."""
Threads = Annotated[
    int,
    Bounds(1, MOST_THREADS, said=f": at least 1 and, on this machine, at most {MOST_THREADS:,}"),
]
Seed = Annotated[int, Bounds(0, 2**32 - 1)]
LARGEST_FLOAT32 = 3.4028e38
"""What models compute with goes no further."""
Positive = Annotated[float, Bounds(0, LARGEST_FLOAT32, above=True)]
NotNegative = Annotated[float, Bounds(0, LARGEST_FLOAT32)]
Share = Annotated[float, Bounds(0, 1)]
"""From 0 to 1, both included."""
BelowOne = Annotated[float, Bounds(0, 1, below=True)]
"""A share that is not all."""
InnerShare = Annotated[float, Bounds(0, 1, above=True, below=True)]
"""A share that is neither nothing nor all."""


class Bounded:
    """A base class for dataclasses that checks numbers against the bounds of their fields.

    Raises `UserError` where it is made with another number, or with what is none.
    """

    def __post_init__(self) -> None:
        flags: Hashable = cast(Hashable, type(self))
        for name, kind, bounds in numbers_of(flags):
            value = getattr(self, name)
            several = name in _of_several(flags) and isinstance(value, tuple | list)
            for each in value if several else (value,):
                if each is not None:
                    _check(name, each, kind, bounds)


@cache
def numbers_of(flags: Hashable) -> tuple[tuple[str, type, Bounds | None], ...]:
    """Return every numeric field of a dataclass: its name, int or float, and its bounds (None if it
    has none)."""
    hints = typing.get_type_hints(flags, include_extras=True)
    return tuple(
        (field.name, kind, bounds)
        for field in dataclasses.fields(flags)  # type: ignore[arg-type]
        for kind, bounds in _numbers(hints[field.name], None)
    )


@cache
def _of_several(flags: Hashable) -> frozenset[str]:
    """Return the names of the fields of a dataclass that may hold several values."""

    def holds(hint: Any) -> bool:
        origin = typing.get_origin(hint)
        is_many = isinstance(origin, type) and issubclass(origin, Sequence)
        return is_many or any(holds(part) for part in typing.get_args(hint))

    hints = typing.get_type_hints(flags, include_extras=True)
    return frozenset(name for name, hint in hints.items() if holds(hint))


def _numbers(hint: Any, bounds: Bounds | None) -> Iterator[tuple[type, Bounds | None]]:
    """Yield each numeric type inside a type annotation, with the bounds around it."""
    if hint is int or hint is float:
        yield hint, bounds
    elif typing.get_origin(hint) is Annotated:
        inner, *notes = typing.get_args(hint)
        yield from _numbers(inner, next((x for x in notes if isinstance(x, Bounds)), bounds))
    elif typing.get_origin(hint) is not typing.Literal:
        for part in typing.get_args(hint):
            yield from _numbers(part, bounds)


def must_be_multiple(flags: Any, whole: str, parts: str) -> None:
    """Raise `UserError` where the field `whole` is no multiple of the field `parts`: each head of a
    network has a part of its width."""
    size, count = getattr(flags, whole), getattr(flags, parts)
    if size % count:
        raise UserError(
            f"`{whole}` {size} can't be shared out to `{parts}` {count}: give a multiple"
        )


def _check(name: str, value: Any, kind: type, bounds: Bounds | None) -> None:
    wanted: type = numbers.Integral if kind is int else numbers.Real
    if isinstance(value, bool) or not isinstance(value, wanted):
        shown = shortened(repr(value))
        raise UserError(f"`{name}` {shown} is no {'whole ' if kind is int else ''}number")
    if bounds is not None and value not in bounds:
        raise UserError(f"`{name}` {value}{bounds.refusal(value)}")
