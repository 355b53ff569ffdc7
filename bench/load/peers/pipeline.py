"""What the peers share: their flags, and the model of a checkpoint as anyone would load it."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import json_files
from zoo.store.checkpoint import MANIFEST


@dataclass(frozen=True)
class PeerFlags:
    """How a peer is started."""

    checkpoint: str
    port: int
    threads: int
    """of PyTorch, in each worker"""
    workers: int
    """processes that have the model"""
    batch: int
    """texts of a batch, at most"""
    wait_ms: float
    """that a batch waits for more"""


def flags(about: str) -> PeerFlags:
    """Return the flags of the command line; exit as argparse does for --help and errors."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("checkpoint")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--wait_ms", type=float, default=5.0)
    return PeerFlags(**vars(parser.parse_args()))


class Classifier:
    """`transformers.pipeline("text-classification")` on the CPU, for one text at a time."""

    def __init__(self, flags: PeerFlags) -> None:
        import torch
        import transformers

        import tasks  # noqa: F401  its import guards torchvision and torchaudio

        torch.set_num_threads(flags.threads)
        self._longest = longest_of(flags.checkpoint)
        self._classify = transformers.pipeline(
            "text-classification", model=flags.checkpoint, device="cpu", trust_remote_code=False
        )

    def __call__(self, text: str) -> dict[str, Any]:
        """Return label and score of a text."""
        (found,) = self._classify([text], truncation=True, max_length=self._longest)
        prediction: dict[str, Any] = found
        return prediction


class BatchClassifier:
    """Tokenizer and model of transformers on the CPU, for batches of texts."""

    def __init__(self, flags: PeerFlags) -> None:
        import torch
        import transformers

        import tasks  # noqa: F401  its import guards torchvision and torchaudio

        torch.set_num_threads(flags.threads)
        folder, of = flags.checkpoint, transformers.AutoModelForSequenceClassification
        self._torch, self._longest = torch, longest_of(folder)
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False
        )
        self._model = of.from_pretrained(folder, trust_remote_code=False).eval()

    def __call__(self, texts: list[str]) -> list[dict[str, Any]]:
        """Return label and score of each text."""
        with self._torch.inference_mode():
            tokens = self._tokenizer(
                texts,
                truncation=True,
                max_length=self._longest,
                padding=True,
                return_tensors="pt",
            )
            outputs = self._model(**tokens).logits  # [batch, labels]
            if self._model.config.problem_type != "regression":
                outputs = outputs.softmax(-1)
            scores, labels = outputs.max(-1)
        names = self._model.config.id2label
        pairs = zip(labels.tolist(), scores.tolist(), strict=True)
        return [{"label": names[label], "score": score} for label, score in pairs]


def longest_of(checkpoint: str) -> int:
    """Return the tokens behind which the service of a checkpoint cuts its texts off."""
    manifest = json_files.read(Path(checkpoint) / MANIFEST)
    return int(manifest["config"]["task"]["args"]["max_length"])


def answer(prediction: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request as JSON."""
    return {"predictions": [prediction]}
