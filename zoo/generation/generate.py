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
from zoo.generation.decoding import Decoding
from zoo.generation.session import Generative, Ids, Scores, Suppression


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
        limits: tokens of each row at most, where rows differ; not with beam search.
    """
    decoding = decoding or runner.decoding
    session = runner.start(inputs)
    if decoding.num_beams > 1:
        assert limits is None, "beams have one limit"
        yield from beam_search(runner, session, decoding)
        return
    scores, rows = session.logits, len(session.logits)
    suppression = Suppression(runner.special_tokens, decoding, scores.shape[-1])
    draws = SampleRandom(EpochView(decoding.seed, 0), range(rows) if ids is None else ids)
    ended = np.zeros(rows, bool)
    most = np.full(rows, decoding.max_new_tokens) if limits is None else np.asarray(limits)
    last = decoding.max_new_tokens if limits is None else min(decoding.max_new_tokens, max(limits))
    for position in range(last):
        scores = suppression(scores, position)
        if decoding.do_sample:
            chosen = draw(to_numpy(scores), decoding, draws.uniform(f"token {position}"))
        else:
            chosen = np.array(scores.argmax(-1).tolist(), np.int64)  # of a GPU's tensor too
        ended |= np.isin(chosen, suppression.ends) | (most <= position)
        if ended.all():
            return
        tokens = np.where(ended, runner.special_tokens.pad, chosen)
        yield tokens
        if position + 1 < last:
            scores = runner.step(session, tokens[:, None])[:, -1]


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
