"""What a worked example is: what its readers build, what they had, and our commands for it."""

import shlex
from dataclasses import dataclass

ADDRESS = "127.0.0.1:8080"
"""Where a service answers, by default; in a test it is another port."""


@dataclass(frozen=True)
class Command:
    """One command, as the page shows it and a test runs it."""

    line: str
    """the whole command; its inputs are those of `tests.examples.inputs`"""
    small: str = ""
    """flags that only the test adds, so that it takes a moment"""
    prints: tuple[str, ...] = ()
    """regular expressions, each found in what it prints"""
    leaves: tuple[tuple[str, str, object], ...] = ()
    """file, key and value: what a JSON file of the checkpoint must say"""
    lacks: str = ""
    """what is not there yet, so that the command fails"""
    slow: bool = False
    """whether only `nox -s examples` runs it"""
    package: str = ""
    """a package that it needs and that the tests do without"""

    @property
    def words(self) -> list[str]:
        """The words of the command, with those that only the test adds."""
        return shlex.split(f"{self.line} {self.small}")

    @property
    def output(self) -> str | None:
        """The checkpoint or artifact that the command makes, as others name it, or None."""
        flags = self.flags
        if "output_dir" in flags:
            return flags["output_dir"][0]
        if "runtime" in flags:
            return artifact(self.positional("export"), flags["runtime"][0])
        return None

    @property
    def inputs(self) -> set[str]:
        """The checkpoints and artifacts that the command reads, as `output` names them."""
        made = {word for word in self.words if word.startswith("runs/")} - {self.output}
        if "deployment" in self.flags:
            return {artifact(folder, self.flags["deployment"][0]) for folder in made}
        return made

    @property
    def flags(self) -> dict[str, list[str]]:
        """The values of each flag, by its name without dashes; the last one counts."""
        found: dict[str, list[str]] = {}
        values: list[str] = []
        for word in self.words:
            if word.startswith("--"):
                values = found[word.removeprefix("--")] = []
            else:
                values.append(word)
        return found

    @property
    def serves(self) -> bool:
        """Whether the command starts a service, which goes on."""
        return self.line.startswith("python -m zoo serve ") and "write_config" not in self.flags

    @property
    def asks(self) -> bool:
        """Whether the command asks a service that another one has started."""
        return ADDRESS in self.line and not self.serves

    def positional(self, verb: str) -> str:
        """The word behind a verb: the checkpoint that it is about."""
        return self.words[self.words.index(verb) + 1]


def artifact(checkpoint: str, deployment: str) -> str:
    """Return where an artifact of a checkpoint lies."""
    return f"{checkpoint}/artifacts/{deployment}"


@dataclass(frozen=True)
class Example:
    """Something that a tutorial or a book has its readers build."""

    name: str
    """of its tests"""
    title: str
    theirs: str = ""
    """their settings, or what they had"""
    wrong: str = ""
    """what is wrong in theirs, where something is"""
    commands: tuple[Command, ...] = ()
    ours: str = ""
    """what is to be said about our commands"""
    lacks: str = ""
    """what is not there yet, where there is no command at all"""

    @property
    def status(self) -> str:
        """Whether all commands are there: "runs", "in part" or "not yet"."""
        there = [not command.lacks for command in self.commands]
        if not any(there):
            return "not yet"
        return "runs" if all(there) and not self.lacks else "in part"


@dataclass(frozen=True)
class Chapter:
    """Examples of one subject."""

    title: str
    examples: tuple[Example, ...]
