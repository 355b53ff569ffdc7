"""The comparison of own weights with from scratch: arms that differ in their start alone."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.experiments import transfer
from tasks.errors import UserError
from tests.cli import run_process
from tests.tiny_text import review_rows

pytestmark = pytest.mark.slow


def _args(data: Path, **changes: Any) -> transfer.Args:
    given: dict[str, Any] = {
        "tasks": ("reviews",),
        "labels": 16,
        "source_rows": 60,
        "source_epochs": 1,
        "steps": 2,
        "max_eval_samples": 20,
        "seeds": (1, 2),
    }
    return transfer.Args(data=data, **given | changes)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Reviews, and images of ten classes that are one colour each."""
    from io import BytesIO

    from PIL import Image

    folder = tmp_path / "data"
    (folder / "movie_reviews").mkdir(parents=True)
    (folder / "fashion_mnist").mkdir()
    for split, rows in (("train", review_rows()[:200]), ("test", review_rows()[200:260])):
        with (folder / "movie_reviews" / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
        pictures, labels = [], [i % 10 for i in range(80)]
        for label in labels:
            buffer = BytesIO()
            Image.new("L", (12, 12), 20 * label).save(buffer, "PNG")
            pictures.append({"bytes": buffer.getvalue(), "path": None})
        made = pa.table({"image": pictures, "label": labels})
        pq.write_table(made, folder / "fashion_mnist" / f"{split}.parquet")
    return folder


def test_the_arms_differ_in_their_start_and_its_rate(tmp_path: Path) -> None:
    args = _args(tmp_path)
    scratch, own, head = (
        transfer.command(args, "images", arm, 3, tmp_path) for arm in transfer.ARMS
    )
    assert own[-2:] == ["--model", str(tmp_path / "source")]
    assert head[:-2][-2:] == own[-2:] and head[-2:] == ["--tune", "head"]
    assert scratch[-4:] == ["--widths", "16", "32", "64"]
    rates = []
    for words in (scratch, own, head):
        place = words.index("--learning_rate") + 1
        rates.append(float(words[place]))
        words[place] = ""
    assert rates == [3e-3, 3e-3, 3e-2]
    out = own.index("--output_dir") + 1
    assert scratch[:out] == own[:out] and scratch[out + 1 : -4] == own[out + 1 : -2]
    source = transfer.command(args, "images", "source", 3, tmp_path)
    assert source[source.index("--data") + 1].endswith("source") and "--max_steps" not in source


def test_source_and_target_share_no_class_and_no_training_row(data: Path, tmp_path: Path) -> None:
    for task in ("images", "reviews"):
        transfer.write(task, data, tmp_path / task)
        tables = {
            part: pq.read_table(tmp_path / task / "data" / part / "train.parquet")
            for part in ("source", "target")
        }
        labels = [set(each["label"].to_pylist()) for each in tables.values()]
        assert not labels[0] & labels[1], task
        assert sum(map(len, labels)) == {"images": 10, "reviews": 4}[task]
        if task == "reviews":
            texts = [set(each["text"].to_pylist()) for each in tables.values()]
            assert not texts[0] & texts[1] and len(texts[0] | texts[1]) == 200


def test_a_whole_small_run_and_only_what_is_missing(data: Path, tmp_path: Path) -> None:
    """As it is typed: a task and a seed are a process, four trainings and a line of results."""
    output = tmp_path / "results.jsonl"
    words = ("--data", data, "--tasks", "reviews", "--seeds", 1, "--output", output)
    words += ("--labels", 16, "--source_rows", 60, "--source_epochs", 1, "--steps", 2)
    words += ("--max_eval_samples", 20, "--threads", 1)
    done = run_process(transfer.NAME, *words)
    assert done.code == 0, done.err
    (line,) = [json.loads(each) for each in output.read_text().splitlines()]
    assert (line["task"], line["seed"], line["n"]) == ("reviews", 1, 20)
    assert all(0 <= line[arm] <= 1 for arm in transfer.ARMS)
    assert str(tmp_path) not in json.dumps(line), "no path of this machine"
    assert "no interval (n = 1)" in done.out and done.out.count("reviews ") >= 3
    (data / "movie_reviews" / "train.csv").unlink()  # what is there already is not run again
    again = run_process(transfer.NAME, *words)
    assert again.code == 0 and len(output.read_text().splitlines()) == 1, again.err
    other = run_process(transfer.NAME, *words, "--steps", 3)
    assert other.code == 2 and "there is no file" in other.err.splitlines()[-1], other.err


def test_the_table_pairs_by_seed() -> None:
    rows = [
        {"task": "words", "seed": seed, "scratch": 0.5, "weights": 0.6 + seed / 100, "head": 0.4,
         "n": 300}
        for seed in (1, 2, 3)
    ]  # fmt: skip
    lines = transfer.table(rows).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["words", arm] for arm in transfer.ARMS]
    assert "+0.1200, +0.0952 to +0.1448 (n = 3): +0.1100 +0.1200 +0.1300" in lines[2]
    assert "-0.1000" in lines[3]


def test_data_that_are_not_there(tmp_path: Path) -> None:
    for task in ("images", "reviews"):
        with pytest.raises(UserError, match="there is no file"):
            transfer.write(task, tmp_path / "nowhere", tmp_path / task)
