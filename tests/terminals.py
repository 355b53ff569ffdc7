"""A real terminal (a pty) for a program that runs in this process."""

import contextlib
import os
import pty
import sys
import termios
import threading
from collections.abc import Callable

from tests.cli import Done


def on_a_terminal(run: Callable[[], int], columns: int = 0, typed: bytes | None = None) -> Done:
    """Runs a program with standard output and error on a pty; `out` is all that was shown there.

    One without columns does not know how wide it is, and gets no bars. What is typed is read on it
    as standard input, and not shown.
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
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(os.fdopen(theirs, "w", encoding="utf-8"))
        assert stream.isatty()
        if typed is not None:
            settings = termios.tcgetattr(theirs)
            settings[3] &= ~termios.ECHO
            termios.tcsetattr(theirs, termios.TCSANOW, settings)
            os.write(ours, typed)
            stdin = stack.enter_context(open(theirs, encoding="utf-8", closefd=False))
            stack.callback(setattr, sys, "stdin", sys.stdin)
            sys.stdin = stdin
        stack.enter_context(contextlib.redirect_stdout(stream))
        stack.enter_context(contextlib.redirect_stderr(stream))
        code = run()
    reader.join()
    os.close(ours)
    return Done(code, b"".join(shown).decode("utf-8").replace("\r\n", "\n"), "")
