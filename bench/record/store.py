"""A file of results: lines of JSON, added as they come and never changed.

A writer that was killed leaves a last line that is torn; it is left where it is, the next one
begins a line of its own, and readers pass over it with a warning. A line that does not fit on the
disk is taken back.
"""

import json
import logging
from pathlib import Path

from bench.record.results import Result
from tasks.errors import UserError
from zoo.store import append_only

logger = logging.getLogger(__name__)

SCHEMA = 1
DAMAGED = (ValueError, TypeError, AttributeError, KeyError, RecursionError)
"""The errors that a line raises which is no result, or is nested too deep."""


def read(path: Path) -> list[Result]:
    """The results in a file, in the order they were added; none where there is no file.

    Raises `UserError` for results of a newer schema, or a file that can't be read.
    """
    try:
        rows = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    results = []
    for number, line in enumerate(rows, start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            schema = content.pop("schema")
        except DAMAGED:
            logger.warning("%s, line %d is torn or no result: passed over", path, number)
            continue
        if not isinstance(schema, int) or schema > SCHEMA:
            raise UserError(
                f"{path}, line {number}: results of schema {schema}, and this version reads up to "
                f"{SCHEMA}: update it, or give another --out"
            )
        try:
            results.append(Result.from_json(content))
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            RecursionError,
            UserError,
        ) as error:
            logger.warning("%s, line %d is no result (%s): passed over", path, number, error)
    return results


def append(path: Path, result: Result) -> None:
    """Adds a result; it is on disk when this returns.

    Raises OSError where it does not fit, and then leaves the file as it was.
    """
    content = {"schema": SCHEMA, **result.to_json()}
    append_only.append(path, json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n")
