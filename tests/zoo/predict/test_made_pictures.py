"""evaluate --features: pictures that a model makes, judged in the features of a classifier."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import zoo
from tasks.metrics.feature_distances import frechet_distance, kernel_distance
from tests.cli import Done, run_cli
from tests.finetuning import lines
from zoo.predict.made_pictures import PenultimateFeatures
from zoo.store import evidence
from zoo.vision.vae import ENTRY

SHORT = ("--report_to", "none", "--max_steps", 2, "--max_train_samples", 64, "--device", "cpu")
HALF = 60  # of the 120 rows that are read of the embedded digits' test split


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains a model for two steps in a folder of its name."""
    folder = tmp_path_factory.mktemp("pictures")

    def train(module: str, name: str, *flags: object) -> Path:
        verb = "pretrain" if module == "zoo.vision.vae" else "finetune"
        run = folder / name
        done = run_cli(module, verb, "--output_dir", run, *SHORT, *flags)
        assert done.code == 0, done.err
        return run

    return train


@pytest.fixture(scope="module")
def vae(made: Callable[..., Path]) -> Path:
    return made("zoo.vision.vae", "vae", "--widths", 8, "--latent_size", 4)


@pytest.fixture(scope="module")
def cnn(made: Callable[..., Path]) -> Path:
    """Of 16 features, and of twice the vae's size."""
    return made("zoo.vision.cnn_cls", "ein 分类器", "--widths", 8, 16, "--image_size", 16)


def judge(run: Path, *flags: object, entry: Any = ENTRY) -> Done:
    few: tuple[object, ...] = ("--device", "cpu")
    if "--max_eval_samples" not in flags:
        few += ("--max_eval_samples", 2 * HALF)
    return run_cli(entry, "evaluate", run, *few, *flags)


def sets_of(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.err
    return json.loads(done.lines[-1])["pictures"]["sets"]


@pytest.fixture(scope="module")
def judged(vae: Path, cnn: Path) -> dict[str, Any]:
    done = judge(vae, "--features", cnn, "--samples", 40, "--seed", 1, "--json")
    return {"sets": sets_of(done), "pictures": json.loads(done.lines[-1])["pictures"]}


def test_they_are_those_of_the_formulas(judged: dict[str, Any], vae: Path, cnn: Path) -> None:
    """Of the same pictures, made by `predict`, and features that the network itself pools."""
    from tasks.vision import image_density

    model, classifier = zoo.load(vae, "cpu"), zoo.load(cnn, "cpu")

    def pooled(pictures: list[np.ndarray]) -> np.ndarray:
        batch = classifier.task.collate(classifier.task.inputs(pictures))
        with torch.no_grad():
            return classifier.model.cnn(**batch.inputs).pooler_output.double().numpy()

    asked = image_density.Inputs(samples=40, seed=1)
    inputs = image_density.read_inputs(asked, model.task, None)  # type: ignore[arg-type]
    pictures = [one.pictures[0] for one in model.typed(inputs)]
    data = image_density.for_evaluation(
        model.task, zoo_data_args(), None, model.checkpoint.manifest["data"]["fingerprint"]
    )
    rows = model.task.features(data.splits["test"], "test of pictures")
    order = np.random.default_rng(1).permutation(2 * HALF)
    real = [row["image"] for row in rows.__getitems__(order.tolist())]
    reference = pooled(real[:HALF])
    for name, features in (("made", pooled(pictures)), ("real", pooled(real[HALF:][:40]))):
        found = judged["sets"][name]
        assert found["fid"]["n"] == found["kid"]["n"] == 40
        known = frechet_distance(features, reference), kernel_distance(features, reference)
        assert found["fid"]["value"] == pytest.approx(known[0], rel=1e-4, abs=1e-5)
        assert found["kid"]["value"] == pytest.approx(known[1], rel=1e-4, abs=1e-5)
        assert found["fid"]["low"] <= found["fid"]["value"] < found["fid"]["high"]


def zoo_data_args() -> Any:
    from tasks.data.source import DataArgs

    return DataArgs(max_eval_samples=2 * HALF)


def test_the_record_names_the_classifier(judged: dict[str, Any], vae: Path, cnn: Path) -> None:
    facts = [fact for fact in evidence.read(vae) if "features" in (fact.workload or {})]
    digest = evidence.subject_digest(cnn)
    assert judged["pictures"]["features"] == digest and judged["pictures"]["real"] == HALF
    ours = facts[:6]
    assert [(fact.kind, fact.name, fact.label) for fact in ours] == [
        ("metric", "fid", None),
        ("metric", "kid", None),
        ("reference", "reference_fid", "real"),
        ("reference", "reference_kid", "real"),
        ("reference", "reference_fid", "noise"),
        ("reference", "reference_kid", "noise"),
    ]
    for fact in ours:
        assert fact.workload is not None and fact.workload["features"] == digest
        assert fact.workload["classifier"].endswith("ein 分类器"), "and not where it lies"
        assert (fact.workload["real"], fact.workload["seed"], fact.n) == (HALF, 1, 40)
        assert fact.split == "test" and fact.subject == evidence.subject_digest(vae)
    assert ours[0].value == judged["sets"]["made"]["fid"]["value"]
    ids = [one["id"] for one in lines(vae / evidence.FILE)]
    assert len(set(ids)) == len(ids)


def test_a_table_has_the_scale_beside_what_was_made(vae: Path, cnn: Path) -> None:
    done = judge(vae, "--features", cnn, "--samples", 40, "--seed", 2)
    assert done.code == 0, done.err
    digest = evidence.subject_digest(cnn)[:12]
    assert f"the features of {cnn} (16 of cnn_cls {digest}), from 60 real images" in done.out
    rows = [line.split()[0] for line in done.lines if line.endswith(" 40")]
    assert rows == ["made", "real", "noise"]
    info = run_cli("zoo", "info", vae)
    assert "fid in " in info.out and "bits_per_dim" in info.out


def test_the_same_seed_gives_the_same_numbers(judged: dict[str, Any], vae: Path, cnn: Path) -> None:
    again = judge(vae, "--features", cnn, "--samples", 40, "--seed", 1, "--json",
                  "--per_device_eval_batch_size", 7)  # fmt: skip
    for name, scores in sets_of(again).items():
        for metric, one in scores.items():
            known = judged["sets"][name][metric]
            assert one["value"] == pytest.approx(known["value"], rel=1e-2, abs=1e-4)


def test_python_gives_them_behind_the_metrics(vae: Path, cnn: Path) -> None:
    """As many pictures as half of the images where no number is given."""
    found = zoo.evaluate(vae, features=str(cnn), max_eval_samples=2 * HALF, device="cpu")
    assert list(found.metrics) == ["bits_per_dim", "fid", "kid"]
    assert found.metrics["fid"].n == HALF and found.metrics["kid"].method == "bootstrap-normal"


def test_features_of_timm_are_those_before_its_head(made: Callable[..., Path]) -> None:
    run = made("zoo.vision.resnet_cls", "resnet", "--architecture", "test_resnet",
               "--image_size", 32)  # fmt: skip
    pictures = list(np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), np.uint8))
    found = PenultimateFeatures(run, ENTRY, torch.device("cpu"))(pictures)
    plain = zoo.load(run, "cpu")
    batch = plain.task.collate(plain.task.inputs(pictures))
    network = plain.model.timm_model
    with torch.no_grad():
        states = network.forward_features(batch.inputs["pixel_values"])
        known = network.forward_head(states, pre_logits=True).double().numpy()
    assert found.dtype == np.float64 and found.shape == known.shape
    np.testing.assert_allclose(found, known, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--samples", 30), "--samples is of pictures that --features judges: give both"),
        (("--seed", 3), "--seed is of pictures that --features judges: give both"),
        (("--features", "CNN", "--samples", 16), "of the 16 features of"),
        (("--features", "CNN", "--samples", 16), "wants at least 17 pictures"),
        (("--features", "CNN", "--max_eval_samples", 32), "each half of embedded, test has 16"),
        (("--features", "CNN", "--max_eval_samples", 32), "at least 34, or a larger --max_eval"),
        (("--features", "CNN", "--max_eval_samples", 1), "each half of embedded, test has 0"),
        (("--features", "VAE"), "is a checkpoint of vae, which is no classifier of images"),
        (("--features", "nowhere"), "no checkpoint at nowhere"),
        (("--features", "CNN", "--deployment", "compile"), "leave --deployment out"),
    ],
)
def test_what_makes_no_sense_is_named(
    flags: tuple[object, ...], said: str, vae: Path, cnn: Path
) -> None:
    known = {"CNN": cnn, "VAE": vae}
    before = (vae / evidence.FILE).read_bytes()
    done = judge(vae, *(known.get(str(flag), flag) for flag in flags))
    assert done.code == 2 and said in done.err, done.err
    assert len(done.err.splitlines()) == 1
    assert (vae / evidence.FILE).read_bytes() == before


def test_a_model_without_pictures_is_named(cnn: Path) -> None:
    done = judge(cnn, "--features", cnn, entry="zoo.vision.cnn_cls")
    assert done.code == 2 and "pictures that a model makes, and cnn_cls" in done.err, done.err


def test_features_of_a_model_of_text_are_refused(
    vae: Path, made: Callable[..., Path], reviews: Path
) -> None:
    rnn = made("zoo.nlp.rnn_cls", "rnn", "--data", reviews, "--vocab_size", 300,
               "--hidden_size", 16)  # fmt: skip
    done = judge(vae, "--features", rnn)
    assert done.code == 2 and "of rnn_cls, which is no classifier of images" in done.err, done.err
