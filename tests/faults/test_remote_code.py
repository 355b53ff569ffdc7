"""A module in a model's folder is never run, whatever comes from stdin: one line at every entry."""

import io
import shutil
import sys
from pathlib import Path

import pytest

import zoo
from bench import cli as bench_cli
from tasks.errors import UserError
from tests import tiny_models
from tests.cli import Done, run_cli, run_process
from tests.faults.planted import change, plant_module, sign
from tools.cards import cli as cards_cli
from tools.hub import cli as hub_cli

YES = "y\nyes\n1\n" * 1000
BERT = "zoo.nlp.bert_cls"


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint of bert_cls; copy it to change it."""
    folder = tmp_path_factory.mktemp("trained")
    return tiny_models.checkpoint("bert_cls", request.getfixturevalue, folder)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """The file that exists once the module was run."""
    return tmp_path / "MARKER"


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path, marker: Path) -> Path:
    """A checkpoint, whole by its own sums, that names a module to be run."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(trained, folder)
    plant_module(folder, marker)
    return folder


@pytest.fixture
def pretrained(tiny_bert: Path, tmp_path: Path, marker: Path) -> Path:
    """Weights that name a module to be run."""
    folder = tmp_path / "pretrained"
    shutil.copytree(tiny_bert, folder)
    plant_module(folder, marker)
    return folder


def must_be_refused(done: Done, marker: Path) -> None:
    assert not marker.exists(), "the module was run"
    assert done.code == 2, (done.out, done.err)
    assert len(done.err.splitlines()) == 1, done.err
    assert "auto_map" in done.err and "refused" in done.err


def test_the_module_is_run_by_whoever_trusts_it(pretrained: Path, marker: Path) -> None:
    """Else the tests below would pass for another reason."""
    from transformers import AutoModel

    AutoModel.from_pretrained(pretrained, trust_remote_code=True)
    assert marker.exists()


def test_yes_is_no_consent_to_finetune(
    pretrained: Path, reviews: Path, marker: Path, tmp_path: Path
) -> None:
    flags = ("--model", pretrained, "--data", reviews, "--output_dir", tmp_path / "run")
    done = run_process(BERT, "finetune", *flags, "--max_steps", 1, stdin=YES)
    must_be_refused(done, marker)
    assert not (tmp_path / "run").exists()


def test_the_first_text_is_no_consent_to_predict(checkpoint: Path, marker: Path) -> None:
    must_be_refused(run_process(BERT, "predict", checkpoint, stdin="y\nfine, I loved it\n"), marker)


ENTRIES = {
    "finetune": (BERT, "finetune", "--model", "WEIGHTS", "--data", "DATA"),
    "from scratch": (BERT, "finetune", "--model", "WEIGHTS", "--from_scratch", "--data", "DATA"),
    "teacher": (BERT, "finetune", "--model", "WHOLE", "--teacher", "CHECKPOINT", "--data", "DATA"),
    "qat": (BERT, "finetune", "--qat", "CHECKPOINT", "--data", "DATA"),
    "pretrain": ("zoo.nlp.bert_mlm", "pretrain", "--model", "WEIGHTS", "--data", "DATA"),
    "evaluate": (BERT, "evaluate", "CHECKPOINT", "--data", "DATA"),
    "predict": (BERT, "predict", "CHECKPOINT"),
    "predict a deployment": (BERT, "predict", "CHECKPOINT", "--deployment", "onnx"),
    "zero-shot": (BERT, "predict", "WEIGHTS", "--zero_shot", "--labels", "a,b"),
    "export": (BERT, "export", "CHECKPOINT", "--runtime", "onnx"),
    "quantize": (BERT, "quantize", "CHECKPOINT", "--data", "DATA"),
    "prune": (BERT, "prune", "CHECKPOINT", "--data", "DATA"),
    "verify": ("zoo", "verify", "CHECKPOINT"),
    "bench run": ("bench", "run", "CHECKPOINT"),
    "bench decide": ("bench", "decide", "CHECKPOINT"),
    "bench compare": ("bench", "compare", "CHECKPOINT"),
    "bench peers": ("bench", "peers", "CHECKPOINT"),
    "cards": ("tools.cards", "CHECKPOINT"),
    "check of cards": ("tools.cards", "CHECKPOINT", "--check"),
    "push": ("tools.hub", "push", "CHECKPOINT", "me/reviews"),
}
MAINS = {"bench": bench_cli.main, "tools.cards": cards_cli.main, "tools.hub": hub_cli.main}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_refuses(
    entry: str,
    checkpoint: Path,
    pretrained: Path,
    tiny_bert: Path,
    reviews: Path,
    marker: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    module, *words = ENTRIES[entry]
    places = {"CHECKPOINT": checkpoint, "WEIGHTS": pretrained, "WHOLE": tiny_bert, "DATA": reviews}
    argv = [str(places.get(word, word)) for word in words]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO(YES))
    if module in MAINS:
        capfd.readouterr()
        code = MAINS[module](argv)
        done = Done(code, *capfd.readouterr())
    else:
        done = run_cli(module, *argv)
    must_be_refused(done, marker)


def test_zoo_load_refuses(checkpoint: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(YES))
    for deployment in ("eager", "onnx"):
        with pytest.raises(UserError, match=r"config\.json.*auto_map.*refused"):
            zoo.load(str(checkpoint), deployment=deployment)
    assert not marker.exists()


@pytest.mark.parametrize("place", ["tokenizer_config.json", "preprocessor_config.json", "nested"])
def test_it_may_be_named_anywhere(
    place: str, trained: Path, tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(trained, folder)
    plant_module(folder, marker)
    change(folder / "config.json", lambda c: c.update(model_type="bert"))
    named: dict[str, object] = {}
    change(folder / "config.json", lambda c: named.update(auto_map=c.pop("auto_map")))
    if place == "nested":
        change(folder / "config.json", lambda c: c.update(encoder={"inner": [named]}))
    else:
        path = folder / place
        path.write_text(path.read_text() if path.exists() else "{}")
        change(path, lambda c: c.update(named))
    sign(folder)
    monkeypatch.setattr(sys, "stdin", io.StringIO(YES))
    must_be_refused(run_cli(BERT, "predict", folder), marker)
