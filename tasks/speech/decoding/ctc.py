"""Decoding of connectionist temporal classification (CTC; Graves et al. 2006).

A network gives each frame a distribution over symbols and the blank. An alignment picks one a
frame; repeats fall together, then blanks go, and what is left is the text. `greedy` takes the
likeliest alignment; `beam_search` the likeliest text, which sums over its alignments.

The convention of the house: frames behind the end of an utterance are a certain blank (log
probability 0, all else -1e4; `mask_frames`). A certain blank changes neither a text nor its
probability, so that neither loss nor decoding needs lengths.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from tasks.speech.decoding.beam import Hypothesis, beam_search
from tasks.speech.decoding.lexicon import Lexicon

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "IMPOSSIBLE",
    "Hypothesis",
    "Lexicon",
    "beam_search",
    "greedy",
    "greedy_batch",
    "log_softmax",
    "losses",
    "mask_frames",
    "mean_loss",
    "stitch",
]

IMPOSSIBLE = -1e4
"""The logit of what can't be."""

_Array = npt.NDArray[Any]
_Logits = TypeVar("_Logits", "Tensor", _Array)


def greedy(logits: _Array, blank: int) -> list[int]:
    """The tokens of the likeliest alignment of logits (or log probabilities) [frames, vocab]."""
    best = np.asarray(logits).argmax(-1)
    return [int(token) for token in best[np.diff(best, prepend=-1) != 0] if token != blank]


def greedy_batch(logits: "Tensor | _Array", blank: int) -> list[list[int]]:
    """`greedy` for each row of [batch, frames, vocab], masked by `mask_frames`."""
    best = np.asarray(logits.argmax(-1).tolist(), np.int64).reshape(logits.shape[:2])
    firsts = np.diff(best, prepend=-1, axis=1) != 0
    return [row[first].tolist() for row, first in zip(best, firsts & (best != blank), strict=True)]


def log_softmax(logits: _Array) -> npt.NDArray[np.float32]:
    """Logits [..., vocab] as log probabilities, float32."""
    exact = np.asarray(logits, np.float64)
    exact = exact - exact.max(-1, keepdims=True)
    return np.asarray(exact - np.log(np.exp(exact).sum(-1, keepdims=True)), np.float32)


def mask_frames(logits: _Logits, frames: _Logits, blank: int) -> _Logits:
    """Logits [batch, time, vocab] with a certain blank behind each row's frames, int64 [batch].

    Tensors or numpy arrays; the same type comes back.
    """
    time, vocab = logits.shape[1:]
    if isinstance(logits, np.ndarray):
        certain = np.where(np.arange(vocab) == blank, 0.0, IMPOSSIBLE).astype(logits.dtype)
        behind = np.arange(time) >= np.asarray(frames)[:, None]
        return np.where(behind[..., None], certain, logits)
    import torch

    tokens = torch.arange(vocab, device=logits.device)
    blanks = torch.where(tokens == blank, 0.0, IMPOSSIBLE).to(logits.dtype)
    behind = torch.arange(time, device=logits.device) >= frames.unsqueeze(1)
    return torch.where(behind.unsqueeze(-1), blanks, logits)


def losses(logits: "Tensor", labels: "Tensor", blank: int) -> "Tensor":
    """The negative log likelihood of each row's target, float32 [batch].

    A target that needs more frames than the row has could only be had from the frames behind its
    end, at a price of thousands: such a row counts 0, as torch's `zero_infinity` has it.

    Args:
        logits: [batch, frames, vocab], masked by `mask_frames`.
        labels: int64 [batch, targets], negative at padding.
    """
    import torch
    import torch.nn.functional as F

    given = labels >= 0
    log_probs = logits.float().log_softmax(-1)
    frames = (log_probs.detach().amin(-1) > IMPOSSIBLE / 2).sum(1)
    with torch.backends.cudnn.flags(enabled=False):  # cuDNN's takes no padded frames
        found: Tensor = F.ctc_loss(
            log_probs.transpose(0, 1),
            labels[given],
            frames.cpu(),
            given.sum(1).cpu(),
            blank,
            reduction="none",
            zero_infinity=True,
        )
    return found


def mean_loss(logits: "Tensor", labels: "Tensor", blank: int, reduction: str) -> "Tensor":
    """The loss of a batch as transformers' CTC models have it: the `losses`, each divided by its
    number of symbols, and their mean; "sum": their sum."""
    found = losses(logits, labels, blank)
    if reduction == "sum":
        return found.sum()
    return (found / (labels >= 0).sum(1).clamp(min=1)).mean()


def stitch(windows: Sequence[tuple[_Logits, int, int]]) -> _Logits:
    """The logits [frames, vocab] of a long recording from those of its overlapping windows.

    A network sees least at the ends of a window, so each gives up half of what it shares.

    Args:
        windows: in order, each (logits [t, vocab], frames shared with the window before, frames
            shared with the one behind). What two neighbours say of their overlap must agree.
    """
    if not windows:
        raise ValueError("there is no window to stitch")
    kept = []
    for i, (logits, left, right) in enumerate(windows):
        before = windows[i - 1][2] if i else 0
        if left != before or (i == len(windows) - 1 and right != 0):
            raise ValueError(
                f"window {i} shares {left} frames with the one before and {right} with the one"
                f" behind, and its neighbours say otherwise"
            )
        begin, end = left // 2, len(logits) - (right - right // 2)
        if begin > end:
            raise ValueError(f"window {i} shares {left} + {right} of its {len(logits)} frames")
        kept.append(logits[begin:end])
    if isinstance(kept[0], np.ndarray):
        return np.concatenate(kept)
    import torch

    return torch.cat(kept)
