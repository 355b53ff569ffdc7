"""A real terminal (a pty) for a program that runs in this process."""

import contextlib
import os
import pty
import termios
import threading
from collections.abc import Callable

from tests.cli import Done


def on_a_terminal(run: Callable[[], int], columns: int = 0) -> Done:
    """Runs a program with standard output and error on a pty; `out` is all that was shown there.

    One without columns does not know how wide it is, and gets no bars.
    """
    shown: list[bytes] = []
    ours, theirs = pty.openpty()
    if columns:
        termios.tcsetwinsize(theirs, (24, columns))

    def read() -> None:
        with contextlib.suppress(OSError):  # the other side was closed
            while piece := os.read(ours, 65_536):
                shown.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        assert stream.isatty()
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            code = run()
    reader.join()
    os.close(ours)
    return Done(code, b"".join(shown).decode("utf-8").replace("\r\n", "\n"), "")
