"""Files of lines that are only added to: evidence, results, traces."""

import os
from pathlib import Path

from tasks.atomic import flush, lock
from zoo.machine import output_file


def append(path: Path, lines: str) -> None:
    """Adds whole lines; they are on disk when this returns, whatever other processes add meanwhile.

    A process that was killed may have left half a line: what follows does not become its end.
    Raises OSError where they do not fit, and then leaves the file as it was.
    """
    if output_file.is_stream(path, "the output"):  # nothing is torn there, or reaches a disk
        with output_file.replacing(path, "the output") as stream:
            stream.write(lines.encode())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # one at a time: what is cut off where lines do not fit must be nobody else's
        lock(descriptor, wait=True)
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        rest = memoryview((("\n" if torn else "") + lines).encode())
        try:
            while rest:  # one write, but for a disk that is nearly full
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError as error:
            os.ftruncate(descriptor, size)
            raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(descriptor)
    if is_new:
        flush(path.parent)
