"""Processes that start in a tenth of a second: forks of one that has imported the libraries.

    with Preloader(("torch", "transformers")) as start:
        measure(arms, plan, start=start)

A server imports the modules once, and forks for every arm of the same environment; so what a
library reads as it is loaded (OMP_NUM_THREADS) is what a fresh process would read. Forking is safe
as long as the server has one thread (but for `IDLE` ones), has started no pool of OpenMP's, and
CUDA works in a child: it looks at itself before the first fork, and where it is not so, or there is
no fork (Windows, macOS), processes are fresh ones. Pools of OpenMP are started by a child when it
first computes.

What a fork has in common with its siblings and fresh processes have not: the addresses of the
libraries and of all that was imported, and the order of sets of texts (PYTHONHASHSEED). What is
loaded after the fork (weights, activations) lies elsewhere in every child, as each first reserves a
piece of memory of random size. Launches may scatter less than those of fresh processes, all the
same; verdicts rest on fresh ones.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import logging
import math
import mmap
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

from zoo.measure import worker
from zoo.measure.arms import Arm
from zoo.measure.process import Fresh, Process, Worker

logger = logging.getLogger(__name__)

IMPORTING_S = 120.0
"""Seconds after which a server that is not ready is given up."""
FORKING_S = 20.0
TRYING_S = 30
"""Whole seconds that a child may take to try CUDA."""
IDLE = ("jemalloc_bg_thd", "cuda")
"""Beginnings of the names of threads that may be there: jemalloc's (of pyarrow), which prepares
itself for forks, and NVIDIA's driver's, which an import has opened: a child tries CUDA then."""
PADDING_PAGES = 1 << 14  # 64 MiB of addresses, none of them touched
PADDING_BYTES = 1 << 16  # of the heap, below glibc's threshold for a map of its own


class NoFork(Exception):
    """The system has refused a fork; the message says why."""


class Preloader:
    """Starts workers as forks of a server that has imported their modules (a `Start`).

    There is one server for each environment (number of threads) that arms need, each of some
    hundred megabytes. Leaving the `with` block ends all servers and their children.
    """

    def __init__(
        self, modules: Sequence[str], patience: Callable[[], float] = lambda: math.inf
    ) -> None:
        """Prepare a preloader; servers start when they are first needed.

        Args:
            modules: imported before any fork; those that are not installed are skipped.
            patience: returns the seconds that a server may take for the imports, IMPORTING_S at
                most. A slower server is not used.
        """
        self.modules, self.patience = tuple(modules), patience
        self._servers: dict[str, _Server | None] = {}
        self._lock = threading.Lock()

    def __call__(self, arm: Arm, timeout_s: float = 300.0) -> Worker:
        """Start the process of an arm."""
        return Worker(arm, timeout_s, self.spawn)

    def spawn(self, environment: Mapping[str, str], log: IO[bytes]) -> Process:
        """Return a fork of the environment's server, or a fresh process if it cannot fork."""
        key = json.dumps(dict(environment), sort_keys=True)
        with self._lock:
            if key not in self._servers:
                patience = min(IMPORTING_S, self.patience())
                self._servers[key] = _started(self.modules, environment, patience)
            server = self._servers[key]
        if server is not None:
            try:
                return server.fork(log)
            except NoFork as error:  # others may live: they keep it
                logger.warning("a process begins with nothing, not as a fork: %s", error)
            except OSError:  # it has died
                with self._lock:
                    self._servers[key] = None
                server.close()
        return Fresh(environment, log)

    def close(self) -> None:
        """End the servers and all their children."""
        for server in self._servers.values():
            if server is not None:
                server.close()
        self._servers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _started(
    modules: Sequence[str], environment: Mapping[str, str], patience: float
) -> "_Server | None":
    """Return a server that is ready to fork; None where this system or its libraries do not allow
    it, or the imports take longer than `patience` seconds."""
    if not sys.platform.startswith("linux"):  # Apple's libraries must not be used after a fork
        return None
    server = _Server(modules, environment)
    obstacle = server.obstacle(patience)
    if not obstacle:
        return server
    logger.warning("processes begin with nothing, not as forks: %s", obstacle)
    server.close()
    return None


class _Server:
    """The client end of a server's socket: JSON packets with descriptors of a child's pipes."""

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "zoo.measure.preloaded", str(theirs.fileno()), *modules],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(environment),
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is the parent's to handle
            )

    def obstacle(self, patience: float) -> str:
        """Wait up to `patience` seconds for the imports; return why the server may not be forked,
        or an empty string if it may."""
        if not select.select([self._socket], [], [], patience)[0]:
            return f"imports took longer than {patience:.0f} s"
        told = self._socket.recv(1 << 16)
        return str(json.loads(told)["obstacle"]) if told else "the process that imports has died"

    def fork(self, log: IO[bytes]) -> "_Forked":
        """Return a new child with its own pipes. Raises `NoFork` where the system refuses it,
        OSError where the server has died."""
        given, requests = os.pipe()
        answers, taken = os.pipe()
        told, status = os.pipe()
        try:
            packet = json.dumps({"fork": True}).encode()
            socket.send_fds(self._socket, [packet], [given, taken, log.fileno(), status])
        except OSError:
            for each in (requests, answers, told):
                os.close(each)
            raise
        finally:
            for each in (given, taken, status):
                os.close(each)
        return _Forked(self, requests, answers, told)

    def reap(self, pid: int) -> None:
        """Release the process id of a child that has ended."""
        try:
            self._socket.send(json.dumps({"reap": pid}).encode())
        except OSError:
            return  # it has ended itself, and the system does it

    def close(self) -> None:
        """End the server; its children die with it."""
        self._socket.close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:  # it still imports
            self._process.kill()
            self._process.wait()


class _Forked:
    """A child of the server, with the interface of `subprocess.Popen`."""

    def __init__(self, server: _Server, requests: int, answers: int, told: int) -> None:
        self._server, self._told, self._rest = server, told, b""
        self._code: int | None = None
        self.stdin: IO[bytes] | None = os.fdopen(requests, "wb")
        self.stdout: IO[bytes] | None = os.fdopen(answers, "rb")
        try:
            line = self._line(FORKING_S)
            if not line:
                raise OSError("the server of preloaded processes does not answer")
            if not line.isdigit():
                raise NoFork(line.decode())
            self.pid = int(line)
        except (OSError, NoFork):
            self.stdin.close()
            self.stdout.close()
            os.close(told)
            raise

    def poll(self) -> int | None:
        """Return the exit code, -N for signal N; None while the child runs."""
        if self._code is None:
            self._read(0.0)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once the child ends. Raises subprocess.TimeoutExpired on timeout."""
        if self._code is None:
            self._read(timeout)
        if self._code is None:
            raise subprocess.TimeoutExpired("a preloaded process", timeout or 0.0)
        return self._code

    def release(self) -> None:
        """Release the child's process id; no other process gets it before that."""
        if self._told >= 0:
            os.close(self._told)
            self._told = -1
            self._server.reap(self.pid)

    def _read(self, timeout: float | None) -> None:
        line = self._line(timeout)
        if line is not None:  # an end without a code: the server has ended, and it with that
            self._code = int(line) if line else -signal.SIGKILL

    def _line(self, timeout: float | None) -> bytes | None:
        """Return the server's next line on the child; empty at the stream's end, None on
        timeout."""
        while b"\n" not in self._rest:
            if not select.select([self._told], [], [], timeout)[0]:
                return None
            piece = os.read(self._told, 1 << 10)
            if not piece:
                return b""
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line


# --- the server's process: `python -m zoo.measure.preloaded SOCKET MODULE...`


def main() -> NoReturn:
    """Import the modules, then fork on request until the other end of the socket is closed."""
    client = socket.socket(fileno=int(sys.argv[1]))
    client.set_inheritable(False)
    for name in sys.argv[2:]:
        try:
            importlib.import_module(name)
        except Exception:  # whoever needs it imports it again, and says what is wrong with it
            traceback.print_exc()
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page of what is imported
    client.send(json.dumps({"obstacle": obstacle()}).encode())
    _Forks(client).serve()


def obstacle() -> str:
    """Return why this process must not be forked, or an empty string if it may be."""
    if _in_child(_cuda_is_lost):
        return "CUDA was touched"
    # a first fork has ended the threads of OpenBLAS
    busy = [name for name in _other_threads() if not name.startswith(IDLE)]
    return f"it has {len(busy) + 1} threads" if busy else ""


def _other_threads() -> list[str]:
    """Return the names of this process's threads, but for the first."""
    tasks = Path("/proc/self/task")
    return [
        (tasks / task.name / "comm").read_text().strip()
        for task in tasks.iterdir()
        if int(task.name) != os.getpid()
    ]


def _cuda_is_lost() -> bool:
    """Return whether CUDA cannot be used because a parent process has opened it. A failure to use
    it is an exception, or the end of the process."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda._is_in_bad_fork():
        return True
    parent = Path(f"/proc/{os.getppid()}/task")
    opened = any((task / "comm").read_text().startswith("cuda") for task in parent.iterdir())
    if opened and torch is None:
        return True
    if opened and torch.version.cuda is not None:
        signal.alarm(TRYING_S)
        torch.cuda.init()
        torch.cuda.synchronize()
    return False


def _in_child(question: Any) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(int(question()))
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0


class _Forks:
    """The children of this process, and the pipes on which their ends are reported."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.woken, self.wake = os.pipe()
        os.set_blocking(self.wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the default wakes nobody
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        self.statuses: dict[int, int] = {}

    def serve(self) -> NoReturn:
        """Serve requests until the client has closed the socket."""
        while True:
            ready = select.select([self.client.fileno(), self.woken], [], [])[0]
            if self.woken in ready:
                os.read(self.woken, 1 << 10)
                self._tell_ended()
            if self.client.fileno() in ready:
                packet, fds, _, _ = socket.recv_fds(self.client, 1 << 16, 4)
                if not packet:
                    os._exit(0)
                asked = json.loads(packet)
                if "reap" in asked:
                    os.waitpid(asked["reap"], 0)
                else:
                    self._fork(fds)

    def _fork(self, fds: list[int]) -> None:
        *pipes, status = fds
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            os.write(status, f"{error}\n".encode())
            pid = -1
        if pid == 0:
            self._be_child(parent, pipes, status)
        for each in pipes:
            os.close(each)
        if pid < 0:
            os.close(status)
            return
        with contextlib.suppress(OSError):  # the child was first, or has ended
            os.setpgid(pid, pid)
        os.write(status, f"{pid}\n".encode())
        self.statuses[pid] = status

    def _tell_ended(self) -> None:
        """Report the children that have ended; their ids stay reserved until released."""
        for pid, status in list(self.statuses.items()):
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                continue
            by_signal = ended.si_code != os.CLD_EXITED
            code = -ended.si_status if by_signal else ended.si_status
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
                os.write(status, f"{code}\n".encode())
            os.close(status)
            del self.statuses[pid]

    def _be_child(self, parent: int, pipes: list[int], status: int) -> NoReturn:
        """Run as `python -m zoo.measure.worker` does, without starting Python or its imports."""
        code = 1
        try:
            os.setpgid(0, 0)  # its children end with it
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for target, pipe in enumerate(pipes):
                os.dup2(pipe, target)
            others = (self.woken, self.wake, status, *pipes, *self.statuses.values())
            for each in others:
                os.close(each)
            self.client.close()
            kept = differ()
            worker.serve(parent, preloaded=True)
            del kept
            code = 0
        except BaseException:  # nothing may go on with the server's work
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def differ() -> tuple[Any, ...]:
    """Redo in a fork the random choices that every fresh process makes; keep what is returned
    alive.

    Later memory mappings and the heap lie at other addresses, and NumPy's global random numbers
    begin elsewhere (those of `random` do so by themselves, torch's are the same in every
    process).
    """
    drawn = random.SystemRandom()
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(drawn.getrandbits(32))
    reserved = mmap.mmap(-1, mmap.PAGESIZE * drawn.randint(1, PADDING_PAGES))
    heap = ctypes.create_string_buffer(drawn.randint(1, PADDING_BYTES))
    return reserved, heap


if __name__ == "__main__":
    main()
