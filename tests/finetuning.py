"""Fine-tunes a model through the command line and reads back what the run left behind."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli import Done, run_cli

MODEL = "zoo.nlp.bert_cls"
EXACT = ("--dtype", "fp32", "--dropout", 0)  # nothing rounds, nothing is random


def lines(path: Path) -> list[dict[str, Any]]:
    """The records of a jsonl file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@dataclass(frozen=True)
class Run:
    """A finished fine-tune."""

    folder: Path
    done: Done | None = None

    def records(self, split: str) -> list[dict[str, Any]]:
        """What was logged of "train" or "validation"."""
        return [r for r in lines(self.folder / "logs" / "metrics.jsonl") if r["split"] == split]

    @property
    def losses(self) -> list[float]:
        """Training losses; one a step with --logging_steps 1."""
        return [record["loss"] for record in self.records("train")]

    @property
    def steps(self) -> list[list[int]]:
        """The training rows of each step."""
        return [line["ids"] for line in lines(self.folder / "logs" / "samples.jsonl")]

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What zoo.json says."""
        return json.loads((self.folder / "zoo.json").read_text())

    def weights(self) -> dict[str, Any]:
        """The weights at the root."""
        from safetensors.torch import load_file

        return load_file(self.folder / "model.safetensors")


def arguments(model: Path, data: Path, folder: Path, *flags: object) -> list[str]:
    """The words of a fine-tune without its module: one log line a step, nothing for TensorBoard."""
    words = ("finetune", "--model", model, "--data", data, "--output_dir", folder)
    return [str(word) for word in (*words, "--logging_steps", 1, "--report_to", "none", *flags)]


def finetune(model: Path, data: Path, folder: Path, *flags: object) -> Run:
    """Fine-tunes in this process; fails the test where the command fails."""
    return run_finetune(MODEL, folder, arguments(model, data, folder, *flags))


def run_finetune(module: str, folder: Path, argv: list[str]) -> Run:
    """The same for any model, from all the words of its command line."""
    done = run_cli(module, *argv)
    assert done.code == 0, done.err
    return Run(folder, done)
