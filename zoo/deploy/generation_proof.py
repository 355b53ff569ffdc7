"""The proof of what generates text: token for token what transformers' `generate` gives of the fp32
source.

An encoder-decoder writes about sounds as its generation config says. One of texts writes from
sources, and a decoder goes on with prompts: each alone, and all in a batch, padded; greedily and by
beams; and one up to the longest text that the checkpoint takes.
"""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers

from tasks.base import Batch
from tasks.errors import foreign
from zoo.generation.decoding import Decoding, SpecialTokens, ends_of, pad_of
from zoo.generation.generate import sequences
from zoo.generation.target_writer import TargetWriter
from zoo.generation.writer import TokenWriter, left_padded
from zoo.runtimes.stages import GenerativeRunner

if TYPE_CHECKING:
    from zoo.deploy.proof import Proof

PROMPTS = 7
"""Texts whose beginnings are gone on with."""
NEW_TOKENS = 24
BEAMS = 3
CLOSE = 1e-4
"""Nats between two tokens of the source that are as likely as each other: fp32, added up in another
order, may take either."""


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
        proof.faults.append(f"{place}: {foreign(error).strip()[:200] or type(error).__name__}")
        return
    pad = pad_of(model.generation_config.to_diff_dict())
    for name, mine, its in zip(names, _text(ours, pad), _text(theirs, pad), strict=True):
        proof.tokens += len(its)
        if fault := difference(mine, its):
            proof.faults.append(f"utterance {name} ({place}) is written otherwise: {fault}")
            return


def _of_transformers(model: Any, *inputs: torch.Tensor, **more: Any) -> np.ndarray:
    """Return what `generate` of transformers writes; it shares no code with our loop."""
    plain = getattr(transformers, type(model).__name__)
    texts: np.ndarray = plain.generate(model, *inputs, **more).numpy()
    return texts


def prove_prompts(
    proof: "Proof", writer: TokenWriter, model: Any, longest: int, real: Iterable[Batch]
) -> None:
    """Compares what is written behind prompts; what differs is a fault.

    Args:
        model: the source, on the processor.
        longest: tokens of a text at most, its prompt among them.
        real: texts, padded on the right, whose beginnings are prompts; where there are none, they
            are drawn.
    """
    known = itertools.islice(_beginnings(real, longest), PROMPTS)
    prompts = list(known) or _drawn(model, longest)
    limit = min(NEW_TOKENS, longest - max(map(len, prompts)))
    with _plain_config(model) as (ends, pad):
        special = SpecialTokens(ends, pad)
        _compare_all(proof, writer, model, prompts, special, limit)
        last = (prompts[-1] * longest)[: longest - limit]
        decoding = Decoding().fixed_length(limit)
        _compare_texts(proof, writer, model, [last], special, decoding)


def prove_sources(
    proof: "Proof",
    writer: TargetWriter,
    model: Any,
    longest: int,
    longest_text: int,
    real: Iterable[Batch],
) -> None:
    """Compares what is written from sources; what differs is a fault.

    Args:
        model: the source, on the processor, whose generation config names the special tokens.
        longest: tokens of a source at most.
        longest_text: tokens of what is written at most.
        real: sources, padded on the right; where there are none, they are drawn.
    """
    known = (
        ids[mask != 0].tolist()
        for batch in real
        for ids, mask in zip(batch.inputs["input_ids"], batch.inputs["attention_mask"], strict=True)
    )
    sources = list(itertools.islice(known, PROMPTS)) or _drawn(model, longest)
    special = writer.special_tokens()
    _compare_all(proof, writer, model, sources, special, min(NEW_TOKENS, longest_text))
    last = (max(sources, key=len) * longest)[:longest]
    decoding = Decoding().fixed_length(longest_text)
    _compare_texts(proof, writer, model, [last], special, decoding)


def _compare_all(
    proof: "Proof",
    writer: TokenWriter | TargetWriter,
    model: Any,
    given: Sequence[Sequence[int]],
    special: SpecialTokens,
    limit: int,
) -> None:
    """Compare texts of so many tokens at most, each alone and all in a batch, greedily and by
    beams."""
    for beams in (1, BEAMS):
        decoding = Decoding(max_new_tokens=limit, num_beams=beams)
        for chosen in (*([one] for one in given), given):
            _compare_texts(proof, writer, model, chosen, special, decoding)


def _compare_texts(
    proof: "Proof",
    writer: TokenWriter | TargetWriter,
    model: Any,
    given: Sequence[Sequence[int]],
    special: SpecialTokens,
    decoding: Decoding,
) -> None:
    """Compare texts behind prompts, or from sources where the special tokens have the prefix of an
    encoder-decoder."""
    inputs = (right_padded if special.prefix else left_padded)(given, special.pad)
    begin = len(special.prefix) or inputs["input_ids"].shape[1]
    place = f"batch {len(given)}, {inputs['input_ids'].shape[1]} tokens"
    place += f", {decoding.num_beams} beams" if decoding.num_beams > 1 else ""
    with torch.inference_mode():
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        settings = {
            name: getattr(decoding, name)
            for name in ("max_new_tokens", "min_new_tokens", "num_beams")
        }
        theirs = _of_transformers(model, **tensors, **settings)[:, begin:]
    try:
        ours = sequences(writer.make_runner(special, decoding), inputs)
    except Exception as error:  # each runtime has its own
        proof.faults.append(f"{place}: {foreign(error).strip()[:200] or type(error).__name__}")
        return
    stops = {*special.eos, special.pad}
    for one, mine, its in zip(given, ours.tolist(), theirs.tolist(), strict=True):
        mine, its = _until(mine, stops), _until(its, stops)
        proof.tokens += len(its)
        fault = difference(mine, its)
        if fault and not _is_tie(model, one, mine, its, decoding, special.prefix):
            wrong = f"a prompt ({place}) is gone on with"
            if special.prefix:
                wrong = f"a text from a source ({place}) is written"
            proof.faults.append(f"{wrong} otherwise: {fault}")
            return


def _is_tie(
    model: Any,
    given: Sequence[int],
    ours: list[int],
    theirs: list[int],
    decoding: Decoding,
    prefix: Sequence[int] = (),
) -> bool:
    """Return whether the source finds both texts as likely as each other: of greedy ones up to the
    first token that differs, of beams the whole of them."""
    if decoding.num_beams == 1:
        place = next(
            (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
            min(len(ours), len(theirs)),
        )
        if place == min(len(ours), len(theirs)):
            return False
        ours, theirs = ours[: place + 1], theirs[: place + 1]
    if len(ours) != len(theirs):
        return False
    mine, its = (_log_probability(model, given, text, prefix) for text in (ours, theirs))
    return abs(mine - its) < CLOSE


def _log_probability(
    model: Any, given: Sequence[int], text: Sequence[int], prefix: Sequence[int]
) -> float:
    """Return the log probability of a text behind a prompt, or from a source where it has the
    prefix of an encoder-decoder, in nats."""
    begin = prefix or given
    ids = torch.tensor([[*begin, *text]])
    with torch.inference_mode():
        inputs = {"input_ids": ids}
        if prefix:
            inputs = {"input_ids": torch.tensor([given]), "decoder_input_ids": ids}
        logits = model(**inputs).logits[0, len(begin) - 1 : -1].double()
    own = logits.log_softmax(-1).gather(1, torch.tensor(text)[:, None])
    return float(own.sum())


@contextlib.contextmanager
def _plain_config(model: Any) -> Iterator[tuple[tuple[int, ...], int]]:
    """Let a model write the likeliest tokens, whatever its generation config asks for; gives the
    tokens that end its texts, and the one that pads."""
    before = model.generation_config
    config = before.to_diff_dict()
    ends, pad = ends_of(config), pad_of(config)
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=before.bos_token_id, eos_token_id=list(ends) or None, pad_token_id=pad
    )
    try:
        yield ends, pad
    finally:
        model.generation_config = before


def _beginnings(real: Iterable[Batch], longest: int) -> Iterator[list[int]]:
    """Yield prompts of different lengths, a third of the longest text at most."""
    for batch in real:
        masks = batch.inputs["attention_mask"] != 0
        for ids, mask in zip(batch.inputs["input_ids"], masks, strict=True):
            most = max(1, longest // 3)
            yield ids[mask][: max(1, min(most, int(mask.sum()) // 2))].tolist()


def _drawn(model: Any, longest: int) -> list[list[int]]:
    """Return prompts of random tokens."""
    rng, most = np.random.default_rng(0), max(1, longest // 3)
    lengths = np.linspace(1, most, PROMPTS).astype(int)
    vocabulary = int(model.config.get_text_config().vocab_size)
    return [rng.integers(0, vocabulary, length).tolist() for length in lengths]


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


def right_padded(sources: Sequence[Sequence[int]], pad: int) -> dict[str, np.ndarray]:
    """Return input_ids and attention_mask int64 [sources, n] of sources, padded at the end."""
    turned = left_padded([source[::-1] for source in sources], pad)
    return {name: array[:, ::-1].copy() for name, array in turned.items()}


def _until(row: list[int], stops: set[int]) -> list[int]:
    """Return a row's tokens before the first that ends it or pads."""
    return row[: next((i for i, token in enumerate(row) if token in stops), len(row))]
