"""A checkpoint by hand, without training: its records are those of a fine-tune, its numbers made
up, and written through the same functions."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tasks.atomic import write_json
from tasks.data.fingerprint import sha256
from tasks.nlp.text_classification import Args, TextClassification
from zoo.nlp.bert_cls import ENTRY
from zoo.nlp.presets import Options
from zoo.runtimes import artifacts
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.signature import Signature, TensorSpec
from zoo.store import evidence
from zoo.store.checkpoint import MANIFEST
from zoo.store.evidence import Fact
from zoo.train.args import TrainArgs

DATA = {"name": "reviews", "fingerprint": hashlib.sha256(b"reviews").hexdigest()}
HUB_DATA = {"name": "stanfordnlp/imdb", "fingerprint": "a" * 40 + "/plain_text"}
WORK = {"batch": 1, "length": 26}
PARAMETERS = 3 * 4 + 2  # of `save_file` below


@dataclass(frozen=True)
class Folder:
    """A checkpoint that was made by hand."""

    path: Path

    @property
    def subject(self) -> str:
        """Digest of the weights."""
        return evidence.subject_digest(self.path)

    @property
    def facts(self) -> list[Fact]:
        """What the evidence says."""
        return evidence.read(self.path)

    @property
    def card(self) -> str:
        """README.md."""
        return (self.path / "README.md").read_text(encoding="utf-8")

    def copy(self, to: Path) -> "Folder":
        """Another one like it."""
        shutil.copytree(self.path, to)
        return Folder(to)

    def add(self, *facts: Fact) -> list[Fact]:
        """Adds to the evidence, and gives what was added."""
        evidence.append(self.path, facts)
        return list(facts)

    def change_manifest(self, **fields: Any) -> None:
        """Says something else in zoo.json."""
        manifest = json.loads((self.path / MANIFEST).read_text())
        write_json(self.path / MANIFEST, manifest | fields)

    def metric(self, name: str, value: float, **fields: Any) -> Fact:
        """A metric of the weights on the test split."""
        usual: dict[str, Any] = {
            "n": 1500,
            "interval": {"low": value - 0.02, "high": value + 0.02, "level": 0.95, "method": "x"},
            "subject": self.subject,
            "run": "r",
            "dataset": DATA,
            "split": "test",
            "deployment": "eager",
            "device": "cpu",
            "threads": 2,
        }
        return evidence.fact("metric", name, value, "1", **(usual | fields))

    def timed(self, name: str, value: float | None, **fields: Any) -> Fact:
        """Something of a timing; of the weights by default."""
        low, high = (0.9 * (value or 0), 1.2 * (value or 0))
        usual: dict[str, Any] = {
            "interval": {"low": low, "high": high, "level": 0.99, "method": "t over 5 launches"},
            "n": 40,
            "subject": self.subject,
            "run": "t",
            "deployment": "eager",
            "device": "cpu",
            "threads": 2,
            "workload": WORK,
        }
        kind, unit = ("memory", "bytes") if name == "peak_memory" else ("latency", "s")
        unit = "1" if name == "speedup" else unit
        return evidence.fact(kind, name, value, unit, **(usual | fields))

    def trained(self) -> list[Fact]:
        """What a fine-tune says of itself."""
        common: dict[str, Any] = {
            "subject": self.subject,
            "run": "r",
            "dataset": DATA,
            "split": "train",
            "deployment": "eager+autocast-bf16",
            "device": "cpu",
            "threads": 2,
        }
        return [
            evidence.fact("training", "train_seconds", 154.97, "s", **common),
            evidence.fact("training", "train_samples_per_second", 48.85, "samples/s", **common),
            evidence.fact("memory", "train_peak_memory", 2_288_758_784, "bytes", **common),
        ]

    def deployed(self, subject: str, deployment: str, seconds: float) -> list[Fact]:
        """What is measured of a program, with the eager that it was timed against."""
        where: dict[str, Any] = {"subject": subject, "deployment": deployment}
        eager = self.timed("latency", 0.0144)
        lost = {"low": -0.003, "high": 0.011, "level": 0.95, "method": "paired"}
        common: dict[str, Any] = {**where, "run": "p", "device": "cpu"}
        return [
            eager,
            self.timed("latency", seconds, **where),
            self.timed("speedup", 0.0144 / seconds, baseline=eager.id, **where),
            self.timed("peak_memory", 34_879_488, interval=None, n=None, **where),
            self.metric("accuracy_drop", 0.004, interval=lost, **where),
            evidence.fact("parity", "sqnr", 25.18, "dB", n=29, **common),
            evidence.fact("parity", "argmax_agreement", 0.981, "1", n=105, **common),
            evidence.fact("size", "artifact_size", 58_748_356, "bytes", **common),
        ]

    def export(self, deployment: str = "onnx") -> Artifact:
        """An artifact of the weights; what its program is matters to nobody here."""
        asked = Deployment.parse(deployment)
        signature = Signature(
            (TensorSpec("input_ids", "int64", ("batch", "length")),),
            ("logits",),
            {"batch": (1, None), "length": (1, 128)},
        )
        with artifacts.staged(self.path, asked) as staging:
            (staging / "model.onnx").write_bytes(b"a program")
            artifacts.write_manifest(staging, asked, signature, self.subject, {"opset": 20})
            artifacts.put_in_place(staging, self.path, asked)
        return artifacts.open_artifact(self.path, asked)


def make(path: Path, source: Mapping[str, Any] | None = None, **task: Any) -> Folder:
    """A checkpoint of bert_cls without evidence."""
    path.mkdir(parents=True)
    weights = {"dense.weight": np.ones((3, 4), "float32"), "dense.bias": np.ones(2, "float32")}
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    write_json(path / "config.json", {"model_type": "bert", "architectures": ["Bert"]})
    write_json(path / "tokenizer.json", {"version": "1.0"})
    labels = ("negative", "positive")
    train = TrainArgs(learning_rate=2e-4, label_smoothing_factor=0.1)
    settled = TextClassification(Args(max_length=128), labels, "single_label_classification")
    write_json(
        path / MANIFEST,
        {
            "schema": 1,
            "model": ENTRY.name,
            "module": ENTRY.module,
            "pipeline": "text-classification",
            "source": source or hub_source(),
            "config": {
                "options": dataclasses.asdict(Options()),
                "data": {
                    "data": "/somewhere/reviews",
                    "validation_size": 0.1,
                    "test_size": 0.1,
                    "split_seed": 0,
                    "max_train_samples": 6000,
                },
                "task": dataclasses.replace(settled, **task).config(),
                "train": dataclasses.asdict(train),
            },
            "data": DATA | {"rows": {"train": 6000, "test": 1500}},
            "seed": 42,
            "files": {one.name: sha256(one) for one in sorted(path.iterdir())},
        },
    )
    return Folder(path)


def hub_source(**fields: Any) -> dict[str, Any]:
    """Where weights of the Hub came from."""
    return {
        "model": "minilm",
        "repo": "sentence-transformers/all-MiniLM-L6-v2",
        "revision": None,
        "sha256": "5" * 64,
        "license": "Apache-2.0",
        **fields,
    }


def full(path: Path) -> Folder:
    """One of which everything was measured, with an artifact that lies there."""
    folder = make(path)
    folder.add(folder.metric("accuracy", 0.8573333333333333), folder.metric("f1_macro", 0.8572905))
    folder.add(*folder.trained())
    folder.add(*folder.deployed(folder.export().digest, "onnx", 0.0072))
    return folder
