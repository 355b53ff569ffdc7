"""numpy's softmax, sigmoid and means beside torch's, at the ends of float32 too."""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tasks import arrays

LOGITS = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) * 8
ODD = torch.tensor([[1e30, -1e30, 0], [200, 199, -200], [-torch.inf, 0, 1], [3e38, 3e38, 0]])


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    """Nor may a user see one of numpy's."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("logits", [LOGITS, ODD, LOGITS.view(5, 10, 7), LOGITS[:0]])
@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_probabilities(logits: torch.Tensor, name: str) -> None:
    theirs = logits.softmax(-1) if name == "softmax" else logits.sigmoid()
    ours = getattr(arrays, name)(logits.numpy())
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6, atol=1e-37)


def test_what_is_no_number_stays_none() -> None:
    logits = np.array([[np.nan, 0], [np.inf, 0], [-np.inf, -np.inf], [1, 1]], np.float32)
    found = arrays.softmax(logits)
    assert np.isnan(found[:3, 0]).all() and found[3].tolist() == [0.5, 0.5]


def test_means_are_those_of_torch_to_the_last_bit() -> None:
    owners = torch.tensor([0, 0, 0, 1, 2, 2])
    sums = torch.zeros(3, 7).index_add(0, owners, LOGITS[:6])
    theirs = sums / owners.bincount(minlength=3).unsqueeze(1)
    ours = arrays.means(LOGITS[:6].numpy(), owners.numpy(), 3)
    assert ours.dtype == np.float32 and np.array_equal(ours, theirs.numpy())


def test_a_tensor_with_a_gradient_becomes_an_array() -> None:
    assert arrays.to_numpy(torch.ones(2, requires_grad=True) * 2).tolist() == [2, 2]
    array = np.ones(2)
    assert arrays.to_numpy(array) is array
