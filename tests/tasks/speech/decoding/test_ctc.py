"""CTC decoding against the enumeration of every alignment, words, and the certain blank."""

import itertools
import math
import time
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import UserError
from tasks.speech.decoding import ctc
from tasks.speech.decoding.lexicon import Lexicon
from tests.ngrams import train

SYMBOLS = ["", "a", "b", "|"]  # the blank is 0
LETTERS = ["<pad>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'"]


def random_log_probs(seed: int, frames: int, vocab: int, scale: float = 2.0) -> np.ndarray:
    return ctc.log_softmax(np.random.default_rng(seed).normal(size=(frames, vocab)) * scale)


def collapse(alignment: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(alignment) if token != blank)


def by_enumeration(log_probs: np.ndarray, blank: int) -> dict[tuple[int, ...], float]:
    """log p(text) for every text that the frames can hold."""
    found: dict[tuple[int, ...], float] = defaultdict(lambda: -math.inf)
    frames, vocab = log_probs.shape
    for alignment in itertools.product(range(vocab), repeat=frames):
        chance = float(log_probs[range(frames), alignment].sum())
        text = collapse(alignment, blank)
        found[text] = float(np.logaddexp(found[text], chance))
    return found


tiny = {
    "seed": st.integers(0, 2**32 - 1),
    "frames": st.integers(0, 5),
    "vocab": st.integers(2, 4),
    "scale": st.sampled_from([0.5, 2.0, 8.0]),
}


@settings(max_examples=60)
@given(**tiny, blank=st.integers(0, 1))
def test_a_wide_beam_is_exact(seed: int, frames: int, vocab: int, scale: float, blank: int) -> None:
    log_probs = random_log_probs(seed, frames, vocab, scale).astype(np.float64)
    expected = by_enumeration(log_probs, blank)
    found = ctc.beam_search(log_probs, blank=blank, beam=2000, unlikely=-math.inf)
    assert {h.tokens: h.score for h in found} == pytest.approx(dict(expected), abs=1e-9)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 5), alpha=st.floats(0, 2))
def test_words_earn_what_the_language_model_gives_them(
    seed: int, frames: int, alpha: float
) -> None:
    log_probs = random_log_probs(seed, frames, 4).astype(np.float64)
    lm, beta = train(["a b", "ab a", "b b ab"], 2), 0.7
    expected = {}
    for tokens, chance in by_enumeration(log_probs, 0).items():
        words = "".join(SYMBOLS[t] for t in tokens).replace("|", " ").split()
        sentence = ["<s>", *words, "</s>"]
        told = sum(lm.score(sentence[:i], sentence[i]) for i in range(1, len(sentence)))
        expected[tokens] = chance + alpha * told + beta * len(words)
    found = ctc.beam_search(
        log_probs,
        blank=0,
        beam=2000,
        delimiter=3,
        symbols=SYMBOLS,
        lm=lm,
        alpha=alpha,
        beta=beta,
        unlikely=-math.inf,
    )
    assert {h.tokens: h.score for h in found} == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(0, 5),
    words=st.sets(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=4),
)
def test_with_a_word_list_every_word_is_in_it(seed: int, frames: int, words: set[str]) -> None:
    log_probs = random_log_probs(seed, frames, 4).astype(np.float64)
    expected = {
        tokens: chance
        for tokens, chance in by_enumeration(log_probs, 0).items()
        if words.issuperset("".join(SYMBOLS[t] for t in tokens).replace("|", " ").split())
    }
    options = {"blank": 0, "delimiter": 3, "symbols": SYMBOLS, "words": words}
    found = ctc.beam_search(log_probs, beam=2000, unlikely=-math.inf, **options)
    assert {h.tokens: h.score for h in found} == pytest.approx(expected, abs=1e-9)
    for narrow in (1, 2):
        for hypothesis in ctc.beam_search(log_probs, beam=narrow, **options):
            text = "".join(SYMBOLS[t] for t in hypothesis.tokens)
            assert words.issuperset(text.replace("|", " ").split())


def test_an_unfinished_word_is_left_out_where_no_whole_one_is_in_the_beam() -> None:
    sure = np.full((3, 4), -50.0)
    sure[[0, 1, 2], [1, 3, 2]] = 0.0  # "a|b"
    options = {"blank": 0, "delimiter": 3, "symbols": SYMBOLS, "beam": 1}
    assert ctc.beam_search(sure, **options)[0].tokens == (1, 3, 2)
    assert ctc.beam_search(sure, words={"a", "ba"}, **options)[0].tokens == (1, 3)


def test_the_likeliest_text_may_not_be_that_of_the_likeliest_alignment() -> None:
    """Graves's example: two frames, blank 0.6 and a 0.4 in each."""
    log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert ctc.greedy(log_probs, 0) == []
    best, second = ctc.beam_search(log_probs, blank=0)
    assert (best.tokens, second.tokens) == ((1,), ())
    assert math.exp(best.score) == pytest.approx(0.64)


def test_what_a_beam_needs_is_asked_for() -> None:
    log_probs, lm = random_log_probs(0, 3, 4), train(["a"], 1)
    for wrong in ({"lm": lm}, {"lm": lm, "symbols": SYMBOLS}, {"words": {"a"}}, {"beam": 0}):
        with pytest.raises(ValueError, match=r"give symbols|at least 1"):
            ctc.beam_search(log_probs, blank=0, **wrong)
    with pytest.raises(UserError, match="'abc', and the model's vocabulary has no 'c'"):
        Lexicon({"a", "abc"}, SYMBOLS)
    with pytest.raises(UserError, match="empty"):
        Lexicon([], SYMBOLS)
    with pytest.raises(UserError, match="empty word"):
        Lexicon(["a", ""], SYMBOLS)
    with pytest.raises(ValueError, match="4 symbols"):
        ctc.beam_search(random_log_probs(0, 3, 5), blank=0, symbols=SYMBOLS, words={"a"})


def test_a_beam_is_quick() -> None:
    log_probs = random_log_probs(0, 100, 30, 4.0)
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    options = {"symbols": LETTERS, "delimiter": 2, "words": Lexicon(words, LETTERS)}
    options["lm"] = train([" ".join(words)], 3)
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        ctc.beam_search(log_probs, blank=0, **options)
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.06


# ---- greedy, masks, windows ----------------------------------------------------------------------


@settings(max_examples=60)
@given(**tiny, rows=st.integers(1, 3))
def test_greedy_is_the_likeliest_alignment_alone_and_in_batches(
    seed: int, frames: int, vocab: int, scale: float, rows: int
) -> None:
    batch = np.stack([random_log_probs(seed + i, frames, vocab, scale) for i in range(rows)])
    expected = [list(collapse(tuple(row.argmax(1).tolist()), 0)) for row in batch]
    assert [ctc.greedy(row, 0) for row in batch] == expected
    assert ctc.greedy_batch(batch, 0) == expected
    assert ctc.greedy_batch(torch.from_numpy(batch), 0) == expected


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), frames=st.lists(st.integers(0, 7), min_size=1, max_size=3))
def test_a_certain_blank_changes_neither_text_nor_score(seed: int, frames: list[int]) -> None:
    batch = np.stack([random_log_probs(seed + i, 7, 4) for i in range(len(frames))])
    masked = ctc.mask_frames(batch, np.array(frames), 1)
    as_tensor = ctc.mask_frames(torch.from_numpy(batch), torch.tensor(frames), 1)
    assert torch.equal(as_tensor, torch.from_numpy(masked))
    log_probs = ctc.log_softmax(masked)
    for row, length in enumerate(frames):
        alone = batch[row, :length]
        assert ctc.greedy(masked[row], 1) == ctc.greedy(alone, 1)
        for padded, true in zip(
            ctc.beam_search(log_probs[row], blank=1, beam=8),
            ctc.beam_search(alone, blank=1, beam=8),
            strict=True,
        ):
            assert padded.tokens == true.tokens
            assert padded.score == pytest.approx(true.score, abs=1e-5)


def test_the_loss_over_the_padded_length_is_that_over_the_true_one() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 20, 6, requires_grad=True)
    frames, sizes = torch.tensor([20, 7, 12, 3]), torch.tensor([4, 2, 6, 0])
    targets = torch.randint(1, 6, (4, 6))
    losses, gradients = [], []
    for lengths, seen in ((frames, logits), (torch.full((4,), 20), None)):
        seen = ctc.mask_frames(logits, frames, 0) if seen is None else seen
        loss = torch.nn.functional.ctc_loss(
            seen.log_softmax(-1).transpose(0, 1), targets, lengths, sizes, reduction="none"
        )
        losses.append(loss)
        gradients.append(torch.autograd.grad(loss.sum(), logits)[0])
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


@settings(max_examples=60)
@given(data=st.data(), tensors=st.booleans())
def test_windows_are_stitched_without_loss_or_repeat(data: st.DataObject, tensors: bool) -> None:
    overlaps = data.draw(st.lists(st.integers(0, 9), max_size=5))
    shared = [0, *overlaps, 0]
    position, windows = 0, []
    for left, right in itertools.pairwise(shared):
        length = data.draw(st.integers(left + right, 30))
        logits = np.arange(position, position + length)[:, None].repeat(2, 1)
        windows.append((torch.from_numpy(logits) if tensors else logits, left, right))
        position += length - right
    whole = ctc.stitch(windows)
    assert isinstance(whole, torch.Tensor) == tensors
    assert whole[:, 0].tolist() == list(range(position))


def test_each_window_gives_up_half_of_what_it_shares() -> None:
    first, second = np.zeros((10, 1)), np.ones((10, 1))
    whole = ctc.stitch([(first, 0, 4), (second, 4, 0)])
    assert whole[:, 0].tolist() == [0.0] * 8 + [1.0] * 8


@pytest.mark.parametrize(
    "shares", [[(0, 4), (3, 0)], [(1, 0)], [(0, 1)], [(0, 12), (12, 0)]], ids=str
)
def test_windows_that_do_not_agree_are_refused(shares: list[tuple[int, int]]) -> None:
    windows = [(np.zeros((5, 2)), left, right) for left, right in shares]
    with pytest.raises(ValueError, match="shares"):
        ctc.stitch(windows)
    with pytest.raises(ValueError, match="no window"):
        ctc.stitch([])


def test_a_target_longer_than_its_frames_costs_nothing_and_pulls_nothing() -> None:
    """Not the thousands that saying it behind the end of the sound would cost."""
    logits = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    masked = ctc.mask_frames(logits, torch.tensor([9, 2]), 0)
    labels = torch.tensor([[1, 2, 3], [1, 2, 3]])
    losses = ctc.losses(masked, labels, 0)
    assert losses[1] == 0 and 0 < losses[0] < 100
    losses.sum().backward()
    assert logits.grad is not None
    assert logits.grad[0].abs().sum() > 0 and logits.grad[1].abs().sum() == 0
    alone = torch.nn.functional.ctc_loss(
        logits[:1].log_softmax(-1).transpose(0, 1), labels[:1], (9,), (3,), 0, reduction="sum"
    )
    torch.testing.assert_close(losses[0], alone)
