"""The embedded table: measured cell nuclei of breast tissue, as they come with scikit-learn.

What they are: 569 fine needle aspirates, each with 30 numbers that describe its cell nuclei, benign
or malignant (Street, Wolberg & Mangasarian 1993, "Nuclear feature extraction for breast tumor
diagnosis"; UCI, CC-BY-4.0). There after the installation, with no network; enough to see a model
learn and a deployment keep its accuracy.

What they are not: a benchmark. Logistic regression gets 0.98 right.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets

SIZES = {"test": 114, "validation": 57, "train": 398}
SEED = 0


def load() -> "datasets.DatasetDict":
    """The splits train, validation and test (398, 57, 114 rows): 30 numbers ("mean radius") and
    label (ClassLabel "malignant", "benign")."""
    import datasets
    import numpy as np
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    features = datasets.Features(
        {name: datasets.Value("float64") for name in map(str, found.feature_names)}
        | {"label": datasets.ClassLabel(names=[str(name) for name in found.target_names])}
    )
    columns = dict(zip(map(str, found.feature_names), found.data.T.tolist(), strict=True))
    columns["label"] = found.target.tolist()
    whole = datasets.Dataset.from_dict(columns, features)
    # numpy keeps `RandomState` as it is for ever
    order = np.random.RandomState(SEED).permutation(len(whole))
    ends = np.cumsum(list(SIZES.values()))[:-1]
    parts = zip(SIZES, np.split(order, ends), strict=True)
    return datasets.DatasetDict({name: whole.select(np.sort(rows)) for name, rows in parts})
