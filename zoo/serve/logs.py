"""The service's log: a JSON object a line on standard error, without what was asked.

Lines are written by a thread of their own, and dropped where nobody takes them: a terminal that is
held, or a full pipe, must not stop the service, nor keep it from ending.
"""

import contextlib
import json
import logging
import logging.handlers
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator

WAITING = 10_000
"""Lines that wait to be written."""
END_S = 2.0
"""That the last lines have to be written."""
REQUESTS = logging.getLogger("zoo.serve.requests")
UPDATES = logging.getLogger("zoo.serve.updates")


class JsonLines(logging.Formatter):
    """A record as one line: time, level, logger, message; of requests their fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        said = {"time": f"{when}.{int(record.msecs):03}Z", "level": record.levelname.lower()}
        if isinstance(record.msg, dict):
            said |= record.msg
        else:
            said |= {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


class Dropping(logging.handlers.QueueHandler):
    """Hands records to the thread that writes, or drops them where that is stuck."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return the record as it is: nothing leaves this process."""
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put a record at the end, if there is room."""
        with contextlib.suppress(queue.Full):
            self.queue.put_nowait(record)


class Writer(threading.Thread):
    """Writes records to a file as they come; it shares no lock with anything else, so that nothing
    waits for it where the file takes no more."""

    def __init__(self, waiting: "queue.Queue[logging.LogRecord | None]", file: int) -> None:
        """`file` is the number of the open file."""
        super().__init__(name="log", daemon=True)
        self._waiting, self._file, self._lines = waiting, file, JsonLines()

    def run(self) -> None:
        """Write until there is a None."""
        while (record := self._waiting.get()) is not None:
            with contextlib.suppress(Exception):  # the next one may be taken
                rest = f"{self._lines.format(record)}\n".encode(errors="backslashreplace")
                while rest:
                    rest = rest[os.write(self._file, rest) :]

    def end(self) -> None:
        """Return when all is written, or nobody has taken it for a while."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=END_S)
        self.join(END_S)


@contextlib.contextmanager
def written(quiet: bool) -> Iterator[None]:
    """Write logs to standard error inside the context.

    Args:
        quiet: no line for each request.
    """
    waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(WAITING)
    writer = Writer(waiting, sys.stderr.fileno())
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [Dropping(waiting)]
    root.setLevel(logging.WARNING)
    UPDATES.setLevel(logging.INFO)
    REQUESTS.setLevel(logging.WARNING if quiet else logging.INFO)
    writer.start()
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        writer.end()
