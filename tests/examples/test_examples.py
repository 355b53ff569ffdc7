"""Every command of EXAMPLES.md runs, takes the settings that it names, and leaves what it says."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Done, environment, run_cli, run_process
from tests.examples import inputs
from tests.examples.catalogue import ADDRESS, Command
from tests.examples.chapters import CHAPTERS
from tests.serving import serving

COMMANDS = {
    f"{example.name}-{number}": command
    for chapter in CHAPTERS
    for example in chapter.examples
    for number, command in enumerate(example.commands)
}
[SERVICE] = [command for command in COMMANDS.values() if command.serves]
"""What the commands below it ask."""
NOT_RECORDED = {"data", "model", "output_dir", "unlabeled", "nproc_per_node"}
"""Names of files, for which a digest stands in the record, and the flag of torchrun."""
TRAINING = {"finetune", "pretrain"}


class Workspace:
    """A folder with the inputs, where each command runs once, and a service once it is asked."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self._done: dict[str, Done] = {}
        self._address = ADDRESS

    def run(self, command: Command) -> Done:
        """Run a command, and before it those that make the checkpoints it reads."""
        if command.line not in self._done:
            if command.asks:
                self.run(SERVICE)
            for name in command.inputs:
                for makes in _making(name):
                    before = self.run(makes)
                    assert before.code == 0, f"{makes.line}: {before.err}"
            with contextlib.chdir(self.folder):
                done = self._serve(command) if command.serves else self._run(command)
                self._done[command.line] = done
        return self._done[command.line]

    def _serve(self, command: Command) -> Done:
        """Start a service on a free port; it goes on as long as the folder is there."""
        service = self._stack.enter_context(serving(*command.words[4:]))
        self._address = service.url.removeprefix("http://")
        return Done(0, service.log.replace(self._address, ADDRESS), "")

    def _run(self, command: Command) -> Done:
        return _run([word.replace(ADDRESS, self._address) for word in command.words])


def _making(name: str) -> list[Command]:
    """Return the command that makes a checkpoint or artifact, or those that make one below it."""
    outputs = [(one, one.output) for one in COMMANDS.values() if one.output]
    makes = [one for one, output in outputs if output == name]
    makes = makes or [one for one, output in outputs if output.startswith(f"{name}/")]
    assert makes, f"no command makes {name}"
    return makes


def _run(words: list[str]) -> Done:
    if words[0] == "torchrun":
        return run_process("torch.distributed.run", *words[1:])
    if words[0] == "curl" or words[:2] == ["python", "-c"]:
        return _program(words)
    assert words[:2] == ["python", "-m"], words
    return (run_process if words[2] == "bench" else run_cli)(*words[2:])


def _program(words: list[str]) -> Done:
    """Run curl, or lines of Python: what asks a service and is none of our commands."""
    program = sys.executable if words[0] == "python" else shutil.which(words[0])
    if program is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run(
        [program, *words[1:]], env=environment(), capture_output=True, text=True, timeout=60
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("examples")
    inputs.write(folder)
    with contextlib.ExitStack() as stack:
        yield Workspace(folder, stack)


def _marked(name: str, command: Command) -> Any:
    marks = [pytest.mark.slow] if command.slow or command.serves or command.asks else []
    if command.lacks:  # to be taken away once it is there: strict
        marks.append(pytest.mark.xfail(strict=True, reason=command.lacks))
    return pytest.param(command, marks=marks, id=name)


@pytest.mark.parametrize("command", [_marked(*item) for item in COMMANDS.items()])
def test_the_command_runs(workspace: Workspace, command: Command) -> None:
    if command.package:
        pytest.importorskip(command.package)
    done = workspace.run(command)
    assert done.code == 0, done.err
    for pattern in command.prints:
        assert re.search(pattern, done.out + done.err, re.MULTILINE), done.out + done.err
    if command.output:
        folder = workspace.folder / command.output
        assert any(folder.iterdir())
        for file, key, value in command.leaves:
            assert _value(json.loads((folder / file).read_text()), key) == value
        if TRAINING & set(command.words):
            assert (folder / "model.safetensors").is_file()
            _must_be_recorded(command, json.loads((folder / "zoo.json").read_text())["config"])


def _value(record: Any, key: str) -> Any:
    for part in key.split("."):
        record = record[part]
    return record


def _must_be_recorded(command: Command, config: Mapping[str, Any]) -> None:
    """Fail unless each flag of a training is in its record with its value."""
    recorded = config["options"] | config["data"] | config["train"] | config["task"]["args"]
    for flag, values in command.flags.items():
        if flag in NOT_RECORDED:
            continue
        if not values and flag.startswith("no-"):
            assert recorded[flag.removeprefix("no-")] is False, flag
        else:
            assert _same(recorded[flag], values), f"--{flag}: {recorded[flag]}, not {values}"


def _same(value: Any, words: list[str]) -> bool:
    if isinstance(value, bool) or value is None:
        return value is True and not words
    if isinstance(value, list):
        return list(map(str, value)) == words
    if isinstance(value, int | float):
        return [value] == list(map(float, words))
    return [value] == words


@cache
def _help(*words: str) -> str:
    done = run_cli(*words, "--help-all")
    assert done.code == 0, done.err
    return done.out


def test_flags_exist() -> None:
    """Of the commands that `nox -s examples` runs alone, too."""
    models = [one for one in COMMANDS.values() if one.words[2].startswith("zoo.") and not one.lacks]
    assert len(models) > 40
    for command in models:
        shown = _help(*command.words[2:4]).replace("-", "_")
        for flag in command.flags:
            assert f"__{flag.replace('-', '_')}" in shown, f"--{flag}: {command.line}"


def test_what_is_missing_in_a_record_is_seen() -> None:
    """The test above would pass if nothing was compared."""
    train = {"learning_rate": 5e-5, "vflip": False, "widths": [8, 16], "optim": "adam"}
    config = {"options": {}, "data": {}, "train": train, "task": {"args": {}}}
    right = "--learning_rate 5e-5 --no-vflip --widths 8 16 --optim adam"
    _must_be_recorded(Command(right), config)
    for wrong in ("--learning_rate 1", "--vflip", "--widths 8", "--optim sgd", "--no-optim"):
        with pytest.raises(AssertionError):
            _must_be_recorded(Command(wrong), config)
    with pytest.raises(KeyError):
        _must_be_recorded(Command("--depth 2"), config)
