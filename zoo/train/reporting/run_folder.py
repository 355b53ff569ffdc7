"""The folder a run writes to, and what is said before it begins."""

import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.atomic import sweep
from tasks.errors import UserError, spelled
from tasks.printing import print_lines
from zoo.machine import places
from zoo.machine.memory import out_of_memory
from zoo.model import remote_code
from zoo.store.checkpoint import MANIFEST
from zoo.store.lock import NAME as LOCK
from zoo.store.lock import FolderLock
from zoo.train.reporting import forecast
from zoo.train.resume import state as states

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn

    from tasks.preflight import Finding
    from zoo.train.methods.base import Data, Learning, Method, Setup


class OutputFolder:
    """The folder of a run, locked against other runs.

    A run that SIGTERM stopped (a preempted machine) is resumed automatically. The files of any
    other run are moved aside, never overwritten.
    """

    def __init__(self, path: Path, state: Path | None, anew: bool, lock: FolderLock | None) -> None:
        self.path = path
        self.state = state  # the saved state that the run goes on from
        self._anew = (
            anew  # whether what lies there is a run that was stopped before its first state
        )
        self._lock = lock  # None on every rank but the first

    def begin(self) -> Path | None:
        """Prepare the folder: unless the run in it is resumed, move its files aside; return where
        they went, None if nothing was moved."""
        if self._lock is None or self.state or self._anew or not _contents(self.path):
            return None
        aside = next(
            path
            for i in range(1, 10_000)
            if not (path := self.path.with_name(f"{self.path.name}.{i}")).exists()
        )
        self.path.rename(aside)
        hint = "" if (aside / MANIFEST).exists() else "; `resume` would have gone on with it"
        print_lines(
            spelled(f"{self.path} held another run: moved to {aside}{hint}"), file=sys.stderr
        )
        self.path.mkdir(parents=True)
        lock = FolderLock(self.path)
        self._lock.release(aside)
        self._lock = lock
        return aside

    def release(self) -> None:
        """Unlock the folder for other runs."""
        if self._lock is not None:
            self._lock.release(self.path)


@contextlib.contextmanager
def claimed(path: Path, resume: bool, accelerator: "Accelerator") -> Iterator[OutputFolder]:
    """Context manager that yields the folder of a run, locked by the first rank; a new folder that
    is still empty at the end is removed.

    Raises `UserError` on every rank if the folder can't be written, if another run holds it, or if
    it holds files that are not a run's.
    """
    state = _state(path, resume, accelerator.is_main_process)
    anew = resume and not any((path / name).exists() for name in (MANIFEST, "state"))
    made: list[Path] = []
    lock, problem = None, None
    if accelerator.is_main_process:
        try:
            made = _make(path)
            lock = FolderLock(path)
            sweep(path)
        except OSError as error:
            problem = places.cannot("`output_dir`", path, error)
        except UserError as error:
            problem = UserError(f"`output_dir` {error}")
    try:
        _agree(problem, accelerator)
        folder = OutputFolder(path, state, anew, lock)
        try:
            yield folder
        finally:
            folder.release()
    finally:
        for each in made:
            with contextlib.suppress(OSError):  # it is not empty: that is what it was made for
                each.rmdir()


def _state(path: Path, resume: bool, main: bool) -> Path | None:
    """Return the saved state to resume from, or None."""
    with contextlib.suppress(OSError):  # that is what the next line tells
        if path.is_file():
            raise UserError(f"`output_dir` {path} is a file; give a folder")
    places.check_folder("`output_dir`", path)
    contents = _contents(path)
    if contents and not contents & {MANIFEST, "state", "logs"}:
        raise UserError(
            f"`output_dir` {path} holds something that is no run of the zoo's; "
            "give an empty or new folder"
        )
    state, complaints = states.find(path / "state")
    if state is None:
        if resume and main:
            for line in (*complaints, "no saved state to go on from: beginning anew"):
                print_lines(line, file=sys.stderr)
    elif not resume and states.read_progress(state)["signal"] == signal.SIGTERM:
        if main:
            print_lines(f"{path} was stopped by SIGTERM: going on from there", file=sys.stderr)
    elif not resume:
        return None
    if state is not None:  # else what the run writes could not be opened in the end
        remote_code.refuse_other_weights(path, str(path))
    return state


def _contents(path: Path) -> set[str]:
    return {each.name for each in path.iterdir()} - {LOCK} if path.exists() else set()


def _make(path: Path) -> list[Path]:
    """Create a folder and its missing parents; return the folders created, the innermost first."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    return missing


def _agree(problem: UserError | None, accelerator: "Accelerator") -> None:
    """Raise the first rank's problem there, and an error that names it on the other ranks."""
    if accelerator.num_processes > 1:
        import torch

        mine = torch.tensor([float(problem is not None)], device=accelerator.device)
        if accelerator.gather(mine).max() and problem is None:
            raise UserError("the first process can't have the output folder, as it says")
    if problem is not None:
        raise problem from None


def report_findings(findings: "list[Finding]") -> None:
    """Print warnings; raise `UserError` with the first error, after printing the others."""
    errors = [finding for finding in findings if finding.level == "error"]
    for finding in findings:
        if finding.level == "warning":
            print_lines(spelled(f"warning: {finding.message}"), file=sys.stderr)
    for finding in errors[1:]:
        print_lines(spelled(f"error: {finding.message}"), file=sys.stderr)
    if errors:
        raise UserError(errors[0].message)


def announce(
    setup: "Setup",
    data: "Data",
    learning: "Learning",
    methods: "Sequence[Method]",
    model: "nn.Module",
    parameters: int,
) -> None:
    """Print what is trained on which data and what it will cost, with a warning if memory may run
    out.

    Args: parameters: number of parameters of the network as it was created.
    """
    task, examples, train = data.task, data.examples, data.features["train"]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    features = {**data.features, **data.beside}
    sizes = ", ".join(f"{len(f):,} {name}" for name, f in features.items())
    arithmetic = str(setup.dtype).removeprefix("torch.")
    print_lines(
        f"{setup.entry.name}: {parameters / 1e6:.1f}M parameters ({trained:,} trained), "
        f"{arithmetic} on {setup.device}; data {examples.name} ({examples.fingerprint[:12]}): "
        f"{sizes}; {train.lengths.mean():.0f} {task.unit} a sample",
        file=sys.stderr,
    )
    try:
        expected = forecast.forecast(
            model,
            task,
            learning.features,
            setup.args,
            setup.device,
            setup.dtype,
            methods,
            learning.packing,
        )
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        print_lines(
            "warning: memory ran out in the pass that was to forecast the cost", file=sys.stderr
        )
        return
    print_lines(f"expected: {expected}", file=sys.stderr)
    if warning := expected.warning():
        print_lines(spelled(f"warning: {warning}"), file=sys.stderr)
