"""Answers that come while they are made: server-sent events (WHATWG HTML, section 9.2)."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi import Response
from fastapi.responses import StreamingResponse

from tasks.errors import UserError
from zoo.serve.access import refusal
from zoo.serve.answers import as_json
from zoo.serve.errors import ServeError, status_of

HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""Nobody on the way is to keep events, or to wait for more of them (nginx does by default)."""
DONE = "[DONE]"


def event(content: Any) -> bytes:
    """Return an event that has content as JSON; `DONE` is written as it is."""
    return b"data: " + (content.encode() if content == DONE else as_json(content)) + b"\n\n"


async def stream(contents: AsyncGenerator[Any], form: Any) -> Response:
    """Return an answer of events, the first of which has come: what is wrong with a request shows
    by then, and has a status of its own.

    Args:
        contents: what the events have, as it comes.
        form: what an error is told as behind the first event, given its status and `refusal`.

    Raises what `contents` raises before its first event.
    """
    try:
        first = await anext(contents)
    except BaseException:
        await contents.aclose()
        raise
    return StreamingResponse(_events(first, contents, form), 200, HEADERS, "text/event-stream")


async def _events(first: Any, contents: AsyncGenerator[Any], form: Any) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(contents):
        yield event(first)
        try:
            async for content in contents:
                yield event(content)
        except (ServeError, UserError) as error:
            yield event(form(status_of(error), refusal(error)))
