"""kill -9 at any moment: what is resumed ends in the same bits as what was left alone (CPU)."""

import json
import random
from pathlib import Path

import pytest

from tests.finetuning import arguments
from tests.processes import Death, run

SAVED = ("model.safetensors", "logs/samples.jsonl")
STATE = ("weights.safetensors", "optimizer.safetensors", "ema.safetensors")
STEPS = 60


def _flags(tiny_bert: Path, reviews: Path, folder: Path) -> list[str]:
    """Dropout, the processor's own dtype, an average: all that has a state; 8 steps an epoch."""
    flags = ("--save_steps", 2, "--max_steps", STEPS, "--ema_decay", 0.9, "--learning_rate", 1e-3)
    return arguments(tiny_bert, reviews, folder, *flags)


@pytest.fixture(scope="module")
def undisturbed(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody kills."""
    folder = tmp_path_factory.mktemp("undisturbed")
    log = folder / "log"
    assert run(_flags(tiny_bert, reviews, folder / "run"), log) == 0, log.read_text()
    return folder / "run"


def _newest(folder: Path) -> Path:
    return max((folder / "state").glob("step-*"))


def _kill_and_compare(
    deaths: list[Death], undisturbed: Path, tiny_bert: Path, reviews: Path, folder: Path
) -> None:
    log = folder.with_suffix(".log")
    argv = _flags(tiny_bert, reviews, folder)
    interrupted: set[Path] = set()
    for death in deaths:
        if folder.exists():  # each but the first goes on past the first sample
            place = json.loads((_newest(folder) / "progress.json").read_text())["place"]
            assert place["epoch"] + place["sample"] > 0
        assert run(argv, log, death=death) == -9, log.read_text()
        if "--resume" not in argv:
            argv.append("--resume")
        left = set((folder / "state").glob(".incoming-*"))
        assert left - interrupted or death.flushes not in range(4)
        interrupted |= left
    assert run(argv, log) == 0, log.read_text()
    assert len(interrupted) >= sum(d.flushes in range(4) for d in deaths)  # killed in a save
    assert log.read_text().count("going on at step") == len(deaths)
    state = _newest(undisturbed).name
    for name in (*SAVED, *(f"state/{state}/{file}" for file in STATE)):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), name
    assert not list(folder.rglob(".incoming-*"))


def test_three_kills(undisturbed: Path, tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    """One of them in a save, between its files."""
    deaths = [Death(9, 0.004), Death(6, flushes=1), Death(3, 0.01)]
    _kill_and_compare(deaths, undisturbed, tiny_bert, reviews, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_ten_kills(
    undisturbed: Path, tiny_bert: Path, reviews: Path, tmp_path: Path, seed: int
) -> None:
    """At random moments; five in a save: before each file, the folder, and after the renaming."""
    rng = random.Random(seed)
    moments = [Death(rng.randint(3, 6), rng.uniform(0, 0.02)) for _ in range(5)]
    saves = [Death(rng.randint(3, 6), flushes=flushes) for flushes in range(5)]
    deaths = moments + saves
    rng.shuffle(deaths)
    _kill_and_compare(deaths, undisturbed, tiny_bert, reviews, tmp_path / "run")
