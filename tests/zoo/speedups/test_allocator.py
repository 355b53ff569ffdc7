"""Page faults of memory that is freed and taken again, in processes of their own: malloc's settings
hold until the process ends."""

import sys

import pytest

from tests.cli import run_program

ROUNDS, PAGES = 20, 1024  # 4 MiB a block
PROGRAM = """
import resource, sys
if sys.argv[1] == "keep":
    from zoo.speedups.allocator import keep_freed_memory
    assert keep_freed_memory()
taken = b"x" * {size}
begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({rounds}):
    blocks = [bytearray(taken) for _ in range(4)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begin)
"""


def _faults(how: str) -> int:
    program = PROGRAM.format(size=PAGES * 4096, rounds=ROUNDS)
    ran = run_program(program, how)
    return int(ran.out)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_memory_that_is_freed_is_not_mapped_again() -> None:
    """The first round touches every page; by default so does every other."""
    assert _faults("keep") < 2 * 4 * PAGES < _faults("default") / 2
