"""Draws are a function of (seed, epoch, sample, name), whichever samples stand together."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.randomness import EpochView, SampleRandom

STRENGTHS = st.sampled_from(("weak", "standard", "strong"))
VIEWS = st.builds(EpochView, st.integers(0, 2**31), st.integers(0, 1000), STRENGTHS)


@given(st.lists(st.tuples(VIEWS, st.integers(0, 2**40)), min_size=1, max_size=8))
def test_each_sample_under_its_own_view(pairs: list[tuple[EpochView, int]]) -> None:
    views, ids = map(list, zip(*pairs, strict=True))
    together = SampleRandom(views, ids)
    alone = [SampleRandom(view, [i]) for view, i in pairs]
    for name in ("crop", "noise"):
        assert together.bits(name).tolist() == [int(one.bits(name)[0]) for one in alone]
    last = len(ids) - 1
    assert together.generator(last, "x").random() == alone[last].generator(0, "x").random()


def test_names_samples_epochs_and_strengths_draw_apart() -> None:
    views = [EpochView(s, e, k) for s in (1, 2) for e in (0, 1) for k in ("weak", "strong")]
    bits = [SampleRandom(view, range(50)).bits(name) for view in views for name in ("a", "b")]
    assert len(np.unique(bits)) == 16 * 50
