"""The proof of what generates text: token for token what transformers' `generate` gives of the fp32
source."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers

from tasks.base import Batch
from zoo.generation.generate import sequences
from zoo.runtimes.stages import GenerativeRunner

if TYPE_CHECKING:
    from zoo.deploy.proof import Proof


def prove(
    proof: "Proof",
    runner: GenerativeRunner,
    model: Any,
    drawn: Iterable[Mapping[str, np.ndarray]],
    real: Iterable[Batch],
) -> None:
    """Compares the texts about inputs drawn and real; what differs is a fault.

    Args:
        model: the source, whose generation config both follow.
        drawn, real: batches, of which the model's main input is taken.
    """
    main = model.main_input_name
    for inputs in drawn:
        features = torch.from_numpy(inputs[main])
        _compare(proof, runner, model, features, range(len(features)), "random")
    for batch in real:
        ids = batch.ids if batch.windows is None else batch.ids[batch.windows]
        _compare(proof, runner, model, batch.inputs[main], ids.tolist(), "real")


def _compare(
    proof: "Proof",
    runner: GenerativeRunner,
    model: Any,
    features: torch.Tensor,
    names: Sequence[int],
    what: str,
) -> None:
    with torch.inference_mode():
        theirs = _of_transformers(model, features)
    place = f"{what} input, batch {len(features)}"
    try:
        ours = sequences(runner, {model.main_input_name: features.numpy()})
    except Exception as error:  # each runtime has its own
        proof.faults.append(f"{place}: {str(error).strip()[:200] or type(error).__name__}")
        return
    pad = model.generation_config.pad_token_id
    for name, mine, its in zip(names, _text(ours, pad), _text(theirs, pad), strict=True):
        proof.tokens += len(its)
        if fault := difference(mine, its):
            proof.faults.append(f"utterance {name} ({place}) is written otherwise: {fault}")
            return


def _of_transformers(model: Any, features: torch.Tensor) -> np.ndarray:
    """Return what `generate` of transformers writes; it shares no code with our loop."""
    plain = getattr(transformers, type(model).__name__)
    texts: np.ndarray = plain.generate(model, features).numpy()
    return texts


def difference(ours: Sequence[int], theirs: Sequence[int]) -> str | None:
    """Return where two texts part, in a few words; None where they are the same."""
    if list(ours) == list(theirs):
        return None
    both = zip(ours, theirs, strict=False)
    place = next((i for i, (a, b) in enumerate(both) if a != b), min(len(ours), len(theirs)))
    mine, its = (str(text[place]) if place < len(text) else "the end" for text in (ours, theirs))
    return f"token {place} is {mine}, and the source's is {its}"


def _text(rows: np.ndarray, pad: int) -> list[list[int]]:
    """Return each row's tokens without the padding."""
    return [row[: np.flatnonzero(row != pad).max(initial=-1) + 1].tolist() for row in rows]
