"""predict reads as training did, keeps what it is given, and gives one prediction an input."""

import contextlib
import csv
import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import soundfile
import torch
from PIL import Image

import zoo
from tasks.errors import UserError
from tests import cases
from tests.cli import run_cli
from tests.finetuning import MODEL, Run, finetune, lines
from zoo.cli import verbs
from zoo.nlp import bert_cls
from zoo.predict.pipeline import Predictor

STEPS = ("--max_steps", 2, "--eval_strategy", "no", "--learning_rate", 1e-2)
PAIRS = [
    (f"the {thing} was {word} {i}", f"it was {other}", "同" if word == other else "异")
    for i in range(5)
    for thing in ("film", "plot")
    for word in ("fine", "dull")
    for other in ("fine", "dull")
]


def table(path: Path, header: str, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A csv of two texts, two labels and an id; none of the first is called as usual."""
    rows = [(i, *pair, "note", i % 2) for i, pair in enumerate(PAIRS)]
    return table(
        tmp_path_factory.mktemp("data") / "a.csv", "id,body,sentence2,mood,text,label", rows
    )


@pytest.fixture(scope="module")
def pair(tiny_bert: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained on pairs, the second of which was found by its name."""
    folder = tmp_path_factory.mktemp("pair") / "run"
    flags = ("--text_column", "body", "--label_column", "mood")
    return finetune(tiny_bert, data, folder, *STEPS, *flags)


@pytest.fixture(scope="module")
def single(tiny_bert: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained on single texts, although there is a second column."""
    folder = tmp_path_factory.mktemp("single") / "run"
    flags = ("--text_column", "body", "--text_pair_column", "none", "--label_column", "mood")
    return finetune(tiny_bert, data, folder, *STEPS, *flags)


def predict(run: Run, *flags: object) -> list[dict[str, Any]]:
    done = run_cli(run.manifest["module"], "predict", run.folder, *flags)
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.lines]


def refused(run: Run, *flags: object) -> str:
    done = run_cli(run.manifest["module"], "predict", run.folder, *flags)
    assert done.code == 2 and len(done.err.splitlines()) == 1, done.err
    return done.err


def test_a_checkpoint_remembers_its_columns(pair: Run, single: Run) -> None:
    found = [run.manifest["config"]["task"]["columns"] for run in (pair, single)]
    assert found[0] == {"text": "body", "text_pair": "sentence2", "label": "mood"}
    assert found[1] == {"text": "body", "text_pair": None, "label": "mood"}


def test_the_columns_of_the_training_are_read(pair: Run, single: Run, data: Path) -> None:
    texts = {True: [(first, second) for first, second, _ in PAIRS], False: [p[0] for p in PAIRS]}
    for run in (pair, single):
        found = predict(run, "--file", data)
        expected = zoo.load(str(run.folder)).predict(texts[run is pair])
        assert len(found) == len(PAIRS) == len(expected)
        for row, mine, (first, second, mood), i in zip(
            found, expected, PAIRS, range(len(PAIRS)), strict=True
        ):
            assert row.pop("score") == pytest.approx(mine["score"], abs=1e-6)
            others = {"text_pair" if run is pair else "sentence2": second, "mood": mood}
            others |= {"id": str(i), "input_text": "note", "input_label": str(i % 2)}
            assert row == {"text": first, **others, "label": mine["label"]}


def test_evaluate_reads_other_data_as_training_did(single: Run, tmp_path: Path) -> None:
    alike = table(tmp_path / "a.csv", "body,mood", [(first, mood) for first, _, mood in PAIRS])
    other = table(tmp_path / "b.csv", "text,text_pair,mood", PAIRS)
    found = [
        run_cli(
            MODEL, "evaluate", single.folder, "--data", path, "--split", "train", "--mistakes", 0
        )
        for path in (alike, other)
    ]
    assert [done.code for done in found] == [0, 0], found
    losses = [float(done.lines[0].partition("loss ")[2].split(",")[0]) for done in found]
    assert losses[1] == losses[0] and "'text' is read in its place" in found[1].err


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "A.CSV", "a.Parquet"])
def test_formats(name: str, pair: Run, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / name
    expected = predict(pair, "--file", data, "--top_k", 2)
    assert predict(pair, "--file", data, "--top_k", 2, "--output", output) == []
    if name.endswith("jsonl"):
        rows = lines(output)
    elif name.lower().endswith("csv"):
        with output.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row.update(score=float(row["score"]), scores=json.loads(row["scores"]))
    else:
        rows = pyarrow.parquet.read_table(output).to_pylist()
        for row in rows:
            row["scores"] = {each["label"]: each["score"] for each in row["scores"]}
    assert [path.name for path in output.parent.iterdir()] == [name]
    assert rows == expected


def test_types_of_other_columns_in_parquet(single: Run, tmp_path: Path) -> None:
    import datetime

    import pyarrow as pa

    source, output = tmp_path / "a.parquet", tmp_path / "b.parquet"
    days = pa.array([datetime.datetime(2020, 1, 2), None], pa.timestamp("ns"))
    kinds = pa.array(["x", None]).dictionary_encode()
    columns = {"body": ["a", "b"], "day": days, "kind": kinds, "list": [[1.5, None], None]}
    pyarrow.parquet.write_table(pa.table(columns), source)
    predict(single, "--file", source, "--output", output)
    found, given = (pyarrow.parquet.read_table(path) for path in (output, source))
    for name in ("day", "kind", "list"):
        assert found.column(name).equals(given.column(name))
    row = predict(single, "--file", source)[0]
    assert (row["day"], row["kind"], row["list"]) == ("2020-01-02T00:00:00", "x", [1.5, None])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--output", "{}/a.txt"), "ends in .txt, which is none of csv, jsonl, parquet"),
        (("--output", "{}/a.JSON"), "ends in .JSON"),
        (("--output", "{}/a"), "has no ending"),
        (("--output", "{}/a.csv", "--format", "jsonl"), "--format says jsonl"),
        (("--output", "{}"), "is a folder: name a file"),
        (("--format", "parquet"), "name a file with --output"),
        (("--batch_size", 0), "--batch_size 0: at least 1"),
    ],
)
def test_what_can_not_be_written(
    flags: Sequence[object], said: str, single: Run, tmp_path: Path
) -> None:
    asked = [str(flag).format(tmp_path) for flag in flags]
    assert said in refused(single, "--text", "a", *asked)
    assert list(tmp_path.iterdir()) == []


def test_the_input_is_never_replaced(single: Run, data: Path, tmp_path: Path) -> None:
    copy, link = tmp_path / "a.csv", tmp_path / "b.csv"
    copy.write_bytes(data.read_bytes())
    link.symlink_to(copy)
    assert "is the file that is read" in refused(single, "--file", copy, "--output", link)
    assert copy.read_bytes() == data.read_bytes()


def test_a_broken_row_leaves_no_output(single: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "a.csv", tmp_path / "b.jsonl"
    source.write_text('body,n\nfine,1\n"dull,2\nbad,3\n')
    assert "a quote is opened" in refused(single, "--file", source, "--output", output)
    source = tmp_path / "a.txt"
    source.write_bytes(b"fine\n" * 40 + b"caf\xe9\n")
    assert "line 41" in refused(single, "--file", source, "--output", output)
    assert not output.exists() and len(list(tmp_path.iterdir())) == 2


def test_output_to_what_is_no_regular_file(single: Run, tmp_path: Path) -> None:
    target, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    target.write_text("old\n")
    link.symlink_to(target.name)
    (expected,) = predict(single, "--text", "fine")
    predict(single, "--text", "fine", "--output", link)
    assert link.is_symlink() and lines(target) == [expected]
    reading, writing = os.pipe()
    predict(single, "--text", "fine", "--output", f"/dev/fd/{writing}")
    os.close(writing)
    with os.fdopen(reading) as file:
        assert json.load(file) == expected
    assert predict(single, "--text", "fine", "--output", "-") == [expected]


def in_ascii(*argv: object) -> tuple[int, bytes]:
    """A command whose standard output is a terminal of ASCII: its exit code and what it wrote."""
    content = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(content, "ascii")) as stream:
        code = verbs.main(bert_cls.ENTRY, [str(word) for word in argv])
        stream.flush()
        return code, content.getvalue()


def test_a_terminal_without_the_letters(pair: Run, data: Path, tmp_path: Path) -> None:
    texts = ("--text", "café 中文", "--text_pair", "é")
    code, out = in_ascii("predict", pair.folder, *texts)
    (expected,) = predict(pair, *texts)
    assert code == 0 and json.loads(out) == expected  # JSON has escapes of its own
    code, out = in_ascii("predict", pair.folder, *texts, "--format", "csv")
    assert (code, out) == (2, b"text,text_pair,label,score\r\n")  # a csv has none
    code, out = in_ascii("predict", pair.folder, *texts, "--output", tmp_path / "a.csv")
    assert (code, out) == (0, b"") and "café 中文" in (tmp_path / "a.csv").read_text("utf-8")
    code, out = in_ascii("evaluate", pair.folder, "--data", data, "--split", "train")
    assert code == 0 and (b"\\u540c" in out or b"\\u5f02" in out)


@dataclass(frozen=True)
class Given:
    """A model, and one input in several forms."""

    run: Run
    forms: dict[str, Any]
    flags: tuple[str, ...]
    """for the same input of `predict`"""


def make(name: str, request: pytest.FixtureRequest, folder: Path) -> Given:
    """A model of a modality, trained for a moment."""
    if name in ("single", "pair"):
        run: Run = request.getfixturevalue(name)
        first, second, _ = PAIRS[3]
        if name == "single":
            return Given(run, {"text": first, "mapping": {"text": first}}, ("--text", first))
        forms = {"tuple": (first, second), "mapping": {"text": first, "text_pair": second}}
        return Given(run, forms, ("--text", first, "--text_pair", second))
    case = cases.made(request, name)
    run = case.finetune(folder / "run", *STEPS)
    path = sorted(Path(case.inputs[0]).rglob("*.png" if name == "vision" else "*.wav"))[1]
    forms = {"path": path, "name": str(path), "bytes": path.read_bytes()}
    forms["file"] = io.BytesIO(path.read_bytes())
    if name == "vision":
        image = Image.open(path)
        pixels = np.array(image.convert("RGB"))
        forms |= {"PIL": image, "array": pixels, "floats": pixels / 255}
        forms["CHW"] = pixels.transpose(2, 0, 1)
        forms["tensor"] = torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1)
    else:
        wave, rate = soundfile.read(path, dtype="float32")
        forms |= {"array": wave, "int16": soundfile.read(path, dtype="int16")[0]}
        forms["tensor"] = torch.from_numpy(wave)
        forms["record"] = {"array": wave, "sampling_rate": rate}
    return Given(run, forms, (case.input_flag, str(path)))


SLOW = [pytest.param("sound", marks=pytest.mark.slow)]  # it is read as speech is


@pytest.fixture(scope="module", params=["single", "pair", "vision", "speech", *SLOW])
def given(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Given:
    """Each modality in turn."""
    return make(request.param, request, tmp_path_factory.mktemp(request.param))


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert set(one) == set(other)
    for key, value in one.items():
        assert other[key] == (pytest.approx(value, abs=1e-5) if key == "score" else value)


def every_form(model: Predictor, given: Given, expected: dict[str, Any]) -> None:
    for form in given.forms.values():
        found = model.predict(form)
        assert isinstance(found, dict)
        same(found, expected)
    several = [form for name, form in given.forms.items() if name != "file"]  # which has been read
    for row in (several, tuple(several[:1]) * 3, iter(several)):
        count = 3 if isinstance(row, tuple) else len(several)
        found = model.predict(row, batch_size=2)
        assert isinstance(found, list) and len(found) == count
        for each in found:
            same(each, expected)


def test_no_file_that_can_be_used_is_a_mistake(given: Given, tmp_path: Path) -> None:
    if given.flags[0] == "--text":
        pytest.skip("texts are no files")
    (tmp_path / "a.txt").write_text("nothing of the kind")
    bad = (given.flags[0], tmp_path / "a.txt", "--on_bad_file", "skip")
    done = run_cli(given.run.manifest["module"], "predict", given.run.folder, *bad)
    assert done.code == 2 and done.out == "" and "none of 1 files can be used" in done.err
    good = (given.flags[0], tmp_path / "a.txt", given.flags[1], "--on_bad_file", "skip")
    assert len(predict(given.run, *good)) == 1


def test_one_in_one_out(given: Given) -> None:
    model = zoo.load(str(given.run.folder))
    every_form(model, given, result_of(given))
    assert model.predict([]) == []
    for odd in (None, 5, [None]):
        with pytest.raises(UserError):
            model.predict(odd)


def test_logits_are_those_of_the_prediction(given: Given) -> None:
    model = zoo.load(str(given.run.folder))
    form = next(iter(given.forms.values()))
    logits = model.logits(form)
    assert logits.dtype == torch.float32 and logits.device.type == "cpu"
    assert not logits.requires_grad and not logits.is_inference() and len(logits) == 1
    np.testing.assert_allclose(model.logits([form, form])[1], logits[0], atol=1e-5)
    found = model.predict(form)
    if "label" in found:
        scores = logits.softmax(-1)[0]
        assert math.isclose(scores.max(), found["score"], abs_tol=1e-6)
        assert model.task.labels[int(scores.argmax())] == found["label"]
    else:
        assert model.task.to_json(model.task.postprocess({"logits": logits})[0]) == found
    with pytest.raises(UserError, match="no inputs"):
        model.logits([])


def test_numbers_of_nothing_are_refused(single: Run) -> None:
    model = zoo.load(str(single.folder))
    for wrong in ({"batch_size": 0}, {"batch_size": -1}, {"top_k": 0}):
        with pytest.raises(UserError, match="at least 1"):
            model.predict("fine", **wrong)


def result_of(given: Given) -> dict[str, Any]:
    """What `predict` of the command line says, without the input."""
    (written,) = predict(given.run, *given.flags)
    kept = ("label", "score") if "label" in written else ("text",)
    return {key: written[key] for key in kept}


@pytest.mark.parametrize(
    "name",
    [
        "vision",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("pair", "sound", "speech")),
    ],
)
def test_one_in_one_out_of_an_artifact(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    given = make(name, request, tmp_path)
    done = run_cli(given.run.manifest["module"], "export", given.run.folder, "--runtime", "onnx")
    assert done.code == 0, done.err
    every_form(zoo.load(str(given.run.folder), deployment="onnx"), given, result_of(given))
