"""Folders of texts, MNIST's and CIFAR's files, GLUE's and Excel's tables, and flags that go with
them: damaged, misnamed, misplaced."""

import gzip
import io
import random
import struct
import zipfile
from pathlib import Path

import numpy as np

from tests import tiny_text
from tests.faults.fuzz import mutations
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import RNN, TEXT, VISION, measured

ROOTS = ("aclImdb", "my texts", "20news-bydate-train", "写真")
LAYOUTS = (
    "{split}/{label}/{i}.txt",
    "{label}/{i}",
    "{label}/deep/{i}.text",
    "x/{split}/{label}/{i}",
)
BESIDE = (
    "README",
    "train/urls.txt",
    "train/unsup/0.txt",
    "more/pos/1.txt",
    "a.csv",
    "pos",
    "1.txt",
)
CLEAN = ("html", "space,duplicates", "html,space,duplicates", "", ",", "htm", "none,html", "写真")
GLUE = (
    "sentence\tlabel",
    "index\tquestion\tsentence\tlabel",
    "index\tsentence1\tsentence2\tlabel",
    "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
)
COLUMNS = ("label", "label,label", "text,label", ",", "a,b", "label,", "写真,label")


def text_folders(scene: Scene) -> Command:
    """A folder of texts to train on, to evaluate on, or to label."""
    draw = scene.draw
    root = scene.inputs / draw.choice(ROOTS)
    layout, said = draw.choice(LAYOUTS), []
    for i, (text, label) in enumerate(tiny_text.review_rows()[:24]):
        name = layout.format(split=("train", "test")[i % 4 == 0], label=label, i=i)
        content = f"{text}<br />".encode()
        if draw.random() < 0.06:
            content, how = mutations.spoil(draw, content)
            said.append(how)
        _write(root / name, content)
    if scene.chance(0.6):
        beside = root / draw.choice(BESIDE)
        if not beside.exists():
            _write(beside, draw.choice((b"x", b"\0", b"", b"text,label\nx,y\n")))
            said.append(f"a {beside.relative_to(root)}")
    what = f"{layout}: {', '.join(said) or 'as it should be'}"[:300]
    verb = draw.choices(("finetune", "evaluate", "predict"), (5, 2, 2))[0]
    if verb == "finetune":
        model = draw.choice((TEXT, RNN))
        flags = ("--clean", draw.choice(CLEAN)) if scene.chance(0.5) else ()
        words = model.finetune(scene, *flags, data=root)
        return Command(model.module, words, f"{what} {' '.join(flags)}", run=scene.run)
    checkpoint = scene.copy("text", without=("state",))
    if verb == "evaluate":
        words = ("evaluate", str(checkpoint), "--data", str(root))
        return Command(TEXT.module, words, what, writes=measured(checkpoint))
    return Command(TEXT.module, ("predict", str(checkpoint), "--file", str(root)), what)


def array_files(scene: Scene) -> Command:
    """MNIST's or CIFAR's files to train on, one of them damaged."""
    draw, rng = scene.draw, np.random.default_rng(scene.draw.randrange(2**32))
    files = draw.choice((_idx, _cifar))(draw, rng)
    said = []
    if scene.chance(0.7):
        name = draw.choice([*files])
        files[name], how = mutations.spoil(draw, files[name], is_text=False)
        said.append(f"{name} {how}")
    if scene.chance(0.2):
        name = draw.choice([*files])
        files[name.removesuffix(".bin")] = files.pop(name)
        said.append(f"{name} without its suffix")
    if scene.chance(0.1):
        del files[draw.choice([*files])]
        said.append("one is missing")
    root = scene.inputs / "data"
    for name, content in files.items():
        _write(root / name, content)
    data = root if scene.chance(0.8) or not files else root / draw.choice([*files])
    words = VISION.finetune(scene, data=data)
    return Command(VISION.module, words, ", ".join(said) or "as it should be", run=scene.run)


def _idx(draw: random.Random, rng: np.random.Generator) -> dict[str, bytes]:
    files = {}
    pack = draw.random() < 0.5
    prefix = draw.choice(("MNIST/raw/", "", "emnist-letters-"))
    for split, n in (("train", 24), ("t10k" if "emnist" not in prefix else "test", 8)):
        arrays = {"images-idx3": rng.integers(0, 256, (n, 8, 8)), "labels-idx1": np.arange(n) % 3}
        for what, array in arrays.items():
            head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            content = head + array.astype(np.uint8).tobytes()
            name = f"{prefix}{split}-{what}-ubyte"
            files[f"{name}.gz" if pack else name] = (
                gzip.compress(content, mtime=0) if pack else content
            )
    return files


def _cifar(draw: random.Random, rng: np.random.Generator) -> dict[str, bytes]:
    files = {"batches.meta.txt": "\n".join(f"class {i}" for i in range(10)).encode()}
    for name in ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"):
        rows = rng.integers(0, 256, (12, 3073), np.uint8)
        rows[:, 0] %= 10
        files[name] = rows.tobytes()
    return files


def own_tables(scene: Scene) -> Command:
    """A table of GLUE's or of Excel to train on, or one of several numbers."""
    draw = scene.draw
    way = draw.choice(("glue", "cola", "xlsx", "numbers"))
    texts = [text for text, _ in tiny_text.review_rows()[:24]]
    flags: tuple[str, ...] = ()
    if way == "xlsx":
        name, content = "data.xlsx", _xlsx(texts)
    elif way == "numbers":
        rows = "".join(f'"{text}",{i},{i / 3:.2f}\n' for i, text in enumerate(texts))
        name, content = "data.csv", f"text,label,size\n{rows}".encode()
        flags = ("--label_column", draw.choice(("label,size", *COLUMNS)))
    else:
        header = "" if way == "cola" else draw.choice(GLUE)
        name, content = "train.tsv", _glue(draw, header, texts).encode()
    what = f"{way} {' '.join(flags)}"
    if scene.chance(0.6):
        content, how = mutations.spoil(draw, content, way != "xlsx")
        what = f"{what}: {how}"
    _write(scene.inputs / name, content)
    words = TEXT.finetune(scene, *flags, data=scene.inputs / name)
    return Command(TEXT.module, words, what, run=scene.run)


def _glue(draw: random.Random, header: str, texts: list[str]) -> str:
    lines = [header] if header else []
    names = header.split("\t") if header else ["source", "label", "mark", "sentence"]
    for i, text in enumerate(texts):
        quote = draw.choice(("", "", '"'))
        cells = {"label": i % 2, "is_duplicate": i % 2, "mark": "", "source": "gj04"}
        row = [str(cells.get(name, i if "id" in name else f"{quote}{text}")) for name in names]
        lines.append("\t".join(row))
    return "\n".join(lines)


def _xlsx(texts: list[str]) -> bytes:
    """A sheet with its texts inline, as the least that Excel opens."""
    rows = [("text", "label"), *((text, "ab"[i % 2]) for i, text in enumerate(texts))]
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{one}</t></is></c>' for one in row) + "</row>"
        for row in rows
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    links = "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
        'content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-'
        'package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType='
        f'"{kind}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType='
        f'"{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{links}"><Relationship Id="rId1" Type="{office}'
        '/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="one"'
        ' sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{links}"><Relationship Id="rId1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData>'
        "</worksheet>",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in parts.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
