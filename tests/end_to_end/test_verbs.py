"""The three verbs, from data to predictions, and every flag that changes what is trained."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
from tests.cli import run_cli, run_process
from tests.finetuning import EXACT, MODEL, Run, arguments, finetune, lines

TEXTS = [
    f"the {thing} was truly {word}, truly {word}"
    for thing in ("film", "plot", "cast")
    for word in ("superb", "awful", "fine")
]


@pytest.fixture(scope="module")
def run(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model that has learned the reviews."""
    folder = tmp_path_factory.mktemp("learned") / "run"
    flags = ("--learning_rate", 5e-3, "--num_train_epochs", 8)
    return finetune(tiny_bert, reviews, folder, *flags)


def test_it_learns_and_the_table_says_so(run: Run) -> None:
    accuracy = next(line for line in run.done.lines if line.startswith("accuracy"))
    assert float(accuracy.split()[1]) > 0.9
    assert "test, n=60" in accuracy
    for said in ("samples/s", "peak memory", "evidence", "next:", f"evaluate {run.folder}"):
        assert said in run.done.out
    assert (run.folder / "plots" / "training.png").read_bytes().startswith(b"\x89PNG")


def test_the_manifest(run: Run, reviews: Path) -> None:
    from zoo.store.checkpoint import sha256

    manifest = run.manifest
    assert manifest["model"] == "bert_cls" and manifest["seed"] == 42
    assert manifest["config"]["train"]["num_train_epochs"] == 8.0
    assert manifest["config"]["data"]["data"] == str(reviews)
    assert manifest["config"]["task"]["labels"] == ["negative", "positive"]
    assert len(manifest["data"]["fingerprint"]) == 64
    assert manifest["data"]["rows"] == {"train": 240, "validation": 60, "test": 60}
    assert {"torch", "transformers"} <= set(manifest["versions"])
    for name, digest in manifest["files"].items():
        assert sha256(run.folder / name) == digest
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(manifest["files"])


def test_evidence_of_training(run: Run) -> None:
    facts = lines(run.folder / "evidence.jsonl")
    by_name = {fact["name"]: fact for fact in facts}
    assert by_name["accuracy"]["n"] == 60 and by_name["accuracy"]["interval"]["level"] == 0.95
    assert by_name["train_samples_per_second"]["value"] > 0
    assert len({fact["id"] for fact in facts}) == len(facts)
    assert str(run.folder) not in (run.folder / "evidence.jsonl").read_text()


def test_evaluate(run: Run, reviews: Path) -> None:
    before = len(lines(run.folder / "evidence.jsonl"))
    done = run_cli(MODEL, "evaluate", run.folder)
    assert done.code == 0, done.err
    shown = next(line for line in done.lines if line.startswith("accuracy"))
    trained = next(line for line in run.done.lines if line.startswith("accuracy"))
    assert shown.split()[:5] == trained.split()[:5]  # value and interval
    assert (run.folder / "plots" / "confusion_matrix.png").is_file()
    assert len(lines(run.folder / "evidence.jsonl")) > before
    other = run_cli(
        MODEL, "evaluate", run.folder, "--data", reviews / "train.csv", "--split", "train",
        "--max_eval_samples", 50,
    )  # fmt: skip
    assert other.code == 0, other.err
    row = next(line for line in other.lines if line.startswith("accuracy"))
    assert row.split()[-2:] == ["50", "wilson"]


def _predicted(run: Run) -> list[dict[str, object]]:
    return zoo.load(str(run.folder)).predict(TEXTS)


def test_predict_in_python(run: Run) -> None:
    expected = ["negative" if "awful" in text else "positive" for text in TEXTS]
    assert [reading["label"] for reading in _predicted(run)] == expected
    top = zoo.load(str(run.folder)).predict(TEXTS[:2], top_k=2)
    assert all(sum(reading["scores"].values()) == pytest.approx(1) for reading in top)


def _same(readings: list[dict[str, object]], run: Run) -> None:
    assert [reading["text"] for reading in readings] == TEXTS  # in the order they came
    for mine, expected in zip(readings, _predicted(run), strict=True):
        assert mine["label"] == expected["label"]
        assert float(mine["score"]) == pytest.approx(expected["score"], abs=1e-5)


def test_predict_texts(run: Run) -> None:
    done = run_cli(MODEL, "predict", run.folder, "--text", *TEXTS)
    assert done.code == 0, done.err
    _same([json.loads(line) for line in done.lines], run)


def test_texts_that_look_like_no_name_of_a_file(run: Run) -> None:
    """Longer than any name may be, or with a ~ that is nobody's home."""
    texts = ["a superb film " * 40, "~nobody-of-this-name was superb", "a\nb"]
    done = run_cli("zoo", "predict", run.folder, *texts)
    assert done.code == 0, done.err
    assert [json.loads(line)["text"] for line in done.lines] == texts


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "txt"])
@pytest.mark.parametrize("batch", [2, 32])
def test_predict_files(run: Run, tmp_path: Path, form: str, batch: int) -> None:
    source = tmp_path / f"new.{form}"
    with source.open("w", newline="") as file:
        if form in ("csv", "tsv"):
            writer = csv.writer(file, delimiter="," if form == "csv" else "\t")
            writer.writerows([("id", "text"), *enumerate(TEXTS)])
        elif form == "jsonl":
            file.writelines(json.dumps({"id": 1, "text": text}) + "\n" for text in TEXTS)
        else:
            file.writelines(f"{text}\n" for text in TEXTS)
    done = run_cli(MODEL, "predict", run.folder, "--file", source, "--batch_size", batch)
    assert done.code == 0, done.err
    _same([json.loads(line) for line in done.lines], run)


def test_predict_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(TEXTS) + "\n"))
    done = run_cli(MODEL, "predict", run.folder)
    assert done.code == 0, done.err
    _same([json.loads(line) for line in done.lines], run)


def test_predict_to_files(run: Run, tmp_path: Path) -> None:
    for form in ("csv", "jsonl"):
        output = tmp_path / "out" / f"labels.{form}"
        command = ("predict", run.folder, "--text", *TEXTS, "--output", output, "--top_k", 2)
        done = run_cli(MODEL, *command)
        assert done.code == 0 and done.out == "", done.err
        with output.open(newline="") as file:
            rows = list(csv.DictReader(file)) if form == "csv" else lines(output)
        _same(rows, run)
        scores = rows[0]["scores"]
        assert set(json.loads(scores) if form == "csv" else scores) == {"negative", "positive"}
        assert [p.name for p in output.parent.iterdir() if p.suffix == ".tmp"] == []


def test_predict_is_a_filter_that_a_closed_reader_ends(run: Run) -> None:
    """In a process of its own, from standard input to standard output."""
    done = run_process(MODEL, "predict", run.folder, "--format", "csv", stdin="\n".join(TEXTS))
    assert done.code == 0, done.err
    _same(list(csv.DictReader(io.StringIO(done.out))), run)


@pytest.mark.parametrize(
    "flags",
    [
        ("--optim", "adam"),
        ("--optim", "sgd", "--learning_rate", 0.05),
        ("--optim", "rmsprop", "--learning_rate", 1e-3),
        ("--optim", "adamax"),
        ("--optim", "adagrad"),
        ("--optim", "adadelta", "--learning_rate", 1),
        ("--optim", "sgd", "--nesterov", "--learning_rate", 0.05),
        ("--lr_scheduler_type", "plateau", "--lr_plateau_patience", 0),
        ("--max_grad_value", 0.01),
        ("--lr_scheduler_type", "cosine", "--warmup_steps", 0.2),
        ("--lr_scheduler_type", "exponential"),
        ("--lr_scheduler_type", "constant", "--warmup_steps", 3),
        ("--class_weights", "balanced"),
        ("--label_smoothing_factor", 0.1),
        ("--ema_decay", 0.9),
        ("--l1", 1e-4),
        ("--max_grad_norm", 0),
        ("--layerwise_lr_decay", 0.6),
        ("--gradient_checkpointing",),
        ("--tune", "gradual"),
        ("--long_texts", "window", "--max_length", 12, "--window_overlap", 4),
        ("--eval_strategy", "steps", "--eval_steps", 5),
        ("--eval_strategy", "no"),
        ("--report_to", "tensorboard"),
        ("--dataloader_num_workers", 1),
        ("--dtype", "bf16", "--ema_decay", 0.9, "--no-speedups"),
    ],
    ids=lambda flags: " ".join(map(str, flags)),
)
def test_every_way_to_train_runs_and_is_read_back(
    flags: tuple[object, ...], tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    usual = ("--learning_rate", 2e-3, "--num_train_epochs", 3)
    run = finetune(tiny_bert, reviews, tmp_path / "run", *usual, *flags)
    assert sum(run.losses[-8:]) < sum(run.losses[:8])
    (reading,) = zoo.load(str(run.folder)).predict(["the film was simply wonderful"])
    assert reading["label"] in ("positive", "negative")


def test_patience_runs_out(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    """Without learning no evaluation is better than the first one."""
    flags = ("--eval_strategy", "steps", "--eval_steps", 3, "--early_stopping_patience", 2)
    usual = ("--learning_rate", 0, "--num_train_epochs", 9)
    run = finetune(tiny_bert, reviews, tmp_path / "run", *flags, *usual)
    assert [record["best"] for record in run.records("validation")] == [True, False, False]
    assert len(run.steps) == 9


def test_the_best_checkpoint_is_that_of_the_metric_asked_for(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """What counts is more of an accuracy, and less of a loss, which falls on when all are right."""
    flags = ("--eval_strategy", "steps", "--eval_steps", 4, "--learning_rate", 3e-3, "--dropout", 0)
    flags = (*flags, "--num_train_epochs", 6)
    chosen = {}
    for metric in (None, "accuracy", "eval_loss"):
        more = ("--metric_for_best_model", metric) if metric else ()
        run = finetune(tiny_bert, reviews, tmp_path / str(metric), *flags, *more)
        records = run.records("validation")
        name = (metric or "accuracy").removeprefix("eval_")
        sign = -1 if name == "loss" else 1
        values = [sign * record[name] for record in records]
        best = [value > max(values[:i], default=-np.inf) for i, value in enumerate(values)]
        assert [record["best"] for record in records] == best
        assert run.manifest["config"]["train"]["metric_for_best_model"] == metric
        chosen[metric] = run.losses, best, run.weights()
    assert chosen[None][0] == chosen["accuracy"][0] == chosen["eval_loss"][0]  # trained alike
    assert chosen[None][1] == chosen["accuracy"][1] != chosen["eval_loss"][1]
    for other, same in (("accuracy", True), ("eval_loss", False)):
        weights = chosen[other][2]
        kept = [torch.equal(weights[name], tensor) for name, tensor in chosen[None][2].items()]
        assert all(kept) == same


def test_patience_goes_by_the_metric_asked_for(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """With a learning rate of 0 nothing gets better; of a rising loss only the first is best."""
    flags = ("--eval_strategy", "steps", "--eval_steps", 1, "--early_stopping_patience", 2)
    flags = (*flags, "--metric_for_best_model", "loss", "--learning_rate", 0, "--max_steps", 8)
    run = finetune(tiny_bert, reviews, tmp_path / "run", *flags)
    assert [record["best"] for record in run.records("validation")] == [True, False, False]


def test_a_metric_that_the_task_does_not_measure(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, folder, "--metric_for_best_model", "wer"))
    assert done.code == 2 and not folder.exists()
    assert done.err.splitlines()[-1] == (
        "bert_cls: --metric_for_best_model wer: this task measures accuracy, f1_macro, "
        "precision_macro, recall_macro, f1_weighted, precision_weighted, recall_weighted, "
        "matthews_correlation, and the loss"
    )


def test_l1_makes_weights_small(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    sums = []
    for l1 in (0, 0.05):
        flags = (*EXACT, "--learning_rate", 3e-3, "--l1", l1, "--max_grad_norm", 0)
        weights = finetune(tiny_bert, reviews, tmp_path / str(l1), *flags).weights()
        sums.append(sum(float(t.abs().sum()) for t in weights.values() if t.ndim > 1))
    assert sums[1] < 0.97 * sums[0]


def _write(path: Path, header: str, rows: list[tuple[object, ...]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


def test_a_pair_of_sentences(tiny_bert: Path, tmp_path: Path) -> None:
    rows = [
        (f"the {a} was {b} {i}", f"it was {c}", "same" if b == c else "other")
        for i in range(8)
        for a in ("film", "plot")
        for b in ("fine", "dull")
        for c in ("fine", "dull")
    ]
    data = _write(tmp_path / "pairs.csv", "sentence1,sentence2,label", rows)
    run = finetune(tiny_bert, data, tmp_path / "run", "--text_column", "sentence1")
    done = run_cli(MODEL, "evaluate", run.folder)
    assert done.code == 0, done.err
    pairs = zoo.load(str(run.folder)).predict([("the film was fine", "it was dull")])
    assert pairs[0]["label"] in ("same", "other")
    flags = ("--text_column", "sentence1", "--text_pair_column", "sentence2")
    done = run_cli(MODEL, "predict", run.folder, "--file", data, *flags)
    assert done.code == 0, done.err
    assert [json.loads(line)["text_pair"] for line in done.lines] == [row[1] for row in rows]


def test_regression(tiny_bert: Path, tmp_path: Path) -> None:
    values = {"wonderful": 2.0, "fine": 1.0, "dull": -1.0, "awful": -2.0}
    rows = [
        (f"the {a} was {b} {'and long ' * (i % 5)}{i}", v)
        for i in range(12)
        for a in ("film", "plot", "cast")
        for b, v in values.items()
    ]
    data = _write(tmp_path / "stars.csv", "text,score", rows)
    flags = ("--problem_type", "regression", "--learning_rate", 3e-3, "--num_train_epochs", 20)
    run = finetune(tiny_bert, data, tmp_path / "run", *flags)
    assert "pearson" in run.done.out
    high, low = zoo.load(str(run.folder)).predict(["the film was wonderful", "the film was awful"])
    assert high["score"] > low["score"] + 1
    done = run_cli(MODEL, "evaluate", run.folder)
    assert done.code == 0, done.err


def test_windows_see_the_end_of_a_long_text(tiny_bert: Path, tmp_path: Path) -> None:
    """What decides stands at the end, where truncation would never look."""
    rows = [
        ("the story and the music " * (6 + i % 4) + f"{i} {word}", label)
        for i in range(120)
        for word, label in (("wonderful", "positive"), ("dreadful", "negative"))
    ]
    data = _write(tmp_path / "long.csv", "text,label", rows)
    accuracy = {}
    for way in ("window", "truncate"):
        flags = ("--long_texts", way, "--max_length", 16, "--window_overlap", 4)
        more = (*EXACT, "--learning_rate", 3e-3, "--num_train_epochs", 20)
        run = finetune(tiny_bert, data, tmp_path / way, *flags, *more)
        row = next(line for line in run.done.lines if line.startswith("accuracy"))
        accuracy[way] = float(row.split()[1])
    assert accuracy["window"] > 0.9 > 0.8 > accuracy["truncate"]
