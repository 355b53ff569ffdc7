"""Completion of the command `zoo` in a shell: `zoo completion bash` prints what the shell reads.

The shell asks `zoo complete WORDS...` at each TAB; what it answers follows from the same tables and
dataclasses as the command itself, so the two cannot part. Nothing here imports torch.
"""

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from tasks.paths import expanded, is_file
from tasks.printing import print_lines
from zoo.cli import help as help_page
from zoo.cli import runs, settings, verbs
from zoo.model import registry
from zoo.model.entry import Entry
from zoo.store.checkpoint import MANIFEST, read_manifest

SHELLS = {
    "bash": """\
_zoo() {
    local word found
    COMPREPLY=()
    mapfile -t found < <(zoo complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    for word in "${found[@]}"; do
        printf -v word %q "$word"
        COMPREPLY+=("$word")
    done
}
complete -o default -F _zoo zoo""",
    "zsh": """\
#compdef zoo
_zoo() {
    local -a found
    found=("${(@f)$(zoo complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    [[ -n "$found" ]] && compadd -- $found || _files
}
compdef _zoo zoo""",
    "fish": """\
function __zoo
    set -l words (commandline -opc) (commandline -ct)
    set -l found (zoo complete $words[2..-1] 2>/dev/null)
    if test -n "$found"
        printf '%s\\n' $found
    else
        __fish_complete_path $words[-1]
    end
end
complete -c zoo -f -a '(__zoo)'""",
}
"""What each shell reads; where `zoo complete` answers nothing, files are completed."""
INSTALL = {
    "bash": 'eval "$(zoo completion bash)"                    # in ~/.bashrc',
    "zsh": 'eval "$(zoo completion zsh)"                     # in ~/.zshrc, behind compinit',
    "fish": "zoo completion fish | source                    # in ~/.config/fish/config.fish",
}


def script(shell: str) -> str:
    """Return the lines that a shell reads once. Raises `UserError` for another shell."""
    if shell not in SHELLS:
        raise UserError(f"completion is there for {', '.join(SHELLS)}, not for {shell!r}")
    return SHELLS[shell]


def show(words: Sequence[str]) -> int:
    """Print the script of a shell, or how to install it; return the exit code."""
    if len(words) == 1 and not help_page.wanted(words):
        print_lines(*script(words[0]).splitlines())
        return 0
    print_lines(
        f"usage: zoo completion {'|'.join(SHELLS)}",
        "",
        "print what a shell reads to complete verbs, models, runs, flags and their values",
        "",
        "to install:",
        *(f"  {line}" for line in INSTALL.values()),
    )
    return 0 if help_page.wanted(words) else 2


def complete(words: Sequence[str], own: Sequence[str]) -> int:
    """Print what the last of the words may become, one a line; return 0.

    Args:
        words: what stands on the line behind `zoo`; the last is being typed, and may be empty.
        own: the verbs of `zoo`.
    """
    line = [word for word in words[:-1] if word != "="]  # as bash cuts `--device=cpu`
    line += [word.removeprefix("=") for word in words[-1:]]
    try:
        found = list(candidates(line, own))
    except UserError:  # a damaged folder: nothing to say while a line is typed
        return 0
    if found:
        print_lines(*found)
    return 0


def candidates(words: Sequence[str], own: Sequence[str]) -> Iterator[str]:
    """Yield what the last of the words may become; nothing where files are meant."""
    *before, typed = words or [""]
    if not before:
        yield from (verb for verb in own if verb.startswith(typed))
        return
    verb = before[0]
    entry = _entry(verb, before[1:])
    if typed.startswith("-") or before[-1].startswith("--"):
        flags = list(_flags(verb, entry))
        if typed.startswith("-"):
            names = [f"--{flag.name}" for flag in flags if not flag.positional]
            yield from (name for name in [*names, "--help", "--help-all"] if name.startswith(typed))
            return
        name = before[-1].removeprefix("--").replace("-", "_")
        flag = next((one for one in flags if one.name == name), None)
        if flag is not None and flag.value:
            yield from (one for one in _values(flag, entry, before) if one.startswith(typed))
            return
    yield from (one for one in _named(verb, before[1:]) if one.startswith(typed))


def _named(verb: str, before: Sequence[str]) -> Iterator[str]:
    """Yield what may stand in the first place behind a verb."""
    if any(not word.startswith("-") for word in before):
        return
    if verb in verbs.TRAINING or verb == "info":
        yield from (
            entry.name for entry in registry.entries() if verb == "info" or verb in entry.verbs
        )
    if verb == "completion":
        yield from SHELLS
    elif verb not in (*verbs.TRAINING, "list", "doctor", "runs", "ship"):
        yield from (str(path) for path in runs.found(Path("runs")) if (path / MANIFEST).exists())


def _entry(verb: str, words: Sequence[str]) -> Entry | None:
    """Return the model that the words behind a verb are about, if they tell."""
    for word in words:
        if verb in verbs.TRAINING:
            return next((one for one in registry.entries() if one.name == word), None)
        if is_file(expanded(word) / MANIFEST):
            return registry.find(str(read_manifest(expanded(word))["model"]))
    return None


def _flags(verb: str, entry: Entry | None) -> Iterator[help_page.Flag]:
    """Yield the flags of a verb."""
    from zoo.cli import args

    parts: list[tuple[type, Any]] = []
    if verb in verbs.TRAINING and entry is not None:
        parts = [settings.of_training(entry, verb)]
    elif verb == "predict":
        parts = [(args.PredictArgs, None)]
        if entry is not None:
            parts.append((importlib.import_module(entry.task).Inputs, None))
    elif verb in OF_CHECKPOINTS:
        parts = [(getattr(args, OF_CHECKPOINTS[verb]), None)]
    for kind, default in parts:
        for group in help_page.groups_of(kind, default):
            yield from group.flags


OF_CHECKPOINTS = {
    "evaluate": "EvaluateArgs",
    "export": "ExportArgs",
    "quantize": "QuantizeArgs",
    "prune": "PruneArgs",
    "verify": "VerifyArgs",
    "info": "InfoArgs",
    "runs": "RunsArgs",
    "ship": "ShipArgs",
}
"""The dataclass of `zoo.cli.args` that holds a verb's flags."""


def _values(flag: help_page.Flag, entry: Entry | None, before: Sequence[str]) -> Iterator[str]:
    """Yield the values that a flag may have, where they are few and known."""
    if flag.choices:
        yield from flag.choices
    elif flag.name == "device":
        yield from ("auto", "cpu", "cuda", "mps")
    elif flag.name == "model" and entry is not None:
        yield from entry.presets
    elif flag.name in ("teacher", "qat"):
        yield from (str(path) for path in runs.found(Path("runs")) if (path / MANIFEST).exists())
    elif flag.name == "deployment":
        yield from ("eager", "compile")
        for word in before:
            yield from sorted(p.parent.name for p in Path(word).glob("artifacts/*/export.json"))
    elif flag.name == "runtime":
        from zoo.runtimes.known import RUNTIMES

        yield from (name for name, runtime in RUNTIMES.items() if runtime.artifact)
