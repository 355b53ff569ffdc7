"""A program that steps are tried with: prints, waits, and says which signal has ended it."""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

SECONDS = 60


def leave(signum: int, frame: FrameType | None) -> None:
    print(f"stopped by {signal.Signals(signum).name}", flush=True)
    sys.exit(128 + signum)


if __name__ == "__main__":
    verb = sys.argv[1]
    print(f"{verb} in {Path.cwd()}", flush=True)
    if verb == "fail":
        print("program: the data is wrong", file=sys.stderr)
        sys.exit(2)
    if verb == "wait":
        signal.signal(signal.SIGTERM, leave)
        signal.signal(signal.SIGINT, leave)
        print(f"process {os.getpid()}", flush=True)
        time.sleep(SECONDS)
