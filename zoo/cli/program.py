"""What every program of ours is on the command line: it has verbs, their words are read by tyro,
and what goes wrong becomes one line and an exit code. Nothing here imports torch."""

import contextlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from tasks.errors import UserError, did_you_mean, settings_typed, spelled
from tasks.printing import print_lines, visible
from zoo.cli import help as help_page
from zoo.machine import places

FLAG = "--{}"
"""How a setting is typed: messages name its field."""

AGAIN = "give the same command again"
"""What to do where the disk was full, once there is room."""

EXAMPLES = 7
"""Examples at most in the list of verbs; --help of a verb has its own."""

T = TypeVar("T")


@dataclass(frozen=True)
class Verb:
    """One subcommand of a program."""

    summary: str
    examples: tuple[str, ...]  # what follows the program's name; the first is for the overview
    run: Callable[[Sequence[str]], int]  # with the words behind the verb; gives the exit code
    again: str = AGAIN
    usual: tuple[str, ...] = ()  # fields of the flags that --help shows; empty: all
    typed: str = ""  # how the verb is typed, where not by its name: "finetune bert_cls"


@dataclass(frozen=True)
class Program:
    """A program with subcommands (verbs): `python -m bench run ...`."""

    name: str  # before its messages
    command: str  # how it is called: "python -m bench"
    about: str  # a line of its overview
    verbs: Mapping[str, Verb]

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run a verb; return the exit code: 0, 2 for a user's mistake, 128 + signal for a stop."""
        words = list(sys.argv[1:] if argv is None else argv)
        if not words or words[0] in ("-h", "--help"):
            return overview(self.name, self.overview, 0 if words else 2)
        word, *rest = words
        if word in self.verbs:
            verb = self.verbs[word]
            return guarded(self.name, lambda: verb.run(rest), verb.again)
        hint = did_you_mean(word, self.verbs, shown=repr) or f"there are {', '.join(self.verbs)}"
        return fail(self.name, f"no verb {word!r}; {hint}")

    def overview(self) -> str:
        """Return the help text that the program prints if it is called without a verb."""
        width = max(map(len, self.verbs))
        verbs = "\n".join(f"  {name.ljust(width)}  {v.summary}" for name, v in self.verbs.items())
        shown = [verb.examples[0] for verb in self.verbs.values()][:EXAMPLES]
        examples = "\n".join(f"  {self.command} {example}" for example in shown)
        return (
            f"usage: {self.command} VERB ...\n\n{self.about}\n\nverbs:\n{verbs}\n\n"
            f"examples:\n{examples}\n\n{self.command} VERB --help lists its flags."
        )

    def parse(self, verb: str, kind: type[T], words: Sequence[str], **settings: Any) -> T:
        """Return the words behind a verb as an instance of a dataclass of flags; exit as argparse
        does for --help and errors.

        Args:
            settings: `default` of `tyro.cli`, and `more`, which --help prints after the examples.
        """
        more = settings.pop("more", "")
        if not words and not fields(kind):  # type: ignore[arg-type]
            return kind()  # at once, without tyro
        shown = self.verbs[verb]
        examples = "\n".join(f"  {self.command} {each}" for each in shown.examples)
        found: T = parse_flags(
            kind,
            words,
            prog=f"{self.command} {shown.typed or verb}",
            description=f"{shown.summary}\n\nexamples:\n{examples}{more}",
            usual=shown.usual,
            **settings,
        )
        return found


def guarded(name: str, run: Callable[[], int], again: str = AGAIN) -> int:
    """Run a verb of the program `name`; an error becomes one line on stderr and an exit code.

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
    """Discard all output to standard output, including what is in its buffer, after it was
    closed."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):  # no descriptor of its own: a test's
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def overview(name: str, text: Callable[[], str], code: int) -> int:
    """Print what a program can do; return `code`, or the exit code of an error."""

    def run() -> int:
        print_lines(*text().splitlines())
        return code

    return guarded(name, run)


def fail(name: str, message: str, code: int = 2) -> int:
    """Print the user's mistake, below any unfinished progress bar; return the exit code for it."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        for bar in list(getattr(tqdm, "_instances", ())):
            bar.close()
    print_lines(f"{name}: {spelled(message, FLAG)}", file=sys.stderr)
    return code


def read_words(read: Callable[[list[str]], T], words: Sequence[str]) -> T:
    """Return the result of a parser for the words of a command; if it complains and exits, control
    characters in its message are escaped."""
    shown = [visible(word) for word in words]
    if shown == list(words):
        return read(shown)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return read(list(words))
    except SystemExit:
        read(shown)
        raise


def parse_flags(
    kind: Any,
    words: Sequence[str],
    *,
    prog: str,
    description: str | None,
    default: Any = None,
    usual: Sequence[str] = (),
) -> Any:
    """Return flags as an instance of a dataclass; exit as argparse does for --help and errors.

    Args:
        kind: the dataclass.
        prog: what is typed before the flags.
        description: what --help shows above them.
        default: an instance whose values hold where no flag is given.
        usual: fields of the flags that --help shows, where --help-all shows the rest.
    """
    if wanted := help_page.wanted(words):
        groups = help_page.groups_of(kind, default)
        print_lines(*help_page.page(prog, description or "", groups, usual, wanted == "all"))
        raise SystemExit(0)
    _check_flags(kind, default, words)
    import tyro

    config = (
        tyro.conf.OmitArgPrefixes,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.OmitSubcommandPrefixes,
        tyro.conf.HelptextFromCommentsOff,  # docstrings alone: comments need the source parsed anew
    )
    given: dict[str, Any] = {"prog": prog, "description": description, "config": config}
    if default is not None:
        given["default"] = default
    return places.at_home(read_words(lambda args: tyro.cli(kind, args=args, **given), words))


def _check_flags(kind: Any, default: Any, words: Sequence[str]) -> None:
    """Raise `UserError` for a flag that is not there, and for `--resume=yes`: the parser would take
    `yes` for a word of its own, an input of `predict` perhaps."""
    given = [word.partition("=") for word in words if re.match("--[A-Za-z]", word)]
    if not given:
        return
    flags = [flag for group in help_page.groups_of(kind, default) for flag in group.flags]
    known = {flag.name: flag for flag in flags if not flag.positional}
    for word, equals, value in given:
        name = word[2:].replace("-", "_")
        if name not in known:
            hint = did_you_mean(name, known, shown=lambda near: f"`{near}`") or ""
            where = f"{help_page.ALL[0]} lists those there are" if known else "nor any other"
            raise UserError(f"there is no flag {word}", hint=f"{hint} {where}".lstrip())
        if equals and not known[name].value:
            raise UserError(f"`{name}` takes no value, and here it has {value!r}")
