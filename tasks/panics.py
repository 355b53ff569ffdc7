"""Panics of libraries that are written in Rust, which pass by `except Exception`."""

import contextlib
from collections.abc import Iterator

from tasks.errors import UserError


def is_panic(error: BaseException | None) -> bool:
    """Whether an error is a panic of Rust's, whose class every library makes anew."""
    return error is not None and type(error).__name__ == "PanicException"


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """A panic as a `UserError` that says what could not be done."""
    try:
        yield
    except BaseException as error:
        if not is_panic(error):
            raise
        raise UserError(f"{what}: {' '.join(str(error).split())[:300]}") from error
