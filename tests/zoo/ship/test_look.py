"""What the data are, and what is said where nothing can be learned from them."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tasks.errors import UserError
from tests.cli import run_cli
from zoo.cli.args import ShipArgs
from zoo.ship.kinds import kind_of
from zoo.ship.look import Look, look

POSITIVE, NEGATIVE = ("superb", "moving", "clever"), ("awful", "dull", "hollow")


def write(path: Path, *rows: tuple[object, ...]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def reviews_in(path: Path, positive: str = "positive", negative: str = "negative") -> Path:
    rows = [
        (f"the film was {word} {i}", label)
        for i in range(10)
        for words, label in ((POSITIVE, positive), (NEGATIVE, negative))
        for word in words
    ]
    return write(path, ("text", "label"), *rows)


def seen(path: Path, **more: object) -> Look:
    return look(ShipArgs(str(path), **more))  # type: ignore[arg-type]


def test_fixtures_of_each_kind(request: pytest.FixtureRequest, images: Path) -> None:
    named = {"text": "reviews", "tags": "tagged", "image": "images", "sound": "sounds"}
    named |= {"speech": "utterances", "boxes": "boxed_images", "masks": "masked_images"}
    folders = {kind: request.getfixturevalue(name) for kind, name in named.items()}
    assert {kind: kind_of(ShipArgs(str(path))) for kind, path in folders.items()} == {
        kind: kind for kind in folders
    }
    first = next(images.rglob("*.png"))
    with pytest.raises(UserError, match="is a single file"):
        kind_of(ShipArgs(str(first)))


def test_short_texts_are_no_table(tmp_path: Path) -> None:
    said = ("book a flight", "play some jazz", "what's the time", "call mum", "turn it off")
    rows = [(i, text, i % 2) for i, text in enumerate((*said, said[0]))]
    for header in (("id", "utterance", "intent"), ("id", "utterance", "label")):
        assert kind_of(ShipArgs(str(write(tmp_path / "a.csv", header, *rows)))) == "text"
    chinese = [(text, i % 2) for i, text in enumerate(("很好", "不错", "太差了", "喜欢", "很好"))]
    assert kind_of(ShipArgs(str(write(tmp_path / "b.csv", ("评论", "label"), *chinese)))) == "text"
    houses = [(i, 50 + 7 * i % 31, ("Rome", "东京")[i % 2], 1000 + i) for i in range(12)]
    header = ("id", "size", "city", "price")
    table = write(tmp_path / "c.csv", header, *houses)
    assert kind_of(ShipArgs(str(table), label_column="price")) == "table"


def test_boxes_and_masks_beside_images(masked_images: Path, tmp_path: Path) -> None:
    data = tmp_path / "a folder"
    shutil.copytree(masked_images / "train", data)
    assert kind_of(ShipArgs(str(data))) == "masks"
    pairs = [(f"images/{i:03}.png", f"masks/{i:03}.png") for i in range(20)]
    table = write(data / "pairs.csv", ("image", "mask"), *pairs)
    found = seen(table)
    assert found.kind == "masks" and "images with masks of 3 classes (0, 1, 2)" in found.describe()
    labels = [(image, i % 2) for i, (image, _) in enumerate(pairs)]
    assert kind_of(ShipArgs(str(write(table, ("image", "label"), *labels)))) == "image"
    boxes = [(image, "cat", 1, 2, 9, 9) for image, _ in pairs]
    header = ("image", "label", "xmin", "ymin", "xmax", "ymax")
    found = seen(write(table, header, *boxes))
    assert found.kind == "boxes" and "images with boxes of 1 class (cat)" in found.describe()
    table.unlink()
    coco = data / "instances.json"
    entry = {"id": 1, "file_name": "images/000.png", "height": 32, "width": 32}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4]}
    classes = [{"id": 1, "name": "cat"}]
    coco.write_text(json.dumps({"images": [entry], "annotations": [box], "categories": classes}))
    assert kind_of(ShipArgs(str(coco))) == "boxes"
    with pytest.raises(UserError, match="has boxes and masks: name with `model`"):
        kind_of(ShipArgs(str(data)))
    done = run_cli("zoo", "ship", data, "--model", "fcos_det", "--output_dir", tmp_path / "out")
    assert done.code == 2 and "boxes and masks" not in done.err


def test_a_table_of_texts(tmp_path: Path) -> None:
    found = seen(reviews_in(tmp_path / "two words.csv", "好评", "差评"))
    assert found.kind == "text" and found.task.labels == ("好评", "差评")
    assert "texts with one of 2 labels (好评, 差评)" in found.describe()
    assert found.rows == {"train": 48, "validation": 6, "test": 6}
    assert found.words == ("--data", str(tmp_path / "two words.csv")) and not found.reasons


def test_pairs(tmp_path: Path) -> None:
    rows = [(f"one {i}", f"two {i}", "same" if i % 2 else "other") for i in range(40)]
    found = seen(write(tmp_path / "pairs.csv", ("sentence1", "sentence2", "label"), *rows))
    assert "pairs of texts" in found.describe()


def test_several_labels_of_a_row(tmp_path: Path) -> None:
    rows = [
        (f"a story {i}", ("comedy|drama", "comedy", "drama", "drama|war")[i % 4]) for i in range(60)
    ]
    found = seen(write(tmp_path / "films.csv", ("text", "label"), *rows))
    assert found.words[-2:] == ("--problem_type", "multi_label")
    assert "any of 3 labels" in found.describe() and "several a row" in found.reasons[0]


@pytest.mark.parametrize("form", ["{}.5", "{}"])
def test_a_number(tmp_path: Path, form: str) -> None:
    rows = [(f"a house of {i} rooms", form.format(i)) for i in range(80)]
    found = seen(write(tmp_path / "prices.csv", ("text", "score"), *rows))
    assert "texts with a number" in found.describe()
    assert bool(found.reasons) == (form == "{}")


def test_columns_that_are_named(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv", ("内容", "标签"), *((f"text {i}", "ab"[i % 2]) for i in range(40))
    )
    found = seen(path, text_column="内容", label_column="标签")
    assert found.words[2:] == ("--text_column", "内容", "--label_column", "标签")
    done = run_cli("zoo", "ship", path)
    assert done.code == 2 and done.err.count("\n") == 1 and "no text column" in done.err


def test_few_minutes_measure_on_few_rows(tmp_path: Path) -> None:
    path = reviews_in(tmp_path / "train.csv")
    shutil.copy(path, tmp_path / "test.csv")
    with (tmp_path / "test.csv").open("a") as file:
        file.writelines(f"a film {i},positive\n" for i in range(1_000))
    found = seen(tmp_path, minutes=2)
    assert found.rows["test"] == 600 == found.limits["max_eval_samples"]
    assert found.words[-2:] == ("--max_eval_samples", "600") and "600 rows" in found.reasons[-1]
    assert seen(tmp_path, minutes=2, max_eval_samples=50).rows["test"] == 50
    again = look(ShipArgs(str(tmp_path), minutes=1), before=found.limits)
    assert again.rows["test"] == 600 and "as before" in again.reasons[-1]
    assert look(ShipArgs(str(tmp_path), minutes=1), before={}).rows["test"] > 1_000


HOUSES = [(i % 7, ("Rome", "Bonn")[i % 2], f"n{i}", f"{i}.5", "cd"[i % 2]) for i in range(60)]
NAMES = ("rooms", "城市", "name of the house", "label", "grade")


def test_a_table_of_numbers_and_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = seen(write(tmp_path / "two words.csv", NAMES, *HOUSES))
    assert found.kind == "table" and "rows of a table with a number" in found.describe()
    assert "not read are name of the house" in capsys.readouterr().err
    graded = seen(tmp_path / "two words.csv", label_column="grade")
    assert "rows of a table with one of 2 labels (c, d)" in graded.describe()
    assert graded.words[-2:] == ("--label_column", "grade")
    named = write(tmp_path / "cities.csv", ("city", "label"), *((row[1], row[4]) for row in HOUSES))
    assert kind_of(ShipArgs(str(named))) == "table", "names that repeat are categories"


def test_texts_beside_numbers_are_texts(tmp_path: Path) -> None:
    rows = [
        (i, f"they served {i} dishes, and we had to wait for each of them", 3) for i in range(9)
    ]
    path = write(tmp_path / "visits.csv", ("guests", "remark", "label"), *rows)
    assert kind_of(ShipArgs(str(path))) == "text"
    assert kind_of(ShipArgs(str(path), text_column="remark")) == "text"


def _nothing(folder: Path) -> Path:
    return folder / "nothing.csv"


def _nobodys(folder: Path) -> Path:
    return Path("~nobody-of-that-name/films.csv")


def _empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _unlabelled(folder: Path) -> Path:
    return write(folder / "texts.csv", ("text",), *((f"a text {i}",) for i in range(9)))


def _labels_alone(folder: Path) -> Path:
    return write(folder / "labels.csv", ("label",), *(("ab"[i % 2],) for i in range(9)))


def _archive(folder: Path) -> Path:
    (folder / "data.zip").write_bytes(b"PK\x03\x04")
    return folder / "data.zip"


def _folder_of_archives(folder: Path) -> Path:
    (folder / "archives").mkdir()
    return _archive(folder / "archives").parent


def _one_class(folder: Path) -> Path:
    return write(folder / "a.csv", ("text", "label"), *((f"a text {i}", "a") for i in range(9)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_nothing, "there is no file or folder"),
        (_nobodys, "there is no file or folder"),
        (_empty_folder, "has no files in it"),
        (_unlabelled, "no label column"),
        (_labels_alone, "no text column"),
        (_archive, "is an archive: unpack it"),
        (_folder_of_archives, "has only .zip"),
        (_one_class, "one class only"),
    ],
)
def test_what_is_refused_is_refused_in_one_line(make: object, said: str, tmp_path: Path) -> None:
    data = make(tmp_path)  # type: ignore[operator]
    output = tmp_path / "runs" / "one"
    done = run_cli("zoo", "ship", data, "--output_dir", output)
    assert done.code == 2 and said in done.err and done.err.count("\n") == 1, done.err
    assert not output.exists(), "nothing is left of it"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("embedded",), "name one with --model"),
        (("x.csv", "--model", "bert_cl"), "did you mean bert_cls?"),
        (("embedded", "--model", "bert_mlm"), "bert_mlm is no model that is shipped"),
        (("x.csv", "--minutes", "0.5"), "too short"),
        (("x.csv", "--p95_ms", "0"), "--p95_ms 0.0: above 0"),
        (("x.csv", "--port", "70000"), "--port 70000"),
    ],
)
def test_mistakes_are_one_line(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reviews_in(tmp_path / "x.csv")
    done = run_cli("zoo", "ship", *words)
    assert done.code == 2 and said in done.err and done.err.count("\n") == 1, done.err


@pytest.mark.parametrize(
    ("column", "first", "rows", "is_number"),
    [
        ("label", 0, 480, False),
        ("label", 1, 480, False),
        ("label", 7, 480, True),  # ages
        ("label", 0, 120, True),  # counts that happen to have no gap
        ("score", 0, 480, True),
    ],
)
def test_codes_of_many_classes(
    column: str, first: int, rows: int, is_number: bool, tmp_path: Path
) -> None:
    data = [(f"a text {i}", first + i % 60) for i in range(rows)]
    found = seen(write(tmp_path / "train.csv", ("text", column), *data))
    assert ("texts with a number" in found.describe()) == is_number, found.describe()


def test_pictures_beside_the_data(tmp_path: Path, images: Path) -> None:
    """A plot does not make pictures of tables, nor does a column of paths if texts are named."""
    reviews_in(tmp_path / "train.csv")
    shutil.copy(next(images.rglob("*.png")), tmp_path / "plot.png")
    assert seen(tmp_path).kind == "text"
    rows = [("a.png", f"a text {i}", "ab"[i % 2]) for i in range(20)]
    path = write(tmp_path / "posts.csv", ("image", "post", "label"), *rows)
    assert kind_of(ShipArgs(str(path))) == "image"
    assert seen(path, text_column="post").kind == "text"


def test_pictures_that_a_table_lists(tmp_path: Path, images: Path) -> None:
    for i, file in enumerate(sorted(images.rglob("*.png"))[:6]):
        shutil.copy(file, tmp_path / f"{i}.png")
    write(
        tmp_path / "labels.csv", ("file", "label"), *((f"{i}.png", "ab"[i % 2]) for i in range(6))
    )
    assert kind_of(ShipArgs(str(tmp_path))) == "image"


def test_mails_called_by_their_digest(tmp_path: Path) -> None:
    """SpamAssassin's corpus."""
    for label in ("ham", "spam"):
        (tmp_path / label).mkdir()
        for i in range(4):
            (tmp_path / label / f"{i:05}.{i:032x}").write_text(f"a mail {i}")
    assert kind_of(ShipArgs(str(tmp_path))) == "text"


def test_a_warning_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reviews_in(tmp_path / "train.csv")
    write(tmp_path / "test.csv", ("text", "label"), *((f"a film {i}", "") for i in range(9)))
    found = seen(tmp_path, minutes=2, max_train_samples=40)
    assert found.rows.keys() == {"train", "validation"}
    reviews_in(tmp_path / "validation.csv")
    with (tmp_path / "validation.csv").open("a") as file:
        file.writelines(f"a film {i},positive\n" for i in range(700))
    capsys.readouterr()
    found = seen(tmp_path, minutes=2)
    assert found.rows["validation"] == 600, "it was read twice"
    assert capsys.readouterr().err.count("test has no labels") == 1


def test_a_configuration_is_handed_on(tmp_path: Path) -> None:
    path = reviews_in(tmp_path / "a.csv")
    with pytest.raises(UserError, match="is for a data set of the Hub"):
        seen(path, data_config="sst2")
