"""What the peers share: their flags, and the pipeline of transformers as anyone would load it."""

import argparse
from dataclasses import dataclass
from typing import Any

LONGEST = 512  # tokens: pipelines don't cut unless they are told to


@dataclass(frozen=True)
class PeerFlags:
    """How a peer is started."""

    checkpoint: str
    port: int
    threads: int
    """of PyTorch"""
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
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--wait_ms", type=float, default=5.0)
    return PeerFlags(**vars(parser.parse_args()))


class Classifier:
    """`transformers.pipeline("text-classification")` on the CPU."""

    def __init__(self, flags: PeerFlags) -> None:
        import torch
        import transformers

        import tasks  # noqa: F401  its import guards torchvision and torchaudio

        torch.set_num_threads(flags.threads)
        self._classify = transformers.pipeline(
            "text-classification", model=flags.checkpoint, device="cpu", trust_remote_code=False
        )

    def __call__(self, texts: list[str], batch: int = 1) -> list[dict[str, Any]]:
        """Return label and score of each text."""
        found: list[dict[str, Any]] = self._classify(
            texts, truncation=True, max_length=LONGEST, batch_size=batch
        )
        return found


def answer(prediction: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request as JSON."""
    return {"predictions": [prediction]}
