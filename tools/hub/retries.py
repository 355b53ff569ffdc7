"""Once more, after a pause: for the calls that huggingface_hub itself makes only once.

Its `http_backoff` (uploads, listings of trees) tries six times by itself, and honours Retry-After;
those calls are not wrapped here again.
"""

import random
import sys
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tasks.printing import print_lines
from tools.hub import bounds, problems

T = TypeVar("T")

ATTEMPTS = 5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = bounds.LONGEST_PAUSE_S
SILENCES = 2
"""Attempts that are made where no answer comes: each one waits as long as it may."""
BUSY = frozenset((408, 429, 500, 502, 503, 504))
"""The HTTP statuses of faults that pass by themselves. Others (401, 403, 404, 409, 412, 413) stay
the same when the call is made again."""


def again(
    call: Callable[[], T],
    arrived: Callable[[], T | None] | None = None,
    is_final: Callable[[Exception], bool] = lambda error: False,
) -> T:
    """Return the result of a call, which is tried up to ATTEMPTS times with growing, random pauses.

    Args:
        arrived: for a call that must not be made twice: whether it did its work although its answer
            was lost; gives what it would have given, or None.
        is_final: whether huggingface_hub has tried often enough already when it raises this.

    Raises:
        Exception: the last one, as huggingface_hub raised it.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return understood(call)
        except Exception as error:
            pause = None if is_final(error) else _pause(error, attempt)
            if pause is None:
                raise
            reason = _reason(error)
        print_lines(
            f"{reason}; trying again in {pause:.1f} s ({attempt + 1} of {ATTEMPTS})",
            file=sys.stderr,
        )
        time.sleep(pause)
        if arrived is not None and (found := again(arrived)) is not None:
            return found
    raise AssertionError("the last attempt returns or raises")


def understood(call: Callable[[], T]) -> T:
    """Return the result of a call; an error that comes from an answer of another shape is raised as
    `StrangeAnswer`."""
    try:
        return call()
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        if getattr(error, "response", None) is not None:
            raise  # an answer that says what is wrong: some of the library's errors are ValueErrors
        raise problems.StrangeAnswer(repr(error)) from error


def _pause(error: Exception, attempt: int) -> float | None:
    """Seconds to wait before the next attempt; None where there is to be none."""
    if attempt == ATTEMPTS or isinstance(error, bounds.TooSilent):
        return None
    if attempt >= SILENCES and problems.is_silence(error):
        return None
    answer = problems.response(error)
    if answer is None:
        if not problems.is_broken_connection(error):
            return None
    elif answer.status_code not in BUSY:
        return None
    else:
        asked = _asked(answer.headers.get("Retry-After") or answer.headers.get(bounds.ASKED))
        if asked is not None:
            return asked if asked <= LONGEST_PAUSE_S else None
    pause: float = FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
    return pause


def _asked(header: str | None) -> float | None:
    """Seconds that a Retry-After asks for, given as a number or as a date."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


def _reason(error: Exception) -> str:
    answer = problems.response(error)
    if answer is None:
        return "the connection to the Hub broke off"
    return f"the Hub answers {answer.status_code}"
