"""Learning from labelled and unlabelled examples at once, as features and an objective.

A sample of training is a labelled one with `ratio` unlabelled ones beside it, so that an optimizer
step, however it is cut into passes and ranks, is a sum over its samples:

- pseudo: Lee 2013, "Pseudo-Label": what the model predicts, it learns.
- fixmatch: Sohn et al. 2020 (https://arxiv.org/abs/2001.07685): what the model predicts of a weakly
  varied example, it learns on a strongly varied one.

Both learn sure predictions only.
"""

import copy
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import nn

from tasks.base import (
    Batch,
    Examples,
    Features,
    LearnsUnlabelled,
    Loss,
    Objective,
    Outputs,
    Task,
)
from tasks.errors import UserError
from tasks.randomness import AugmentStrength, EpochView
from zoo.train.methods.base import Data, Learning, Method, Setup

if TYPE_CHECKING:
    from zoo.train.args import TrainArgs

LEARNED: Mapping[str, AugmentStrength] = {"pseudo": "weak", "fixmatch": "strong"}
"""The view of an unlabelled sample that a kind learns the predictions on; they are made on weak."""


class UnlabelledData(Method):
    """Trains on labelled examples together with unlabelled ones."""

    sees_more = True

    @classmethod
    def is_asked(cls, args: "TrainArgs") -> bool:
        """Return whether `--unlabeled` is given."""
        return args.ssl != "none"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._views = tuple(dict.fromkeys(("weak", LEARNED[setup.args.ssl])))
        self.rows_beside = setup.args.unlabeled_ratio * len(self._views)

    def read(self, task: Task, processor: Any) -> None:
        """Read the examples without labels, and check that the task can learn from them."""
        check(task)
        setup, asked = self.setup, self.setup.args.unlabeled
        assert asked is not None
        factory = importlib.import_module(setup.entry.task)
        self._pool: Examples = factory.unlabelled(setup.job.task, setup.job.data, asked)

    def manifest(self) -> dict[str, Any]:
        """Return the name and the fingerprint of the unlabelled data (`Method.manifest`)."""
        return {"unlabeled": {"name": self._pool.name, "fingerprint": self._pool.fingerprint}}

    def features(self, task: Task) -> dict[str, Features]:
        """Return the features of the unlabelled examples (`Method.features`)."""
        args, data = self.setup.args, self.setup.job.data
        key = f"{self._pool.fingerprint}/unlabelled/{args.unlabeled}/{data}"
        self._features = task.features(self._pool.splits["train"], key)
        return {"unlabelled": self._features}

    def learning(self, learning: Learning, model: nn.Module, data: Data) -> Learning:
        """Add unlabelled samples, their collation and their loss (`Method.learning`)."""
        args, ratio = self.setup.args, self.setup.args.unlabeled_ratio
        return Learning(
            SemiSupervised(learning.features, self._features, ratio, self._views),
            CollateBoth(data.task),
            semi_supervised(
                data.task,
                args.ssl,
                args.ssl_threshold,
                args.ssl_weight,
                args.label_smoothing_factor,
            ),
        )


def check(task: Task) -> None:
    """Raise `UserError` for a task that has more than one label an example, or no augmentation."""
    if not isinstance(task, LearnsUnlabelled) or not task.single_label:
        kind = getattr(task, "problem_type", task.name)
        raise UserError(f"`ssl` is for one label an example, and this is {kind}")
    if getattr(task.args, "augment", None) == "none":  # type: ignore[attr-defined]
        raise UserError("`ssl` learns from varied examples: leave `augment` none away")


class SemiSupervised:
    """Labelled samples, each with `ratio` unlabelled ones; satisfies `tasks.base.Features`.

    The length is what it takes to see all samples of both kinds. Sample s is labelled sample s
    modulo their number, with the unlabelled ones at positions s * ratio .. (s + 1) * ratio - 1 of a
    random order. A sample that repeats within an epoch repeats in another view (unlabelled ones
    also in another order): pass k of epoch e has the view that epoch e * passes + k would have.
    """

    def __init__(
        self,
        labelled: Features,
        unlabelled: Features,
        ratio: int,
        strengths: Sequence[AugmentStrength],
    ) -> None:
        self.labelled, self.unlabelled = labelled, unlabelled
        self.ratio, self.strengths = ratio, strengths
        size = max(len(labelled), -(-len(unlabelled) // ratio))
        own = np.arange(size) % len(labelled)
        self.lengths: np.ndarray = labelled.lengths[own]
        # as if the unlabelled ones were as long
        self.rows: np.ndarray = labelled.rows[own] + ratio * len(strengths)
        self.origins: np.ndarray = labelled.origins[own]
        self._view: EpochView | None = None
        self._orders: dict[int, np.ndarray] = {}

    def view(self, view: EpochView) -> Self:
        """Return the samples as seen in an epoch; only such a view has unlabelled samples."""
        seen = copy.copy(self)
        seen._view, seen._orders = view, {}
        return seen

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitems__(self, indices: Sequence[int]) -> Sequence[dict[str, Any]]:
        """Return labelled rows in the standard view, with the rows of their unlabelled samples in
        each of the other views under "unlabelled": {"weak": [...], "strong": [...]}."""
        places = np.asarray(indices, np.int64)
        if self._view is None:
            return self.labelled.__getitems__((places % len(self.labelled)).tolist())
        rows = self._rows(self.labelled, places, len(self), self._view, lambda view, i: i)
        beside = (places[:, None] * self.ratio + np.arange(self.ratio)).reshape(-1)
        total = len(self) * self.ratio
        neighbours = {
            strength: self._rows(
                self.unlabelled,
                beside,
                total,
                replace(self._view, strength=strength),
                lambda view, i: self._order(view.epoch)[i],
            )
            for strength in self.strengths
        }
        for i, row in enumerate(rows):
            own = slice(i * self.ratio, (i + 1) * self.ratio)
            row["unlabelled"] = {name: found[own] for name, found in neighbours.items()}
        return rows

    @staticmethod
    def _rows(
        features: Features,
        places: np.ndarray,
        total: int,
        view: EpochView,
        choose: Callable[[EpochView, np.ndarray], np.ndarray],
    ) -> list[dict[str, Any]]:
        """Return the rows at positions of an epoch of `total` samples, in which `features`
        repeat."""
        passes = -(-total // len(features))
        rows: list[Any] = [None] * len(places)
        for number in np.unique(places // len(features)):
            mine = np.flatnonzero(places // len(features) == number)
            seen = replace(view, epoch=view.epoch * passes + int(number))
            chosen = choose(seen, places[mine] % len(features))
            for i, row in zip(mine, features.view(seen).__getitems__(chosen.tolist()), strict=True):
                rows[i] = row
        return rows

    def _order(self, epoch: int) -> np.ndarray:
        """Return the order of the unlabelled samples in one pass: a permutation."""
        assert self._view is not None
        if epoch not in self._orders:
            rng = np.random.default_rng([self._view.seed, epoch, len(self.unlabelled)])
            self._orders[epoch] = rng.permutation(len(self.unlabelled))
        return self._orders[epoch]


@dataclass(frozen=True)
class CollateBoth:
    """Collates labelled rows, and the unlabelled rows of each view into the batch's `parts`."""

    task: Task

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Return the batch of labelled rows, with the batches of unlabelled rows in its `parts`."""
        views = {
            view: self.task.collate([one for row in rows for one in row["unlabelled"][view]])
            for view in rows[0]["unlabelled"]
        }
        return replace(self.task.collate(rows), parts=views)


def semi_supervised(
    task: Task, kind: str, threshold: float, weight: float, label_smoothing: float = 0.0
) -> Objective:
    """Return the objective: the task's own loss, plus `weight` times cross entropy with confident
    predictions as labels.

    A prediction is confident if its probability reaches `threshold`. The unlabelled loss is summed
    over the unlabelled rows, others as 0, and divided by their number for each labelled row
    (equation 4 of FixMatch, times the labelled rows). `logs` are that sum, and the number of
    confident predictions in units of labelled rows.
    """
    assert isinstance(task, LearnsUnlabelled), "see `check`"

    def objective(model: nn.Module, batch: Batch) -> Loss:
        views = [batch.parts[name] for name in dict.fromkeys((LEARNED[kind], "weak"))]
        outputs = _outputs(task, model, batch, views)
        sureness, guesses = task.pseudo_labels(outputs[-1])
        sure = (sureness >= threshold).float()
        beside = len(guesses) / len(batch)
        unlabelled = (task.pseudo_losses(outputs[1], guesses) * sure).sum() / beside
        supervised = task.loss(outputs[0], batch, label_smoothing)
        logs = {"mask": sure.sum() / beside, "unlabelled_loss": unlabelled.detach()}
        return Loss(
            supervised.sum + weight * unlabelled, supervised.count, {**supervised.logs, **logs}
        )

    return objective


def _outputs(
    task: Task, model: nn.Module, labelled: Batch, views: Sequence[Batch]
) -> list[Outputs]:
    """Return the outputs for the labelled rows and for each view; only the first view has
    gradients."""
    if labelled.lengths is not None or "attention_mask" in labelled.inputs:
        # padded, each to a length of its own
        outputs = [task.forward(model, part) for part in (labelled, views[0])]
        # last: autocast keeps its casts of the weights, and those made here have no gradient
        with torch.no_grad():
            return outputs + [task.forward(model, view) for view in views[1:]]
    # One pass, as in the paper's code: a batch norm sees all rows together, and its running
    # statistics are those it trained with. Weak rows in a pass without gradient would save a third
    # of the time, but predictions by other statistics may be sure and wrong, and are then learned.
    parts = (labelled, *views)
    inputs = {name: torch.cat([part.inputs[name] for part in parts]) for name in labelled.inputs}
    together = task.forward(model, Batch(inputs, torch.cat([part.ids for part in parts])))
    sizes = [len(part) for part in parts]
    split = {name: output.split(sizes) for name, output in together.items()}
    return [{name: rows[i] for name, rows in split.items()} for i in range(len(parts))]
