"""Folders and tables of media, with odd files and odd paths among them."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.faults.fuzz import mutations
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import Model, evidence_of

Write = Callable[[Path], object]
PATHS = ("", ".", "..", "/", "/dev/null", "/etc/passwd", "../in/x.png", "a\0b", "x" * 300)
PATHS += ("https://example.org/a.png", "file:///etc/passwd", "\\\\host\\share\\a.png", "写真.png")
PATHS += ("train", " ", "nan", "C:\\a.png", mutations.STEERING, "-")
TABLES = ("metadata.csv", "metadata.jsonl", "data.csv", "metadata.tsv", "metadata.parquet")


def folder_case(scene: Scene, model: Model, odd: Mapping[str, Write]) -> Command:
    """A folder with one or two odd files: to predict on, to evaluate on, to train on."""
    draw = scene.draw
    data = scene.copy(model.data, draw.choice(("media", "my media", "写真")))
    labels = sorted(path for path in data.glob("*/*/") if path.is_dir()) or sorted(data.glob("*/"))
    names = draw.sample([*odd], draw.choice((1, 1, 2)))
    files, said = [], [*names]
    for name in names:
        place = draw.choice(labels)
        file = place / name
        odd[name](file)
        if scene.chance(0.25):
            _damage(scene, file)
            said.append("damaged")
        files.append(file)
    if scene.chance(0.1):
        (labels[0] / f"link{model.suffix}").symlink_to(
            draw.choice((files[0], Path("nowhere"), data))
        )
        said.append("a link")
    return _verb(scene, model, data, files, f"{', '.join(said)}"[:300])


def _verb(scene: Scene, model: Model, data: Path, files: list[Path], what: str) -> Command:
    draw = scene.draw
    skip = ("--on_bad_file", draw.choice(("skip", "stop"))) if scene.chance(0.5) else ()
    verb = draw.choices(("finetune", "evaluate", "predict"), (2, 2, 6))[0]
    if verb == "finetune":
        words = model.finetune(scene, *skip, data=data)
        return Command(model.module, words, what, run=scene.run)
    if verb == "evaluate":
        checkpoint = scene.copy(model.name)
        words = ("evaluate", str(checkpoint), "--data", str(data), *skip)
        if scene.chance(0.3):
            words += ("--split", "train")
        writes = (evidence_of(checkpoint), f"{checkpoint.name}/plots*")
        return Command(model.module, words, what, writes=writes)
    good = min(file for file in data.rglob(f"*{model.suffix}") if file not in files)
    named = [str(data)] if scene.chance(0.3) else [str(good), *map(str, files)]
    words = ("predict", str(scene.world / model.name), model.files, *named, *skip)
    rows = None if "skip" in skip or len(named) == 1 else len(named)
    output = None
    if scene.chance(0.5):
        output = scene.out / draw.choice(("labels.csv", "labels.jsonl"))
        words += ("--output", str(output))
    return Command(model.module, words, what, output=output, rows=rows)


def _damage(scene: Scene, file: Path) -> None:
    if file.is_file() and not file.is_symlink():
        file.write_bytes(mutations.spoil(scene.draw, file.read_bytes(), is_text=False)[0])


def table_case(scene: Scene, model: Model, media: str) -> Command:
    """A table that names media, some of them by odd paths."""
    draw = scene.draw
    data = scene.inputs / "listed"
    data.mkdir()
    files = sorted((scene.world / media).glob(f"train/**/*{model.suffix}"))[:12]
    named = draw.choice(("file_name", "file_name", "file_name", "path", "image", "audio", "x"))
    said = draw.choice(("label", "label", "transcription"))
    rows = []
    for i, file in enumerate(files):
        (data / file.name).write_bytes(file.read_bytes())
        rows.append({named: file.name, said: ("one", "two", "three")[i % 3]})
    path: object = draw.choice((*PATHS, None, 3, True, ["a"]))
    rows[draw.randrange(len(rows))][named] = path
    if scene.chance(0.3):
        rows[draw.randrange(len(rows))][said] = draw.choice((*mutations.WORDS, None, 3))
    kind = draw.choice(TABLES)
    _write_table(data / kind, rows, list(rows[0]))
    if scene.chance(0.15):
        content, _ = mutations.spoil(draw, (data / kind).read_bytes())
        (data / kind).write_bytes(content)
    source = data if scene.chance(0.7) else data / kind
    what = f"{kind} with {path!r}"[:200]
    if scene.chance(0.5):
        return Command(
            model.module,
            model.finetune(scene, data=source),
            what,
            run=scene.run,
        )
    checkpoint = scene.copy(model.name)
    words = ("evaluate", str(checkpoint), "--data", str(source))
    return Command(model.module, words, what, writes=(evidence_of(checkpoint),))


def _write_table(path: Path, rows: list[dict[str, object]], names: list[str]) -> None:
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
