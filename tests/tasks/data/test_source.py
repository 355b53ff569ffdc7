"""Data sources: what is read, what is refused, and how splits are cut."""

import collections
import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.data.source import (
    DataArgs,
    Source,
    choose_split,
    cut_missing_splits,
    find_column,
    limit,
    load,
)
from tasks.errors import UserError
from tests.cli import run_program


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


def no_embedded() -> datasets.DatasetDict:
    raise AssertionError("the embedded data were not asked for")


def read(path: Path) -> Source:
    return load(DataArgs(data=str(path)), no_embedded)


def refusal(path: Path | str) -> str:
    with pytest.raises(UserError) as error:
        load(DataArgs(data=str(path)), no_embedded)
    message = str(error.value)
    assert "\n" not in message
    return message


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# --- what is read


def test_importing_the_module_is_light() -> None:
    code = (
        "import sys, tasks.data.source; "
        "print({'torch', 'datasets', 'numpy', 'pyarrow', 'huggingface_hub'} & set(sys.modules))"
    )
    done = run_program(code)
    assert done.out.strip() == "set()"


def test_csv_values_are_the_text_that_stands_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\nNA,1\nnull,\n"a ""b"", c",01\n2020-01-01,1.0\n')
    rows = read(path).splits["train"]
    assert rows["text"] == ["NA", "null", 'a "b", c', "2020-01-01"]
    assert rows["label"] == ["1", "", "01", "1.0"]


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "a\nb", "a\r\nb", "\r", "NA", "", " ", ",", "\t", "\ufeffx", "1e3", "\u2028", "\x00"]
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(text, text, text), min_size=1, max_size=6),
    suffix=st.sampled_from(["csv", "tsv"]),
)
def test_csv_round_trip(tmp_path: Path, rows: list[tuple[str, str, str]], suffix: str) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter="," if suffix == "csv" else "\t")
    writer.writerows([("text", "label", "more"), *rows])
    split = read(write(tmp_path / f"a.{suffix}", buffer.getvalue())).splits["train"]
    assert list(zip(split["text"], split["label"], split["more"], strict=True)) == rows


def test_byte_order_mark_blank_lines_and_row_numbers(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + ",text,label\r\n\r\n0,höher,a\r\n\r\n".encode()
    split = read(write(tmp_path / "a.csv", content)).splits["train"]
    assert split.column_names == ["Unnamed: 0", "text", "label"]
    assert split["text"] == ["höher"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "x", "label": 1}\n\n{"text": "2020-01-01", "label": 2, "w": 0.5}\n'),
        ("b.json", '{"text": "x", "label": 1}\n{"text": "2020-01-01", "label": 2, "w": 0.5}\n'),
        ("c.json", '[{"text": "x", "label": 1}, {"text": "2020-01-01", "label": 2, "w": 0.5}]'),
        ("d.json", '{"text": ["x", "2020-01-01"], "label": [1, 2], "w": [null, 0.5]}'),
    ],
)
def test_json_keeps_types(tmp_path: Path, name: str, content: str) -> None:
    split = read(write(tmp_path / name, content)).splits["train"]
    assert split.to_dict() == {"text": ["x", "2020-01-01"], "label": [1, 2], "w": [None, 0.5]}
    assert split.features["label"].dtype == "int64"


def test_parquet_keeps_features(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    rows.to_parquet(tmp_path / "a.parquet")
    split = read(tmp_path / "a.parquet").splits["train"]
    assert split.features == features
    assert split.to_dict() == rows.to_dict()


@pytest.mark.parametrize(
    "names",
    [
        {"train.csv": "train", "dev.csv": "validation", "test.csv": "test"},
        {"train/0.csv": "train", "Valid/0.csv": "validation", "testing/x.csv": "test"},
        {"reviews_train.csv": "train", "my-VAL.csv": "validation", "reviews.test.csv": "test"},
        {"data/train-00000-of-00002.csv": "train", "data/eval-00000-of-00001.csv": "validation"},
    ],
)
def test_folders(tmp_path: Path, names: dict[str, str]) -> None:
    for name, split in names.items():
        write(tmp_path / "d" / name, f"text,label\n{split},1\n")
    source = read(tmp_path / "d")
    assert source.name == "d"
    assert {name: split["text"] for name, split in source.splits.items()} == {
        split: [split] for split in names.values()
    }


def test_shards_are_read_in_order_and_columns_meet_by_name(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00002.csv", "text,label\na,1\n")
    write(tmp_path / "train-00001-of-00002.csv", "label,text\n2,b\n")
    assert read(tmp_path).splits["train"].to_dict() == {"text": ["a", "b"], "label": ["1", "2"]}


def test_fingerprint_follows_names_and_bytes_only(tmp_path: Path) -> None:
    first = write(tmp_path / "one" / "a.csv", "text,label\nx,1\n")
    same = write(tmp_path / "two" / "a.csv", "text,label\nx,1\n")
    other_name = write(tmp_path / "one" / "b.csv", "text,label\nx,1\n")
    other_bytes = write(tmp_path / "three" / "a.csv", "text,label\nx,2\n")
    prints = [read(path).fingerprint for path in (first, same, other_name, other_bytes)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
    assert all(len(digest) == 64 for digest in prints)


def test_a_changed_file_is_not_served_from_the_cache(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\nx,1\n")
    old = path.stat()
    before = read(path)
    write(path, "text,label\ny,1\n")
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    after = read(path)
    assert (before.splits["train"]["text"], after.splits["train"]["text"]) == (["x"], ["y"])
    assert before.fingerprint != after.fingerprint


def test_map_is_cached_across_loads(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\nx,1\n")
    calls = []
    for _ in range(2):
        mapped = (
            read(path)
            .splits["train"]
            .map(lambda row: (calls.append(1), {"n": len(row["text"])})[1], new_fingerprint="n")
        )
        assert mapped["n"] == [1]
    assert len(calls) == 1


def test_embedded_data_have_a_fingerprint_of_their_own() -> None:
    def examples(text: str) -> datasets.DatasetDict:
        return datasets.DatasetDict({"train": datasets.Dataset.from_dict({"text": [text]})})

    a, again, b = (load(DataArgs(), lambda t=t: examples(t)) for t in "aab")
    assert a.name == "embedded"
    assert a.fingerprint == again.fingerprint != b.fingerprint


def test_movie_reviews(zoo_data: Path) -> None:
    source = read(zoo_data / "movie_reviews")
    sizes = {name: split.num_rows for name, split in source.splits.items()}
    assert sizes == {"train": 7570, "validation": 1000, "test": 1500}
    assert set(source.splits["test"].unique("label")) == {"positive", "negative"}
    assert source.name == "movie_reviews"


# --- what is refused


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "a.csv is empty"),
        ("\n\n", "a.csv is empty"),
        ("text,label\n", "has a header (text, label) and no rows"),
        ("text,label\na,1\nb,2,3\n", "line 3, has 3 fields, but the header has 2"),
        ("text,label\n\na,1\nb\n", "line 4, has 1 field, but the header has 2"),
        ('text,label\n"a\nb\r\nc",1\nb\n', "line 5, has 1 field"),
        ('text,label\na,1\n"b\nc,1\n', "line 3, is broken: a quote is opened and never closed"),
        ('text,label\na,1\n"b"c,1\n', "line 3, is broken"),
        ("text,text\na,1\n", "two columns called 'text'"),
        (b"text,label\na,1\nf\xfcr,1\n", "line 3, is not UTF-8"),
        (b"\xef\xbb\xbftext,label\n\xfc,1\n", "line 2, is not UTF-8"),
        ("text,label\na,1\n".encode("utf-16"), "it looks like UTF-16"),
    ],
)
def test_broken_csv(tmp_path: Path, content: str | bytes, expected: str) -> None:
    path = write(tmp_path / "a.csv", content)
    assert expected in refusal(path)
    assert str(path) in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', "line 2, is not valid JSON"),
        ("a.jsonl", '{"a": 1}\n[1]\n', "line 2, is [1], not an object"),
        (
            "a.jsonl",
            '{"a": 1}\n\n{"a": "x"}\n{"a": 2}\n',
            "line 3: 'a' holds a value of another type",
        ),
        ("a.jsonl", "\n \n", "has no rows"),
        ("a.json", '[{"a": 1},\n {"a" 2}]', "line 2, is not valid JSON"),
        ("a.json", '{"a": 1}\n{"a" 2}\n', "line 2, is not valid JSON"),
        ("a.json", "[1, 2]", "entry 1, is 1, not an object"),
        ("a.json", "[]", "has no rows"),
        ("a.parquet", "PAR1 no", "not a readable parquet file"),
        ("a.xls", "x", "a .xls file, which is none of csv, json, jsonl, parquet, tsv, xlsx"),
        ("a.tar.gz", "x", "is an archive: unpack it, and give the folder that comes out"),
        ("README", "x", "a file without a suffix"),
    ],
)
def test_other_broken_files(tmp_path: Path, name: str, content: str, expected: str) -> None:
    assert expected in refusal(write(tmp_path / name, content))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "has no files"),
        ({"notes.txt": "x", ".hidden.csv": "a\n1\n"}, "has only .txt"),
        ({"train.csv": "a\n1\n", "train.json": "[]"}, "several formats (.csv, .json)"),
        ({"train.csv": "a\n1\n", "more.csv": "a\n1\n"}, "its name does not say which split"),
        ({"train-0.csv": "a\n1\n", "train-1.csv": "b\n1\n"}, "has the columns b, but"),
    ],
)
def test_unusable_folders(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    (tmp_path / "d").mkdir()
    for name, content in files.items():
        write(tmp_path / "d" / name, content)
    assert expected in refusal(tmp_path / "d")


@pytest.mark.parametrize("name", ["nothing.csv", "./nothing", "/nothing/x", "a/b/c", "~/no.json"])
def test_a_missing_path_is_no_hub_id(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.data.hub.load", lambda *_: pytest.fail("the Hub was asked"))
    assert refusal(name).startswith(f"there is no file or folder {name}")


def test_a_missing_path_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "text\nx\n")
    assert refusal(tmp_path / "tran.csv").endswith(f"did you mean {tmp_path / 'train.csv'}?")


@pytest.mark.parametrize("way", ["offline", "unreachable"])
def test_without_the_hub_a_hub_id_fails_at_once(way: str, tmp_path: Path) -> None:
    environment = os.environ | {"HF_HOME": str(tmp_path)}
    environment |= (
        {"HF_HUB_OFFLINE": "1"} if way == "offline" else {"HF_ENDPOINT": "http://127.0.0.1:9"}
    )
    code = (
        "import time, datasets\n"
        "from tasks.data.source import DataArgs, load\n"
        "from tasks.errors import UserError\n"
        "start = time.monotonic()\n"
        "try: load(DataArgs(data='someone/reviews', data_config='en'), None)\n"
        "except UserError as error: print(error)\n"
        "assert time.monotonic() - start < 8, 'too slow'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("no file or folder 'someone/reviews' here, the Hub cannot be")
    assert done.stdout.rstrip().endswith("does not hold the data set someone/reviews (en)")


def test_a_cached_hub_data_set_is_used_without_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    home = Path(datasets.config.HF_DATASETS_CACHE) / "someone___reviews/default/0.0.0" / commit
    home.mkdir(parents=True)
    rows = datasets.Dataset.from_dict({"text": ["a"], "label": [1]})
    splits = datasets.SplitDict(dataset_name="reviews")
    splits.add(datasets.SplitInfo("dev", num_examples=1, dataset_name="reviews"))
    datasets.DatasetInfo(
        features=rows.features,
        builder_name="parquet",
        dataset_name="reviews",
        config_name="default",
        version="0.0.0",
        splits=splits,
    ).write_to_directory(str(home))
    with datasets.arrow_writer.ArrowWriter(
        path=str(home / "reviews-dev.arrow"), features=rows.features
    ) as writer:
        writer.write_table(rows.data.table)
        writer.finalize()
    monkeypatch.setattr(
        "huggingface_hub.HfApi.dataset_info",
        lambda *_, **__: (_ for _ in ()).throw(ConnectionError("no network")),
    )
    source = load(DataArgs(data="someone/reviews"), no_embedded)
    assert source.splits["validation"].to_dict() == rows.to_dict()
    assert (source.name, source.fingerprint) == ("someone/reviews", commit)


# --- columns


def test_find_column() -> None:
    names = ["Sentence", "Label", "label"]
    assert find_column(names, None, ["text", "sentence"], "text", "d") == "Sentence"
    assert find_column(names, "label", [], "label", "d") == "label"
    assert find_column(["A", "b"], "a", [], "text", "d") == "A"
    with pytest.raises(UserError) as error:
        find_column(names, "sentense", ["text"], "text", "d.csv")
    assert str(error.value) == (
        "d.csv has no column 'sentense' for the text; its columns are Sentence, Label, label;"
        " the nearest is 'Sentence'"
    )
    with pytest.raises(UserError, match=r"no text column .* \(tried text\); its columns are x$"):
        find_column(["x"], None, ["text"], "text", "d.csv")


# --- splits


def made(labels: list[object], **more: int) -> datasets.DatasetDict:
    def split(values: list[object], start: int) -> datasets.Dataset:
        ids = list(range(start, start + len(values)))
        return datasets.Dataset.from_dict({"id": ids, "label": values})

    splits = {"train": split(labels, 0)}
    for place, (name, size) in enumerate(more.items(), start=1):
        splits[name] = split((labels * size)[:size], 10_000 * place)
    return datasets.DatasetDict(splits)


def ids(splits: datasets.DatasetDict) -> dict[str, list[int]]:
    return {name: list(split["id"]) for name, split in splits.items()}


label_lists = st.integers(1, 4).flatmap(
    lambda classes: st.lists(st.integers(0, classes - 1), min_size=3, max_size=60)
)
shares = st.sampled_from([0.05, 0.1, 0.15, 0.2, 0.25, 0.3])


@settings(max_examples=50)
@given(
    labels=label_lists, validation=shares, test=shares, seed=st.integers(0, 9), text=st.booleans()
)
def test_cutting_is_a_stratified_partition(
    labels: list[int], validation: float, test: float, seed: int, text: bool
) -> None:
    values: list[object] = [str(label) for label in labels] if text else list(labels)
    args = DataArgs(validation_size=validation, test_size=test, split_seed=seed)
    cut = cut_missing_splits(made(values), "label", args)
    assert sorted(i for part in ids(cut).values() for i in part) == list(range(len(labels)))
    assert ids(cut) == ids(cut_missing_splits(made(values), "label", args))
    assert min(split.num_rows for split in cut.values()) >= 1
    assert all(cut[name]["label"] == [values[i] for i in part] for name, part in ids(cut).items())
    counts = collections.Counter(values)
    for name, share in (("validation", validation), ("test", test)):
        assert abs(cut[name].num_rows - share * len(labels)) <= 1
        if min(counts.values()) >= 3:
            here = collections.Counter(cut[name]["label"])
            assert all(abs(here[label] - share * n) <= 1 for label, n in counts.items())
    if min(counts.values()) >= 3:
        assert set(cut["train"]["label"]) == set(counts)


def test_existing_splits_are_left_alone_and_cost_nothing() -> None:
    splits = made([0, 1] * 50, test=7)
    cut = cut_missing_splits(splits, "label", DataArgs())
    assert ids(cut)["test"] == ids(splits)["test"]
    assert {name: split.num_rows for name, split in cut.items()} == {
        "train": 90,
        "test": 7,
        "validation": 10,
    }
    complete = made([0, 1] * 5, validation=2, test=2)
    assert ids(cut_missing_splits(complete, "label", DataArgs())) == ids(complete)
    only_test = datasets.DatasetDict({"test": complete["test"]})
    assert ids(cut_missing_splits(only_test, "label", DataArgs())) == ids(only_test)


def test_seeds_differ_and_zero_cuts_nothing() -> None:
    splits = made([0, 1] * 50)
    one, two = (cut_missing_splits(splits, "label", DataArgs(split_seed=seed)) for seed in (1, 2))
    assert ids(one)["test"] != ids(two)["test"]
    none = cut_missing_splits(splits, "label", DataArgs(validation_size=0, test_size=0))
    assert ids(none) == ids(splits)


def test_the_cut_is_the_same_as_ever() -> None:
    cut = cut_missing_splits(made([0, 0, 1] * 10), "label", DataArgs())
    assert ids(cut)["validation"] == [18, 20, 22]
    assert ids(cut)["test"] == [0, 4, 23]


def test_labels_that_are_not_discrete_are_cut_at_random() -> None:
    for labels in ([0.5, 1.5, 2.5] * 10, [[0], [0, 1], []] * 10, [None, 1, 2] * 10):
        cut = cut_missing_splits(made(list(labels)), "label", DataArgs())
        assert (cut["train"].num_rows, cut["test"].num_rows) == (24, 3)


@pytest.mark.parametrize(
    ("rows", "args", "expected"),
    [
        (10, {"validation_size": 0.6, "test_size": 0.5}, "add up to 1.1"),
        (10, {"test_size": 1.5}, "`test_size` 1.5"),
        (10, {"validation_size": -0.1}, "`validation_size` -0.1"),
        (2, {}, "train has 2 rows, too few to cut validation and test"),
        (1, {"test_size": 0}, "train has 1 row, too few to cut validation"),
    ],
)
def test_impossible_cuts(rows: int, args: dict[str, float], expected: str) -> None:
    with pytest.raises(UserError) as error:
        cut_missing_splits(made([0] * rows), "label", DataArgs(**args))
    assert expected in str(error.value)


def test_limit() -> None:
    splits = made(list(range(100)), validation=40, test=5)
    few = limit(splits, DataArgs(max_train_samples=10, max_eval_samples=20))
    more = limit(splits, DataArgs(max_train_samples=30))
    assert [split.num_rows for split in few.values()] == [10, 20, 5]
    assert set(few["train"]["id"]) < set(more["train"]["id"])
    assert more["train"]["id"] == sorted(more["train"]["id"]) != list(range(30))
    assert ids(more)["validation"] == ids(splits)["validation"]
    other = limit(splits, DataArgs(max_train_samples=10, split_seed=1))
    assert set(other["train"]["id"]) != set(few["train"]["id"])
    with pytest.raises(UserError, match="`max_train_samples` 0: at least 1"):
        limit(splits, DataArgs(max_train_samples=0))


@pytest.mark.parametrize(
    ("trained_on", "limits", "rows"),
    [
        (None, {"max_eval_samples": 10}, 10),
        ("same", {"max_train_samples": 30, "max_eval_samples": 10}, 10),
        ("same", {"max_train_samples": 30, "max_eval_samples": 50}, 30),
        ("same", {"max_eval_samples": 10}, 10),
        ("other", {"max_train_samples": 30}, 100),  # that limit was of other data
    ],
)
def test_the_train_split_is_evaluated_within_the_limit(
    trained_on: str | None, limits: dict[str, int], rows: int
) -> None:
    splits = made(list(range(100)), validation=40, test=5)
    data = DataArgs(**limits)  # type: ignore[arg-type]
    source = Source(splits, "a", "same")
    chosen, found = choose_split(source, splits, None, data, "train", trained_on)
    assert (chosen, found["train"].num_rows) == ("train", rows)
    learned = limit(splits, DataArgs(max_train_samples=30))["train"]
    assert rows > 30 or set(found["train"]["id"]) <= set(learned["id"])


def test_data_that_nobody_learned_from_are_cut_as_for_a_training() -> None:
    splits = made(list(range(100)), test=5)
    source = Source(splits, "a", "b")
    chosen, found = choose_split(source, splits, None, DataArgs(), "validation", None)
    assert chosen == "validation"
    counts = {name: split.num_rows for name, split in found.items()}
    assert counts == {"train": 90, "validation": 10, "test": 5}
    with pytest.raises(UserError, match="a has no split 'validation'; it has train, test"):
        choose_split(source, splits, None, DataArgs(), "validation", "c")
