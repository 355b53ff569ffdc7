"""What cases start from: a checkpoint of text, vision and sound, their data, results of the bench.

Made once, in a child: the process that forks the cases never runs a model, so it has no threads.
"""

import csv
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

from tests import cases, tiny_text
from tests.faults.fuzz import hub
from tests.faults.fuzz.models import MODELS, TEXT, VISION

ROWS = 24  # of the small table of texts
FILES = 4  # of a label, in a split of the small folders of media


def make(world: Path) -> None:
    """Writes everything. Fails with what the command said where one fails."""
    _data(world)
    for model in MODELS:
        words = model.training(world, world / model.data, world / model.name, "--save_steps", 1)
        _run(model.module, *words)
        if model is not TEXT:  # one that can be resumed is enough
            shutil.rmtree(world / model.name / "state")
    _run(VISION.module, "export", world / VISION.name, "--runtime", "onnx")
    for model in (TEXT, VISION):
        _run(model.module, "evaluate", world / model.name)
        _card(world / model.name)
    _results(world / "results.jsonl")
    hub.publish(world)


def _data(world: Path) -> None:
    for name, write in MAKERS.items():
        (world / name).mkdir(parents=True)
        write(world / name)
    with (world / "texts.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows(itertools.islice(tiny_text.review_rows(), ROWS))


def _few(write: Callable[[Path], None], folder: Path) -> None:
    """The first files of each label only: a case is to take half a second."""
    write(folder)
    for label in folder.glob("*/*/"):
        for file in sorted(label.iterdir())[FILES:]:
            file.unlink()


MAKERS: dict[str, Callable[[Path], None]] = {
    "reviews": tiny_text.write_reviews,
    "bert": tiny_text.write_bert,
    "images": lambda folder: _few(cases.write_images, folder),
    "sounds": lambda folder: _few(cases.write_sounds, folder),
    "utterances": cases.write_utterances,
}


def _run(module: str, *words: object) -> None:
    from tests.cli import run_cli

    done = run_cli(module, *words)
    assert done.code == 0, done.err


def _card(folder: Path) -> None:
    from tasks.atomic import write_json
    from tools.cards.write import write
    from zoo.store.checkpoint import MANIFEST, read_manifest

    manifest = read_manifest(folder)
    known = {"repo": "tiny/model", "license": "Apache-2.0"}  # as of a preset
    write_json(folder / MANIFEST, {**manifest, "source": {**manifest["source"], **known}})
    write(folder)


def _results(path: Path) -> None:
    from bench.cases.case import Case
    from bench.record import store
    from tests.bench.report import made

    for deployment, seconds in (("eager", 0.010), ("onnx", 0.006), ("onnx+int8-dynamic", 0.004)):
        for result in made.measured(Case("minilm", deployment), seconds):
            store.append(path, result)
    for result in made.failed(Case("resnet18", "openvino"), "unavailable", "it is not installed"):
        store.append(path, result)
