"""evaluate --features: FID and KID of the pictures that a model makes, in the features of a
classifier of images, beside those of real images and of noise.

The features are what goes into the last layer of the classifier (Heusel et al. 2017 take those of
Inception-v3). Their distances say something in that classifier's features alone: its name and its
digest stand wherever they do.
"""

import importlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from tasks.base import Features, HasPictures, Task
from tasks.errors import UserError
from tasks.inputs import WithSamples
from tasks.kinds.classification import Classification
from tasks.metrics.feature_distances import estimates
from tasks.paths import expanded
from zoo.machine import terminal
from zoo.machine.precision import autocast, choose_device
from zoo.machine.progress import ProgressBar, Rate
from zoo.model.loading import head_names
from zoo.model.modality import modality_of
from zoo.predict.judged import Judged, cells
from zoo.predict.pipeline import open_deployed
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.store.portable import portable

if TYPE_CHECKING:
    from torch import nn

    from tasks.metrics.arithmetic import Floats
    from tasks.metrics.intervals import MetricEstimate
    from zoo.cli.args import EvaluateArgs
    from zoo.model.entry import Entry

MOST = 10_000
"""Images of a set: pairs of more take long, and FID hardly changes."""
LEVELS = 256
PROBE = (32, 32, 3)
"""The shape of an image that shows how many features a classifier has."""


class PenultimateFeatures:
    """The features of images that a checkpoint's classifier has in front of its last layer."""

    def __init__(self, folder: Path, entry: "Entry", device: torch.device) -> None:
        """Open the classifier.

        Args:
            folder: of its checkpoint.
            entry: of the model whose pictures are judged.

        Raises `UserError` for a checkpoint that is damaged, or no classifier of images.
        """
        checkpoint, self._model, _ = open_deployed(folder, None, "eager", str(device))
        kind, wanted = (modality_of(each).name for each in (checkpoint.entry, entry))
        if kind != wanted or not isinstance(checkpoint.task, Classification):
            raise UserError(
                f"`features` {folder} is a checkpoint of {checkpoint.entry.name}, which is no "
                "classifier of images: give one of cnn_cls, say"
            )
        self.folder, self.name, self._device = folder, checkpoint.entry.name, device
        self._task = checkpoint.task
        self.digest = artifacts.subject_of(folder, Deployment("eager"))
        names = {name.rpartition(".")[0] for name in head_names(self._model)} - {""}
        if not names:
            raise UserError(f"`features` {folder}: its network has no last layer of its own")
        self._head = [self._model.get_submodule(name) for name in sorted(names)]

    def __call__(self, pictures: Sequence[np.ndarray]) -> "Floats":
        """Return the features, float64 [n, features], of images uint8 [height, width, 1 or 3], in
        one pass; the classifier's own processor resizes them.

        Raises `UserError` where they are no finite numbers.
        """
        seen: list[torch.Tensor] = []  # the inputs of the head's layers; the last one's counts
        hooks = [
            module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
            for module in self._head
        ]
        try:
            with torch.inference_mode():
                batch = self._task.collate(self._task.inputs(pictures)).to(self._device)
                self._task.forward(self._model, batch)
        finally:
            for hook in hooks:
                hook.remove()
        found: Floats = seen[-1].flatten(1).double().cpu().numpy()
        if not np.isfinite(found).all():
            raise UserError(f"`features` {self.folder}: its features are no finite numbers")
        return found


class Distances(NamedTuple):
    """How far a set of images is from the real ones."""

    fid: "MetricEstimate"
    kid: "MetricEstimate"


@dataclass(frozen=True)
class JudgedPictures(Judged):
    """Distances from held-out real images, in the features of one classifier."""

    kind = "pictures"
    classifier: str
    """the folder of its checkpoint"""
    name: str
    """its model: "cnn_cls" """
    digest: str
    size: int
    """the number of its features"""
    real: int
    """real images that all sets are compared with"""
    seed: int
    sets: Mapping[str, Distances]
    """of `made`, the pictures of the model; `real`, other real images; and `noise`"""

    def described(self) -> dict[str, Any]:
        """Return how the pictures were judged, as plain JSON."""
        return {
            "classifier": self.classifier,
            "features": self.digest,
            "real": self.real,
            "seed": self.seed,
        }

    def workload(self) -> dict[str, Any]:
        """Return the same with a path that holds on other machines."""
        return {**self.described(), "classifier": portable(self.classifier, Path.cwd())}

    def show(self) -> None:
        """Print the distances as a table."""
        rows = [
            (name, *(cell for one in distances for cell in cells(one)), f"{distances.fid.n:,}")
            for name, distances in self.sets.items()
        ]
        header = ("pictures", "fid", "95% interval", "kid", "95% interval", "n")
        title = (
            f"fid and kid in the features of {self.classifier} ({self.size:,} of {self.name} "
            f"{self.digest[:12]}), from {self.real:,} real images"
        )
        terminal.table(header, rows, title, after_gap=True)
        if len({distances.fid.n for distances in self.sets.values()}) > 1:
            terminal.lines("fid falls as n grows: compare those of equal n alone; kid does not")


@dataclass(frozen=True)
class PictureJudge:
    """Compares the pictures that a model makes with real ones; what it needs is checked before."""

    classifier: PenultimateFeatures
    factory: Any
    task: Any
    """Of the model, as `predict` uses it to make pictures."""
    samples: int
    seed: int
    size: int
    """Features of a picture."""
    reference: Sequence[int]
    """Rows of the real images that all sets are compared with."""
    others: Sequence[int]
    """Rows of the other real images."""
    batch_size: int
    device: torch.device

    def judge(self, model: "nn.Module", features: Features, dtype: torch.dtype) -> JudgedPictures:
        """Return the distances of what the model makes, of other real images, and of noise.

        Args:
            features: the real images, as `judge_of` was given them.
            dtype: that the model computes in; the classifier computes in fp32.
        """
        made, shape = self._made(model, dtype)
        found = {
            "made": made,
            "real": self._features(_images(features, self.others)),
            "noise": self._features(_noise(shape, self.samples, self.seed)),
        }
        reference = self._features(_images(features, self.reference))
        sets = {
            name: Distances(*estimates(one, reference, seed=self.seed))
            for name, one in found.items()
        }
        judge = self.classifier
        folder, real = str(judge.folder), len(reference)
        return JudgedPictures(folder, judge.name, judge.digest, self.size, real, self.seed, sets)

    def _features(self, pictures: Iterable[np.ndarray]) -> "Floats":
        return np.concatenate([self.classifier(part) for part in _parts(pictures, self.batch_size)])

    def _made(self, model: "nn.Module", dtype: torch.dtype) -> "tuple[Floats, tuple[int, ...]]":
        """Return the features of new pictures, and the shape of one."""
        found, rate = [], Rate()
        shape: tuple[int, ...] = ()
        bar = ProgressBar("making pictures", self.samples, stays=False)
        rate.add(time.perf_counter(), 0)
        with ExitStack() as stack, closing(bar), torch.inference_mode():
            asked = _inputs(self.factory, self.samples, self.seed)
            inputs = self.factory.read_inputs(asked, self.task, stack)
            done = 0
            for part in _parts(inputs, self.batch_size):
                batch = self.task.collate(self.task.inputs(part)).to(self.device)
                with autocast(self.device, dtype):
                    predictions = self.task.predict(model, batch)
                pictures = [self.task.pictures(one)[-1] for one in predictions]
                shape = pictures[0].shape
                found.append(self.classifier(pictures))
                done += len(part)
                rate.add(time.perf_counter(), done)
                bar.show(done, rate.per_second, "")
        return np.concatenate(found), shape


def judge_of(
    args: "EvaluateArgs",
    entry: "Entry",
    task: Task,
    features: Features,
    data: str,
) -> PictureJudge | None:
    """Return what judges the pictures of a model; None where that is not asked for.

    Args:
        features: the held-out real images, at the size that the model sees.
        data: their name, for errors.

    Raises `UserError` where the model makes no pictures, `features` names no classifier of images,
    or there are too few images for the covariance of its features.
    """
    if args.features is None:
        if name := next((name for name in ("samples", "seed") if getattr(args, name)), None):
            raise UserError(f"`{name}` is of pictures that `features` judges: give both")
        return None
    factory = importlib.import_module(entry.task)
    if not isinstance(task, HasPictures) or not isinstance(factory.Inputs(), WithSamples):
        raise UserError(f"`features` judges pictures that a model makes, and {entry.name} has none")
    if args.deployment != "eager":
        raise UserError(
            "`features` judges pictures that the weights make, and an exported program makes none",
            hint="leave `deployment` out",
        )
    device = choose_device(args.device)
    classifier = PenultimateFeatures(expanded(args.features), entry, device)
    seed, half = args.seed or 0, len(features) // 2
    order = np.random.default_rng(seed).permutation(len(features)).tolist()
    samples = min(half, MOST) if args.samples is None else args.samples
    size = classifier([np.zeros(PROBE, np.uint8)]).shape[1]
    _must_suffice(args, classifier.folder, size, half, samples, data)
    return PictureJudge(
        classifier,
        factory,
        factory.for_prediction(task, _inputs(factory, samples, seed)),
        samples,
        seed,
        size,
        order[:half][:MOST],
        order[half:][:samples],
        args.per_device_eval_batch_size,
        device,
    )


def _must_suffice(
    args: "EvaluateArgs", folder: Path, size: int, half: int, samples: int, data: str
) -> None:
    """Raise `UserError` where a covariance of so many features wants more images."""
    wanted = size + 1
    if half < wanted:
        more = "" if args.max_eval_samples is None else ", or a larger `max_eval_samples`"
        raise UserError(
            f"`features` {folder}: the covariance of its {size:,} features wants at least "
            f"{wanted:,} images, and each half of {data} has {half:,}: give `data` or `split` with "
            f"at least {2 * wanted:,}{more}"
        )
    if samples < wanted:
        raise UserError(
            f"`samples` {samples:,}: the covariance of the {size:,} features of {folder} wants at "
            f"least {wanted:,} pictures"
        )


def _inputs(factory: Any, samples: int, seed: int) -> Any:
    """Return the inputs of `predict` that make pictures; it wants a file for them, which nobody
    writes here."""
    return factory.Inputs(samples=samples, seed=seed, grid=Path("pictures.png"))


def _images(features: Features, rows: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield real images, uint8 [height, width, 1 or 3]."""
    for row in rows:
        yield features.__getitems__([row])[0]["image"]


def _noise(shape: tuple[int, ...], samples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield pictures whose values are all equally likely, uint8 of that shape."""
    rng = np.random.default_rng(seed)
    for _ in range(samples):
        yield rng.integers(0, LEVELS, shape, np.uint8)


def _parts(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    waiting = iter(items)
    while part := list(islice(waiting, size)):
        yield part
