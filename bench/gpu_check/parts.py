"""The parts of a check, those of most value first: each a value that says what is run, for how
long, and what is kept of it.

A part that needs what another makes (`inputs`) fails where that has failed, and that is a result.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Words = list[str]


@dataclass(frozen=True)
class CheckConfig:
    """The settings from which the commands of all parts are made."""

    device: str
    """cuda or cpu"""
    out: Path
    """folder of what is kept"""
    work: Path
    """folder that goes away at the end"""
    weights: str
    """as `--weights` has it: a folder, a preset, or "random" """
    data: str
    """as a model's `--data` has it"""

    @property
    def small(self) -> bool:
        """Whether sizes are small enough for a processor to finish in seconds."""
        return self.device == "cpu"

    @property
    def model(self) -> str:
        """The weights to train from; `bench.gpu_check.inputs` writes them if they are random."""
        return str(self.work / "weights") if self.weights == RANDOM else self.weights

    @property
    def texts(self) -> str:
        """The folder of train.csv, validation.csv and test.csv, which `inputs` writes."""
        return str(self.work / "texts")


@dataclass(frozen=True)
class Part:
    """A part of the check: its commands, the time it needs, and the files it keeps."""

    name: str
    about: str
    share_s: float
    """seconds of eight minutes; of more or less time it gets as large a share"""
    least_s: float
    """in less it can't show anything"""
    commands: Callable[[CheckConfig, float], list[Words]]
    """run one after the other, until one fails: words behind `python -m`, by the config and the
    seconds that the part has"""
    keeps: Mapping[str, str] = field(default_factory=dict)
    """names in the folder that is kept, by files in the one that goes away"""
    each_time: bool = False
    """also where it ended well before: what it makes goes away"""


RANDOM = "random"
RESULTS, TRAINING, CARD, FRONT = "results.jsonl", "training.jsonl", "card.md", "decision.png"
"""Files that parts leave, beside log, summary and the record of the parts."""


def _inputs(config: CheckConfig, seconds: float) -> list[Words]:
    words = ["--folder", str(config.work), "--data", config.data, "--weights", config.weights]
    return [["bench.gpu_check.inputs", *words, *(["--small"] if config.small else [])]]


def _tests(config: CheckConfig, seconds: float) -> list[Words]:
    words = ["pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests/gpu"]
    if config.small:
        return [[*words, "-k", "text and not killed"]]
    several = min(8, (os.cpu_count() or 1) // 2)  # one GPU serves several, which mostly import
    if several < 2 or not importlib.util.find_spec("xdist"):
        return [words]
    return [[*words, "-vv", "-n", str(several), "--dist", "worksteal"]]


def _training(config: CheckConfig, batches: list[int], *more: str) -> Words:
    """Return the command of fine-tuning rounds; like Trainer's, without evaluation in between."""
    words = ["bench.experiments.against_trainer", "--data", config.texts]
    words += ["--model", config.model, "--device", config.device, "--seeds", "1"]
    words += ["--batch_sizes", *map(str, batches), "--output", str(config.out / TRAINING), *more]
    return [*words, "--flags", "--eval_strategy", "no", "--report_to", "none"]


def _one_epoch(config: CheckConfig, seconds: float) -> list[Words]:
    batches = [32] if config.small else [32, 256]
    return [_training(config, batches, "--epochs", "1")]


def _three_epochs(config: CheckConfig, seconds: float) -> list[Words]:
    return [_training(config, [32], "--epochs", "3")]


def _compiled(config: CheckConfig, seconds: float) -> list[Words]:
    words = ("--epochs", "1", "--arms", "zoo", "trainer_compile")
    return [_training(config, [32], *words)]


def _cases(config: CheckConfig, seconds: float) -> list[Words]:
    words = ["--device", config.device, "--out", str(config.out / RESULTS)]
    if config.small:
        few = ["--minutes_per_case", "0.03", "--launches", "1", "--measures", "latency"]
        return [["bench", "run", "cnn_cls", *words, *few]]
    measures = ["parity", "latency", "device_time", "work"]
    words += ["--minutes", f"{0.95 * seconds / 60:.2f}", "--minutes_per_case", "0.03"]
    words += ["--launches", "1"]
    return [["bench", "run", "--suite", "gpu", *words, "--measures", *measures]]


def _decision(config: CheckConfig, seconds: float) -> list[Words]:
    folder, device = str(config.work / "decision"), ["--device", config.device]
    train = ["--data", config.texts, "--model", config.model, "--output_dir", folder]
    train += ["--max_steps", "4" if config.small else "100", "--report_to", "none", *device]
    decide = [
        folder,
        "--minutes",
        f"{max(12.0, 0.5 * seconds) / 60:.2f}",
        "--max_drop",
        "0.02",
    ]
    decide += ["--max_eval_samples", "64" if config.small else "512"]
    decide += ["--picture", str(config.out / FRONT)]
    decide += ["--deployments", "eager+bf16"] if config.small else device
    return [
        ["zoo.nlp.bert_cls", "finetune", *train],
        ["bench", "decide", *decide],
        ["tools.cards", folder],
    ]


def _machine(config: CheckConfig, seconds: float) -> list[Words]:
    floor = f"{max(1.0, 0.3 * seconds) / 60:.3f}"
    return [["bench", "doctor", "--device", config.device, "--minutes", floor]]


PARTS = (
    Part("inputs", "texts and weights for the others", 10, 5, _inputs, each_time=True),
    Part("tests", "what a GPU must show: pytest -m gpu", 65, 10, _tests),
    Part("training", "zoo and Trainer, MiniLM, one epoch, batch 32 and 256", 90, 15, _one_epoch),
    Part("three_epochs", "the same over three epochs", 55, 15, _three_epochs),
    Part("cases", "models, compile modes and dtypes, as the suite has them", 160, 10, _cases),
    Part(
        "decision",
        "the best deployment of a checkpoint, and its card",
        55,
        15,
        _decision,
        {"decision/README.md": CARD},
    ),
    Part("machine", "ceilings and noise floor: bench doctor", 15, 8, _machine),
    Part("compiled", "Trainer with torch_compile beside", 30, 15, _compiled),
)


def python(words: Words) -> Words:
    """Return the command that runs a module with this Python interpreter."""
    return [sys.executable, "-m", *words]
