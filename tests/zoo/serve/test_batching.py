"""Batches by length within a budget: each input once, none larger than may be."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from zoo.serve.batching import Size, batches, padding

SIZES = st.lists(st.builds(Size, st.integers(1, 4), st.integers(1, 600)), max_size=80)


@given(SIZES, st.integers(1, 4096))
def test_each_input_is_in_one_batch_within_the_budget(sizes: list[Size], budget: int) -> None:
    made = batches(sizes, budget)
    assert sorted(place for batch in made for place in batch) == list(range(len(sizes)))
    for batch in made:
        work = sum(sizes[i].rows for i in batch) * max(sizes[i].length for i in batch)
        assert work <= budget or len(batch) == 1
        assert 0 <= padding([sizes[i] for i in batch]) < 1
    lengths = [sizes[i].length for batch in made for i in batch]
    assert lengths == sorted(lengths)


def _cost(sizes: list[Size], overhead: float) -> float:
    return sum(size.rows for size in sizes) * max(size.length for size in sizes) + overhead


@given(SIZES.filter(len), st.integers(600, 4096), st.floats(1, 500))
def test_no_other_cut_of_two_neighbours_is_cheaper(
    sizes: list[Size], budget: int, overhead: float
) -> None:
    made = [[sizes[i] for i in batch] for batch in batches(sizes, budget, overhead)]
    for first, second in pairwise(made):
        joined = _cost(first + second, overhead)
        if joined - overhead <= budget:
            assert _cost(first, overhead) + _cost(second, overhead) <= joined + 1e-6
    for batch in made:
        for cut in range(1, len(batch)):
            apart = _cost(batch[:cut], overhead) + _cost(batch[cut:], overhead)
            assert _cost(batch, overhead) <= apart + 1e-6


def test_a_long_input_shares_a_batch_where_padding_costs_less_than_a_pass() -> None:
    sizes = [Size(1, 10), Size(1, 100), Size(1, 12)]
    assert batches(sizes, 4096, overhead=20) == [[0, 2], [1]]
    assert batches(sizes, 4096, overhead=200) == [[0, 2, 1]]


def test_equal_sizes_fill_the_budget() -> None:
    assert [len(batch) for batch in batches([Size(1, 128)] * 40, 2048)] == [8, 16, 16]
    assert padding([Size(1, 1), Size(1, 3)]) == 1 - 4 / 6
