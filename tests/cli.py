"""Runs the command line as a user does, in this process or in one of its own.

from tests.cli import run_cli, run_process

done = run_cli("zoo.nlp.bert_cls", "finetune", "--model", tiny_bert, "--data", reviews)
assert done.code == 0, done.err
"""

import contextlib
import importlib
import io
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.model.entry import Entry

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ("training.png", "confusion_matrix.png", "mistakes.png", "confusions")
"""What a checkpoint or its card has, up to a dash before its digest."""
_drawn: dict[tuple[str, int], bytes] = {}
"""Those that were drawn, by name and number of axes."""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int  # of exit; negative where a signal ended a process
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()


def run_cli(model: Entry | str, *argv: object) -> Done:
    """Runs a verb in this process; an exception that is no `UserError` passes through.

    The figures of a checkpoint are made, but their files are those of the first such figures.
    `model` is an entry, its module ("zoo.nlp.bert_cls"), or "zoo" for `python -m zoo`.
    """
    out, err = io.StringIO(), io.StringIO()
    arguments = [str(argument) for argument in argv]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), drawn_once():
        try:
            code = _main(model, arguments)
        except SystemExit as stop:  # --help, and flags that are wrong
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except Exception:
            sys.__stderr__.write(out.getvalue() + err.getvalue() + traceback.format_exc())
            raise
    return Done(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def drawn_once() -> Iterator[None]:
    """Make the figures of a checkpoint, but draw only the first of a kind: to draw one takes longer
    than the few steps that most checkpoints are trained for."""
    from zoo.machine import output_file, plots

    save = plots.save

    def once(figure: Any, path: Path, *rest: Any, **more: Any) -> None:
        key = path.name.partition("-")[0], len(figure.axes)
        if drawn := _drawn.get(key):
            with output_file.replacing(path, "the picture") as file:
                file.write(drawn)
        else:
            save(figure, path, *rest, **more)
            if key[0] in PICTURES:
                _drawn[key] = path.read_bytes()

    plots.save = once
    try:
        yield
    finally:
        plots.save = save


def run_process(
    module: str,
    *argv: object,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: str | Path | None = None,
    timeout: float = 300,
) -> Done:
    """Runs `python -m MODULE ...` in a process of its own; `env` is added to this one's."""
    return _process(("-m", module, *argv), env, stdin, cwd, timeout)


def run_program(
    program: str,
    *argv: object,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: str | Path | None = None,
    timeout: float = 120,
) -> Done:
    """Runs lines of Python in a process of its own, as `run_process` does a module; fails where
    they do."""
    done = _process(("-c", program, *argv), env, stdin, cwd, timeout)
    assert done.code == 0, done.err
    return done


def _process(
    words: Sequence[object],
    env: Mapping[str, str] | None,
    stdin: str,
    cwd: str | Path | None,
    timeout: float,
) -> Done:
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        env=environment(env),
        input=stdin,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's variables and `extra`; the checkout is importable from any folder."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **(extra or {})}


def _main(model: Entry | str, arguments: list[str]) -> int:
    from zoo import __main__
    from zoo.cli import verbs

    if model == "zoo":
        return __main__.main(arguments)
    entry = model if isinstance(model, Entry) else importlib.import_module(model).ENTRY
    return verbs.main(entry, arguments)
