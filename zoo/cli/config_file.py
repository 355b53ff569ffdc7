"""`--config FILE.yaml`: defaults for flags, each read as its flag reads a word.

YAML has types of its own (`no` is false, `1e-4` a text), and none of them counts here: what a value
is follows from its flag.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, Union

from tasks.errors import UserError, did_you_mean
from tasks.paths import expanded

if TYPE_CHECKING:
    import yaml

NOTHING = ("", "~", "null", "Null", "NULL")
"""How YAML writes that there is no value."""
WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclasses.dataclass(frozen=True)
class ConfigLine:
    """A setting on one line of the configuration file."""

    where: str  # the file and the line, for an error
    name: str  # of the flag, with _
    value: "str | tuple[str, ...] | None"  # words as they stand; None: nothing

    def wants(self, what: str) -> NoReturn:
        """Raise the `UserError` for a value that is not of the expected kind."""
        value = "nothing" if self.value is None else repr(self.value)
        if isinstance(self.value, tuple):
            value = f"[{', '.join(self.value)}]"
        raise UserError(f"{self.where}: {self.name} wants {what}, not {value}")


def take(arguments: Sequence[str]) -> tuple[list[str], list[ConfigLine]]:
    """Return the arguments without `--config`, and the settings in its file."""
    rest, paths = [], []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name != "--config":
            rest.append(word)
            continue
        path = value if equals else next(words, "")
        if not path or (not equals and path.startswith("--")):
            raise UserError("--config wants a YAML file")
        paths.append(path)
    if len(paths) > 1:
        raise UserError(f"--config is given {len(paths)} times, {' and '.join(paths)}: give one")
    return rest, list(_read(expanded(paths[0]))) if paths else []


def named(arguments: Sequence[str]) -> set[str]:
    """Return the names of the settings that the arguments or their file give, at their default or
    not."""
    rest, lines = take(arguments)
    flags = {word[2:].partition("=")[0].replace("-", "_") for word in rest if word[:2] == "--"}
    return {*flags, *(flag.removeprefix("no_") for flag in flags), *(line.name for line in lines)}


def apply(default: Any, settings: Sequence[ConfigLine]) -> Any:
    """Return a dataclass of dataclasses of flags with the settings replacing its values.

    Raises `UserError` for a setting of no flag, of another type than its flag, or out of bounds.
    """
    parts = {f.name: getattr(default, f.name) for f in dataclasses.fields(default)}
    places = {
        field.name: part
        for part, value in parts.items()
        if dataclasses.is_dataclass(value)
        for field in dataclasses.fields(value)
    }
    for setting in settings:
        if setting.name not in places:
            hint = did_you_mean(setting.name, places)
            raise UserError(f"{setting.where}: no flag {setting.name!r}", setting.name, hint)
        part = parts[places[setting.name]]
        hints = typing.get_type_hints(type(part), include_extras=True)
        value = _typed(setting, hints[setting.name])
        try:
            parts[places[setting.name]] = dataclasses.replace(part, **{setting.name: value})
        except UserError as error:
            raise UserError(f"{setting.where}: {error}") from None
    return type(default)(**parts)


def _read(path: Path) -> Iterator[ConfigLine]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
        top = yaml.compose(text, Loader=yaml.BaseLoader)
    except OSError as error:
        raise UserError(f"--config {path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"--config {path} is no text in UTF-8: save it as such") from None
    except RecursionError:
        raise UserError(
            f"--config {path}: not valid YAML of flags: it is nested too deep"
        ) from None
    except yaml.YAMLError as error:
        mark, problem = (getattr(error, name, None) for name in ("problem_mark", "problem"))
        where = f", line {mark.line + 1}" if mark is not None else ""
        why = " ".join(str(problem or getattr(error, "reason", "")).split())
        tabs = "; indent with blanks, not tabs" if "\\t" in why else ""
        raise UserError(
            f"--config {path}{where}: not valid YAML{f' ({why})' if why else ''}{tabs}"
        ) from None
    if not isinstance(top, yaml.MappingNode):
        raise UserError(f"--config {path}: wants lines of `flag: value`")
    lines: dict[str, int] = {}
    for key, value in top.value:
        line = key.start_mark.line + 1
        where = f"--config {path}, line {line}"
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(f"{where}: wants lines of `flag: value`")
        name = key.value.replace("-", "_")
        if name in lines:
            raise UserError(f"{where}: {name} is set in line {lines[name]} as well: set it once")
        lines[name] = line
        yield ConfigLine(where, name, _words(where, name, value))


def _words(where: str, name: str, node: "yaml.Node") -> "str | tuple[str, ...] | None":
    import yaml

    if isinstance(node, yaml.ScalarNode):
        plain = node.style is None
        return None if plain and node.value in NOTHING else str(node.value)
    items: list[Any] = node.value if isinstance(node, yaml.SequenceNode) else [None]
    if all(isinstance(each, yaml.ScalarNode) for each in items):  # a list of one level
        words = [_words(where, name, each) for each in items]
        if None not in words:
            return tuple(map(str, words))
    raise UserError(f"{where}: {name} wants a value or a list of values: flags are not nested")


def _typed(setting: ConfigLine, hint: Any) -> Any:
    """Return the value of a setting as the type of its flag."""
    if typing.get_origin(hint) is Annotated:
        return _typed(setting, typing.get_args(hint)[0])
    if typing.get_origin(hint) in (Union, types.UnionType):
        (inner,) = (each for each in typing.get_args(hint) if each is not types.NoneType)
        return None if setting.value in (None, "None") else _typed(setting, inner)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        words = (setting.value,) if isinstance(setting.value, str) else setting.value
        if words is None:
            setting.wants("a list")
        each = (dataclasses.replace(setting, value=word) for word in words)
        return tuple(_typed(one, inner) for one in each)
    what, read = _reader(hint)
    if not isinstance(setting.value, str):
        setting.wants(what)
    try:
        return read(setting.value)
    except (ValueError, KeyError):
        setting.wants(what)


def _reader(hint: Any) -> tuple[str, Callable[[str], Any]]:
    """Return what a flag of this type expects, in words, and the function that parses it."""
    if typing.get_origin(hint) is Literal:
        choices: Mapping[str, Any] = {str(choice): choice for choice in typing.get_args(hint)}
        return f"one of {', '.join(choices)}", lambda word: choices[word]
    if hint is bool:
        return "true or false", lambda word: WORDS[word.lower()]
    kinds: dict[Any, tuple[str, Callable[[str], Any]]] = {
        int: ("a whole number", int),
        float: ("a number", float),
        str: ("a text", str),
        Path: ("a path", Path),
    }
    return kinds[hint]
