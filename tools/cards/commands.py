"""Commands on a card: quoted so that they run as they stand, with what they need beside them."""

import shlex
from collections.abc import Iterator, Sequence

from bench.record.markdown import block, code
from tools.cards.metadata import hub_revision
from tools.cards.record import Record
from zoo.store.portable import last_part, portable

OF_FILES = ("--data", "--unlabeled", "--model", "--teacher", "--qat", "--config", "--lm", "--words")
"""Flags that may name a file or folder, which does not come with the zoo then."""
RENAMED = {"--budget": "--minutes"}
"""Flags with times that older records quote, and what has taken their place."""
SECONDS = {"s": 1, "m": 60, "h": 3600}
HELD = ("embedded", "rest", "none")
"""Values of them that name none."""


def paragraphs(record: Record, commands: Sequence[str]) -> list[str]:
    """The commands as one block, a sentence on what has to be there to run them, and one on what
    is written otherwise since they were run."""
    lines = [quoted(command) for command in commands]
    return [block("sh", lines), *needs(record, lines), *written_otherwise(lines)]


def written_otherwise(commands: Sequence[str]) -> list[str]:
    """The sentence on flags that had another name when the commands were run; none without any."""
    said = [
        f"{code(f'{old} {value}')} is now {code(f'{new} {_minutes(value)}')}"
        for old, new in RENAMED.items()
        for command in commands
        for value in _values(command, (old,))
    ]
    if not said:
        return []
    return [f"Commands stand here as they were run: {', '.join(dict.fromkeys(said))}."]


def _minutes(budget: str) -> str:
    """Return a time as it was written ("90s", "6m", "1h") in minutes."""
    number, unit = budget[:-1], budget[-1:]
    try:
        return f"{float(number) * SECONDS[unit] / 60:g}"
    except (KeyError, ValueError):
        return "MINUTES"


def needs(record: Record, commands: Sequence[str]) -> list[str]:
    """The sentence that says which files the commands take that do not come with the zoo; none
    where there are no such files."""
    made = {value for command in commands for value in _values(command, ("--output_dir",))}
    files = [
        value
        for command in commands
        for value in _values(command, OF_FILES)
        if value not in made and not _is_known(record, value)
    ]
    if not files:
        return []
    *most, last = [code(name) for name in dict.fromkeys(files)]
    several = f"{', '.join(most)} and {last}" if most else last
    do, have, lie = ("do", "have", "they lie") if most else ("does", "has", "it lies")
    return [
        f"{several} {do} not come with the zoo, and {have} to lie in the working directory (or say "
        f"where {lie})."
    ]


def data_flag(record: Record) -> str:
    """`--data NAME` where the data set of the training is a file or folder, which a checkpoint
    from elsewhere can't find; else nothing."""
    name = str(record.manifest["config"]["data"].get("data", "embedded"))
    if name in HELD or hub_revision(record.manifest["data"]):
        return ""
    return f" --data {_word(last_part(name))}"


def quoted(command: str) -> str:
    """A command for a shell, on one line: control characters are written as in $'a\\nb', and of a
    path on the machine that measured the last part stays."""
    try:
        words = shlex.split(command)
    except ValueError:  # a quote without end: it never was a command
        return command
    return " ".join(_word(portable(word)) for word in words)


def _word(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(c if c.isprintable() else _escape(c) for c in escaped) + "'"


def _escape(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _values(command: str, flags: Sequence[str]) -> Iterator[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        return
    for word, following in zip(words, [*words[1:], ""], strict=True):
        flag, equals, value = word.partition("=")
        if flag.replace("-", "_").replace("__", "--", 1) in flags:
            yield value if equals else following


def _is_known(record: Record, value: str) -> bool:
    """Return whether a value of a flag names what the zoo or the Hub has, and no file of a user."""
    source = record.manifest.get("source") or {}
    if value in HELD or value in record.entry.presets or value == source.get("repo"):
        return True
    return value == record.data_name and hub_revision(record.manifest["data"]) is not None
