"""Where a stream is cut: in pauses, else where it is quietest, whatever came at once."""

import numpy as np
import pytest

from tasks.speech.segmenting import Splitter, ends_in_pause

RATE = 1000
RNG = np.random.default_rng(0)


def noise(seconds: float, level: float) -> np.ndarray:
    return RNG.normal(0, level, round(seconds * RATE)).astype(np.float32)


def pieces(wave: np.ndarray, size: int) -> list[tuple[int, np.ndarray]]:
    splitter = Splitter(RATE, 6.0, 0.8)
    found = []
    for start in range(0, len(wave), size):
        found += splitter.push(wave[start : start + size])
    return [*found, *splitter.finish()]


@pytest.mark.parametrize("level", [0.0, 0.001, 0.02])
def test_a_piece_ends_in_the_middle_of_its_pause(level: float) -> None:
    parts = [(1.0, 0.2), (1.0, level), (2.0, 0.1), (0.5, level), (1.0, 0.1), (1.5, level)]
    wave = np.concatenate([noise(*part) for part in parts])
    found = pieces(wave, 10)
    ends = [(begin + len(piece)) / RATE for begin, piece in found]
    assert ends == [pytest.approx(1.4, abs=0.1), pytest.approx(5.9, abs=0.1), len(wave) / RATE]
    assert np.concatenate([piece for _, piece in found]).tobytes() == wave.tobytes()


@pytest.mark.parametrize("size", [1, 333, 10**6])
def test_where_it_is_cut_does_not_depend_on_what_came_at_once(size: int) -> None:
    parts = [noise(0.7, 0.2 if i % 3 else 0.001) for i in range(40)]
    wave = np.concatenate(parts)
    found, expected = pieces(wave, size), pieces(wave, 77)
    assert [begin for begin, _ in found] == [begin for begin, _ in expected]
    assert max(len(piece) for _, piece in found) <= 6 * RATE < len(wave) / 4


def test_a_voice_without_pauses_is_cut_after_six_seconds() -> None:
    wave = noise(14.0, 0.1)
    wave[4500:4600] = 0
    found = pieces(wave, 100)
    assert found[1][0] == pytest.approx(4550, abs=30) and len(found) >= 3
    assert not ends_in_pause(noise(5.0, 0.1), 50, 16)  # noise alone has no pauses
    assert not ends_in_pause(np.zeros(5000, np.float32), 50, 16)


def test_what_is_too_short_says_nothing() -> None:
    assert pieces(noise(0.09, 0.1), 7) == [] == pieces(noise(0, 0.1), 7)
    ((begin, piece),) = pieces(noise(0.12, 0.1), 7)
    assert (begin, len(piece)) == (0, 120)
