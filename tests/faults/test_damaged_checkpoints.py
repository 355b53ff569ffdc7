"""A checkpoint that is damaged in a way its sums do not show costs one line at every reader."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zoo
from tasks.errors import UserError
from tests import tiny_models
from tests.cli import Done, run_cli
from tests.faults.planted import change, sign
from tools.cards import cli as cards_cli
from zoo.store import evidence
from zoo.store.checkpoint import MANIFEST

MODULES = {"bert_cls": "zoo.nlp", "cnn_cls": "zoo.vision", "kws_cls": "zoo.speech"}
MODULES["whisper_asr"] = "zoo.speech"
DATA = {"bert_cls": "reviews", "cnn_cls": "images", "kws_cls": "sounds"}
DATA["whisper_asr"] = "utterances"
SUBJECT = "subject"


@pytest.fixture(scope="module")
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A tiny checkpoint of a model, made once; copy it to change it."""
    made: dict[str, Path] = {}

    def make(model: str) -> Path:
        if model not in made:
            folder = tmp_path_factory.mktemp(model)
            made[model] = tiny_models.checkpoint(model, request.getfixturevalue, folder)
        return made[model]

    return make


def sets(*path: str | int, to: object) -> Callable[[Path], None]:
    """What puts a value into a JSON file."""

    def edit(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = to

    return lambda file: change(file, edit)


def becomes(content: bytes) -> Callable[[Path], None]:
    """What replaces a file."""
    return lambda file: file.write_bytes(content) and None  # type: ignore[func-returns-value]


def header(*path: str | int, to: object) -> Callable[[Path], None]:
    """What puts a value into the header of a safetensors file."""

    def edit(file: Path) -> None:
        content = file.read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        said = json.loads(content[8:end])
        inner = said
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = to
        new = json.dumps(said).encode()
        file.write_bytes(len(new).to_bytes(8, "little") + new + content[end:])

    return edit


def splits(pattern: str) -> Callable[[Path], None]:
    """What gives a tokenizer a regular expression to cut texts by."""
    rule = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return sets("pre_tokenizer", to=rule)


def as_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


DEEP = b'{"a":' * 50_000
CASES: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "config empty": ("bert_cls", "config.json", becomes(b" ")),
    "config list": ("bert_cls", "config.json", becomes(b"[]")),
    "config null": ("cnn_cls", "config.json", becomes(b"null")),
    "config deep": ("kws_cls", "config.json", becomes(DEEP)),
    "config binary": ("bert_cls", "config.json", becomes(b"\xff\x00\xfe")),
    "config pipe": ("bert_cls", "config.json", as_pipe),
    "no model type": ("bert_cls", "config.json", sets("model_type", to=None)),
    "model type of others": ("bert_cls", "config.json", sets("model_type", to="resnet")),
    "layers without end": ("bert_cls", "config.json", sets("num_hidden_layers", to=2**40)),
    "heads": ("bert_cls", "config.json", sets("num_attention_heads", to=3)),
    "text for a size": ("bert_cls", "config.json", sets("hidden_size", to="x")),
    "huge": ("bert_cls", "config.json", sets("num_hidden_layers", to=-1)),
    "activation": ("bert_cls", "config.json", sets("hidden_act", to="nothing")),
    "fewer words": ("bert_cls", "config.json", sets("vocab_size", to=3)),
    "widths": ("cnn_cls", "config.json", sets("widths", to=None)),
    "bands": ("kws_cls", "config.json", sets("num_mel_bins", to=[])),
    "tokenizer list": ("bert_cls", "tokenizer.json", becomes(b"[]")),
    "tokenizer cut": ("bert_cls", "tokenizer.json", becomes(b'{"version": "1.0"')),
    "no vocabulary": ("bert_cls", "tokenizer.json", sets("model", "vocab", to=[])),
    "regular expression": ("bert_cls", "tokenizer.json", splits("(")),
    "template that panics": (
        "bert_cls",
        "tokenizer.json",
        sets(
            "post_processor",
            to={
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "A", "type_id": 0}}],
                "pair": [],
                "special_tokens": {},
            },
        ),
    ),
    "characters that panic": (
        "bert_cls",
        "tokenizer.json",
        sets("normalizer", to={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    ),
    "endless padding": (
        "bert_cls",
        "tokenizer.json",
        sets(
            "padding",
            to={
                "strategy": {"Fixed": 10**12},
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "[PAD]",
            },
        ),
    ),
    "tokenizer config": ("bert_cls", "tokenizer_config.json", becomes(b"[]")),
    "class that is none": (
        "bert_cls",
        "tokenizer_config.json",
        sets("added_tokens_decoder", to={"0": 3}),
    ),
    "processor list": ("cnn_cls", "preprocessor_config.json", becomes(b"[]")),
    "processor size": ("cnn_cls", "preprocessor_config.json", sets("size", to="x")),
    "processor side": ("cnn_cls", "preprocessor_config.json", sets("size", "height", to=10**30)),
    "processor mean": ("cnn_cls", "preprocessor_config.json", sets("image_mean", to=["a"])),
    "rate": ("kws_cls", "preprocessor_config.json", sets("sampling_rate", to=-1)),
    "features": ("kws_cls", "preprocessor_config.json", sets("feature_size", to="x")),
    "extractor": ("kws_cls", "preprocessor_config.json", becomes(b"3")),
    "frames": ("whisper_asr", "preprocessor_config.json", sets("chunk_length", to=3)),
    "weights cut": ("bert_cls", "model.safetensors", becomes(b"\x10")),
    "weights of text": ("cnn_cls", "model.safetensors", becomes(b"no weights at all")),
    "header offsets": (
        "bert_cls",
        "model.safetensors",
        header("classifier.bias", "data_offsets", to=["a", None]),
    ),
    "header type": ("bert_cls", "model.safetensors", header("classifier.bias", "dtype", to="X")),
    "header list": ("bert_cls", "model.safetensors", header("classifier.bias", to=[])),
}


def one_line(done: Done) -> None:
    assert done.code == 2, (done.out, done.err)
    assert len(done.err.splitlines()) == 1, done.err


@pytest.mark.parametrize("case", CASES)
def test_every_reader_says_so_in_one_line(
    case: str,
    whole: Callable[[str], Path],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    model, name, damage = CASES[case]
    folder, data = tmp_path / "run", request.getfixturevalue(DATA[model])
    shutil.copytree(whole(model), folder)
    damage(folder / name)
    if (folder / name).is_file():
        sign(folder)
    sound = next(iter(sorted(data.rglob("*.wav"))), None)
    picture = next(iter(sorted(data.rglob("*.png"))), None)
    inputs = {
        "bert_cls": ("--text", "a fine film"),
        "cnn_cls": ("--image", picture),
        "kws_cls": ("--audio", sound),
        "whisper_asr": ("--audio", sound),
    }[model]
    one_line(run_cli(f"{MODULES[model]}.{model}", "predict", folder, *inputs))
    assert "panicked" not in "".join(capfd.readouterr())  # Rust's own words go by sys.stderr
    one_line(run_cli(f"{MODULES[model]}.{model}", "evaluate", folder, "--data", data))
    with pytest.raises(UserError):
        zoo.load(str(folder)).predict([str(inputs[1])])


@pytest.mark.parametrize("verb", ["predict", "evaluate", "finetune"])
def test_an_expression_that_panics_on_a_text_is_told(
    verb: str, whole: Callable[[str], Path], tmp_path: Path
) -> None:
    """It looks back for ever on some texts only, and Rust's panic passes `except Exception`."""
    folder = tmp_path / "run"
    shutil.copytree(whole("bert_cls"), folder)
    splits("(x+x+)+y")(folder / "tokenizer.json")
    sign(folder)
    (tmp_path / "data.csv").write_text(
        "text,label\n"
        + "".join(f"{'x' * 60} {i},{['negative', 'positive'][i % 2]}\n" for i in range(40))
    )
    words: tuple[object, ...] = {
        "predict": (folder, "--text", "x" * 60),
        "evaluate": (folder, "--data", tmp_path / "data.csv"),
        "finetune": (
            "--model",
            folder,
            "--data",
            tmp_path / "data.csv",
            "--output_dir",
            tmp_path / "new",
        ),
    }[verb]
    done = run_cli("zoo.nlp.bert_cls", verb, *words)
    one_line(done)
    assert "tokenizer fails on a text" in done.err and "Onig" in done.err


def test_the_same_checkpoint_undamaged_is_read(
    whole: Callable[[str], Path], tmp_path: Path
) -> None:
    """Else the cases above would pass for another reason."""
    for model in MODULES:
        shutil.copytree(whole(model), tmp_path / model)
        sign(tmp_path / model)
        zoo.load(str(tmp_path / model))


FACTS: dict[str, dict[str, object]] = {
    "kind": {"kind": []},
    "value": {"value": "0.5"},
    "huge": {"value": 10**400},
    "n": {"n": "x"},
    "interval": {"interval": {"low": "a", "high": 1, "level": 0.95, "method": "x"}},
    "data set": {"dataset": {"name": [1], "fingerprint": {}}},
    "versions": {"versions": {"torch": 2}},
    "machine": {"machine": "mine"},
    "newer": {"schema": 2, "interval": 3, "dataset": "x", "n": {}, "value": []},
}


@pytest.mark.parametrize("case", [*FACTS, "deep", "binary", "half a character"])
def test_a_line_of_evidence_of_another_shape_costs_that_line(
    case: str, whole: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole("bert_cls"), folder)
    before = evidence.read(folder)
    content = {**before[0].content(), **FACTS.get(case, {})}
    line = json.dumps(content | {"id": evidence._identify(content)}).encode()
    if case not in FACTS:
        line = {"deep": DEEP, "binary": b"\xff\x00", "half a character": b'{"a": "\\ud800"}'}[case]
    with (folder / evidence.FILE).open("ab") as file:
        file.write(line + b"\n")
    read = evidence.read(folder)
    assert [fact.id for fact in read[: len(before)]] == [fact.id for fact in before]
    assert len(read) == len(before) + (case == "newer")
    assert cards_cli.main([str(folder)]) == 0, capfd.readouterr().err
    assert run_cli("zoo", "info", folder).code == 0


@pytest.mark.parametrize("name", ["card.md", evidence.FILE, MANIFEST, "config.json"])
def test_what_is_no_file_is_refused(
    name: str, whole: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for kind in (os.mkfifo, os.mkdir, lambda path: path.symlink_to(path)):
        folder = tmp_path / "run"
        shutil.copytree(whole("bert_cls"), folder)
        (folder / name).unlink(missing_ok=True)
        kind(folder / name)
        capfd.readouterr()
        code = cards_cli.main([str(folder)])
        one_line(Done(code, *capfd.readouterr()))
        shutil.rmtree(folder)
