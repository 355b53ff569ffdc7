"""A warm-up that the training does not outlast is told."""

import pytest

from zoo.train.optim.schedules import check_warmup, lr_factor


@pytest.mark.parametrize(("total", "warmup"), [(19, 500), (10, 10), (1, 0.1), (1, 1)])
def test_a_warmup_that_never_ends_is_told(total: int, warmup: float) -> None:
    (found,) = check_warmup(total, warmup)
    assert found.level == "warning"
    assert found.message.startswith(f"`warmup_steps` {warmup}: the training ends after {total} ste")
    assert all(lr_factor("linear", step, total, warmup) < 1 for step in range(total))


@pytest.mark.parametrize(("total", "warmup"), [(19, 0), (1, 0), (10, 9), (10, 0.5)])
def test_a_warmup_that_ends_is_not(total: int, warmup: float) -> None:
    assert check_warmup(total, warmup) == []
    assert any(lr_factor("linear", step, total, warmup) == 1 for step in range(total))
