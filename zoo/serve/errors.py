"""What a service refuses, each kind with its status of HTTP (RFC 9110, RFC 6585).

A request that is understood and wrong is a `tasks.errors.UserError`, which is 422.
"""

import math

from tasks.errors import UserError

UNPROCESSABLE = 422


class ServeError(Exception):
    """A request that is not answered, for a reason that is not in what it asks to predict."""

    status = 500

    def headers(self) -> dict[str, str]:
        """Return headers of the answer that belong to the refusal."""
        return {}


class BadRequest(ServeError):
    """The body is not what its headers say: no JSON, cut short, not UTF-8."""

    status = 400


class Unauthorized(ServeError):
    """No key, or none that is known."""

    status = 401

    def headers(self) -> dict[str, str]:
        return {"www-authenticate": "Bearer"}


class Forbidden(ServeError):
    """Nobody may do that here."""

    status = 403


class Conflict(ServeError):
    """It can't be done in the state that the service is in."""

    status = 409


class NotFound(ServeError):
    """There is no such model or path here."""

    status = 404


class SlowRequest(ServeError):
    """The body did not come in the time that a client has for it."""

    status = 408


class TooLarge(ServeError):
    """The body is larger than is read."""

    status = 413


class TooManyInputs(TooLarge):
    """More inputs in one request than may ever wait for a model."""

    def __init__(self, count: int, most: int) -> None:
        super().__init__(f"{count:,} inputs in one request: at most {most:,}, so send several")


class QueueFull(ServeError):
    """As many inputs wait as may; `retry_after_s` is when there should be room again."""

    status = 429

    def __init__(self, waiting: int, retry_after_s: float) -> None:
        super().__init__(f"{waiting:,} inputs wait already, which is all that may: come back later")
        self.retry_after_s = retry_after_s

    def headers(self) -> dict[str, str]:
        return {"retry-after": str(max(1, math.ceil(self.retry_after_s)))}


class TooManyBytes(ServeError):
    """The bodies of all requests that are being answered are as large as may be."""

    status = 429

    def __init__(self, held: int) -> None:
        super().__init__(f"{held:,} bytes of requests wait already: come back later")

    def headers(self) -> dict[str, str]:
        return {"retry-after": "1"}


class TooManyStreams(ServeError):
    """As many sounds are heard while they are spoken as may be."""

    status = 429

    def __init__(self, most: int) -> None:
        super().__init__(f"{most:,} streams are heard already, which is all that may")


class Unavailable(ServeError):
    """No worker could answer: none is ready, or those that tried have died."""

    status = 503

    def headers(self) -> dict[str, str]:
        return {"retry-after": "1"}


class TooManyConnections(Unavailable):
    """As many connections are open as may be."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most:,} connections are open, which is all that may: come back later")

    def headers(self) -> dict[str, str]:
        return {**super().headers(), "connection": "close"}


class DeadlineExceeded(ServeError):
    """The answer did not come in the time that a request has."""

    status = 504


def status_of(error: Exception) -> int:
    """Return the status of HTTP for an error: 422 of a `UserError`, 500 of one that nobody
    expected."""
    if isinstance(error, UserError):
        return UNPROCESSABLE
    return error.status if isinstance(error, ServeError) else 500
