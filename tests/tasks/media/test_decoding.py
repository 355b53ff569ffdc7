"""One pass over media: what is kept, what is left out, and what the next run need not do again."""

import io
import threading
import weakref
from collections.abc import Mapping
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.data import cache
from tasks.errors import UserError
from tasks.media.array_block import ArrayBlock
from tasks.media.decoding import ROWS_A_JOB, Decoded, decode_split
from tasks.media.source import BadFile
from tests.media import PLAIN, png_bytes, read

ALL = 2**30


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


def split_of(values: list[bytes | str | None]) -> datasets.Dataset:
    """Rows of bytes, paths or nothing."""
    media = [
        None
        if value is None
        else {"bytes": value, "path": None}
        if isinstance(value, bytes)
        else {"bytes": None, "path": value}
        for value in values
    ]
    return datasets.Dataset.from_dict({"media": media}, features=datasets.Features(media=PLAIN))


def numbers(media: Mapping[str, Any]) -> np.ndarray:
    """The bytes of a file as numbers: "!reason" is bad."""
    content = media["bytes"] if media["bytes"] is not None else Path(media["path"]).read_bytes()
    if content.startswith(b"!"):
        raise BadFile(content[1:].decode())
    return np.frombuffer(content, np.uint8).copy()


class Counted:
    """`numbers`, and how often it was called."""

    def __init__(self) -> None:
        self.calls = 0
        self._lock = threading.Lock()

    def __call__(self, media: Mapping[str, Any]) -> np.ndarray:
        with self._lock:
            self.calls += 1
        return numbers(media)


def run(
    split: datasets.Dataset,
    decode: Any = numbers,
    limit: int = ALL,
    on_bad_file: Any = "skip",
    key: str = "k",
) -> Decoded:
    return decode_split(
        split, decode, len, on_bad_file=on_bad_file, cache_key=key, memory_limit=limit
    )


def refusal(split: datasets.Dataset, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        run(split, **options)
    message = str(error.value)
    assert "\n" not in message
    return message


MANY = [bytes([128 + n % 100]) * (n % 7 + 1) for n in range(5 * ROWS_A_JOB + 3)]


# --- what is decoded


@pytest.mark.parametrize("limit", [ALL, 0, 100])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_everything_is_there_in_the_rows_own_order(limit: int, threads: int) -> None:
    values = list(MANY)
    values[3] = values[70] = b"!broken"
    decoded = decode_split(
        split_of(values), numbers, len, on_bad_file="skip", cache_key="k", memory_limit=limit,
        threads=threads,
    )  # fmt: skip
    kept = [row for row, value in enumerate(values) if not value.startswith(b"!")]
    assert decoded.kept.tolist() == kept
    assert (decoded.kept.dtype, decoded.sizes.dtype) == (np.int64, np.float64)
    assert decoded.sizes.tolist() == [len(values[row]) for row in kept]
    assert [decoded.get(i).tobytes() for i in range(len(decoded))] == [values[i] for i in kept]
    assert decoded.bad == [(3, "row 4", "broken"), (70, "row 71", "broken")]
    assert len(decoded) == len(kept)


def test_rows_of_a_chosen_split() -> None:
    split = split_of(MANY).select([9, 2, 40])
    for limit in (ALL, 0):
        decoded = run(split, limit=limit)
        assert [decoded.get(i).tobytes() for i in range(3)] == [MANY[9], MANY[2], MANY[40]]


def test_arrays_are_the_callers_own() -> None:
    for limit in (ALL, 0):
        decoded = run(split_of([b"abc", b"abd"]), limit=limit)
        decoded.get(0)[:] = 0
        decoded.get_many([0, 1])[:] = 0
        assert decoded.get(0).tobytes() == b"abc"


def test_several_at_once() -> None:
    decoded = run(split_of([b"abc", b"abd", b"abe"]))
    assert decoded.uniform
    assert decoded.get_many(np.array([2, 0, 2])).tobytes() == b"abeabcabe"
    anew = run(split_of([b"abc", b"abd"]), limit=0, key="other")
    assert not anew.uniform
    assert anew.get_many([1, 0]).tobytes() == b"abdabc"
    mixed = run(split_of([b"abc", b"ab", b"abe"]), key="mixed")
    assert not mixed.uniform
    assert mixed.get_many([2, 0]).tobytes() == b"abeabc"
    with pytest.raises(ValueError, match="same shape"):
        mixed.get_many([0, 1])


arrays = st.tuples(
    st.sampled_from(["u1", "<f4"]), st.lists(st.integers(0, 3), max_size=3).map(tuple)
).map(lambda made: np.arange(np.prod(made[1], dtype=int), dtype=made[0]).reshape(made[1]))


@given(
    parts=st.lists(st.lists(arrays, max_size=4), max_size=4),
    expected=st.integers(0, 20),
    most=st.integers(0, 500),
)
def test_a_block_gives_back_what_it_took(
    parts: list[list[np.ndarray]], expected: int, most: int
) -> None:
    block = ArrayBlock(expected, most)
    for part in parts:
        block.extend(part)
    block.seal()
    every = [array for part in parts for array in part]
    for i, array in enumerate(every):
        assert block[i].dtype == array.dtype
        assert block[i].shape == array.shape
        assert np.array_equal(block[i], array)
    alike = len({(array.dtype, array.shape) for array in every}) == 1
    assert block.uniform == alike
    if alike:
        chosen = [len(every) - 1, 0]
        assert np.array_equal(block.many(chosen), np.stack([every[i] for i in chosen]))


def test_arrays_that_are_no_longer_in_order_are_stored_by_value() -> None:
    block = ArrayBlock(1, 100)
    block.extend([np.arange(6).reshape(2, 3).T])
    block.seal()
    assert block[0].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_it_travels_to_another_process() -> None:
    for limit in (ALL, 0):
        decoded = run(split_of(MANY), limit=limit)
        there = ForkingPickler.loads(ForkingPickler.dumps(decoded))
        assert there.get(7).tobytes() == MANY[7]
        assert there.kept.tolist() == decoded.kept.tolist()


def test_real_images(zoo_data: Path) -> None:
    split = read(zoo_data / "fashion_mnist").splits["test"].select(range(300))

    def decode(media: Mapping[str, Any]) -> np.ndarray:
        with Image.open(io.BytesIO(media["bytes"])) as image:
            return np.asarray(image)

    decoded = decode_split(split, decode, lambda a: a.size, on_bad_file="stop", cache_key="k")
    assert decoded.get_many(range(300)).shape == (300, 28, 28)
    assert np.array_equal(decoded.get(7), decode(split[7]["media"]))


# --- memory and the cache


@pytest.mark.parametrize("limit", [1_000_000, ALL])
def test_few_arrays_are_in_memory_at_once(limit: int) -> None:
    """No more than fit, and one in each thread; where all fit, none twice but those on the way."""
    living, most, lock = 0, 0, threading.RLock()

    def gone() -> None:
        nonlocal living
        with lock:
            living -= 1

    def decode(media: Mapping[str, Any]) -> np.ndarray:
        nonlocal living, most
        array = np.zeros(100_000, np.uint8)
        with lock:
            living += 1
            most = max(most, living)
        weakref.finalize(array, gone)
        return array

    rows = split_of([b"x"] * 20 * ROWS_A_JOB)
    decoded = decode_split(
        rows, decode, len, on_bad_file="stop", cache_key="k", memory_limit=limit, threads=2
    )
    assert decoded.uniform == (limit == ALL)
    assert most <= (10 + 2 * 2 if limit < ALL else (4 * 2 + 2) * ROWS_A_JOB)


def test_a_second_run_needs_no_pass_where_arrays_do_not_fit() -> None:
    values = [*MANY[:20], b"!broken", None]
    decode = Counted()
    first = run(split_of(values), decode, limit=10)
    calls = decode.calls
    second = run(split_of(values), decode, limit=10)
    assert decode.calls == calls == 21
    assert second.kept.tolist() == first.kept.tolist() == list(range(20))
    assert second.sizes.tolist() == first.sizes.tolist()
    assert second.bad == first.bad == [(20, "row 21", "broken"), (21, "row 22", "there is no file")]
    assert second.get(3).tobytes() == MANY[3]
    assert "2 of 22 files cannot be used" in refusal(
        split_of(values), decode=decode, limit=10, on_bad_file="stop"
    )
    assert decode.calls == calls + 1
    run(split_of(values), decode, limit=ALL)  # what did not fit fits now
    assert decode.calls == 2 * calls + 1


def test_other_rows_under_the_same_key_are_decoded_anew(tmp_path: Path) -> None:
    """Another column of the same file, or the same rows cut by other labels."""
    (tmp_path / "1.png").write_bytes(b"content")
    (tmp_path / "2.png").write_bytes(b"!broken")
    paths = [str(tmp_path / name) for name in ("1.png", "2.png")]
    for values in (
        [b"a", b"!bad"],
        [b"!bad", b"a"],
        [b"a!", b"bad"],
        [b"a", None],
        [b"a", b""],
        paths,
        paths[::-1],
    ):
        found = run(split_of(values), limit=0)
        fresh = run(split_of(values), limit=ALL)
        assert found.kept.tolist() == fresh.kept.tolist()
        assert found.sizes.tolist() == fresh.sizes.tolist()
        assert found.bad == fresh.bad
    assert len(list((cache.folder() / "decoded").iterdir())) == 7


@pytest.mark.parametrize("change", ["key", "rows", "damage", "cut", "empty"])
def test_what_the_cache_holds_of_something_else_is_not_used(change: str) -> None:
    decode = Counted()
    run(split_of(MANY[:20]), decode, limit=10)
    (stored,) = (cache.folder() / "decoded").iterdir()
    if change in {"damage", "cut", "empty"}:
        whole = stored.read_bytes()
        damaged = whole[:50] + b"\xff" * 50 + whole[100:]
        stored.write_bytes({"damage": damaged, "cut": whole[:200], "empty": b""}[change])
    rows = 19 if change == "rows" else 20
    again = run(split_of(MANY[:rows]), decode, limit=10, key="l" if change == "key" else "k")
    assert decode.calls == 20 + rows
    assert again.sizes.tolist() == [len(value) for value in MANY[:rows]]


def test_nothing_decoded_is_on_disk() -> None:
    run(split_of(MANY), limit=ALL)
    assert not cache.folder().exists()
    run(split_of([b"marker" * 50] * 9), limit=10)
    (stored,) = (cache.folder() / "decoded").iterdir()
    assert stored.suffix == ".npz"
    assert b"marker" not in stored.read_bytes()


def test_a_cache_that_cannot_be_written_stops_nothing() -> None:
    cache.folder().write_text("a file where the folder would be")
    decode = Counted()
    for _ in range(2):
        assert len(run(split_of(MANY[:9]), decode, limit=0)) == 9
    assert decode.calls == 18


# --- bad files


def test_skipped_files_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    values: list[bytes | str | None] = [b"fine", *(b"!bad %d" % n for n in range(7)), None]
    decoded = run(split_of(values))
    assert capsys.readouterr().err == (
        "warning: 8 of 9 files cannot be used (row 2: bad 0; row 3: bad 1; row 4: bad 2;"
        " row 5: bad 3; row 6: bad 4; and 3 more), left out\n"
    )
    assert decoded.kept.tolist() == [0]
    assert decoded.bad[-1] == (8, "row 9", "there is no file")
    run(split_of([b"fine"]))
    assert capsys.readouterr().err == ""


def test_bad_files_stop_the_run(tmp_path: Path) -> None:
    (tmp_path / "naïve.png").write_bytes(b"!truncated")
    split = split_of([b"fine", str(tmp_path / "naïve.png")])
    assert refusal(split, on_bad_file="stop") == (
        f"1 of 2 files cannot be used ({tmp_path / 'naïve.png'}: truncated): mend or remove them,"
        " or pass `on_bad_file` skip"
    )


def test_a_split_needs_one_good_file() -> None:
    assert refusal(split_of([b"!a", b"!b"])) == ("none of 2 files can be used (row 1: a; row 2: b)")
    assert refusal(split_of([])) == "there are no files"


@pytest.mark.parametrize("problem", [ValueError("odd"), OSError("cannot identify image file")])
def test_any_other_error_is_the_decoders_and_names_the_file(problem: Exception) -> None:
    def decode(media: Mapping[str, Any]) -> np.ndarray:
        if media["bytes"] == MANY[50]:
            raise problem
        return numbers(media)

    with pytest.raises(RuntimeError, match=rf"row \d+: .* {type(problem).__name__}: ") as error:
        run(split_of(MANY), decode)
    assert error.value.__cause__ is problem


def test_a_users_mistake_stays_one() -> None:
    def decode(media: Mapping[str, Any]) -> np.ndarray:
        raise UserError("soundfile is not installed")

    assert refusal(split_of([b"x"]), decode=decode) == "soundfile is not installed"


def test_a_file_that_vanishes_before_the_pass_is_bad_this_time_only(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(b"content")
    split = split_of([b"fine", str(path)])
    path.unlink()
    decoded = run(split, limit=0)
    assert decoded.bad == [(1, str(path), "No such file or directory")]
    path.write_bytes(b"content")
    assert len(run(split, limit=0)) == 2


@pytest.mark.parametrize("becomes", ["nothing", "bad"])
def test_a_file_that_is_lost_during_training_is_named(tmp_path: Path, becomes: str) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(b"content")
    decoded = run(split_of([str(path)]), limit=0)
    if becomes == "nothing":
        path.unlink()
    else:
        path.write_bytes(b"!truncated")
    with pytest.raises(UserError) as error:
        decoded.get(0)
    assert str(error.value) == (
        f"{path} could be read when training began, and cannot be any more: "
        + ("No such file or directory" if becomes == "nothing" else "truncated")
    )


def test_files_are_read_where_they_lie(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png_bytes(number))
    split = split_of([str(tmp_path / f"{number}.png") for number in range(3)])

    def decode(media: Mapping[str, Any]) -> np.ndarray:
        with Image.open(media["path"]) as image:
            return np.asarray(image)

    decoded = run(split, decode)
    assert decoded.get_many([0, 1, 2])[:, 0, 0].tolist() == [0, 1, 2]
