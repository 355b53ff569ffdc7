"""Plain transformers reads a checkpoint, in a process that knows nothing of this project."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import run_cli
from tests.finetuning import MODEL, Run, finetune

TEXTS = [
    "the film was truly wonderful",
    "the plot was rather dull, simply awful",
    "nothing of this was ever seen in training: 12 zebras!",
    "",
    "a very long text about the music and the camera " * 30,
]
# Where torch is a CPU build and torchvision or torchaudio a CUDA build, plain transformers cannot
# import any pipeline, text or not: there, and only there, the broken one counts as not installed.
PROGRAM = """
import importlib, json, sys
for name in ("torchvision", "torchaudio"):
    try:
        importlib.import_module(name)
    except (ImportError, RuntimeError, OSError):
        sys.modules[name] = None
from transformers import pipeline
known = [name for name in sys.modules if name.partition(".")[0] in ("zoo", "tasks")]
assert not known, known
pipe = pipeline("text-classification", model=sys.argv[1], device="cpu", top_k=None)
print(json.dumps(pipe(json.loads(sys.stdin.read()), truncation=True)))
"""


def _plain(folder: Path, texts: list[str], cwd: Path) -> list[list[dict[str, object]]]:
    """What the pipeline says; -I: no PYTHONPATH and not the folder it runs in."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(folder)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _compare(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "texts.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    done = run_cli(MODEL, "predict", run.folder, "--file", source, "--top_k", 9)
    assert done.code == 0, done.err
    ours = [json.loads(line) for line in done.lines]
    theirs = _plain(run.folder, TEXTS, tmp_path)
    assert [line["text"] for line in ours] == TEXTS
    for mine, plain in zip(ours, theirs, strict=True):
        assert list(mine["scores"]) == [entry["label"] for entry in plain]
        for entry in plain:
            assert mine["scores"][entry["label"]] == pytest.approx(entry["score"], abs=1e-5)
        if isinstance(mine["label"], str):
            assert mine["label"] == plain[0]["label"]


@pytest.mark.parametrize("flags", [(), ("--tune", "lora")], ids=["full", "lora"])
def test_labels_and_scores_are_the_same(
    flags: tuple[str, ...], tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    run = finetune(tiny_bert, reviews, tmp_path / "run", "--learning_rate", 3e-3, *flags)
    _compare(run, tmp_path)


def test_several_labels(tiny_bert: Path, tmp_path: Path) -> None:
    data = tmp_path / "tags.csv"
    rows = [
        f"the {thing} was {word} {i},{tag}{'|' + thing if i % 2 else ''}\n"
        for i in range(20)
        for thing, word, tag in (("film", "fine", "good"), ("plot", "dull", "bad"))
    ]
    data.write_text("text,labels\n" + "".join(rows))
    flags = ("--problem_type", "multi_label", "--learning_rate", 3e-3)
    run = finetune(tiny_bert, data, tmp_path / "run", *flags)
    _compare(run, tmp_path)
