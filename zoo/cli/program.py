"""What every program of ours is on the command line: its words are read by tyro, and what goes
wrong becomes one line and an exit code."""

import contextlib
import inspect
import io
import os
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any, TypeVar

from tasks.bounds import Bounds, numbers_of
from tasks.errors import UserError, did_you_mean, settings_typed, spelled
from tasks.printing import print_lines, visible
from zoo.machine import places

FLAG = "--{}"
"""How a setting is typed: messages name its field."""

T = TypeVar("T")


def guarded(name: str, run: Callable[[], int], again: str) -> int:
    """Runs a verb of the program `name`; what goes wrong becomes one line and an exit code.

    Args:
        again: what to do where the disk was full, once there is room.
    """
    from zoo.machine import terminal

    terminal.escape_unencodable()
    try:
        with settings_typed(FLAG):
            code = run()
        sys.stdout.flush()
        return code
    except UserError as error:
        return fail(name, str(error))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        _drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        _drop_output()
        return fail(name, places.explain(error, again))


def _drop_output() -> None:
    """Nothing more can be written to standard output, not even what is left in its buffer."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):  # no descriptor of its own: a test's
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def overview(name: str, text: Callable[[], str], code: int) -> int:
    """Prints what a program can do; returns `code`, or that of what went wrong."""

    def run() -> int:
        print_lines(*text().splitlines())
        return code

    return guarded(name, run, "give the same command again")


def fail(name: str, message: str, code: int = 2) -> int:
    """Says what the user has done wrong, below a progress bar that has not ended; returns the exit
    code for it."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        for bar in list(getattr(tqdm, "_instances", ())):
            bar.close()
    print_lines(f"{name}: {spelled(message, FLAG)}", file=sys.stderr)
    return code


def unknown_verb(name: str, verb: str, known: Collection[str]) -> int:
    """Says that a program has no such verb, and which is near; returns the exit code for it."""
    hint = did_you_mean(verb, known, shown=repr) or f"there are {', '.join(known)}"
    return fail(name, f"no verb {verb!r}; {hint}")


HINTED = "its bounds are in --help"


def show_bounds(flags: type) -> None:
    """Makes --help say the bounds of the numbers of a dataclass, beside their defaults."""
    import tyro

    for name, _, bounds in numbers_of(flags):
        owner = next(each for each in flags.__mro__ if name in inspect.get_annotations(each))
        hint = owner.__annotations__[name]
        if bounds is None or HINTED in getattr(hint, "__metadata__", ()):
            continue

        def say(default: str, bounds: Bounds = bounds) -> str:
            return f"({bounds}; default: {default})"

        shown = tyro.conf.arg(help_behavior_hint=say)
        owner.__annotations__[name] = Annotated[hint, shown, HINTED]


def read_words(read: Callable[[list[str]], T], words: Sequence[str]) -> T:
    """What a parser makes of the words of a command; where it complains and exits, control
    characters among them are written out."""
    shown = [visible(word) for word in words]
    if shown == list(words):
        return read(shown)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return read(list(words))
    except SystemExit:
        read(shown)
        raise


def parse_flags(kind: Any, words: Sequence[str], **settings: Any) -> Any:
    """Flags as an instance of a dataclass; exits as argparse does for --help and errors.

    Args:
        settings: `prog`, `description` and `default` of `tyro.cli`.
    """
    import tyro

    config = (
        tyro.conf.OmitArgPrefixes,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.OmitSubcommandPrefixes,
        tyro.conf.HelptextFromCommentsOff,  # docstrings alone: comments need the source parsed anew
    )
    return read_words(lambda args: tyro.cli(kind, args=args, config=config, **settings), words)
