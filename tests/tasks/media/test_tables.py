"""Tables that name media or hold them: metadata.csv, csv, json and parquet."""

import csv
import io
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tasks.data.parquet
from tasks.data.tables import place_of
from tests.media import AUDIO, PLAIN, labelled, parquet, png, png_bytes, read, refusal, wav, write

NAMES = datasets.ClassLabel(names=["no", "yes"])


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)


# --- what is kept of a table


def test_a_listing_is_another_thing_as_a_table(tmp_path: Path) -> None:
    """By itself it has no splits; in its folder it has those that its files lie in."""
    for i, split in enumerate(("train", "train", "test")):
        png(tmp_path / split / f"{i}.png", i)
    content = "file_name,label\ntrain/0.png,a\ntrain/1.png,b\ntest/2.png,a\n"
    listing = Path(write(tmp_path / "metadata.csv", content))
    for _ in range(2):
        rows = {name: split.num_rows for name, split in read(tmp_path).splits.items()}
        assert rows == {"train": 2, "test": 1}
        assert {n: split.num_rows for n, split in read(listing).splits.items()} == {"train": 3}


def test_a_table_that_repeats_one_file_out_of_proportion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.data.parquet, "MOST_EXPANDED", 2**26)
    places = pa.array([0] * 300, pa.int32())
    content = pa.DictionaryArray.from_arrays(places, pa.array([bytes(1_000_000)]))
    path = tmp_path / "train.parquet"
    table = pa.table({"image": content, "label": ["a", "b"] * 150})
    pq.write_table(table, path, compression="zstd", store_schema=False)
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    try:
        assert "would take more than 64 MiB of memory" in refusal(path)
    finally:
        pa.set_memory_pool(usual)
    assert pool.max_memory() < 2**28
    kept = Path(datasets.config.HF_DATASETS_CACHE)
    assert not [file for file in kept.rglob("*") if file.is_file()]


def test_a_table_of_both_images_and_sounds(tmp_path: Path) -> None:
    sound = wav(tmp_path / "0.wav").read_bytes()
    features = datasets.Features(image=PLAIN, audio=PLAIN, label=datasets.Value("string"))
    columns = {
        "image": [{"bytes": png_bytes(1), "path": None}],
        "audio": [{"bytes": sound, "path": None}],
        "label": ["a"],
    }
    path = tmp_path / "both.parquet"
    datasets.Dataset.from_dict(columns, features=features).to_parquet(path)
    png(tmp_path / "0.png")
    table = Path(write(tmp_path / "both.csv", "image,audio,label\n0.png,0.wav,a\n"))
    for _ in range(2):
        assert read(path).splits["train"][0]["media"]["bytes"] == png_bytes(1)
        assert read(path, AUDIO).splits["train"][0]["media"]["bytes"] == sound
        assert read(table).splits["train"][0]["media"]["path"] == str(tmp_path / "0.png")
        assert read(table, AUDIO).splits["train"][0]["media"]["path"] == str(tmp_path / "0.wav")


# --- metadata.csv


def test_metadata_in_each_splits_folder(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("1.wav", "sub/1.wav"):
            wav(tmp_path / split / name)
        content = "file_name,transcription,speaker\nsub/1.wav,Zwei.,b\n1.wav,,a\n"
        write(tmp_path / split / "metadata.csv", content)
    splits = read(tmp_path, AUDIO).splits
    assert list(splits) == ["train", "test"]
    assert splits["test"].to_dict() == {
        "media": [
            {"bytes": None, "path": str(tmp_path / "test/sub/1.wav")},
            {"bytes": None, "path": str(tmp_path / "test/1.wav")},
        ],
        "transcription": ["Zwei.", ""],
        "speaker": ["b", "a"],
    }


def test_metadata_at_the_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train/1.wav", "dev/1.wav", "dev/unnamed.wav"):
        wav(tmp_path / name)
    lines = [{"file_name": "dev/1.wav", "n": 1}, {"file_name": "train/1.wav", "n": 2}]
    write(tmp_path / "metadata.jsonl", "\n".join(map(json.dumps, lines)))
    splits = read(tmp_path, AUDIO).splits
    assert {name: split["n"] for name, split in splits.items()} == {"train": [2], "validation": [1]}
    assert capsys.readouterr().err == (
        f"warning: 1 audio file in {tmp_path} that no metadata file names, left out; the first is"
        " dev/unnamed.wav\n"
    )
    write(tmp_path / "metadata.jsonl", '{"file_name": "dev/1.wav"}\n{"file_name": "0.wav"}\n')
    wav(tmp_path / "0.wav")
    assert "names files outside of the folders of the splits (validation)" in refusal(
        tmp_path, AUDIO
    )


def test_metadata_without_splits(tmp_path: Path) -> None:
    wav(tmp_path / "clips" / "1.wav")
    write(tmp_path / "metadata.csv", "path,file_name\nof no use,clips/1.wav\n")
    split = read(tmp_path, AUDIO).splits["train"]
    assert split[0]["media"]["path"] == str(tmp_path / "clips" / "1.wav")
    assert split[0]["path"] == "of no use"


def test_a_file_named_twice_is_two_rows(tmp_path: Path) -> None:
    wav(tmp_path / "1.wav")
    write(tmp_path / "metadata.csv", "file_name,label\n1.wav,a\n1.wav,b\n")
    assert [label for _, label in labelled(read(tmp_path, AUDIO))["train"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("metadata.csv", 'file_name,t\n1.wav,"a\nb"\n\nno.wav,c\n', "line 5, names no.wav, and"),
        (
            "metadata.jsonl",
            '\n{"file_name": "1.wav"}\n\n{"file_name": "é"}',
            "line 4, names é, and",
        ),
        ("a.json", '[{"audio": "1.wav"},\n{"audio": "no.wav"}]', "entry 2, names no.wav"),
        ("a.json", '{"audio": ["1.wav", "no.wav"]}', "entry 2, names no.wav"),
        ("a.json", '{"audio": "1.wav"}\n{"audio": "no.wav"}', "line 2, names no.wav"),
        ("a.tsv", "audio\tt\n1.wav\t,\n1.wav/x\t2\n", "line 3, names 1.wav/x, and there is no"),
        ("a.csv", "audio\n1.wav\nsub\n", "line 3, names sub, which is no regular file"),
        ("a.csv", "audio\nhttps://x.org/1.wav\n", "line 2, names a URL (https://x.org/1.wav)"),
        ("a.csv", f"audio\n{'x' * 300}.wav\n", "which cannot be read: File name too long"),
        ("a.csv", "audio,t\n1.wav,\n,x\n", "line 3, names no file"),
        ("a.jsonl", '{"audio": null}\n{"audio": null}', "line 1, names no file"),
        ("a.jsonl", '{"audio": "a\\u0000b"}', "which no file can be called"),
        ("a.jsonl", '{"audio": 3}', "the column 'audio' of"),
        ("a.csv", "text,label\nx,1\n", "has no audio column that is plain from its name"),
        ("a.csv", "audio,media\n1.wav,1\n", "has a column called 'media' beside 'audio'"),
    ],
)
def test_what_a_table_names_is_there(
    tmp_path: Path, name: str, content: str, expected: str
) -> None:
    wav(tmp_path / "1.wav")
    (tmp_path / "sub").mkdir()
    path = write(tmp_path / name, content)
    column = "audio" if "beside" in expected else None
    message = refusal(tmp_path if name.startswith("metadata") else path, AUDIO, column)
    assert expected in message
    assert str(path) in message
    assert len(message) < 600


line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(before=st.lists(line, max_size=4), after=st.lists(line, max_size=2), blank=st.integers(0, 2))
def test_the_line_of_a_row(tmp_path: Path, before: list[str], after: list[str], blank: int) -> None:
    """Wherever fields hold line ends and rows are apart, row n is found where it stands."""

    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["a"])
    writer.writerows([[value] for value in before])
    buffer.write("\n" * blank)
    # the csv module counts "\r", "\n" and "\r\n" as ends of a line
    text = buffer.getvalue()
    here = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    writer.writerows([["it"], *([value] for value in after)])
    path = tmp_path / "a.csv"
    path.write_bytes(buffer.getvalue().encode())
    assert place_of(path, len(before)) == f"line {here}"
    lines = [json.dumps({"a": value}) for value in [*before, "it", *after]]
    path = write(tmp_path / "a.jsonl", "\n" * blank + "\n\n".join(lines))
    assert place_of(path, len(before)) == f"line {blank + 1 + 2 * len(before)}"


# --- tables of paths and of bytes


def test_tables_of_paths(tmp_path: Path) -> None:
    outside = png(tmp_path / "elsewhere" / "o.png")
    for number in range(3):
        png(tmp_path / "d" / "images" / f"{number}.png")
    write(tmp_path / "d" / "train.csv", f"label,img\na,images/0.png\nb,{outside}\n")
    write(tmp_path / "d" / "val.csv", "img,label\nimages/1.png,a\n../elsewhere/o.png,b\n")
    splits = read(tmp_path / "d").splits
    assert splits["train"].column_names == ["label", "media"]
    assert labelled(read(tmp_path / "d")) == {
        "train": [("0.png", "a"), ("o.png", "b")],
        "validation": [("1.png", "a"), ("o.png", "b")],
    }
    alone = read(tmp_path / "d" / "val.csv")
    assert list(alone.splits) == ["validation"]


def test_shards_whose_types_meet(tmp_path: Path) -> None:
    png(tmp_path / "1.png")
    write(tmp_path / "train-0.jsonl", '{"image": "1.png", "w": 1}')
    write(tmp_path / "train-1.jsonl", '{"w": 0.5, "image": "1.png"}')
    split = read(tmp_path).splits["train"]
    assert split["w"] == [1.0, 0.5]
    assert split.features["w"] == datasets.Value("float64")


def test_the_column_that_was_asked_for(tmp_path: Path) -> None:
    png(tmp_path / "1.png")
    path = write(tmp_path / "a.csv", "image,scan\nno.png,1.png\n")
    assert read(path, column="Scan").splits["train"]["image"] == ["no.png"]
    assert "has no column 'scans' for the image" in refusal(path, column="scans")


@pytest.mark.parametrize(
    "image", [datasets.Image(), datasets.Image(decode=False), PLAIN, datasets.Value("binary")]
)
def test_parquet_of_bytes(tmp_path: Path, image: object) -> None:
    features = datasets.Features({"image": image, "label": NAMES})
    binary = image == datasets.Value("binary")
    values = [png_bytes(n) if binary else {"bytes": png_bytes(n), "path": None} for n in (1, 2)]
    parquet(tmp_path / "train.parquet", values, features)
    parquet(tmp_path / "test.parquet", values[:1], features)
    for _ in range(2):  # the second is from the copy
        splits = read(tmp_path).splits
        assert splits["train"].features == datasets.Features({"media": PLAIN, "label": NAMES})
        assert splits["train"]["media"] == [{"bytes": png_bytes(n), "path": None} for n in (1, 2)]
        assert splits["test"]["label"] == [0]
    assert splits["train"].features["label"].int2str(1) == "yes"


def test_nothing_else_decodes(tmp_path: Path) -> None:
    image = datasets.Image()
    features = datasets.Features(
        {"image": image, "mask": image, "views": datasets.List({"of": image})}
    )
    value = {"bytes": b"no image", "path": None}
    rows = {"image": [value], "mask": [value], "views": [[{"of": value}]]}
    pq.write_table(pa.table(rows, schema=features.arrow_schema), tmp_path / "a.parquet")
    row = read(tmp_path / "a.parquet").splits["train"][0]
    assert row == {"media": value, "mask": value, "views": [{"of": value}]}


def test_parquet_of_paths(tmp_path: Path) -> None:
    png(tmp_path / "1.png")
    features = datasets.Features({"image": PLAIN, "label": NAMES})
    values = [{"bytes": None, "path": "1.png"}, {"bytes": b"x", "path": "name only.png"}]
    path = parquet(tmp_path / "a.parquet", values, features)
    split = read(path).splits["train"]
    assert split["media"][0] == {"bytes": None, "path": str(tmp_path / "1.png")}
    assert split["media"][1] == {"bytes": b"x", "path": "name only.png"}
    assert split.features["label"] == NAMES
    before = read(path).fingerprint
    png(tmp_path / "1.png", 9)
    assert read(path).fingerprint != before
    (tmp_path / "1.png").unlink()
    assert "a.parquet, row 1, names 1.png, and there is no such file" in refusal(path)


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda p: p.write_bytes(b"PAR1 no"), "not a readable parquet file"),
        (
            lambda p: datasets.Dataset.from_dict(
                {"a": [b"1"], "b": [b"2"]},
                features=datasets.Features(
                    {"a": datasets.Value("binary"), "b": datasets.Value("binary")}
                ),
            ).to_parquet(p),
            "has no image column that is plain from its name",
        ),
        (
            lambda p: datasets.Dataset.from_dict({"image": [[1, 2]]}).to_parquet(p),
            "the column 'image' of",
        ),
    ],
)
def test_broken_parquet(tmp_path: Path, prepare: object, expected: str) -> None:
    prepare(tmp_path / "a.parquet")  # type: ignore[operator]
    assert expected in refusal(tmp_path / "a.parquet")


def test_parquet_shards_agree(tmp_path: Path) -> None:
    features = datasets.Features({"image": PLAIN, "label": NAMES})
    parquet(tmp_path / "train-0.parquet", [{"bytes": b"x", "path": None}], features)
    datasets.Dataset.from_dict(
        {"image": [{"bytes": b"x", "path": None}]}, features=datasets.Features({"image": PLAIN})
    ).to_parquet(tmp_path / "train-1.parquet")
    assert "train-1.parquet has the columns image, but" in refusal(tmp_path)
