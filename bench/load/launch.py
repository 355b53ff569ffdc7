"""`python -m bench.load.launch COMMAND ...`: the command, which ends when whoever started it dies.

A load that is killed, for lack of memory perhaps, must not leave services behind.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2); it is kept by exec


def main(parent: int, words: list[str]) -> None:
    """Become the command. On systems other than Linux it does not notice the death of its
    parent."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)
    os.execv(words[0], words)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
