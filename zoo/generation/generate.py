"""The one loop that generates text, token by token, over whatever runs the model: in numpy.

`generate` streams; `sequences` gives whole texts. For Whisper both give what `generate` of
transformers gives where it writes no timestamps.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tasks.randomness import Draws, View
from zoo.generation.decoding import Decoding, SpecialTokens

Ids = npt.NDArray[np.int64]
Scores = npt.NDArray[np.floating[Any]]


@dataclass
class Session:
    """A batch of texts that are being generated."""

    logits: Any
    """float32 [rows, vocabulary]: of the first token behind the prompts; the reader's to change"""
    state: dict[str, Any]
    """what the runner keeps between steps, such as keys and values"""


class Generative(Protocol):
    """What `generate` asks of a model. Arrays are numpy's, or on a GPU tensors there."""

    @property
    def special_tokens(self) -> SpecialTokens:
        """What the model says of its tokens."""

    @property
    def decoding(self) -> Decoding:
        """How it generates by default."""

    def start(self, inputs: Mapping[str, Any]) -> Session:
        """Run what goes before the first token: the encoder, and the prompts."""

    def step(self, session: Session, tokens: Ids) -> Any:
        """Return logits float32 [rows, n, vocabulary] of tokens [rows, n] behind those before."""

    def reorder(self, session: Session, rows: Ids) -> None:
        """Make row i go on with what was row `rows[i]`; rows may be repeated or left out."""


def generate(
    runner: Generative,
    inputs: Mapping[str, Any],
    decoding: Decoding | None = None,
    ids: Sequence[int] | None = None,
) -> Iterator[Ids]:
    """Yield the texts of a batch token by token: int64 [rows], the pad token for a text that has
    ended. Tokens of the prompt and those that end a text are not yielded.

    Each is yielded before the next is computed; beams, of which the last token decides, come all
    at the end.

    Args:
        inputs: arrays by name, as `runner.start` takes them.
        decoding: as the model's own configuration has it by default.
        ids: numbers of the rows, from which and the seed a draw follows; 0, 1, ... by default.
    """
    decoding = decoding or runner.decoding
    session = runner.start(inputs)
    if decoding.num_beams > 1:
        from zoo.generation.beam_search import beam_search

        yield from beam_search(runner, session, decoding)
        return
    scores, rows = session.logits, len(session.logits)
    suppression = Suppression(runner.special_tokens, decoding, scores.shape[-1])
    draws = Draws(View(decoding.seed, 0), range(rows) if ids is None else ids)
    ended = np.zeros(rows, bool)
    for position in range(decoding.max_new_tokens):
        scores = suppression(scores, position)
        if decoding.do_sample:
            chosen = draw(to_numpy(scores), decoding, draws.uniform(f"token {position}"))
        else:
            chosen = np.array(scores.argmax(-1).tolist(), np.int64)  # of a GPU's tensor too
        ended |= np.isin(chosen, suppression.ends)
        if ended.all():
            return
        tokens = np.where(ended, runner.special_tokens.pad, chosen)
        yield tokens
        if position + 1 < decoding.max_new_tokens:
            scores = runner.step(session, tokens[:, None])[:, -1]


def sequences(
    runner: Generative,
    inputs: Mapping[str, Any],
    decoding: Decoding | None = None,
    ids: Sequence[int] | None = None,
) -> Ids:
    """Return the whole texts int64 [rows, tokens], without prompt and end, padded behind; see
    `generate`."""
    columns = list(generate(runner, inputs, decoding, ids))
    rows = len(next(iter(inputs.values())))
    return np.stack(columns, 1) if columns else np.zeros((rows, 0), np.int64)


class Suppression:
    """Sets the scores of tokens that may not come next to -inf."""

    def __init__(self, special: SpecialTokens, decoding: Decoding, vocabulary: int) -> None:
        """Tokens outside the vocabulary are left out."""

        def known(*ids: int) -> Ids:
            return np.array(sorted({i for i in ids if i < vocabulary}), np.int64)

        self.ends = np.array(sorted({*special.eos, *decoding.stop}), np.int64)
        self.min_new_tokens = decoding.min_new_tokens
        never, first = special.suppress_tokens, special.begin_suppress_tokens
        self._later, self._first = known(*never), known(*never, *first)
        self._later_endless = known(*never, *self.ends)
        self._first_endless = known(*never, *first, *self.ends)

    def __call__(self, scores: Any, position: int) -> Any:
        """Return scores [rows, vocabulary] of the token at a position, numpy's changed in place."""
        if position < self.min_new_tokens:
            banned = self._later_endless if position else self._first_endless
        else:
            banned = self._later if position else self._first
        if len(banned):
            if not isinstance(scores, np.ndarray):
                scores = scores.clone()  # of inference mode, which can't be changed outside it
            scores[:, banned] = -np.inf
        return scores


def to_numpy(scores: Any) -> Scores:
    """Return numpy's array of an array or tensor, wherever it lies."""
    array: Scores = scores if isinstance(scores, np.ndarray) else scores.cpu().numpy()
    return array


def warp(scores: Scores, decoding: Decoding) -> Scores:
    """Return scores float32 [rows, vocabulary] by temperature, top-k and top-p, in this order as in
    transformers: -inf for tokens that are not drawn.

    Top-k: Fan et al. 2018, "Hierarchical Neural Story Generation"; of equal scores at the border
    all stay. Top-p: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration".
    """
    scores = scores / np.float32(decoding.temperature)
    if 0 < decoding.top_k < scores.shape[1]:
        border = np.partition(scores, -decoding.top_k)[:, -decoding.top_k, None]
        scores = np.where(scores < border, -np.inf, scores)
    if decoding.top_p < 1:
        order = np.argsort(scores, axis=1, kind="stable")
        below = softmax(np.take_along_axis(scores, order, 1)).cumsum(1)
        out = below <= 1 - decoding.top_p
        out[:, -1] = False
        removed = np.zeros_like(out)
        np.put_along_axis(removed, order, out, 1)
        scores = np.where(removed, -np.inf, scores)
    return scores


def draw(scores: Scores, decoding: Decoding, uniform: npt.NDArray[np.float64]) -> Ids:
    """Draw a token int64 [rows] by scores [rows, vocabulary]: the inverse of their cumulated
    probabilities at numbers [rows] in [0, 1)."""
    reached = softmax(warp(scores, decoding)).cumsum(1)
    total = reached[:, -1]
    aims = np.minimum(uniform * total, np.nextafter(total, 0))
    chosen: Ids = (reached > aims[:, None]).argmax(1)
    return chosen


def softmax(scores: Scores) -> npt.NDArray[np.float64]:
    """Return the probabilities [rows, vocabulary] of scores, of which one a row is finite."""
    powers = np.exp((scores - scores.max(1, keepdims=True)).astype(np.float64))
    return powers / powers.sum(1, keepdims=True)  # type: ignore[no-any-return]
