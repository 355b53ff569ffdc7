"""Energy counters, or why there are none."""

from pathlib import Path

import pytest

from bench.measures import energy


def _zone(root: Path, name: str, uj: int, most: int = 1_000_000) -> Path:
    zone = root / name
    zone.mkdir(parents=True)
    (zone / "energy_uj").write_text(f"{uj}\n")
    (zone / "max_energy_range_uj").write_text(f"{most}\n")
    return zone


def test_processors_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    zones = [_zone(tmp_path, f"intel-rapl:{i}", 100) for i in range(2)]
    _zone(tmp_path, "intel-rapl:0:0", 50)
    joules = energy.packages(tmp_path)
    for zone in zones:
        (zone / "energy_uj").write_text("500100\n")
    assert joules() == pytest.approx(1.0)


def test_a_counter_that_begins_anew(tmp_path: Path) -> None:
    zone = _zone(tmp_path, "intel-rapl:0", 900_000)
    joules = energy.packages(tmp_path)
    for uj in (999_999, 99_999, 299_999):
        (zone / "energy_uj").write_text(f"{uj}\n")
        total = joules()
    assert total == pytest.approx(0.4, abs=1e-5)


def test_none(tmp_path: Path) -> None:
    with pytest.raises(energy.NoCounter, match="no energy counter"):
        energy.packages(tmp_path)
