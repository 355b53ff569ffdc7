"""A decoder that goes on with texts, under ONNX Runtime: one program, model.onnx, with a cache."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.arrays import to_numpy
from tasks.errors import UserError
from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.session import Ids, Session
from zoo.generation.writer import TokenWriter
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.onnx_generation import (
    MASK,
    PROGRAMS,
    OnnxGenerativeRunner,
    empty_cache,
    ort_value,
)
from zoo.runtimes.signature import Signature
from zoo.runtimes.stages import MODEL, TOKENS

MOST_KEPT = 16
"""Places whose logits a quantizer sees of each text: those of all would fill the memory."""
PLACES, KEEP = "position_ids", "logits_to_keep"


class OnnxDecoder(OnnxGenerativeRunner):
    """A runner of a decoder alone, whose rows are padded on the left where texts are written.

    A session has `attention_mask`, numpy int64 [rows, tokens so far], and the cache.
    """

    stages = (MODEL,)
    main = MODEL

    def __init__(
        self, artifact: Artifact, deployment: Deployment, device: str, threads: int | None
    ) -> None:
        super().__init__(artifact, deployment, device, threads)
        most = self.programs[MODEL].limits.get(TOKENS, (1, None))[1]
        if most is None:
            raise UserError(f"{artifact.folder} is damaged (no longest text): export it again")
        self.context = most
        """tokens that the model sees at once"""

    def writer(self) -> "RunnerWriter":
        """Return what goes on with prompts."""
        return RunnerWriter(self)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the logits of whole texts, padded on the right; see `Runner.run`."""
        feed = whole_text(self.programs[MODEL], inputs)
        session = Session(None, self.empty_cache(len(feed["input_ids"])))
        return {"logits": self.advance(session, feed)}

    def run_stepwise(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the logits of whole texts that are given token by token; see `Runner.run`."""
        feed = whole_text(self.programs[MODEL], inputs)
        session = Session(None, self.empty_cache(len(feed["input_ids"])))
        steps = []
        for i in range(feed["input_ids"].shape[1]):
            column = slice(i, i + 1)
            given = {name: array[:, column] for name, array in feed.items() if name != KEEP}
            given |= {MASK: feed[MASK][:, : i + 1], KEEP: np.zeros(1, np.int64)}
            steps.append(self.advance(session, given))
        return {"logits": np.concatenate(steps, 1)}

    def start(self, inputs: Mapping[str, Any]) -> Session:
        """Run the prompts `input_ids` int64 [rows, n], with an `attention_mask` of the same shape
        where they are padded on the left; see `GenerativeRunner.start`.

        Raises `UserError` for a prompt that is longer than what the model sees at once.
        """
        ids = to_numpy(inputs["input_ids"])
        mask = to_numpy(inputs[MASK]) if MASK in inputs else np.ones_like(ids)
        if (longest := mask.sum(1).max()) > self.context:
            raise UserError(f"a prompt has {longest:,} tokens, and the model sees {self.context:,}")
        session = Session(None, {MASK: mask[:, :0], **self.empty_cache(len(ids))})
        last = np.array([ids.shape[1] - 1])
        session.logits = self._forward(session, ids, mask, last)[:, -1]
        return session

    def step(self, session: Session, tokens: Ids) -> np.ndarray:
        """Return the logits behind the next tokens; see `GenerativeRunner.step`."""
        return self._forward(session, tokens, np.ones_like(tokens), np.arange(tokens.shape[1]))

    def _forward(self, session: Session, tokens: Ids, mask: Ids, keep: Ids) -> np.ndarray:
        before = session.state[MASK]
        places = before.sum(1, keepdims=True) + mask.cumsum(1) - 1
        whole = np.concatenate([before, mask], 1)
        given = {"input_ids": tokens, MASK: whole, KEEP: keep}
        if PLACES in self._takes:
            # a row that has ended is computed beside the others, and nobody reads it
            given[PLACES] = places.clip(0, self.context - 1)
        session.state[MASK] = whole
        return self.advance(session, given)

    def reorder(self, session: Session, rows: Ids) -> None:
        """Reorder the rows of a session, on the host; see `zoo.generation.session.Generative`."""
        mask = session.state[MASK][rows]
        padding = int(mask.argmax(1).min())
        session.state[MASK] = mask[:, padding:]
        for name, value in session.state.items():
            if name != MASK:
                session.state[name] = ort_value(value.numpy()[rows, :, padding:])

    def rewind(self, session: Session, counts: Ids) -> None:
        """Take back the last tokens of each row, on the host; see
        `zoo.generation.speculative.Rewinding`.

        What only some rows take back goes to the front, as padding: between tokens it would take
        the place of one, where attention counts columns, as a sliding window does.
        """
        if not counts.any():
            return
        common = int(counts.min())
        width, rest = session.state[MASK].shape[1] - common, (counts - common)[:, None]
        places = np.arange(width)
        sources = (places - rest) % width  # int64 [rows, width]
        for name, value in session.state.items():
            if name == MASK:
                moved = np.take_along_axis(value, sources, 1)
                session.state[name] = moved * (places >= rest)
            else:
                columns = sources[:, None, :, None]
                session.state[name] = ort_value(np.take_along_axis(value.numpy(), columns, 2))

    def join(self, session: Session, other: Session) -> None:
        """Add the rows of another session, on the host; see `zoo.generation.session.Generative`."""
        states = session.state, other.state
        width = max(state[MASK].shape[1] for state in states)
        for name in session.state:
            axis = 1 if name == MASK else 2
            arrays = [state[name] if name == MASK else state[name].numpy() for state in states]
            joined = np.concatenate([_padded(array, width, axis) for array in arrays])
            session.state[name] = joined if name == MASK else ort_value(joined)


class RunnerWriter(TokenWriter):
    """Goes on with prompts by a decoder under ONNX Runtime."""

    def __init__(self, runner: OnnxDecoder) -> None:
        super().__init__(runner.context)
        self.runner = runner

    def own_config(self) -> Mapping[str, Any]:
        """Return the generation config that lies beside the program."""
        return self.runner.own_config

    def make_runner(self, special_tokens: SpecialTokens, decoding: Decoding) -> OnnxDecoder:
        """Return the runner with these special tokens; see `TokenWriter`."""
        return self.runner.with_tokens(special_tokens, decoding)

    def cache_bytes(self, session: Session) -> int:
        """Return the bytes of a session's keys and values."""
        return sum(each.numpy().nbytes for name, each in session.state.items() if name != MASK)

    def available_memory(self) -> int:
        """Return how many bytes are free where the cache lies."""
        if self.runner.device.startswith("cpu"):  # torch takes seconds to start
            import psutil

            return int(psutil.virtual_memory().available)
        import torch

        from zoo.machine.memory import available_memory

        return available_memory(torch.device(self.runner.device))


def whole_text(program: Signature, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return what the program takes, but for the cache, to give the logits of all tokens of texts.

    Args:
        inputs: `input_ids` int64 [rows, n], and perhaps `attention_mask` of the same shape.
    """
    ids = to_numpy(inputs["input_ids"])
    places = np.arange(ids.shape[1])
    feed = {
        "input_ids": ids,
        MASK: to_numpy(inputs[MASK]) if MASK in inputs else np.ones_like(ids),
        PLACES: np.tile(places, (len(ids), 1)),
        KEEP: places,
    }
    return {port.name: feed[port.name] for port in program.inputs if port.name in feed}


def program_feed(artifact: Artifact, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what the one program of an artifact takes to compute a batch of the model's inputs:
    these themselves, and of a decoder its texts as a whole behind an empty cache, to give the
    logits of `MOST_KEPT` places of each."""
    programs = artifact.manifest.get(PROGRAMS, {})
    if MODEL not in programs:
        return dict(inputs)
    program = Signature.from_json(programs[MODEL])
    feed = whole_text(program, inputs)
    rows, tokens = feed["input_ids"].shape
    kept = np.linspace(0, tokens - 1, min(tokens, MOST_KEPT)).astype(np.int64)
    return {**feed, KEEP: kept, **empty_cache(program, rows)}


def _padded(array: np.ndarray, width: int, axis: int) -> np.ndarray:
    """Return an array with zeros in front, so that an axis has a width."""
    padding = [(0, 0)] * array.ndim
    padding[axis] = (width - array.shape[axis], 0)
    return np.pad(array, padding)
