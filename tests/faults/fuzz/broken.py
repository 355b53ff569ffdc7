"""A program with every fault that the fuzzer looks for, to see that it finds it."""

import mmap
import os
import sys
import threading
import time
from pathlib import Path

BLOCK = 200 * 2**20  # bytes


def main(fault: str, *words: str) -> int:
    """Has a fault, or none."""
    FAULTS[fault](*(Path(word) for word in words))
    return 0


def _none(given: Path, out: Path) -> None:
    out.write_text("1\n2\n")


def _mistake(given: Path, out: Path) -> None:
    print(f"broken: {given} is not what it should be: mend it", file=sys.stderr)
    sys.exit(2)


def _traceback(given: Path, out: Path) -> None:
    raise ValueError(given)


def _in_a_thread(given: Path, out: Path) -> None:
    thread = threading.Thread(target=_traceback, args=(given, out))
    thread.start()
    thread.join()
    out.write_text("1\n2\n")


def _hang(given: Path, out: Path) -> None:
    time.sleep(60)


def _memory(given: Path, out: Path) -> None:
    # of its own: what tests before have freed may be in this process still
    kept = mmap.mmap(-1, BLOCK, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for _ in range(BLOCK // 2**20):
        kept.write(b"x" * 2**20)
    time.sleep(60)
    del kept


def _crash(given: Path, out: Path) -> None:
    os.abort()


def _code(given: Path, out: Path) -> None:
    sys.exit(7)


def _wordy(given: Path, out: Path) -> None:
    print("broken: this is not right\nbroken: neither is that", file=sys.stderr)
    sys.exit(2)


def _mute(given: Path, out: Path) -> None:
    sys.exit(2)


def _partial(given: Path, out: Path) -> None:
    out.write_text("1\n")
    _mistake(given, out)


def _touched(given: Path, out: Path) -> None:
    said = given.stat()
    given.write_text("other")
    os.utime(given, ns=(said.st_atime_ns, said.st_mtime_ns))
    _none(given, out)


def _mode(given: Path, out: Path) -> None:
    given.chmod(0o600)
    _none(given, out)


def _left_behind(given: Path, out: Path) -> None:
    out.with_name(".incoming-abc").mkdir()
    _none(given, out)


def _temporary(given: Path, out: Path) -> None:
    Path(os.environ["TMPDIR"], "kept").touch()
    _none(given, out)


def _fewer(given: Path, out: Path) -> None:
    out.write_text("1\n")


def _no_output(given: Path, out: Path) -> None:
    """Nothing is written."""


def _stdin(given: Path, out: Path) -> None:
    sys.stdin.read(1)
    _none(given, out)


def _steering(given: Path, out: Path) -> None:
    print("a label: \x1b]0;owned\x07", file=sys.stderr)
    _none(given, out)


def _outside(given: Path, out: Path) -> None:
    given.parents[2].joinpath("world", "new").touch()
    _none(given, out)


def _beside(given: Path, out: Path) -> None:
    given.parents[2].joinpath("new").touch()
    _none(given, out)


def _running(given: Path, out: Path) -> None:
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    _none(given, out)


FAULTS = {
    "nothing": _none,
    "a mistake": _mistake,
    "traceback": _traceback,
    "a thread": _in_a_thread,
    "hang": _hang,
    "memory": _memory,
    "crash": _crash,
    "code": _code,
    "wordy": _wordy,
    "mute": _mute,
    "partial": _partial,
    "touched": _touched,
    "mode": _mode,
    "left": _left_behind,
    "temporary": _temporary,
    "fewer": _fewer,
    "no output": _no_output,
    "stdin": _stdin,
    "steering": _steering,
    "outside": _outside,
    "beside": _beside,
    "running": _running,
}

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
