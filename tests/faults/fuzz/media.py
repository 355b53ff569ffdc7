"""Folders and tables of media, with odd files and odd paths among them."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.faults.fuzz import mutations
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import SPEECH, Model, measured

Write = Callable[[Path], object]
PATHS = ("", ".", "..", "/", "/dev/null", "/etc/passwd", "../in/x.png", "a\0b", "x" * 300)
PATHS += ("https://example.org/a.png", "file:///etc/passwd", "\\\\host\\share\\a.png", "写真.png")
PATHS += ("train", " ", "nan", "C:\\a.png", mutations.STEERING, "-")
TABLES = ("metadata.csv", "metadata.jsonl", "data.csv", "metadata.tsv", "metadata.parquet")


def folder_case(scene: Scene, model: Model, odd: Mapping[str, Write]) -> Command:
    """A folder with one or two odd files: to predict on, to evaluate on, to train on."""
    draw = scene.draw
    verb = draw.choices(("finetune", "evaluate", "predict"), (2, 2, 6))[0]
    data = scene.copy(model.data, draw.choice(("media", "my media", "写真")))
    split = data / ("train" if verb == "finetune" or scene.chance(0.2) else "test")
    labels = sorted(path for path in split.iterdir() if path.is_dir()) or [split]
    names = draw.sample([*odd], draw.choice((1, 1, 2)))
    files, said = [], [*names]
    for name in names:
        file = draw.choice(labels) / name
        odd[name](file)
        if scene.chance(0.15):
            _damage(scene, file)
            said.append("damaged")
        files.append(file)
    if scene.chance(0.1):
        aim = draw.choice((files[0], Path("nowhere"), data))
        (labels[0] / f"link{model.suffix}").symlink_to(aim)
        said.append("a link")
    what = f"{verb}: {', '.join(said)}"[:300]
    skip = ("--on_bad_file", draw.choice(("skip", "stop"))) if scene.chance(0.5) else ()
    if verb == "finetune":
        return Command(model.module, model.finetune(scene, *skip, data=data), what, run=scene.run)
    if verb == "evaluate":
        checkpoint = scene.copy(model.name)
        words = ("evaluate", str(checkpoint), "--data", str(data), *skip)
        return Command(model.module, words, what, writes=measured(checkpoint))
    return _predict(scene, model, data, files, what, skip)


def _predict(
    scene: Scene, model: Model, data: Path, files: list[Path], what: str, skip: tuple[str, ...]
) -> Command:
    good = min(file for file in data.rglob(f"*{model.suffix}") if file not in files)
    named = [str(data)] if scene.chance(0.3) else [str(good), *map(str, files)]
    words = ("predict", str(scene.world / model.name), model.files, *named, *skip)
    rows = None if "skip" in skip or len(named) == 1 else len(named)
    output = None
    if scene.chance(0.5):
        output = scene.out / scene.draw.choice(("labels.csv", "labels.jsonl"))
        words += ("--output", str(output))
    return Command(model.module, words, what, output=output, rows=rows)


def _damage(scene: Scene, file: Path) -> None:
    if file.is_file() and not file.is_symlink():
        file.write_bytes(mutations.spoil(scene.draw, file.read_bytes(), is_text=False)[0])


def table_case(scene: Scene, model: Model, odd: Mapping[str, Write]) -> Command:
    """A table that names media: an odd path, label, file or name among them."""
    draw = scene.draw
    data = scene.inputs / "listed"
    data.mkdir()
    named = draw.choice(("file_name", "file_name", "file_name", "path", "image", "audio", "x"))
    rows: list[dict[str, object]] = []
    for file, said in _labelled(scene.world / model.data / "train", model.suffix):
        (data / file.name).write_bytes(file.read_bytes())
        rows.append({named: file.name, "transcription" if model is SPEECH else "label": said})
    column = draw.choice([*rows[0]])
    if scene.chance(0.25):
        value: object = draw.choice([*odd])
        odd[str(value)](data / str(value))
        column = named
    else:
        value = draw.choice(
            (*(PATHS if column == named else mutations.WORDS), None, 3, True, ["a"])
        )
    rows[draw.randrange(len(rows))][column] = value
    table = data / draw.choice(TABLES)
    _write_table(table, rows)
    what = f"{table.name}: {column} is {value!r}"[:200]
    if scene.chance(0.15):
        content, how = mutations.spoil(draw, table.read_bytes())
        table.write_bytes(content)
        what = f"{what}, {how}"
    source = data if scene.chance(0.7) else table
    skip = ("--on_bad_file", "skip") if scene.chance(0.3) else ()
    if scene.chance(0.5):
        return Command(model.module, model.finetune(scene, *skip, data=source), what, run=scene.run)
    checkpoint = scene.copy(model.name)
    words = ("evaluate", str(checkpoint), "--data", str(source), *skip)
    return Command(model.module, words, what, writes=measured(checkpoint))


def _labelled(folder: Path, suffix: str) -> list[tuple[Path, str]]:
    """The first files of a split with their labels, or with what is said in them."""
    listing = folder / "metadata.csv"
    if not listing.is_file():
        files = sorted(folder.rglob(f"*{suffix}"))
        unique = {file.name: file for file in files}
        return [(file, file.parent.name) for file in unique.values()]
    with listing.open(newline="") as table:
        rows = list(csv.DictReader(table))[:16]
    return [(folder / row["file_name"], row["transcription"]) for row in rows]


def _write_table(path: Path, rows: list[dict[str, object]]) -> None:
    names = [*rows[0]]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        columns = {
            name: [None if row[name] is None else _plain(row[name]) for row in rows]
            for name in names
        }
        parquet.write_table(pyarrow.table(columns), path)
    else:
        with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
            writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writerows([names, *([row[name] for name in names] for row in rows)])


def _plain(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()
