"""kill -9 at any moment: what is resumed ends in the same bits as what was left alone (CPU).

100 kills of each modality, some minutes each:

    ZOO_KILLS=100 python -m pytest -m slow tests/faults/test_kill.py -k "ten_kills and vision"
"""

import json
import os
import random
from pathlib import Path

import pytest

from tests.cases import Case
from tests.processes import Death, run

SAVED = ("model.safetensors", "logs/samples.jsonl")
KILLS = int(os.environ.get("ZOO_KILLS", "20"))  # ten in a run
STATE = ("weights.safetensors", "optimizer.safetensors", "ema.safetensors")


def _flags(case: Case, folder: Path, steps: int) -> list[str]:
    """Dropout, augmentation, the processor's own dtype, an average: all that has a state or is
    random; 6 to 15 steps an epoch."""
    flags = ("--save_steps", 2, "--max_steps", steps, "--ema_decay", 0.9)
    return case.arguments(folder, *flags, "--per_device_train_batch_size", 16)


def _undisturbed(case: Case, folder: Path, steps: int) -> Path:
    """The run that nobody kills."""
    log = folder / "undisturbed.log"
    argv = _flags(case, folder / "undisturbed", steps)
    assert run(argv, log, module=case.module) == 0, log.read_text()
    return folder / "undisturbed"


def _newest(folder: Path) -> Path:
    return max((folder / "state").glob("step-*"))


def _kill_and_compare(case: Case, deaths: list[Death], steps: int, tmp_path: Path) -> None:
    undisturbed, folder = _undisturbed(case, tmp_path, steps), tmp_path / "run"
    log = folder.with_suffix(".log")
    argv = _flags(case, folder, steps)
    interrupted: set[Path] = set()
    for death in deaths:
        if folder.exists():  # each but the first goes on past the first sample
            place = json.loads((_newest(folder) / "progress.json").read_text())["place"]
            assert place["epoch"] + place["sample"] > 0
        assert run(argv, log, death=death, module=case.module) == -9, log.read_text()
        if "--resume" not in argv:
            argv.append("--resume")
        left = set((folder / "state").glob(".incoming-*"))
        assert left - interrupted or death.flushes not in range(4)
        interrupted |= left
    assert run(argv, log, module=case.module) == 0, log.read_text()
    assert len(interrupted) >= sum(d.flushes in range(4) for d in deaths)  # killed in a save
    assert log.read_text().count("going on at step") == len(deaths)
    state = _newest(undisturbed).name
    for name in (*SAVED, *(f"state/{state}/{file}" for file in STATE)):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), name
    assert not list(folder.rglob(".incoming-*"))


def test_two_kills(case: Case, tmp_path: Path) -> None:
    """One of them in a save, between its files."""
    deaths = [Death(5, 0.004), Death(4, flushes=1)]
    _kill_and_compare(case, deaths, 14, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(KILLS // 10))
def test_ten_kills(case: Case, tmp_path: Path, seed: int) -> None:
    """At random moments; five in a save: before each file, the folder, and after the renaming."""
    rng = random.Random(seed)
    moments = [Death(rng.randint(3, 6), rng.uniform(0, 0.02)) for _ in range(5)]
    saves = [Death(rng.randint(3, 6), flushes=flushes) for flushes in range(5)]
    deaths = moments + saves
    rng.shuffle(deaths)
    _kill_and_compare(case, deaths, 60, tmp_path)
