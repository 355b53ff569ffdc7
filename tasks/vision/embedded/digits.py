"""The embedded images: handwritten digits of 8 x 8 pixels, as they come with scikit-learn.

What they are: 1,797 digits by 13 people, scanned, thinned to 8 x 8 counts of 0 to 16 (Alpaydin &
Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI; CC-BY-4.0). There after the
installation, with no network; enough to see a model learn and a deployment keep its accuracy.

What they are not: a benchmark. scikit-learn has only what was the test part, so everyone's digits
lie in every split, and a support vector machine gets 0.99 right.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.data import arrow_copy, cache
from tasks.vision.embedded import png

if TYPE_CHECKING:
    import datasets

RECIPE = 1
"""Part of the cache's name: raise it with every change to what `load` gives."""

SIZES = {"test": 360, "validation": 180, "train": 1257}
SEED = 0


def load() -> "datasets.DatasetDict":
    """The splits train, validation and test (1257, 180, 360 rows; classes as even as can be).

    The columns are media ({"bytes": a greyscale PNG, "path": null}) and label (ClassLabel "0" to
    "9").
    """
    import datasets

    features = datasets.Features(
        {
            "media": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
            "label": datasets.ClassLabel(names=[str(digit) for digit in range(10)]),
        }
    )
    home = cache.folder() / "digits" / str(RECIPE)
    copies = {name: home / f"{name}.arrow" for name in ("train", "validation", "test")}
    if not all(copy.exists() for copy in copies.values()):
        import pyarrow as pa
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # [1797, 8, 8]
        for name, rows in _split(digits.target).items():
            columns = {
                "media": [{"bytes": png.encode(images[row]), "path": None} for row in rows],
                "label": digits.target[rows],
            }
            arrow_copy.write(copies[name], pa.table(columns, schema=features.arrow_schema))
    return datasets.DatasetDict(
        {
            name: arrow_copy.read(copy, name, f"digits-{RECIPE}-{name}")
            for name, copy in copies.items()
        }
    )


def _split(labels: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
    """Return the rows of each split, mixed; numpy keeps `RandomState` as it is for ever."""
    mixed = np.random.RandomState(SEED).permutation(len(labels))
    left = mixed[np.argsort(labels[mixed], kind="stable")]
    splits = {}
    for name, size in SIZES.items():
        # Every so-maniest of the rows by class: each class gives its share, up to one row.
        place = np.arange(len(left) + 1) * size // len(left)
        chosen = np.diff(place) > 0
        splits[name] = mixed[np.isin(mixed, left[chosen])]
        left = left[~chosen]
    return splits
