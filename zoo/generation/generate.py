"""The one loop that generates text, token by token, over whatever runs the model: in numpy.

`generate` streams; `sequences` gives whole texts. For Whisper both give what `generate` of
transformers gives where it writes no timestamps.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.arrays import to_numpy
from tasks.randomness import EpochView, SampleRandom
from zoo.generation.beam_search import beam_search
from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.penalties import prompts_of
from zoo.generation.processors import LogitsProcessors
from zoo.generation.session import Generative, Ids, Scores

NEARLY_ZERO = 1e-30
"""A temperature by which scores must not be divided as they are: float32 goes to 3.4e38."""


def generate(
    runner: Generative,
    inputs: Mapping[str, Any],
    decoding: Decoding | None = None,
    ids: Sequence[int] | None = None,
    limits: Sequence[int] | None = None,
) -> Iterator[Ids]:
    """Yield the texts of a batch token by token: int64 [rows], the pad token for a text that has
    ended. Tokens of the prompt and those that end a text are not yielded.

    Each is yielded before the next is computed; with beam search all come at the end, as the last
    token decides which beam wins.

    Args:
        inputs: arrays by name, as `runner.start` takes them.
        decoding: how tokens are chosen; None uses the model's own configuration.
        ids: numbers of the rows, which together with the seed determine sampling; default 0, 1,
            ...
        limits: tokens of each row at most, where rows differ.
    """
    decoding = decoding or runner.decoding
    session = runner.start(inputs)
    special, scores, rows = runner.special_tokens, session.logits, len(session.logits)
    prompts = prompts_of(decoding, special, inputs)
    most = np.full(rows, decoding.max_new_tokens)
    if limits is not None:
        most = np.minimum(most, limits)
    if decoding.num_beams > 1:
        yield from beam_search(runner, session, decoding, prompts, most)
        return
    numbers = range(rows) if ids is None else ids
    chooser = Chooser(special, decoding, scores.shape[-1], prompts, numbers)
    ended = np.zeros(rows, bool)
    written = np.zeros((rows, most.max(initial=0)), np.int64)
    for position in range(written.shape[1]):
        chosen = chooser(scores, written[:, :position])
        ended |= np.isin(chosen, chooser.ends) | (most <= position)
        if ended.all():
            return
        tokens = np.where(ended, special.pad, chosen)
        written[:, position] = tokens
        yield tokens
        if position + 1 < written.shape[1]:
            scores = runner.step(session, tokens[:, None])[:, -1]


class Chooser:
    """Chooses the next token of each text of a batch from its scores."""

    def __init__(
        self,
        special: SpecialTokens,
        decoding: Decoding,
        vocabulary: int,
        prompts: Sequence[Ids],
        ids: Sequence[int],
    ) -> None:
        """
        Args:
            special: special tokens of the model.
            decoding: how tokens are chosen.
            vocabulary: scores of a row.
            prompts: what the texts begin with (`zoo.generation.penalties.prompts_of`).
            ids: numbers of the texts, from which with the seed all that is drawn follows.
        """
        self._decoding = decoding
        self._processors = LogitsProcessors(special, decoding, vocabulary, prompts)
        self._draws = SampleRandom(EpochView(decoding.seed, 0), ids)
        self.ends = self._processors.ends

    def __call__(self, scores: Any, written: Ids) -> Ids:
        """Return the tokens int64 [rows] behind `written` int64 [rows, n] by their scores float32
        [rows, vocabulary]; a numpy array is changed."""
        scores = self._processors(scores, written)
        if self._decoding.do_sample:
            uniform = self._draws.uniform(f"token {written.shape[1]}")
            return draw(to_numpy(scores), self._decoding, uniform)
        return np.array(scores.argmax(-1).tolist(), np.int64)  # of a GPU's tensor too


def sequences(
    runner: Generative,
    inputs: Mapping[str, Any],
    decoding: Decoding | None = None,
    ids: Sequence[int] | None = None,
) -> Ids:
    """Generate whole texts int64 [rows, tokens], without prompt and end token, padded on the right;
    arguments as in `generate`."""
    columns = list(generate(runner, inputs, decoding, ids))
    rows = len(next(iter(inputs.values())))
    return np.stack(columns, 1) if columns else np.zeros((rows, 0), np.int64)


def warp(scores: Scores, decoding: Decoding) -> Scores:
    """Apply temperature, top-k and top-p to scores float32 [rows, vocabulary], in this order as in
    transformers: tokens that cannot be drawn get -inf.

    Top-k: Fan et al. 2018, "Hierarchical Neural Story Generation"; tokens that tie with the last
    one kept are kept too. Top-p: Holtzman et al. 2020, "The Curious Case of Neural Text
    Degeneration".
    """
    temperature = max(np.float32(decoding.temperature), np.finfo(np.float32).tiny)
    if temperature < NEARLY_ZERO:  # the likeliest would become infinite
        scores = scores - scores.max(1, keepdims=True)
    with np.errstate(over="ignore"):  # of others, which then can't be drawn
        scores = scores / temperature
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
    """Draw a token int64 [rows] from scores [rows, vocabulary], by inverting their cumulative
    probabilities at uniform numbers [rows] in [0, 1)."""
    reached = softmax(warp(scores, decoding)).cumsum(1)
    total = reached[:, -1]
    aims = np.minimum(uniform * total, np.nextafter(total, 0))
    chosen: Ids = (reached > aims[:, None]).argmax(1)
    return chosen


def softmax(scores: Scores) -> npt.NDArray[np.float64]:
    """Return the probabilities [rows, vocabulary] of scores; each row needs one finite score."""
    powers = np.exp((scores - scores.max(1, keepdims=True)).astype(np.float64))
    return powers / powers.sum(1, keepdims=True)  # type: ignore[no-any-return]
