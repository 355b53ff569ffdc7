"""The images of a split with their boxes: what each sample of object detection is."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.base import Viewed
from tasks.errors import UserError
from tasks.metrics.detection import TrueBoxes
from tasks.vision.box_args import BoxAugmentArgs

if TYPE_CHECKING:
    import datasets

    from tasks.media.decoding import Decoded
    from tasks.vision.boxes import Placement


def names_of(split: "datasets.Dataset") -> tuple[str, ...]:
    """Return the names of the classes of a split, in the order of its numbers."""
    return tuple(split.features["objects"]["category"].feature.names)


def places_of(split: "datasets.Dataset", labels: Sequence[str], name: str) -> npt.NDArray[np.int64]:
    """Return the place among `labels` of each class of a split, int64 [classes]; -1 of one that
    none of its boxes has.

    Args:
        name: of the split.

    Raises `UserError` for boxes of a class that is none of the labels.
    """
    places = [labels.index(one) if one in labels else -1 for one in names_of(split)]
    if -1 in places:
        there = {place for row in split["objects"][:] for place in row["category"]}
        strange = [one for i, one in enumerate(names_of(split)) if i in there and places[i] < 0]
        if strange:
            raise UserError(
                f"{name} has boxes of the class {strange[0]!r}, and the model was trained for "
                f"{', '.join(labels)}"
            )
    return np.array(places, np.int64)


class BoxFeatures(Viewed):
    """The images of one split at the model's size, with their boxes; `collate` augments them as a
    view says. Satisfies `tasks.base.Features`."""

    def __init__(
        self,
        decoded: "Decoded",
        split: "datasets.Dataset",
        labels: Sequence[str],
        placement: "Callable[[int, int], Placement]",
        args: BoxAugmentArgs,
    ) -> None:
        """Keep the boxes of the images that could be decoded.

        Args:
            labels: the classes of the task, by which those of the split are numbered.
            placement: where an image of so many pixels, height and width, lies in the square.
        """
        self.decoded = decoded
        self.origins: np.ndarray = decoded.kept
        self.lengths: np.ndarray = decoded.sizes.astype(np.int64)
        self.rows: np.ndarray = np.ones(len(decoded), np.int64)
        self.truth = None
        if "objects" in split.column_names:
            places, objects = places_of(split, labels, "the data"), split["objects"][:]
            self.truth = [_truth(objects[int(i)], places) for i in decoded.kept]
        self._placement, self._args = placement, args

    def __len__(self) -> int:
        return len(self.decoded)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        rows = [self._row(i) for i in indices]
        if self._view is None:
            return rows
        from tasks.randomness import SampleRandom
        from tasks.vision.compositions import give_partners

        draws = SampleRandom(self._view, list(indices))
        give_partners(rows, draws, self._args, len(self), self._row)
        return [row | {"view": self._view} for row in rows]

    def boxes(self) -> npt.NDArray[np.float32]:
        """Return the boxes of all things, without crowds, in pixels of the input: [n, 4]."""
        found = [np.zeros((0, 4), np.float32)]
        for i, truth in enumerate(self.truth or ()):
            things = truth.boxes if truth.iscrowd is None else truth.boxes[~truth.iscrowd]
            found.append(self._placement(*self._size(i)).to_square(things))
        return np.concatenate(found)

    def counts(self) -> npt.NDArray[np.int64]:
        """Return how many things each image has, without crowds: [n]."""
        rows = [
            len(one.labels) if one.iscrowd is None else (~one.iscrowd).sum()
            for one in self.truth or ()
        ]
        return np.array(rows, np.int64)

    def _size(self, i: int) -> tuple[int, int]:
        facts = self.decoded.facts[int(self.origins[i])]
        return int(facts["height"]), int(facts["width"])

    def _row(self, i: int) -> dict[str, Any]:
        size = self._size(i)
        row = {"sample_id": i, "image": self.decoded.get(i), "size": size}
        if self.truth is None:
            return row
        truth = self.truth[i]
        return row | {
            "boxes": self._placement(*size).to_square(truth.boxes),
            "labels": truth.labels,
            "crowd": truth.iscrowd,
            "truth": truth,
        }


def _truth(objects: Mapping[str, Any], places: npt.NDArray[np.int64]) -> TrueBoxes:
    """Return the boxes of a row of the column objects."""
    return TrueBoxes(
        np.array(objects["bbox"], np.float64).reshape(-1, 4),
        places[np.array(objects["category"], np.int64)],
        np.array(objects["iscrowd"], np.bool_),
        np.array(objects["area"], np.float64),
    )
