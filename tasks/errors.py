"""The one error that stands for a mistake of the user's rather than ours, and how messages name
settings.

A message names a setting by its field, between backticks: "`max_length` 600 is more than the 512
this model takes". Python shows it so; a command line spells it as its flag, `--max_length`.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator

SETTING = re.compile(r"(?<![\w'\"`])`([a-z][a-z0-9_]*)`(?![\w'\"`])")
"""How a message names a setting; its group is the field. What is quoted is none."""

_pattern = "`{}`"


class UserError(Exception):
    """An error of the user, in one sentence: what was wrong, where, and what would be right.

    The command line prints it without a traceback and leaves with exit code 2.

    Args:
        message: what was wrong, and where; it names settings as `SETTING` has them.
        field: the setting it is about; by default the first that the message names, if any.
        hint: what would be right, if the message does not say so; it is appended to the message.
    """

    def __init__(self, message: str, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}; {hint}")
        named = SETTING.search(message)
        self.field = named[1] if field is None and named else field
        self.hint = hint


LEAST_PART = 5
"""Characters from which on a part of a name tells which one was meant: "lr" does not."""


def did_you_mean(
    name: str, known: Iterable[str], shown: Callable[[str], object] = str
) -> str | None:
    """Return a hint with the known name most similar to an unknown name, else with the first that
    has it as a part ("epochs" of "num_train_epochs"); None if there is none.

    Args:
        shown: what a known name is shown as.
    """
    import difflib

    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    if not near and len(name) >= LEAST_PART:
        near = [one for one in names if f"_{name}_" in f"_{one}_"]
    return f"did you mean {shown(near[0])}?" if near else None


def foreign(error: object) -> str:
    """Return the message of another library's error, with backticks replaced by apostrophes because
    they name no setting of ours."""
    return str(error).replace("`", "'")


def spelled(message: str, pattern: str | None = None) -> str:
    """Return a message with its settings written as the user of this process types them.

    Args:
        pattern: how a setting is typed, "--{}" for flags; that of `settings_typed` by default.
    """
    return SETTING.sub(lambda found: (pattern or _pattern).format(found[1]), message)


def shortened(text: str, most: int = 60) -> str:
    """Return a text as a message quotes it: of `most` characters at most, "..." the last of one
    that is longer."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


@contextlib.contextmanager
def settings_typed(pattern: str) -> Iterator[None]:
    """Make `spelled` write settings by a pattern, such as "--{}", inside the context."""
    global _pattern
    before, _pattern = _pattern, pattern
    try:
        yield
    finally:
        _pattern = before
