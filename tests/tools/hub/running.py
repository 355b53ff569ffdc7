"""Runs the command line in this process."""

import contextlib
import io

from tests.cli import Done, drawn_once
from tools.hub.cli import main


def hub_cli(*argv: object) -> Done:
    """What `python -m tools.hub ...` leaves behind."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), drawn_once():
        code = main([str(word) for word in argv])
    return Done(code, out.getvalue(), err.getvalue())


def push(*argv: object) -> Done:
    """A push that succeeds."""
    done = hub_cli("push", *argv)
    assert done.code == 0, done.err + done.out
    return done
