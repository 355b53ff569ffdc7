"""Batches by length within a budget: each input once, none larger than may be."""

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


def test_equal_sizes_fill_the_budget() -> None:
    assert [len(batch) for batch in batches([Size(1, 128)] * 40, 2048)] == [8, 16, 16]
    assert padding([Size(1, 1), Size(1, 3)]) == 1 - 4 / 6
