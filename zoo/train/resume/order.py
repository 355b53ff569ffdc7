"""Which samples come when, and how they are cut into steps and passes.

The order of an epoch is a pure function of (seed, epoch). Batch size, ranks and budgets only decide
how that one sequence is cut, so a run that goes on with other settings sees the same samples in the
same order, and going on costs nothing: the place is a number.
"""

import math
from dataclasses import dataclass

import numpy as np

from tasks.packed import PackedShape

WINDOW = (
    2048  # samples sorted by length together: enough for tight blocks, few enough to stay random
)
BLOCK = (
    32  # neighbours in length that stay together; constant, so that no batch size changes the order
)

MULTIPLE = 64
"""The tokens of a packed pass are a multiple of it, as the tiles of a GPU's products are."""
SHORTEST = 4
"""Tokens that the longest sequence of padding has at least: the fewest that a text may have."""
MOST_TRIES = 256  # numbers of tokens that are looked at
SLACK = 1.1  # room for what comes together unevenly


def epoch_order(lengths: np.ndarray, seed: int, epoch: int, by_length: bool = True) -> np.ndarray:
    """Return the order of an epoch's samples, int64 [n]: a permutation with neighbours of similar
    length.

    Permute by seed; sort by length within windows of constant size; cut into blocks of constant
    size; permute the blocks.

    Args:
        lengths: [n], size of each sample.
        by_length: False: only permute.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    if not by_length:
        return order
    # one argsort of [windows, WINDOW] would take longer and twice the memory
    for start in range(0, len(order), WINDOW):
        window = order[start : start + WINDOW]
        order[start : start + WINDOW] = window[np.argsort(lengths[window], kind="stable")]
    # what is left over stays last: anywhere else, every step behind it would straddle two blocks
    blocks = order[: len(order) - len(order) % BLOCK].reshape(-1, BLOCK)
    blocks[:] = blocks[rng.permutation(len(blocks))]
    return order


@dataclass(frozen=True)
class MicroBatchIds:
    """The samples of one forward and backward pass on one rank."""

    ids: np.ndarray  # int64 [b]
    counts: bool = True  # False: only there so that every rank makes as many passes; weighs nothing


def cut_step(
    ids: np.ndarray,
    lengths: np.ndarray,
    rows: np.ndarray,
    *,
    world_size: int,
    max_samples: int,
    budget: int | None,
    overhead: float,
) -> list[list[MicroBatchIds]]:
    """Return the passes of each rank for one optimizer step; every rank has the same number.

    Rank r takes every `world_size`-th sample from the r-th on. Within a rank samples are sorted by
    length and cut where the sum of padded sizes and of a fixed cost a pass is least: a sum has no
    order, so this changes nothing but the time.

    Args:
        ids: int64 [samples of the step], in the order of the epoch.
        lengths, rows: [n] of the whole data set; see `tasks.base.Features`.
        max_samples: most samples in a pass.
        budget: most padded units in a pass; a larger sample gets a pass of its own.
        overhead: fixed cost of a pass in units of length, without its samples.
    """
    ranks = [
        _cut_rank(ids[rank::world_size], lengths, rows, max_samples, budget, overhead)
        for rank in range(world_size)
    ]
    return _as_many_each(ranks, ids)


def _cut_rank(
    ids: np.ndarray,
    lengths: np.ndarray,
    rows: np.ndarray,
    max_samples: int,
    budget: int | None,
    overhead: float,
) -> list[MicroBatchIds]:
    own = lengths[ids]
    alike = 0 < len(ids) <= max_samples and overhead >= own[0] and bool((own == own[0]).all())
    if alike and (budget is None or rows[ids].sum() * own[0] <= budget):
        return [MicroBatchIds(ids)]  # nothing is padded, so that one pass is the cheapest
    ids = ids[np.argsort(own, kind="stable")]
    heights = np.concatenate([[0], np.cumsum(rows[ids])])
    tops, sizes = heights.tolist(), lengths[ids].tolist()  # numbers of numpy are slow one by one
    # best[j]: least cost of the first j samples; the last pass of that cut begins at begin[j]
    best = np.zeros(len(ids) + 1)
    begin = [0] * (len(ids) + 1)
    first = 0  # where a pass that ends at j may begin: sizes and heights grow, and so does this
    for j in range(1, len(ids) + 1):
        top, size = tops[j], sizes[j - 1]  # sorted: the last is the longest
        first = max(first, j - max_samples)
        if budget is not None:
            while first < j - 1 and (top - tops[first]) * size > budget:
                first += 1
        costs = best[first:j] + (top - heights[first:j]) * size + overhead
        choice = int(costs.argmin())
        best[j], begin[j] = costs[choice], first + choice
    passes: list[MicroBatchIds] = []
    end = len(ids)
    while end > 0:
        passes.append(MicroBatchIds(ids[begin[end] : end]))
        end = begin[end]
    return passes[::-1]


def pass_overhead(lengths: np.ndarray, device_type: str) -> float:
    """Return the fixed cost of a pass (launches, casts, gradients), in units of length.

    Args:
        lengths: [n] of the whole data set.
    """
    return float(lengths.mean()) * (4 if device_type == "cpu" else 64)  # measured in samples


def sizes_of(lengths: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return how many tokens each sample has at most, int64 [n]: an empty one is a token of padding
    (see `tasks.nlp.packing.pack`), and the last window of several may be shorter."""
    sizes: np.ndarray = np.maximum(lengths, 1) * rows
    return sizes


def packed_shape(
    lengths: np.ndarray,
    rows: np.ndarray,
    order: np.ndarray,
    *,
    step_size: int,
    world_size: int,
    max_samples: int,
    budget: int | None,
    overhead: float,
) -> PackedShape:
    """Return the shape of packed passes that takes the least time.

    Passes cost their tokens and a fixed cost each; the passes that the steps of an epoch would take
    are counted for each number of tokens.

    Args:
        lengths, rows: [n] of the whole data set; see `tasks.base.Features`.
        order: int64, as an epoch begins: one step at least, which may be smaller than the others.
        step_size: samples of an optimizer step, over all ranks.
        max_samples: most samples in a pass.
        budget: most tokens in a pass; a single larger sample makes it larger.
        overhead: fixed cost of a pass in tokens, without its own tokens.
    """
    sizes, longest = sizes_of(lengths, rows), int(max(SHORTEST, lengths.max()))
    windows = math.ceil(max_samples * float(rows.mean()) * SLACK) if rows.max() > 1 else max_samples
    sequences = max(windows, int(rows.max()))

    def shape(tokens: int) -> PackedShape:
        return PackedShape(tokens, max_samples, sequences, longest)

    # the largest sample must fit into a pass of its own
    largest = int(sizes.argmax())
    least = MULTIPLE
    while not shape(least).fits(1, int(rows[largest]), int(sizes[largest])):
        least += MULTIPLE
    own = order[: max(1, len(order) // step_size) * step_size]
    totals = np.array(
        [
            max(sizes[own[i : i + step_size][rank::world_size]].sum() for rank in range(world_size))
            for i in range(0, len(own), step_size)
        ]
    )
    fewest = -(-min(step_size, len(own)) // (world_size * max_samples))
    highest = max(least, int(totals.max() / fewest * SLACK) + sequences + MULTIPLE)
    if budget is not None:
        highest = max(least, min(highest, budget))
    tries = np.unique(np.linspace(least, highest, MOST_TRIES).astype(np.int64) // MULTIPLE)
    tokens = tries * MULTIPLE  # least and MULTIPLE are multiples, so none is below least
    room = tokens - -(-tokens // longest)
    passes = np.maximum(fewest, -(-totals[:, None] // room))  # [steps, tries]
    cost = (passes * (tokens + overhead)).sum(0)
    return shape(int(tokens[cost.argmin()]))


def cut_packed(
    ids: np.ndarray,
    lengths: np.ndarray,
    rows: np.ndarray,
    *,
    world_size: int,
    shape: PackedShape,
) -> list[list[MicroBatchIds]]:
    """Return the passes of each rank in a packed shape: each sample, the largest first, goes to the
    first pass with room for it.

    Args:
        ids: int64 [samples of the step], in the order of the epoch.
        lengths, rows: [n] of the whole data set; see `tasks.base.Features`.
    """
    ranks = []
    for rank in range(world_size):
        own = ids[rank::world_size]
        sizes, heights = sizes_of(lengths[own], rows[own]), rows[own]
        if shape.fits(len(own), int(heights.sum()), int(sizes.sum())):
            ranks.append([MicroBatchIds(own)] if len(own) else [])
            continue
        bins: list[tuple[list[int], int, int]] = []  # samples, their sequences and tokens
        for i in np.argsort(-sizes, kind="stable").tolist():
            size, height = int(sizes[i]), int(heights[i])
            for place, (held, sequences, tokens) in enumerate(bins):
                if shape.fits(len(held) + 1, sequences + height, tokens + size):
                    bins[place] = ([*held, i], sequences + height, tokens + size)
                    break
            else:
                bins.append(([i], height, size))
        ranks.append([MicroBatchIds(own[np.sort(held)]) for held, _, _ in bins])
    return _as_many_each(ranks, ids)


def _as_many_each(ranks: list[list[MicroBatchIds]], ids: np.ndarray) -> list[list[MicroBatchIds]]:
    """Add passes of weight 0 to ranks that have fewer than others."""
    most = max(map(len, ranks))
    for passes in ranks:
        passes.extend(MicroBatchIds(ids[:1], counts=False) for _ in range(most - len(passes)))
    return ranks


@dataclass(frozen=True)
class DataPosition:
    """How far training has come, in samples: independent of batch size and ranks."""

    epoch: int = 0
    sample: int = 0  # samples of the epoch already trained on

    def after(self, samples: int, epoch_size: int) -> "DataPosition":
        """Return the position after that many more samples of the same epoch."""
        done = self.sample + samples
        return (
            DataPosition(self.epoch + 1, 0)
            if done >= epoch_size
            else DataPosition(self.epoch, done)
        )


@dataclass(frozen=True)
class Schedule:
    """How long training lasts, in samples and steps."""

    epoch_size: int
    step_size: int  # samples of an optimizer step, over all ranks
    total_steps: int

    @classmethod
    def of(cls, epoch_size: int, step_size: int, epochs: float, max_steps: int) -> "Schedule":
        """Make a schedule from epochs (maybe a fraction), or from `max_steps` if that is
        positive."""
        steps = -(-epoch_size // step_size)
        total = max_steps if max_steps > 0 else max(1, -int(-epochs * steps // 1))
        return cls(epoch_size, step_size, total)

    def steps_done(self, place: DataPosition) -> float:
        """Return how many steps of this size a position is after; a whole number unless the step
        size has changed."""
        steps_per_epoch = -(-self.epoch_size // self.step_size)
        return place.epoch * steps_per_epoch + place.sample / self.step_size

    def finished(self, place: DataPosition) -> bool:
        """Return whether training is complete at a position."""
        return self.steps_done(place) >= self.total_steps
