"""The service's log: a JSON object a line on standard error, without what was asked.

Lines are written by a thread of their own, and dropped where nobody takes them: a terminal that is
held, or a full pipe, must not stop the service.
"""

import contextlib
import json
import logging
import logging.handlers
import queue
import sys
import time
from collections.abc import Iterator

WAITING = 10_000
"""Lines that wait to be written."""
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


@contextlib.contextmanager
def written(quiet: bool) -> Iterator[None]:
    """Write logs to standard error inside the context.

    Args:
        quiet: no line for each request.
    """
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(WAITING)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    listener = logging.handlers.QueueListener(waiting, handler)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [Dropping(waiting)]
    root.setLevel(logging.WARNING)
    UPDATES.setLevel(logging.INFO)
    REQUESTS.setLevel(logging.WARNING if quiet else logging.INFO)
    listener.start()
    try:
        yield
    finally:
        listener.stop()
        root.handlers[:], root.level = before, level
