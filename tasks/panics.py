"""Panics of libraries that are written in Rust, which pass by `except Exception`."""

import contextlib
from collections.abc import Iterator

from tasks.errors import UserError


def is_panic(error: BaseException | None) -> bool:
    """Whether an error is a panic of Rust code; every library defines its own class for it."""
    return error is not None and type(error).__name__ == "PanicException"


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Convert a panic of Rust code in the block to a `UserError` that says what could not be
    done."""
    try:
        yield
    except BaseException as error:
        if not is_panic(error):
            raise
        raise UserError(f"{what}: {' '.join(str(error).split())[:300]}") from error
