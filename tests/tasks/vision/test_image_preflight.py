"""The checks of images and labels: each mistake is found and counted, and sound data pass."""

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from tasks.errors import UserError
from tasks.media import decoding
from tasks.preflight import Finding
from tasks.vision import image_preflight, images
from tasks.vision.embedded import digits
from tasks.vision.image_args import ImageArgs
from tasks.vision.image_preflight import USUAL

NAMES = ["cat", "dog", "eel"]
FEATURES = {"media": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}}


def noise(seed: int, height: int = 16, width: int = 16) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return png(Image.fromarray(pixels))


def png(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def made(rows: list[tuple[bytes, Any]], label: Any, folder: Path | None) -> datasets.Dataset:
    media: list[dict[str, Any]] = []
    for content, _ in rows:
        if folder is None:
            media.append({"bytes": content, "path": None})
        else:
            path = folder / f"{len(list(folder.iterdir()))}.png"
            path.write_bytes(content)
            media.append({"bytes": None, "path": str(path)})
    features = datasets.Features(FEATURES | {"label": label})
    return datasets.Dataset.from_dict(
        {"media": media, "label": [row[1] for row in rows]}, features=features
    )


def check(
    label: Any = None,
    memory_limit: int = 2**30,
    folder: Path | None = None,
    args: ImageArgs = USUAL,
    digests: bool = True,
    **splits: list[tuple[bytes, Any]],
) -> list[Finding]:
    label = label or datasets.Value("int64")
    made_of = {name: made(values, label, folder) for name, values in splits.items()}
    for _ in range(2):  # the second time from what the cache keeps of large splits
        found = decoded(made_of, memory_limit, args, digests)
    return image_preflight.check(datasets.DatasetDict(made_of), found, NAMES, args)


def decoded(
    splits: dict[str, datasets.Dataset],
    memory_limit: int = 2**30,
    args: ImageArgs = USUAL,
    digests: bool = True,
) -> dict[str, decoding.Decoded]:
    return {
        name: decoding.decode_split(
            split,
            lambda media: looked_at(media, args),
            lambda image: float(image.size),
            on_bad_file="skip",
            cache_key=f"image preflight {split._fingerprint} {args}",
            memory_limit=memory_limit,
            digests=digests,
        )
        for name, split in splits.items()
    }


def looked_at(media: Any, args: ImageArgs) -> tuple[np.ndarray, dict[str, float]]:
    pixels, facts = images.read(media, background=args.behind, value_range=args.value_range)
    return images.fit(pixels, 16, args.resize or "stretch", args.behind), facts


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("zoo")))


def rows(start: int, count: int) -> list[tuple[bytes, int]]:
    return [(noise(start + place), place % 2) for place in range(count)]


SOUND = {"train": rows(0, 20), "test": rows(100, 6)}


def changed(split: str, *more: tuple[bytes, Any]) -> dict[str, list[tuple[bytes, Any]]]:
    return SOUND | {split: [*SOUND[split], *more]}


@pytest.mark.parametrize("memory_limit", [2**30, 0])
def test_sound_data_pass(memory_limit: int) -> None:
    assert check(memory_limit=memory_limit, **SOUND) == []


def test_the_embedded_digits_pass() -> None:
    splits = digits.load()
    assert image_preflight.check(splits, decoded(splits), [str(n) for n in range(10)]) == []


@pytest.mark.parametrize("in_files", [False, True])
@pytest.mark.parametrize(
    ("splits", "message", "first"),
    [
        (
            changed("train", (noise(3), 1), (noise(3), 1)),
            "train: 2 rows repeat an image of the same split, the first is ",
            ("row 21", "20.png"),
        ),
        (
            changed("test", (noise(3), 1), (noise(5), 1)),
            "2 images of test also in train: what is measured there is too good; the first is ",
            ("row 7", "26.png"),
        ),
        (
            changed("test", (noise(100), 1)),
            "1 image with different labels in different rows, the first is ",
            ("row 1 of test", "20.png of test"),
        ),
    ],
)
def test_images_that_stand_twice(
    in_files: bool,
    splits: dict[str, list[tuple[bytes, int]]],
    message: str,
    first: tuple[str, str],
    tmp_path: Path,
) -> None:
    findings = check(folder=tmp_path if in_files else None, **splits)
    named = str(tmp_path / first[1]) if in_files else first[0]
    assert Finding("warning", message + named) in findings


def test_without_digests_images_go_by_their_files() -> None:
    (finding,) = check(memory_limit=0, digests=False, **changed("test", (noise(3), 1)))
    assert "of test also in train: what is measured there is too good" in finding.message


@pytest.mark.parametrize("memory_limit", [2**30, 0])
def test_other_bytes_of_the_same_pixels_are_the_same_image(memory_limit: int) -> None:
    image = Image.open(io.BytesIO(noise(3)))
    again = changed("test", (png(image, compress_level=0), 1))
    (finding,) = check(memory_limit=memory_limit, **again)
    assert finding.message.startswith("1 image of test also in train")


def test_files_of_one_length_are_not_one_image() -> None:
    bitmaps = []
    for seed in range(26):
        buffer = io.BytesIO()
        Image.open(io.BytesIO(noise(seed))).save(buffer, "BMP")
        bitmaps.append((buffer.getvalue(), seed % 2))
    assert len({len(content) for content, _ in bitmaps}) == 1
    for digests in (True, False):
        splits = {"train": bitmaps[:20], "test": bitmaps[20:]}
        assert check(memory_limit=0, digests=digests, **splits) == []


def test_validation_and_test_in_common_is_no_leak_from_train() -> None:
    findings = check(**SOUND, validation=[(noise(100), 0), (noise(300), 1)])
    (message,) = (finding.message for finding in findings)
    assert message.startswith("1 image of validation also in test; the first is row 1")


def test_images_of_one_colour() -> None:
    blank = [(png(Image.new("RGB", (16, 16), colour)), 0) for colour in ("white", "navy")]
    (finding,) = check(**changed("train", *blank))
    assert finding == Finding("warning", "train: 2 images of one colour, the first is row 21")


def drawn(seed: int) -> bytes:
    """Black on transparent black."""
    alpha = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16), np.uint8))
    return png(Image.merge("LA", (Image.new("L", (16, 16)), alpha)))


@pytest.mark.parametrize("memory_limit", [2**30, 0])
def test_transparency(memory_limit: int) -> None:
    splits = changed("train", (drawn(1), 0), (drawn(2), 1)) | {"validation": [(drawn(3), 0)] * 2}
    said = {finding.message for finding in check(memory_limit=memory_limit, **splits)}
    assert "train: 2 images of 22 with transparency, laid on white" in said
    assert "validation: 2 images of 2 with transparency, laid on white" in said
    assert not any("of one colour" in message for message in said)


@pytest.mark.parametrize("memory_limit", [2**30, 0])
def test_drawings_that_the_background_swallows(memory_limit: int) -> None:
    splits = changed("train", (noise(99), 0), (drawn(1), 0), (drawn(2), 1))
    args = ImageArgs(background="black", resize="stretch")
    messages = [f.message for f in check(memory_limit=memory_limit, args=args, **splits)]
    assert (
        "train: 2 images of 23 with transparency, laid on black, which leaves 2 images of one "
        "colour, the first is row 22: give another `background`"
    ) in messages
    # they look the same now, whatever they were
    assert "train: 1 row repeat an image of the same split, the first is row 23" in messages
    assert (
        "1 image with different labels in different rows, the first is row 22 of train"
    ) in messages


def test_frames_that_are_not_read() -> None:
    buffer = io.BytesIO()
    frames = [Image.open(io.BytesIO(noise(seed))).quantize(64) for seed in (70, 71)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    (finding,) = check(**changed("train", (buffer.getvalue(), 0)))
    assert finding.message == (
        "train: 1 image of several frames or pages, of which the first is read, such as row 21"
    )


def deep(*values: int) -> bytes:
    return png(Image.fromarray(np.resize(np.array(values, np.uint16), (16, 16))))


def test_more_than_8_bits() -> None:
    splits = changed("train", (deep(0, 1000, 4000), 0), (deep(7, 3000), 1))
    splits |= {"validation": [(deep(5, 4096), 0), (deep(3, 9), 1)]}
    args = ImageArgs(background="white", resize="stretch", value_range=(0, 4095))
    messages = [finding.message for finding in check(args=args, **splits)]
    assert (
        "train: 2 images of more than 8 bits, with values from 0 to 4,000; 0 to 4,095 is taken for "
        "black to white (`value_range`)"
    ) in messages
    assert (
        "validation: 2 images of more than 8 bits, with values from 3 to 4,096; 0 to 4,095 is "
        "taken for black to white (`value_range`)"
    ) in messages


def test_squeezed_images() -> None:
    tall = [(noise(500 + place, 48, 16), place % 2) for place in range(5)]
    (finding,) = check(**changed("train", *tall))
    assert finding.message == (
        "train: 20.0% of the images are squeezed or stretched more than 1.5 times to become"
        " 16 x 16; the worst is 48 x 16"
    )


def test_padded_images_are_not_squeezed_and_cropped_ones_are_cut() -> None:
    splits = changed("train", *((noise(500 + i, 48, 16), i % 2) for i in range(5)))
    assert check(args=ImageArgs(resize="pad"), **splits) == []
    (finding,) = check(args=ImageArgs(resize="crop"), **splits)
    assert finding.message == (
        "train: 20.0% of the images lose more than 33% of their area to `resize` crop; the worst is"
        " 48 x 16"
    )


def test_very_different_sizes() -> None:
    large = [(noise(500 + place, 80, 80), place % 2) for place in range(5)]
    (finding,) = check(**changed("train", *large))
    assert finding.message == (
        "train: images of 16 x 16 to 80 x 80 all become 16 x 16, so that things differ in size by"
        " chance"
    )


@pytest.mark.parametrize(
    ("splits", "level", "message"),
    [
        (
            changed("test", (noise(900), 2)),
            "error",
            "test has labels that train never shows: eel (in 1 row)",
        ),
        (changed("train", (noise(900), 2)), "warning", "test has no example of eel"),
        (
            {"train": [(noise(seed), 0) for seed in range(5)]},
            "error",
            "train has only the class cat, and a classifier needs two or more",
        ),
        (
            {"train": [(noise(seed), int(seed < 2)) for seed in range(24)]},
            "warning",
            "train is out of balance: dog has 2 rows (8.3%), cat has 22 (91.7%), 11.0 times as"
            " many",
        ),
    ],
)
def test_labels(splits: dict[str, list[tuple[bytes, int]]], level: Any, message: str) -> None:
    findings = check(**splits)
    assert Finding(level, message) in findings
    assert [finding.level for finding in findings] == sorted(
        (finding.level for finding in findings), key=lambda level: level != "error"
    )


def test_other_kinds_of_labels() -> None:
    several = [(noise(seed), [[0], [1], [0, 1], []][seed % 4]) for seed in range(8)]
    assert check(label=datasets.List(datasets.Value("int64")), train=several) == []
    numbers = [(noise(seed), seed / 7) for seed in range(8)]
    assert check(label=datasets.Value("float32"), train=numbers) == []


def test_bad_files_do_not_count_and_rows_keep_their_numbers() -> None:
    splits = changed("train", (b"text", 0), (noise(0), 0))
    (finding,) = check(**splits)
    assert finding.message.endswith("of the same split, the first is row 22")


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    train = made(rows(0, 4), datasets.Value("int64"), tmp_path)
    splits = datasets.DatasetDict({"train": train})
    found = decoded(splits)
    (tmp_path / "0.png").unlink()
    with pytest.raises(UserError, match="cannot be any more: cannot be opened: No such file"):
        image_preflight.check(splits, found, NAMES)
