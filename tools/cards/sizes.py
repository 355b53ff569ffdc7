"""How large the weights are: read from the headers of their files, without loading them."""

import math
import uuid
from collections.abc import Sequence
from pathlib import Path

from tools.cards.record import Record
from zoo.store import evidence
from zoo.store.evidence import Fact
from zoo.store.pretrained import must_be_whole

BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "positions", "position_ids")
"""Tensors that are saved and not learned: of batch normalisation, and fixed positions."""


def unknown(record: Record) -> list[Fact]:
    """Facts of the sizes that the evidence does not have yet: parameters, and bytes on disk."""
    known = {
        fact.name for fact in record.facts if fact.subject == record.subject and fact.kind == "size"
    }
    wanted = {"parameters", "weights_size"} - known
    files = sorted(record.folder.glob("*.safetensors"))
    if not wanted or not files:
        return []
    measured = {
        "parameters": (_parameters(files), "1"),
        "weights_size": (sum(path.stat().st_size for path in files), "bytes"),
    }
    run = uuid.uuid4().hex
    return [
        evidence.fact("size", name, value, unit, subject=record.subject, run=run)
        for name, (value, unit) in measured.items()
        if name in wanted
    ]


def _parameters(files: Sequence[Path]) -> int:
    from safetensors import safe_open

    count = 0
    for path in files:
        must_be_whole(path)
        with safe_open(path, framework="numpy") as weights:
            for name in weights.keys():  # noqa: SIM118  (it is no mapping)
                if name.rpartition(".")[2] not in BUFFERS:
                    count += math.prod(weights.get_slice(name).get_shape())
    return count
