"""Draws are a function of (seed, epoch, sample, name), whichever samples stand together."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.randomness import EpochView, SampleRandom, normal_rows

STRENGTHS = st.sampled_from(("weak", "standard", "strong"))
VIEWS = st.builds(EpochView, st.integers(0, 2**31), st.integers(0, 1000), STRENGTHS)


@given(st.lists(st.tuples(VIEWS, st.integers(0, 2**40)), min_size=1, max_size=8))
def test_each_sample_under_its_own_view(pairs: list[tuple[EpochView, int]]) -> None:
    views, ids = map(list, zip(*pairs, strict=True))
    together = SampleRandom(views, ids)
    alone = [SampleRandom(view, [i]) for view, i in pairs]
    for name in ("crop", "noise"):
        assert together.bits(name).tolist() == [int(one.bits(name)[0]) for one in alone]
        places = list(range(len(ids)))[::-2]  # some of them, in another order
        assert together.part(places).bits(name).tolist() == together.bits(name)[places].tolist()
    last = len(ids) - 1
    assert together.generator(last, "x").random() == alone[last].generator(0, "x").random()


def test_names_samples_epochs_and_strengths_draw_apart() -> None:
    views = [EpochView(s, e, k) for s in (1, 2) for e in (0, 1) for k in ("weak", "strong")]
    bits = [SampleRandom(view, range(50)).bits(name) for view in views for name in ("a", "b")]
    assert len(np.unique(bits)) == 16 * 50


def test_normal_numbers_of_a_sample_are_its_own() -> None:
    views = [EpochView(1, 0), EpochView(1, 1), EpochView(1, 0)]
    rows = normal_rows(views, [7, 7, 8], 4000, "noise")
    assert rows.shape == (3, 4000) and rows.dtype == np.float32
    alone = [
        normal_rows(view, [i], 4000, "noise")[0] for view, i in zip(views, (7, 7, 8), strict=True)
    ]
    assert (rows == np.stack(alone)).all()
    assert (normal_rows(views[0], [7], 10, "noise") == rows[:1, :10]).all()
    others = [*rows, normal_rows(views[0], [7], 4000, "latent")[0]]
    assert np.abs(np.corrcoef(others) - np.eye(4)).max() < 0.07
    assert np.isfinite(rows).all()
    assert abs(float(rows.mean())) < 0.03 and abs(float(rows.std()) - 1) < 0.03
    assert 0.66 < float((np.abs(rows) < 1).mean()) < 0.705
