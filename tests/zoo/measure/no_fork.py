"""A module of a process that may fork twice (to look at itself, and for a child), then no more."""

import errno
import itertools
import os

_fork, _numbers = os.fork, itertools.count(1)


def fork() -> int:
    if next(_numbers) > 2:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return _fork()


os.fork = fork
