"""How many cores this process gets, which may be fewer than it sees.

A container may have a quota of processor time, and a machine may be busy; neither is in the number
of cores that Python or PyTorch counts.
"""

import hashlib
import threading
import time

BLOCK = 1 << 22
"""Bytes that a thread hashes between two looks at the clock: a few milliseconds, so that many
threads do not wait for the lock of the interpreter."""


def granted_cores(threads: int, seconds: float) -> float:
    """Return how many cores so many busy threads get: processor time over wall time.

    Args:
        threads: how many compute at once.
        seconds: how long; of a quota several periods (of 0.1 s in Linux) have to fit in.
    """
    content = bytes(BLOCK)
    end = time.monotonic() + seconds

    def busy() -> None:
        while time.monotonic() < end:
            hashlib.sha256(content)  # lets go of the interpreter's lock

    workers = [threading.Thread(target=busy) for _ in range(threads)]
    began, used = time.monotonic(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return (time.process_time() - used) / (time.monotonic() - began)
