"""Semi-supervised learning: what is seen when, and what is computed of it."""

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tasks.base import Batch
from tasks.errors import UserError
from tasks.randomness import EpochView
from tasks.vision.image_classification import Args, ImageClassification
from zoo.train.args import TrainArgs
from zoo.train.args import check as check_args
from zoo.train.methods.semi_supervised import CollateBoth, SemiSupervised, check, semi_supervised


class Samples:
    """Features whose rows say which they are and how they are seen."""

    def __init__(self, n: int, name: str) -> None:
        self.name = name
        self.lengths = np.arange(n) + 5
        self.rows = np.ones(n, np.int64)
        self.origins = np.arange(n)
        self._view: EpochView | None = None

    def view(self, view: EpochView) -> Self:
        seen = copy.copy(self)
        seen._view = view
        return seen

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        assert all(type(i) is int and 0 <= i < len(self) for i in indices)
        return [{"of": self.name, "sample_id": i, "seen": self._view} for i in indices]


def _features(labelled: int, unlabelled: int, ratio: int) -> SemiSupervised:
    parts = Samples(labelled, "labelled"), Samples(unlabelled, "unlabelled")
    return SemiSupervised(*parts, ratio, ("weak", "strong"))


SIZES = st.tuples(st.integers(1, 30), st.integers(1, 60), st.integers(1, 8))


@given(SIZES, st.integers(0, 99))
def test_an_epoch_sees_all_of_both(sizes: tuple[int, int, int], epoch: int) -> None:
    features = _features(*sizes)
    labelled, unlabelled, ratio = sizes
    assert len(features) == max(labelled, -(-unlabelled // ratio))
    rows = features.view(EpochView(7, epoch)).__getitems__(range(len(features)))
    own = Counter(row["sample_id"] for row in rows)
    assert len(own) == labelled and max(own.values()) - min(own.values()) <= 1
    assert all(len(row["unlabelled"][v]) == ratio for row in rows for v in ("weak", "strong"))
    weak = [beside["sample_id"] for row in rows for beside in row["unlabelled"]["weak"]]
    assert len(set(weak)) == unlabelled
    assert max(Counter(weak).values()) - min(Counter(weak).values()) <= 1
    for start in range(0, len(weak) - unlabelled + 1, unlabelled):
        assert sorted(weak[start : start + unlabelled]) == list(range(unlabelled))


@given(SIZES)
def test_nothing_is_seen_twice_in_the_same_way(sizes: tuple[int, int, int]) -> None:
    """Whatever the epoch: a view is a pure function of where a sample stands."""
    features = _features(*sizes)
    seen = []
    for epoch in range(3):
        for row in features.view(EpochView(7, epoch)).__getitems__(range(len(features))):
            beside = [one for rows in row["unlabelled"].values() for one in rows]
            seen += [(one["of"], one["sample_id"], one["seen"]) for one in (row, *beside)]
    assert len(seen) == len(set(seen))
    strengths = {(of, view.strength) for of, _, view in seen}
    assert strengths == {
        ("labelled", "standard"), ("unlabelled", "weak"), ("unlabelled", "strong")
    }  # fmt: skip


@given(SIZES, st.randoms(use_true_random=False))
def test_rows_do_not_depend_on_their_batch(sizes: tuple[int, int, int], random: Any) -> None:
    features = _features(*sizes).view(EpochView(1, 2))
    order = random.sample(range(len(features)), len(features))
    together = features.__getitems__(order)
    again = _features(*sizes).view(EpochView(1, 2))
    assert together == [again.__getitems__([i])[0] for i in order]


def test_one_sample_has_both_views_of_the_same_neighbours() -> None:
    features = _features(10, 100, 7)
    orders = []
    for view in (EpochView(1, 0), EpochView(1, 1), EpochView(2, 0)):
        row = features.view(view).__getitems__([3])[0]
        weak, strong = (row["unlabelled"][name] for name in ("weak", "strong"))
        ids = [one["sample_id"] for one in weak]
        assert ids == [one["sample_id"] for one in strong]
        orders.append(tuple(ids))
    assert len(set(orders)) == 3


def test_sizes_are_those_of_the_labelled() -> None:
    features = _features(3, 70, 7)
    assert features.lengths.tolist() == [5, 6, 7, 5, 6, 7, 5, 6, 7, 5]
    assert features.origins.tolist() == [0, 1, 2] * 3 + [0]
    assert set(features.rows.tolist()) == {15}
    assert "unlabelled" not in features.__getitems__([9])[0]


class Net(nn.Module):
    """Logits linear in the pixels, perhaps after a batch norm."""

    def __init__(self, norm: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm1d(4) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4, 3)
        self.passes: list[tuple[int, bool]] = []

    def forward(self, pixel_values: Tensor) -> Any:
        self.passes.append((len(pixel_values), self.training))
        return SimpleNamespace(logits=self.head(self.dropout(self.norm(pixel_values))))


def _task(**changes: Any) -> ImageClassification:
    settings = {"args": Args(), "labels": ("a", "b", "c")}
    return ImageClassification(
        **settings | {"problem_type": "single_label_classification"} | changes
    )


def _batch(labelled: int, ratio: int, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    own = {"pixel_values": torch.randn(labelled, 4, generator=rng)}
    parts = {}
    for view in ("weak", "strong"):
        inputs = {"pixel_values": 3 * torch.randn(labelled * ratio, 4, generator=rng)}
        parts[view] = Batch(inputs, torch.arange(labelled * ratio))
    ids = torch.arange(labelled)
    return Batch(own, ids, {"labels": ids % 3}, parts=parts)


def _pixels(batch: Batch, view: str | None = None) -> torch.Tensor:
    return (batch.parts[view] if view else batch).inputs["pixel_values"]


@pytest.mark.parametrize(("kind", "learned"), [("fixmatch", "strong"), ("pseudo", "weak")])
def test_the_loss_by_hand(kind: str, learned: str) -> None:
    """In numpy, from the equations of the paper."""
    net, batch = Net(), _batch(4, 5)
    loss = semi_supervised(_task(), kind, 0.8, 0.5)(net, batch)
    weight, bias = (p.detach().double().numpy() for p in net.head.parameters())

    def log_softmax(view: str | None = None) -> np.ndarray:
        z = _pixels(batch, view).double().numpy() @ weight.T + bias
        return z - np.log(np.exp(z).sum(1, keepdims=True))

    supervised = -log_softmax()[np.arange(4), batch.targets["labels"].numpy()].sum()
    weak = np.exp(log_softmax("weak"))
    sure = weak.max(1) >= 0.8
    assert 3 < sure.sum() < 17
    entropy = -log_softmax(learned)[np.arange(20), weak.argmax(1)]
    unlabelled = (entropy * sure).sum() / 5
    assert float(loss.sum) == pytest.approx(supervised + 0.5 * unlabelled, rel=1e-5)
    assert float(loss.count) == 4
    assert float(loss.logs["mask"]) == pytest.approx(sure.sum() / 5)
    assert float(loss.logs["unlabelled_loss"]) == pytest.approx(unlabelled, rel=1e-5)
    assert not any(log.requires_grad for log in loss.logs.values())


@pytest.mark.parametrize("kind", ["fixmatch", "pseudo"])
def test_no_gradient_goes_through_the_predictions(kind: str) -> None:
    net, batch = Net(), _batch(4, 5)
    semi_supervised(_task(), kind, 0.8, 1.0)(net, batch).sum.backward()
    other = Net()
    with torch.no_grad():
        sureness, guesses = other.head(_pixels(batch, "weak")).softmax(-1).max(-1)
    learned = _pixels(batch, "strong" if kind == "fixmatch" else "weak")
    losses = F.cross_entropy(other.head(learned), guesses, reduction="none")
    supervised = F.cross_entropy(other.head(_pixels(batch)), batch.targets["labels"])
    (4 * supervised + losses[sureness >= 0.8].sum() / 5).backward()
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


@given(st.integers(1, 7), st.integers(1, 6))
def test_losses_of_parts_add_up(cut: int, ratio: int) -> None:
    net, batch = Net(), _batch(8, ratio)
    objective = semi_supervised(_task(), "fixmatch", 0.6, 1.0, 0.1)
    whole = objective(net, batch)
    halves = []
    for start, end in ((0, cut), (cut, 8)):
        parts = {
            name: view._each(lambda tensor, own=slice(start * ratio, end * ratio): tensor[own])
            for name, view in batch.parts.items()
        }
        own = replace(batch, parts={})._each(lambda tensor, own=slice(start, end): tensor[own])
        halves.append(objective(net, replace(own, parts=parts)))
    torch.testing.assert_close(sum(half.sum for half in halves), whole.sum)
    assert sum(float(half.count) for half in halves) == float(whole.count) == 8
    for name, log in whole.logs.items():
        torch.testing.assert_close(sum(half.logs[name] for half in halves), log)


def test_batch_norm_sees_all_rows_together_once() -> None:
    net, batch = Net(norm=True, dropout=0.5), _batch(4, 5)
    semi_supervised(_task(), "fixmatch", 0.5, 1.0)(net, batch)
    assert net.passes == [(44, True)]
    assert net.training and net.head.training
    together = torch.cat([_pixels(batch, view) for view in (None, "strong", "weak")])
    assert int(net.norm.num_batches_tracked) == 1
    torch.testing.assert_close(net.norm.running_mean, 0.1 * together.mean(0))


def test_padded_inputs_go_in_passes_of_their_own() -> None:
    net, batch = Net(), _batch(4, 5)
    whole = semi_supervised(_task(), "fixmatch", 0.5, 1.0)(net, batch)
    net.passes.clear()
    padded = replace(batch, lengths=torch.ones(4))
    apart = semi_supervised(_task(), "fixmatch", 0.5, 1.0)(net, padded)
    assert [size for size, _ in net.passes] == [4, 20, 20]
    torch.testing.assert_close(apart.sum, whole.sum)


def test_gradients_under_autocast() -> None:
    """Casts of the weights that were made without gradient must not serve the other pass."""
    exact, rounded, batch = Net(), Net(), replace(_batch(4, 5), lengths=torch.ones(4))
    objective = semi_supervised(_task(), "fixmatch", 0.5, 1.0)
    objective(exact, batch).sum.backward()
    for _ in range(2):
        rounded.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = objective(rounded, batch)
            again = objective(rounded, batch)
        (loss.sum + again.sum).backward()
    mine, theirs = rounded.head.weight.grad, exact.head.weight.grad
    assert mine is not None and theirs is not None
    assert float((mine / 2 - theirs).norm() / theirs.norm()) < 0.05


def test_collation_keeps_the_views_from_the_model() -> None:
    rng = np.random.default_rng(0)

    def row(i: int, view: EpochView) -> dict[str, Any]:
        image = rng.integers(0, 256, (8, 8, 1), dtype=np.uint8)
        return {"sample_id": i, "image": image, "view": view}

    def beside(strength: Any, i: int) -> list[dict[str, Any]]:
        return [row(2 * i + k, EpochView(0, 5, strength)) for k in range(2)]

    rows = [
        row(i % 2, EpochView(0, i // 2))
        | {"label": i % 3, "unlabelled": {v: beside(v, i) for v in ("weak", "strong")}}
        for i in range(3)
    ]
    rows[2]["image"] = rows[0]["image"]  # the same sample once more, in another pass
    batch = CollateBoth(_task(size=8))(rows)
    assert _pixels(batch).shape == (3, 3, 8, 8)
    assert not torch.equal(_pixels(batch)[0], _pixels(batch)[2])
    assert _pixels(batch, "strong").shape == _pixels(batch, "weak").shape == (6, 3, 8, 8)
    assert list(batch.inputs) == ["pixel_values"]
    alone = CollateBoth(_task(size=8))(rows[1:])
    for view in ("weak", "strong"):
        assert torch.equal(_pixels(alone, view), _pixels(batch, view)[2:])
    assert torch.equal(_pixels(alone), _pixels(batch)[1:])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"problem_type": "multi_label_classification"}, "multi_label_classification"),
        ({"problem_type": "regression", "labels": ()}, "regression"),
        ({"args": Args(augment="none")}, "`augment` none"),
    ],
)
def test_tasks_without_sureness_or_views(changes: dict[str, Any], said: str) -> None:
    check(_task())
    with pytest.raises(UserError, match=said):
        check(_task(**changes))


@pytest.mark.parametrize(
    "wrong",
    [
        {"ssl": "fixmatch"},
        {"unlabeled": "rest"},
        {"ssl": "pseudo", "unlabeled": "rest", "unlabeled_ratio": 0},
        {"ssl": "pseudo", "unlabeled": "rest", "ssl_threshold": 1.5},
        {"ssl": "pseudo", "unlabeled": "rest", "ssl_weight": -1.0},
    ],
)
def test_flags_that_make_no_sense(wrong: dict[str, Any]) -> None:
    check_args(TrainArgs(ssl="fixmatch", unlabeled="rest"))
    with pytest.raises(UserError, match=f"`{list(wrong)[-1]}` "):
        check_args(TrainArgs(**wrong))
