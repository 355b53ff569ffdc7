"""Lines that were acknowledged stay, whoever else adds to the file and however full the disk is."""

import subprocess
import sys
from pathlib import Path

from tests.cli import environment
from zoo.store import append_only

PROGRAM = """
import resource, sys
from pathlib import Path
from zoo.store import append_only
path, own, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for i in range(400):
    line = f"{own} {i} " + "x" * (i * 37 % 300)
    try:
        append_only.append(path, line + "\\n")
    except OSError:
        continue
    print(line)
"""


def test_who_fails_cuts_off_nothing_of_others(tmp_path: Path) -> None:
    """Two processes may not write past 1,000 bytes, as on a disk that is full for them, and go on
    trying while two others add lines."""
    path = tmp_path / "results.jsonl"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path), str(number), str(limit)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for number, limit in enumerate((1_000, 1_000, 1 << 20, 1 << 20))
    ]
    told = [line for each in processes for line in each.communicate(timeout=120)[0].splitlines()]
    assert all(each.returncode == 0 for each in processes)
    assert sorted(path.read_text().splitlines()) == sorted(told)
    assert 800 <= len(told) < 1600


def test_half_a_line_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("whole\nhal")
    append_only.append(path, "next\n")
    assert path.read_text() == "whole\nhal\nnext\n"
