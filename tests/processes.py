"""Fine-tunes in processes of their own that start within a moment: forked from one that has torch,
but where a GPU is seen.

They are as real as any other: they can be killed, and several of them can be ranks.
"""

import multiprocessing
import os
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from tests.cli import ROOT
from tests.finetuning import MODEL

PRELOADED = ["zoo.train.finetune", "zoo.nlp.pretrained_encoder", "zoo.speedups.fast_encoder"]
PRELOADED += ["tasks.nlp.text_classification", "transformers.models.bert.modeling_bert"]
PRELOADED += ["transformers.models.auto.modeling_auto", "accelerate.utils", "tyro"]
PRELOADED += ["zoo.vision.convolutional_network", "zoo.speech.keyword_network"]
PRELOADED += ["zoo.speech.conformer_network", "tasks.vision.images", "scipy.signal", "soundfile"]


@dataclass(frozen=True)
class Death:
    """When a process kills itself with SIGKILL: after so many steps and seconds, or in a save."""

    steps: int  # of this process
    seconds: float = 0.0
    flushes: int | None = None  # in the first save after `steps`, before this many files are safe


def start(
    argv: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None = None,
    death: Death | None = None,
    module: str = MODEL,
) -> BaseProcess:
    """Begins a fine-tune whose output goes to the file `log`."""
    if torch.cuda.is_available():  # a fork can't use CUDA where what it has imported asked it
        context: Any = multiprocessing.get_context("spawn")
    else:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
    arguments = (module, list(argv), log, dict(env or {}), death)
    process = context.Process(target=_child, args=arguments)
    process.start()
    return process


def run(
    argv: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None = None,
    death: Death | None = None,
    module: str = MODEL,
) -> int:
    """The exit code of a fine-tune; negative where a signal ended it."""
    process = start(argv, log, env, death, module)
    process.join(300)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def run_ranks(
    argv: Sequence[str], folder: Path, ranks: int = 2, module: str = MODEL, code: int = 0
) -> str:
    """One fine-tune on several gloo processes; fails where one of them ends with another code.
    Gives what they have said."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_PORT": port}
    processes = []
    for rank in range(ranks):
        own = common | {"RANK": rank, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1"}
        env = {name: str(value) for name, value in own.items()}
        processes.append(start(argv, folder / f"rank{rank}.log", env, module=module))
    for process in processes:
        process.join(300)
    said = "\n".join(path.read_text() for path in sorted(folder.glob("rank*.log")))
    assert [process.exitcode for process in processes] == [code] * ranks, said
    return said


def _child(
    module: str, argv: list[str], log: Path, env: dict[str, str], death: Death | None
) -> None:
    os.environ.update(env)
    sys.path.insert(0, str(ROOT))
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    import importlib

    torch.set_num_threads(1)
    from zoo.cli import verbs

    if death is not None:
        _prepare(death)
    code = verbs.main(importlib.import_module(module).ENTRY, argv)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def _prepare(death: Death) -> None:
    """Counts steps and files, and kills this process in the middle of its work."""
    from tasks import atomic
    from zoo.train.reporting.progress_bar import RunLogger

    steps, flushes = 0, 0
    samples, flush = RunLogger.samples, atomic.flush

    def kill() -> None:
        os.kill(os.getpid(), 9)

    def counted_samples(self, step, place, ids) -> None:
        nonlocal steps
        samples(self, step, place, ids)
        steps += 1
        if steps == death.steps and death.flushes is None:
            threading.Timer(death.seconds, kill).start()

    def counted_flush(path: Path) -> None:
        nonlocal flushes
        # the files of a state, and the folder it is renamed into; no other file of the run
        is_file = path.parent.parent.name == "state" and not path.name.startswith(".zoo-")
        of_state = is_file or path.name == "state"
        if of_state and steps >= death.steps and death.flushes is not None:
            if flushes == death.flushes:
                kill()
            flushes += 1
        flush(path)

    RunLogger.samples = counted_samples
    atomic.flush = counted_flush
