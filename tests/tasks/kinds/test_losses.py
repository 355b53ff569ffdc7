"""One softmax for a loss and its terms gives what torch's own gives, to the last bit."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tasks.kinds.losses import balanced, cross_entropy, other_names


@pytest.mark.parametrize("shape", [(7,), (4, 5)], ids=["rows", "rows of tokens"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs(shape: tuple[int, ...], smoothing: float) -> None:
    rng = torch.Generator().manual_seed(0)
    ours = (9 * torch.randn(shape[0], 11, *shape[1:], generator=rng)).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    labels = torch.randint(11, shape, generator=rng)
    labels[1] = -100  # no target
    loss, terms = cross_entropy(ours, labels, smoothing)
    expected = F.cross_entropy(theirs, labels, reduction="sum", label_smoothing=smoothing)
    loss.backward(), expected.backward()
    assert torch.equal(loss, expected) and torch.equal(ours.grad, theirs.grad)
    if smoothing:
        assert terms is None
    else:
        assert torch.equal(terms, F.cross_entropy(theirs, labels, reduction="none"))
        assert not terms.requires_grad and not terms[1].any()


def test_balanced_weights_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    counts = [7, 1, 40]
    labels = np.repeat(np.arange(3), counts)
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert balanced(counts) == pytest.approx(theirs.tolist())
    assert balanced([30, 0, 10]) == pytest.approx((40 / 90, 1, 40 / 30))
    assert balanced([0, 0]) == (1, 1)


def test_what_a_teacher_names_otherwise() -> None:
    assert other_names(["a", "b"], ("a", "b"), "labels") is None
    assert other_names("ab", "ba", "symbols") == (
        "has other symbols than this data: they are in another order"
    )
    assert other_names(["a", "b"], ["a", "c"], "labels") == (
        "has other labels than this data: only one of both knows 'b'"
    )
