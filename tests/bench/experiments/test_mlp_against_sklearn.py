"""What scikit-learn is given to train on is what the zoo's network sees."""

from pathlib import Path

import numpy as np

from bench.experiments.mlp_against_sklearn import Args, run_sklearn, run_zoo, vectors
from bench.experiments.rounds import RoundCase
from tasks.vision import image_classification as images
from tests.media import png_bytes


def test_vectors_are_the_tasks_own() -> None:
    import datasets

    task = images.ImageClassification(
        images.Args(), ("cat", "dog"), "single_label_classification", size=8, channels=1
    )
    content = [png_bytes(shade) for shade in (0, 100, 255)]
    split = datasets.Dataset.from_dict(
        {"media": [{"bytes": b, "path": None} for b in content], "label": [0, 1, 0]}
    )
    found, labels = vectors(task, split)
    rows = task.features(split, "key").__getitems__([0, 1, 2])
    expected = task.collate(rows).inputs["pixel_values"].flatten(1).numpy()
    assert found.dtype == np.float32 and np.array_equal(found, expected)
    assert found.shape == (3, 64) and labels.tolist() == [0, 1, 0]


def test_both_arms_train_on_the_digits(tmp_path: Path) -> None:
    args = Args(data="embedded", epochs=2, max_train_samples=200)
    for arm, run in (("zoo", run_zoo), ("sklearn", run_sklearn)):
        found = run(RoundCase(args, arm, 32, 1, tmp_path))
        assert found.samples_per_second > 0 and found.score > 0.2, arm
