"""The order of samples and how it is cut: properties that must hold for every size and seed."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.finetuning import EXACT, finetune
from zoo.train.resume.order import (
    BLOCK,
    MULTIPLE,
    WINDOW,
    DataPosition,
    Schedule,
    cut_packed,
    cut_step,
    epoch_order,
    packed_shape,
    pass_overhead,
)

LENGTHS = st.lists(st.integers(1, 500), max_size=300).map(
    lambda values: np.array(values, dtype=np.int64)
)


@given(LENGTHS, st.integers(0, 2**31), st.integers(0, 50))
def test_an_epoch_is_a_permutation_and_a_pure_function(lengths, seed, epoch) -> None:
    order = epoch_order(lengths, seed, epoch)
    assert sorted(order) == list(range(len(lengths)))
    np.random.seed(seed % 2**32)  # global state has no say
    np.testing.assert_array_equal(order, epoch_order(lengths.copy(), seed, epoch))


def _window_by_window(lengths: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch as its docstring says it, one window after the other."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    for start in range(0, len(order), WINDOW):
        window = order[start : start + WINDOW]
        order[start : start + WINDOW] = window[np.argsort(lengths[window], kind="stable")]
    whole = len(order) - len(order) % BLOCK
    blocks = order[:whole].reshape(-1, BLOCK)
    return np.concatenate([blocks[rng.permutation(len(blocks))].reshape(-1), order[whole:]])


@pytest.mark.parametrize(
    "n", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, WINDOW, WINDOW + 1, 3 * WINDOW - 1, 5 * WINDOW + 777]
)
@pytest.mark.parametrize("kind", ["tokens", "seconds", "equal"])
def test_the_order_is_that_of_window_by_window(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    lengths = {"tokens": rng.integers(1, 60, n), "seconds": rng.gamma(2, size=n)}
    sizes = lengths.get(kind, np.ones(n, np.int64))
    for seed, epoch in ((0, 0), (7, 3)):
        order = epoch_order(sizes, seed, epoch)
        assert order.dtype == np.int64
        np.testing.assert_array_equal(order, _window_by_window(sizes, seed, epoch))


def test_seeds_and_epochs_give_different_orders() -> None:
    lengths = np.arange(1000) % 37 + 1
    orders = [tuple(epoch_order(lengths, seed, epoch)) for seed in (1, 2) for epoch in (0, 1)]
    assert len(set(orders)) == 4


@pytest.mark.parametrize("n", [2 * BLOCK, WINDOW, WINDOW + 1, 3 * WINDOW + 77])
def test_neighbours_are_similar_in_length(n: int) -> None:
    """Neighbours differ by a fraction of what they would in random order."""
    lengths = np.random.default_rng(0).integers(5, 200, n)

    def difference(ids: np.ndarray) -> float:
        return float(np.abs(np.diff(lengths[ids])).mean())

    order = epoch_order(lengths, 3, 1)
    assert difference(order) < 0.1 * difference(np.arange(n))


def test_blocks_are_not_in_the_order_of_length() -> None:
    """Training must not go from short to long."""
    lengths = np.arange(20_000) % 400
    order = epoch_order(lengths, 0, 0)
    means = [lengths[order[i : i + BLOCK]].mean() for i in range(0, len(order), BLOCK)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.15


@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=80),
    world_size=st.integers(1, 4),
    max_samples=st.integers(1, 40),
    budget=st.none() | st.integers(1, 3000),
    overhead=st.integers(0, 400),
    data=st.data(),
)
def test_a_step_is_cut_into_passes(
    lengths, world_size, max_samples, budget, overhead, data
) -> None:
    n = len(lengths)
    sizes = np.array(lengths)
    rows = np.array(data.draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)))
    ids = np.array(data.draw(st.permutations(range(n))))[: data.draw(st.integers(1, n))]
    limits = {"max_samples": max_samples, "budget": budget, "overhead": overhead}
    ranks = cut_step(ids, sizes, rows, world_size=world_size, **limits)
    assert len(ranks) == world_size
    assert len({len(passes) for passes in ranks}) == 1  # every rank makes as many
    for rank, passes in enumerate(ranks):
        own = [int(i) for one in passes if one.counts for i in one.ids]
        assert sorted(own) == sorted(ids[rank::world_size].tolist())
        for one in passes:
            assert 1 <= len(one.ids) <= max_samples
            padded = int(sizes[one.ids].max() * rows[one.ids].sum())
            assert budget is None or padded <= budget or len(one.ids) == 1


def _cut_of_each_end(ids, lengths, rows, max_samples, budget, overhead) -> list[list[int]]:
    """The passes of one rank, every beginning of a pass looked at for every end."""
    ids = ids[np.argsort(lengths[ids], kind="stable")]
    sizes, heights = lengths[ids], np.concatenate([[0], np.cumsum(rows[ids])])
    best = np.zeros(len(ids) + 1)
    begin = np.zeros(len(ids) + 1, dtype=np.int64)
    for j in range(1, len(ids) + 1):
        starts = np.arange(max(0, j - max_samples), j)
        padded = (heights[j] - heights[starts]) * sizes[j - 1]
        if budget is not None:
            fits = padded <= budget
            fits[-1] = True
            starts, padded = starts[fits], padded[fits]
        costs = best[starts] + padded + overhead
        choice = int(np.argmin(costs))
        best[j], begin[j] = costs[choice], starts[choice]
    passes, end = [], len(ids)
    while end > 0:
        passes.append(ids[begin[end] : end].tolist())
        end = int(begin[end])
    return passes[::-1]


@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=120),
    scale=st.sampled_from([1, 0.1, 1 / 3]),
    max_samples=st.integers(1, 40),
    budget=st.none() | st.integers(1, 1500),
    overhead=st.floats(0, 400),
    seed=st.integers(0, 99),
)
def test_the_cut_is_that_of_each_end(lengths, scale, max_samples, budget, overhead, seed) -> None:
    """To the last bit, in tokens and in seconds, and where several cuts cost the same."""
    sizes = np.array(lengths) * scale
    rng = np.random.default_rng(seed)
    rows, ids = rng.integers(1, 4, len(sizes)), rng.permutation(len(sizes))
    settings = {"max_samples": max_samples, "budget": budget, "overhead": overhead}
    (passes,) = cut_step(ids, sizes, rows, world_size=1, **settings)
    plain = _cut_of_each_end(ids, sizes, rows, **settings)
    assert [one.ids.tolist() for one in passes] == plain


def test_the_cut_is_the_cheapest() -> None:
    """Against all cuts of a small step: the sum of padded sizes and of a cost a pass is least."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        sizes = rng.integers(1, 60, 9)
        rows = np.ones(9, dtype=np.int64)
        ids = np.arange(9)
        (passes,) = cut_step(
            ids, sizes, rows, world_size=1, max_samples=5, budget=None, overhead=30
        )

        def cost(cuts: list[np.ndarray], sizes: np.ndarray = sizes) -> int:
            return sum(int(sizes[c].max()) * len(c) + 30 for c in cuts)

        ordered = np.argsort(sizes, kind="stable")
        every = []
        for mask in range(2**8):
            ends = [i + 1 for i in range(8) if mask >> i & 1]
            parts = np.split(ordered, ends)
            if max(map(len, parts)) <= 5:
                every.append(cost(parts))
        assert cost([one.ids for one in passes]) == min(every)


def test_places_count_samples() -> None:
    assert DataPosition(0, 0).after(32, 100) == DataPosition(0, 32)
    assert DataPosition(2, 96).after(4, 100) == DataPosition(3, 0)


@pytest.mark.parametrize(
    ("size", "step", "epochs", "max_steps", "total"),
    [
        (100, 32, 1.0, -1, 4),
        (100, 32, 3.0, -1, 12),
        (96, 32, 0.5, -1, 2),
        (100, 32, 0.3, -1, 2),  # ceil, as transformers
        (100, 32, 1.5, -1, 6),
        (100, 32, 3.0, 7, 7),
        (5, 32, 1.0, -1, 1),
        (1000, 10, 0.0001, -1, 1),
    ],
)
def test_schedules(size: int, step: int, epochs: float, max_steps: int, total: int) -> None:
    schedule = Schedule.of(size, step, epochs, max_steps)
    assert schedule.total_steps == total
    place, steps = DataPosition(), 0
    while not schedule.finished(place):
        assert schedule.steps_done(place) == steps
        taken = min(step, size - place.sample)
        place, steps = place.after(taken, size), steps + 1
    assert steps == total


def test_the_rest_of_an_epoch_in_another_step_size() -> None:
    """A run that goes on with half the batch counts its steps in halves of the old ones."""
    half = Schedule.of(96, 16, 2.0, -1)
    assert half.steps_done(DataPosition(1, 32)) == 8.0
    assert not half.finished(DataPosition(1, 80)) and half.finished(DataPosition(2, 0))


@pytest.mark.parametrize("epochs", [0.4, 1.6])
def test_fractional_epochs_through_the_command_line(
    tiny_bert: Path, reviews: Path, tmp_path: Path, epochs: float
) -> None:
    run = finetune(tiny_bert, reviews, tmp_path / "run", *EXACT, "--num_train_epochs", epochs)
    expected = -(-int(epochs * 80) // 10)  # 8 steps of 32 an epoch of 240, the last one half
    assert len(run.steps) == expected


def test_batch_size_does_not_change_the_order(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    flags = (*EXACT, "--per_device_train_batch_size")
    seen = [
        [i for ids in finetune(tiny_bert, reviews, tmp_path / str(b), *flags, b).steps for i in ids]
        for b in (20, 48)
    ]
    assert seen[0] == seen[1] and sorted(seen[0]) == list(range(240))


def test_an_order_without_lengths_is_a_permutation_of_its_own() -> None:
    lengths = np.arange(300) % 17 + 1
    orders = [epoch_order(lengths, 3, epoch, by_length=False) for epoch in (0, 0, 1)]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert sorted(orders[0]) == sorted(orders[2]) == list(range(300))
    assert (orders[0] != orders[2]).any() and (orders[0] != epoch_order(lengths, 3, 0)).any()
    np.testing.assert_array_equal(orders[0], epoch_order(lengths[::-1], 3, 0, by_length=False))


@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=80),
    world_size=st.integers(1, 3),
    max_samples=st.integers(1, 40),
    passes=st.integers(1, 3),
    budget=st.none() | st.integers(1, 900),
    data=st.data(),
)
def test_a_step_is_cut_into_packed_passes(
    lengths, world_size, max_samples, passes, budget, data
) -> None:
    n = len(lengths)
    sizes = np.array(lengths)
    rows = np.array(data.draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)))
    order = np.array(data.draw(st.permutations(range(n))))
    step_size = max_samples * passes * world_size
    shape = packed_shape(
        sizes,
        rows,
        order,
        step_size=step_size,
        world_size=world_size,
        max_samples=max_samples,
        budget=budget,
        overhead=100.0,
    )
    tokens = np.maximum(sizes, 1) * rows
    assert shape.samples == max_samples and shape.longest == max(4, sizes.max())
    fewer = shape.tokens - MULTIPLE
    alone = int(tokens.argmax())
    smaller = dataclasses.replace(shape, tokens=fewer)
    needed = not smaller.fits(1, int(rows[alone]), int(tokens[alone]))
    assert budget is None or shape.tokens <= budget or needed
    for begin in range(0, n, step_size):
        ids = order[begin : begin + step_size]
        ranks = cut_packed(ids, sizes, rows, world_size=world_size, shape=shape)
        assert len(ranks) == world_size and len(set(map(len, ranks))) == 1
        for rank, own in enumerate(ranks):
            held = [int(i) for one in own if one.counts for i in one.ids]
            assert sorted(held) == sorted(ids[rank::world_size].tolist())
            for one in own:
                height, total = int(rows[one.ids].sum()), int(tokens[one.ids].sum())
                assert len(one.ids) and shape.fits(len(one.ids), height, total)


def test_nearly_every_step_is_one_packed_pass_of_little_padding() -> None:
    """Random texts of 5 to 60 tokens, as a GPU weighs a pass: 64 samples of overhead."""
    lengths = np.random.default_rng(0).integers(5, 60, 20_000)
    rows, order = np.ones_like(lengths), epoch_order(lengths, 0, 0, by_length=False)
    settings = {"step_size": 32, "world_size": 1, "max_samples": 32, "budget": None}
    overhead = pass_overhead(lengths, "cuda")
    shape = packed_shape(lengths, rows, order, **settings, overhead=overhead)
    cuts = [
        len(cut_packed(order[i : i + 32], lengths, rows, world_size=1, shape=shape)[0])
        for i in range(0, len(order), 32)
    ]
    assert np.mean(np.array(cuts) == 1) > 0.95 and max(cuts) <= 2
    assert lengths.sum() / (sum(cuts) * shape.tokens) > 0.75


def test_one_long_sample_makes_the_pass_no_longer_than_it_must() -> None:
    lengths = np.full(100, 10)
    lengths[3] = 500
    settings = {"step_size": 4, "world_size": 1, "max_samples": 4, "budget": None}
    order = np.arange(100)
    shape = packed_shape(lengths, np.ones_like(lengths), order, **settings, overhead=0.0)
    assert shape.tokens == 512
