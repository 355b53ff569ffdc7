"""Images and masks from every place they come from; what does not pair is told with its file."""

import io
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.randomness import EpochView
from tasks.vision import mask_data, mask_files, segmentation
from tasks.vision.segmentation import Args

VALUES = (0, 1, 2)


def picture(path: Path, seed: int, kind: str = "image") -> Path:
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "image":
        Image.fromarray(rng.integers(0, 255, (8, 10, 3), np.uint8)).save(path)
    else:
        values = rng.integers(0, len(VALUES), (8, 10)).astype(np.uint8)
        values[0, :3] = VALUES
        Image.fromarray(values).save(path)
    return path


def pairs(root: Path, images: str, masks: str, count: int = 4, ending: str = "") -> None:
    for i in range(count):
        picture(root / images / f"日 {i}.jpg", i)
        picture(root / masks / f"日 {i}{ending}.png", i, "mask")


def rows_of(root: Path, **args: object) -> dict[str, list[tuple[str, str]]]:
    """The names of the images and masks of each split."""
    data = DataArgs(data=str(root), validation_size=0, test_size=0)
    task, examples = segmentation.from_data(Args(**args), data)  # type: ignore[arg-type]
    assert task.labels == tuple(map(str, VALUES))
    return {
        name: [(Path(row["media"]["path"]).name, Path(row["mask"]["path"]).name) for row in split]
        for name, split in examples.splits.items()
    }


PAIRED = [(f"日 {i}.jpg", f"日 {i}.png") for i in range(4)]


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images", "masks"),
        ("img", "ann"),
        ("JPEGImages", "SegmentationClass"),
        ("a/Images", "a/labels"),
    ],
)
def test_folders_side_by_side(tmp_path: Path, images: str, masks: str) -> None:
    pairs(tmp_path, images, masks)
    assert rows_of(tmp_path) == {"train": PAIRED}


@pytest.mark.parametrize("layout", ["{split}/{kind}", "{kind}/{split}"])
def test_splits_above_or_below(tmp_path: Path, layout: str) -> None:
    for split in ("train", "val"):
        images, masks = (layout.format(split=split, kind=kind) for kind in ("images", "masks"))
        pairs(tmp_path, images, masks)
    assert rows_of(tmp_path) == {"train": PAIRED, "validation": PAIRED}


def test_a_mask_may_say_in_its_name_that_it_is_one(tmp_path: Path) -> None:
    pairs(tmp_path, "imgs", "masks", ending="_mask")
    assert rows_of(tmp_path)["train"][0] == ("日 0.jpg", "日 0_mask.png")


def test_pascal_vocs_lists_say_the_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs(tmp_path, "JPEGImages", "SegmentationClass")
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("日 0\n日 1\n")
    (lists / "val.txt").write_text("日 2\n")
    (lists / "trainval.txt").write_text("日 0\n日 1\n日 2\n")
    assert rows_of(tmp_path) == {"train": PAIRED[:2], "validation": PAIRED[2:3]}
    assert "1 image that no list names, left out" in capsys.readouterr().err
    (lists / "val.txt").write_text("日 2\n\n日 9\n")
    with pytest.raises(UserError, match=r"val.txt, line 3: 日 9 has no image with a mask"):
        rows_of(tmp_path)


def test_what_has_no_partner_is_counted_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs(tmp_path, "images", "masks")
    picture(tmp_path / "images" / "lone.png", 9)
    picture(tmp_path / "masks" / "other.png", 9, "mask")
    assert rows_of(tmp_path) == {"train": PAIRED}
    told = capsys.readouterr().err
    assert "1 image without a mask, left out; the first is" in told and "lone.png" in told
    assert "1 mask without an image, left out" in told


def test_a_table_names_both(tmp_path: Path) -> None:
    pairs(tmp_path, "a", "b")
    lines = [f"a/日 {i}.jpg,b/日 {i}.png" for i in range(4)]
    (tmp_path / "train.csv").write_text("\n".join(["image,mask", *lines]))
    assert rows_of(tmp_path / "train.csv") == {"train": PAIRED}
    (tmp_path / "train.csv").write_text("\n".join(["image,what", *lines]))
    assert rows_of(tmp_path / "train.csv", mask_column="what") == {"train": PAIRED}
    (tmp_path / "train.csv").write_text("\n".join(["image,mask", *lines, "a/日 0.jpg,b/none.png"]))
    with pytest.raises(
        UserError, match=r"train.csv, line 6, names b/none.png, and there is no such"
    ):
        rows_of(tmp_path / "train.csv")


def test_parquet_holds_both_and_rows_without_a_mask_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import datasets

    pairs(tmp_path, "a", "b")
    held = [(tmp_path / "b" / name).read_bytes() for _, name in PAIRED[:3]]
    columns = {
        "image": [{"bytes": (tmp_path / "a" / name).read_bytes()} for name, _ in PAIRED],
        "annotation": [*({"bytes": content} for content in held), None],
    }
    features = datasets.Features({name: datasets.Image() for name in columns})
    (tmp_path / "hub").mkdir()
    table = datasets.Dataset.from_dict(columns, features)
    table.to_parquet(tmp_path / "hub" / "train.parquet")
    data = DataArgs(data=str(tmp_path / "hub"), validation_size=0, test_size=0)
    task, examples = segmentation.from_data(Args(), data)
    assert task.labels == ("0", "1", "2")
    train = examples.splits["train"]
    assert (train.num_rows, set(train.column_names)) == (3, {"media", "mask"})
    mask = np.asarray(Image.open(io.BytesIO(train[2]["mask"]["bytes"])))
    assert mask[0, :3].tolist() == [0, 1, 2]
    assert "train has 1 image without a mask, left out" in capsys.readouterr().err


def test_classes_come_from_a_file_or_from_the_masks(tmp_path: Path) -> None:
    pairs(tmp_path, "images", "masks")
    (tmp_path / "classes.txt").write_text("天空\nroad\ncar\ntree\n")
    data = DataArgs(data=str(tmp_path))
    assert segmentation.from_data(Args(), data)[0].labels == ("天空", "road", "car", "tree")
    other = tmp_path.parent / "other.json"
    other.write_text('{"0": "a", "1": "b", "2": "c"}')
    assert segmentation.from_data(Args(classes=str(other)), data)[0].labels == ("a", "b", "c")
    (tmp_path / "classes.csv").write_text("a\n")
    with pytest.raises(UserError, match=r"classes.txt and classes.csv: say with `classes`"):
        segmentation.from_data(Args(), data)


def test_white_on_black_is_no_mask_without_a_word(tmp_path: Path) -> None:
    """255 is Pascal VOC's mark of pixels that do not count; many binary masks have it as a
    class."""
    pairs(tmp_path, "images", "masks")
    for file in (tmp_path / "masks").iterdir():
        Image.fromarray(np.where(np.asarray(Image.open(file)) > 0, 255, 0).astype(np.uint8)).save(
            file
        )
    with pytest.raises(UserError, match=r"hold 0 and 255 alone.*give `ignore_index` -1"):
        segmentation.from_data(Args(), DataArgs(data=str(tmp_path)))
    task, _ = segmentation.from_data(Args(ignore_index=-1), DataArgs(data=str(tmp_path)))
    assert task.labels == ("0", "255")


def test_bad_data_is_one_line_with_its_file(tmp_path: Path) -> None:
    def fault(**args: object) -> str:
        with pytest.raises(UserError) as caught:
            task, examples = segmentation.from_data(Args(**args), DataArgs(data=str(root)))  # type: ignore[arg-type]
            task = task.bind_for_training(processor(), 0)
            for name, split in examples.splits.items():
                task.features(split, f"{examples.fingerprint}/{name}")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    root = tmp_path / "data"
    pairs(root, "images", "masks", 6)
    mask = root / "masks" / "日 3.png"
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(mask)
    assert "日 3.jpg: 10 x 8 pixels, and its mask" in fault()
    assert f"{mask} has 5 x 4" in fault()
    Image.fromarray(np.full((8, 10, 3), (1, 2, 3), np.uint8)).save(mask)
    assert f"the mask {mask}: it is in colours" in fault()
    mask.write_bytes(b"")
    assert f"the mask {mask}: empty: 0 bytes" in fault()
    names = tmp_path / "names.txt"
    names.write_text("a\nb\n")
    picture(mask, 3, "mask")
    assert ".jpg: its mask" in fault(classes=str(names))
    assert "the number 2 is no class" in fault(classes=str(names))
    shutil.rmtree(root / "masks")
    assert "data has images and no masks" in fault()
    for file in (root / "images").iterdir():
        file.rename(file.with_stem(file.stem + "x"))
    pairs(root, "elsewhere", "masks")
    assert "no mask has the name of an image" in fault()


def processor() -> object:
    """All that a task asks of one."""
    square = {"height": 8, "width": 8}
    return SimpleNamespace(size=square, image_mean=[0.5] * 3, image_std=[0.5] * 3)


def test_two_masks_of_one_image_are_refused(tmp_path: Path) -> None:
    pairs(tmp_path, "images", "masks")
    picture(tmp_path / "masks" / "日 0_Mask.png", 7, "mask")
    with pytest.raises(
        UserError, match=r"日 0.png and .*日 0_Mask.png are both masks of .*日 0.jpg"
    ):
        rows_of(tmp_path)


def test_an_ending_may_be_in_capitals(tmp_path: Path) -> None:
    pairs(tmp_path, "images", "masks", ending="_Mask")
    assert rows_of(tmp_path)["train"][0] == ("日 0.jpg", "日 0_Mask.png")


def of_numbers(root: Path, classes: str, numbers: tuple[int, int, int], count: int = 2) -> Path:
    """Images whose masks have 40, 24 and 16 pixels of three numbers, beside a list of classes."""
    mask = np.repeat(np.array(numbers, np.uint8), (40, 24, 16)).reshape(8, 10)
    for i in range(count):
        picture(root / "images" / f"{i}.png", i)
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "masks" / f"{i}.png")
    (root / "classes.txt").write_text(classes)
    return root


def counted(task: segmentation.Segmentation, split: object) -> dict[str, int]:
    """The pixels that each class has in the first mask of a split."""
    features = replace(task, size=8).features(split, "")
    mask = features.__getitems__([0])[0]["original"]
    return {name: int((mask == i).sum()) for i, name in enumerate(task.labels)}


def test_classes_of_data_that_are_evaluated_on_are_those_of_their_names(tmp_path: Path) -> None:
    one = of_numbers(tmp_path / "a", "ground\ncat\ndog\n", (0, 1, 2))
    other = of_numbers(tmp_path / "b", "name,value\ndog,1\nground,7\ncat,5\n", (7, 5, 1))
    task, examples = segmentation.from_data(Args(), DataArgs(str(one), None, 0, 0))
    assert counted(task, examples.splits["train"]) == {"ground": 40, "cat": 24, "dog": 16}
    task = segmentation.from_config(task.config() | {"size": 8})
    found = segmentation.for_evaluation(task, DataArgs(str(other), None, 0, 0), "train", None)
    assert counted(task, found.splits["train"]) == {"ground": 40, "cat": 24, "dog": 16}
    (other / "classes.txt").write_text("name,value\ncow,1\nground,7\ncat,5\n")
    with pytest.raises(UserError, match=r"classes.txt lists the class 'cow'"):
        segmentation.for_evaluation(task, DataArgs(str(other), None, 0, 0), "train", None)
    told = tmp_path / "told.csv"  # in place of the list beside the data
    told.write_text("name,value\nground,7\ncat,5\nignore,1\n")
    task = replace(task, args=replace(task.args, classes=str(told)))
    found = segmentation.for_evaluation(task, DataArgs(str(other), None, 0, 0), "train", None)
    assert counted(task, found.splits["train"]) == {"ground": 40, "cat": 24, "dog": 0}
    told.write_text("name,value\nground,7\nwolf,5\nignore,1\n")
    with pytest.raises(UserError, match=r"told.csv lists the class 'wolf'"):
        segmentation.for_evaluation(task, DataArgs(str(other), None, 0, 0), "train", None)


def test_the_data_of_the_training_are_read_as_they_were(tmp_path: Path) -> None:
    """Whatever the list beside them says later, and whether the file of `classes` is there."""
    root = of_numbers(tmp_path / "a", "ground\ncat\ndog\n", (0, 1, 2))
    told = tmp_path / "told.csv"
    told.write_text("earth\nlynx\nwolf\n")
    data = DataArgs(str(root), None, 0, 0)
    task, examples = segmentation.from_data(Args(classes=str(told)), data)
    told.unlink()
    task = segmentation.from_config(task.config() | {"size": 8})
    found = segmentation.for_evaluation(task, data, "train", examples.fingerprint)
    assert counted(task, found.splits["train"]) == {"earth": 40, "lynx": 24, "wolf": 16}


def test_white_that_does_not_count_is_refused_where_two_classes_are_named(tmp_path: Path) -> None:
    root = of_numbers(tmp_path, "ground\nthing\n", (0, 255, 255))
    data = DataArgs(str(root), None, 0, 0)
    with pytest.raises(UserError, match=r"no mask of train has a pixel of 'thing', number 1.* 255"):
        segmentation.from_data(Args(), data)
    (root / "classes.txt").write_text("name,value\nground,0\nthing,255\n")  # as it says
    task, examples = segmentation.from_data(Args(), data)
    assert counted(task, examples.splits["train"]) == {"ground": 40, "thing": 40}


def test_images_that_are_turned_under_masks_that_are_not_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = of_numbers(tmp_path, "ground\ncat\ndog\n", (0, 1, 2))
    exif = Image.Exif()
    exif[0x112] = 3  # upside down
    Image.open(root / "images" / "1.png").save(root / "images" / "1.png", exif=exif)
    task, examples = segmentation.from_data(Args(), DataArgs(str(root), None, 0, 0))
    counted(task, examples.splits["train"])
    assert "1 of 2 images, such as" in (told := capsys.readouterr().err) and "1.png" in told
    assert "turned by its EXIF data" in told
    exif[0x112] = 6  # a quarter turn
    Image.open(root / "images" / "1.png").save(root / "images" / "1.png", exif=exif)
    with pytest.raises(UserError, match=r"8 x 10 pixels, turned by its EXIF data, and its mask"):
        counted(task, examples.splits["train"])


def table_of(root: Path, name: str = "train.csv") -> Path:
    """A table beside images and masks, whose last row has no mask."""
    pairs(root, "a", "b")
    picture(root / "a" / "bare.jpg", 7)
    lines = [f"a/日 {i}.jpg,b/日 {i}.png" for i in range(4)]
    header = "file_name,mask" if name == "metadata.csv" else "image,mask"
    (root / name).write_text("\n".join([header, *lines, "a/bare.jpg,", ""]))
    return root / name


def fingerprint_of(data: Path) -> str:
    _, examples = segmentation.from_data(Args(), DataArgs(str(data), None, 0, 0))
    return examples.fingerprint


@pytest.mark.parametrize("name", ["train.csv", "metadata.csv"])
def test_a_changed_mask_is_other_data(tmp_path: Path, name: str) -> None:
    table = table_of(tmp_path, name)
    data = tmp_path if name == "metadata.csv" else table
    before = fingerprint_of(data)
    picture(tmp_path / "b" / "日 2.png", 11, "mask")
    assert fingerprint_of(data) != before
    picture(tmp_path / "b" / "日 2.png", 2, "mask")
    assert fingerprint_of(data) == before


def test_a_changed_mask_of_a_folder_is_other_data(tmp_path: Path) -> None:
    pairs(tmp_path, "images", "masks")
    before = fingerprint_of(tmp_path)
    picture(tmp_path / "masks" / "日 2.png", 11, "mask")
    assert fingerprint_of(tmp_path) != before


@pytest.mark.parametrize("name", ["train.csv", "metadata.csv"])
def test_an_empty_cell_is_an_image_without_a_mask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    table = table_of(tmp_path, name)
    assert rows_of(tmp_path if name == "metadata.csv" else table) == {"train": PAIRED}
    told = capsys.readouterr().err
    assert "1 image without a mask, left out; the first is" in told and "bare.jpg" in told
    assert told.count("warning") == 1, told


def test_metadata_of_two_splits_and_masks_in_one_folder(tmp_path: Path) -> None:
    for split in ("train", "val"):
        pairs(tmp_path, f"{split}/images", "masks")
        lines = [f"images/日 {i}.jpg,../masks/日 {i}.png" for i in range(4)]
        text = "\n".join(["file_name,mask_file_name", *lines])
        (tmp_path / split / "metadata.csv").write_text(text)
    assert rows_of(tmp_path) == {"train": PAIRED, "validation": PAIRED}


def test_a_split_may_have_no_column_of_masks(tmp_path: Path) -> None:
    table_of(tmp_path)
    (tmp_path / "test.csv").write_text("image\na/bare.jpg\n")
    _, examples = segmentation.from_data(Args(), DataArgs(str(tmp_path), None, 0, 0))
    assert set(examples.splits) == {"train"} and examples.unlabelled == {"test": 1}


def test_a_mask_that_is_not_there_is_told_with_its_line(tmp_path: Path) -> None:
    table_of(tmp_path)
    (tmp_path / "test.csv").write_text("image,mask\na/bare.jpg,none\n")
    with pytest.raises(UserError, match=r"test.csv, line 2, names none, and there is no such"):
        segmentation.from_data(Args(), DataArgs(str(tmp_path), None, 0, 0))


def test_parquet_without_any_mask_in_one_split_is_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    from tasks.media import tables

    pairs(tmp_path, "a", "b", count=1)
    image, mask = (next((tmp_path / name).iterdir()).read_bytes() for name in "ab")
    for split, masks in (("train", [mask]), ("test", pa.nulls(1))):
        table = pa.table({"image": pa.array([image], pa.binary()), "mask": masks})
        pyarrow.parquet.write_table(table, tmp_path / f"{split}.parquet")
    monkeypatch.setattr(tables, "_resolved", lambda *_, **__: pytest.fail("read whole"))
    _, examples = segmentation.from_data(Args(), DataArgs(str(tmp_path), None, 0, 0))
    assert set(examples.splits) == {"train"} and examples.unlabelled == {"test": 1}


def test_parquet_with_images_in_it_and_paths_of_masks(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    pairs(tmp_path, "a", "b")
    images = [(tmp_path / "a" / name).read_bytes() for name, _ in PAIRED]
    for masks in (
        [f"b/{name}" for _, name in PAIRED],
        [{"bytes": None, "path": f"b/{name}"} for _, name in PAIRED],
    ):
        table = pa.table({"image": pa.array(images, pa.binary()), "mask": masks})
        pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
        data = DataArgs(str(tmp_path / "train.parquet"), None, 0, 0)
        _, examples = segmentation.from_data(Args(), data)
        found = [row["mask"]["path"] for row in examples.splits["train"]]
        assert found == [str(tmp_path / "b" / name) for _, name in PAIRED]


def test_tables_of_splits_beside_the_folders_count(tmp_path: Path) -> None:
    pairs(tmp_path, "images", "masks")
    lines = [f"images/日 {i}.jpg,masks/日 {i}.png" for i in range(4)]
    (tmp_path / "train.csv").write_text("\n".join(["image,mask", *lines[:1]]))
    (tmp_path / "val.csv").write_text("\n".join(["image,mask", *lines[2:]]))
    assert rows_of(tmp_path) == {"train": PAIRED[:1], "validation": PAIRED[2:]}
    (tmp_path / "val.csv").unlink()
    for of_others in ("id,rle\n日 0,3 4\n", "image,label\na,cat\n", ""):
        (tmp_path / "train.csv").write_text(of_others)
        assert rows_of(tmp_path) == {"train": PAIRED}


def test_labels_are_no_masks(tmp_path: Path) -> None:
    pairs(tmp_path, "a", "b")
    (tmp_path / "train.csv").write_text("image,label\na/日 0.jpg,cat\na/日 1.jpg,dog\n")
    with pytest.raises(UserError, match=r"train.csv has images and no masks"):
        rows_of(tmp_path / "train.csv")
    with pytest.raises(UserError, match=r"train.csv, line 2, names cat, and there is no such"):
        rows_of(tmp_path / "train.csv", mask_column="label")


def test_classes_weigh_by_the_pixels_of_trains_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At their own size, whatever the images are resized to; those ignored count nothing."""
    monkeypatch.setattr(mask_data, "ROWS_A_JOB", 2)
    monkeypatch.setattr(mask_files, "BAND", 7)
    for split, count in (("train", 5), ("validation", 2)):
        pairs(tmp_path / split, "images", "masks", count)
    file = tmp_path / "train" / "masks" / "日 0.png"
    values = np.asarray(Image.open(file)).copy()
    values[4:] = 255
    Image.fromarray(values).save(file)
    (tmp_path / "train" / "masks" / "日 1.png").write_bytes(b"no mask")
    (tmp_path / "classes.txt").write_text("ground\nthing\nother\nnever\n")
    masks = [np.asarray(Image.open(file.with_stem(f"日 {i}"))) for i in (0, 2, 3, 4)]
    counts = np.bincount(np.concatenate(masks, axis=None), minlength=256)[:3]
    data = DataArgs(data=str(tmp_path), test_size=0)
    task, _ = segmentation.from_data(Args(class_weights="balanced"), data)
    assert task.class_weights == pytest.approx([*(counts.sum() / (4 * counts)), 1])
    task, _ = segmentation.from_data(
        Args(class_weights="balanced"), replace(data, max_train_samples=1)
    )
    assert task.class_weights != pytest.approx([*(counts.sum() / (4 * counts)), 1])
    assert segmentation.from_data(Args(), data)[0].class_weights == ()


def test_rows_of_a_mosaic_come_with_three_others(tmp_path: Path) -> None:
    pairs(tmp_path, "images", "masks", 6)
    data = DataArgs(data=str(tmp_path), validation_size=0, test_size=0)
    task, examples = segmentation.from_data(Args(mosaic=0.5, zoom_out=1.5), data)
    square = {"height": 8, "width": 8}
    processor = SimpleNamespace(size=square, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    task = task.bind_for_training(processor, 0)
    features = task.features(examples.splits["train"], "mosaic")
    every = [
        i for epoch in range(8) for i in features.view(EpochView(1, epoch)).__getitems__(range(6))
    ]
    partners = [row["partners"] for row in every if "partners" in row]
    assert 12 < len(partners) < 36 and {len(three) for three in partners} == {3}
    batch = task.collate(every[:6])
    assert batch.targets["labels"].shape == (6, 8, 8)
    assert not any("partners" in row for row in features.__getitems__(range(6)))
    with pytest.raises(UserError, match="`augment` none leaves images as they are"):
        segmentation.from_data(Args(augment="none", mosaic=0.5), data)
