"""The proof of a deployment: its outputs beside those of the fp32 source, over inputs and shapes.

Random and real inputs; a sweep of sizes with batch 1, odd lengths and the longest; one past the
longest, which must be refused; each row alone, among others, and padded; the texts of what writes.
"""

import copy
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tasks.base import Batch, Generates, Task
from tasks.errors import UserError, foreign
from zoo.deploy import generation_proof, parity
from zoo.deploy.parity import Difference
from zoo.deploy.set_outputs import aligned
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature
from zoo.runtimes.stages import GenerativeRunner

if TYPE_CHECKING:
    from torch import nn

    from zoo.model.modality import Modality

BATCHES = (1, 2, 5)
LENGTHS = (1, 2, 7, 33)  # and the longest
REAL_ROWS = 64
"""Real samples that are compared; the metric is measured on more."""
ARRANGED_ROWS = 8
VOLUME = 4096
"""Batch times length of a random input: what is longer comes with batch 1 only."""

NOTHING = "nothing could be compared: no real inputs are at hand"

Rows = Sequence[Mapping[str, Any]]


@dataclass
class Proof:
    """The comparisons of a deployment with its source, and the faults that they found."""

    deployment: str
    inputs: str = ""  # digest of the real inputs: a replay on others finds other numbers
    differences: list[tuple[Difference, dict[str, int], str]] = field(default_factory=list)
    arrangements: int = 0
    tokens: int = 0  # that were written, by what writes text
    refused: list[str] = field(default_factory=list)  # sizes that were rightly refused
    faults: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Return whether no fault was found."""
        return not self.faults

    def summary(self) -> dict[str, float | int]:
        """The numbers worth recording; none where nothing was compared."""
        found = [one for one, _, _ in self.differences]
        if not found:
            return {}
        numbers: dict[str, float | int] = {}
        if real := [one for one in found if one.is_real]:
            numbers = {
                "max_absolute_difference": max(one.absolute for one in real),
                "max_relative_difference": max(one.relative for one in real),
                "sqnr": min(self._sqnr(name) for name in {one.output for one in real}),
            }
        numbers |= {name: mean for name, (mean, _) in self.agreements().items()}
        return {k: v for k, v in numbers.items() if math.isfinite(v)}

    def agreements(self) -> dict[str, tuple[float, int]]:
        """Return how far rows agree: by the name that the rule of a kind has for it, the mean score
        of all rows and their number."""
        scores: dict[str, list[np.ndarray]] = {}
        for one, _, _ in self.differences:
            if one.rows:
                scores.setdefault(parity.RULES[one.kind].name, []).append(one.scores)
        together = {name: np.concatenate(each) for name, each in scores.items()}
        return {name: (float(each.mean()), len(each)) for name, each in together.items()}

    def _sqnr(self, output: str) -> float:
        """Return the SQNR of an output over all inputs, in dB."""
        return parity.decibels(
            *parity.pooled([one for one, _, _ in self.differences if one.output == output])
        )

    def signal(self, output: str, what: str) -> float:
        """The rms of the reference over all inputs of a kind, random or real."""
        mine = [d for d, _, kind in self.differences if (d.output, kind) == (output, what)]
        return parity.pooled(mine)[0]

    def record(self) -> dict[str, Any]:
        """The proof as JSON, for export.json: a replay must find the same."""
        return {
            "compared": len(self.differences),
            "inputs": self.inputs,
            "arrangements": self.arrangements,
            **({"tokens": self.tokens} if self.tokens else {}),
            "refused": self.refused,
            **self.summary(),
        }

    def worst(self) -> str:
        """The comparison with the lowest SQNR, in a line; of ids, the one with the fewest equal."""
        if not self.differences:
            return "nothing was compared"
        real = [each for each in self.differences if each[0].is_real]
        if real:
            one, sizes, what = min(real, key=lambda each: each[0].sqnr)
            far = f"{one.absolute:.3g} apart ({one.relative:.2%}), SQNR {one.sqnr:.1f} dB"
        else:
            one, sizes, what = min(self.differences, key=lambda each: each[0].agreement)
            far = f"{one.agreement:.2%} the same"
        return f"{one.output}, {what} input, {in_words(sizes)}: {far}"


class ReferenceModel:
    """The fp32 network that a deployment is compared with, and the same in float64."""

    def __init__(self, model: "nn.Module", outputs: Sequence[str]) -> None:
        self.single = model.eval()
        self.outputs = outputs

    @cached_property
    def double(self) -> "nn.Module":
        """A copy in float64, made where the numerics are judged by it."""
        return copy.deepcopy(self.single).double().eval()

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs computed in float32."""
        return self._run(self.single, inputs, torch.float32)

    def exactly(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs computed in float64."""
        return self._run(self.double, inputs, torch.float64)

    def _run(
        self, model: "nn.Module", inputs: Mapping[str, np.ndarray], dtype: torch.dtype
    ) -> dict[str, np.ndarray]:
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        tensors = {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors.items()}
        with torch.inference_mode():
            found = model(**tensors)
        return {name: found[name].numpy() for name in self.outputs}


def prove(
    runner: Runner, model: "nn.Module", modality: "Modality", task: Task, rows: Rows, seed: int = 0
) -> Proof:
    """Compares a runner with the network that it came from.

    Args:
        model: the fp32 network on the processor.
        modality: of its inputs.
        rows: real samples as the task's features give them; none where no data is at hand.
    """
    proof = Proof(str(runner.deployment), digest(task, rows))
    source = ReferenceModel(model, runner.signature.outputs)
    stepwise = None
    if isinstance(runner, GenerativeRunner):
        _prove_texts(proof, runner, model, modality, task, rows, seed)
        stepwise = runner.step_by_step()
    for sizes in sweep(runner.signature, modality.axis):
        inputs = modality.random_inputs(runner.signature, sizes, model, seed)
        _compare(proof, runner, source, inputs, sizes, "random")
        if stepwise is not None:
            _compare(proof, stepwise, source, inputs, sizes, "stepwise random")
    for batch in real_batches(task, rows):
        inputs = arrays(batch)
        sizes = runner.signature.check(inputs)
        _compare(proof, runner, source, inputs, sizes, "real")
    _judge(proof, runner.deployment.numerics)
    if rows and proof.passed:
        _arrange(proof, runner, source, task, rows[:ARRANGED_ROWS])
    _past_the_longest(proof, runner, modality, model, seed)
    return proof


def _prove_texts(
    proof: Proof,
    runner: GenerativeRunner,
    model: "nn.Module",
    modality: "Modality",
    task: Task,
    rows: Rows,
    seed: int,
) -> None:
    """Compares texts, of numerics that are the source's: what rounds more writes other ones, and
    its logits tell whether it is sound."""
    if parity.tolerance_of(runner.deployment.numerics).multiple is None:
        return
    real = real_batches(task, rows)
    if (writer := runner.writer()) is not None:
        longest = runner.signature.limits[modality.axis][1]
        assert longest is not None, "a text has an end"
        generation_proof.prove_prompts(proof, writer, model, longest, real)
        return
    if (targets := runner.target_writer()) is not None:
        assert isinstance(task, Generates), "its models write texts"
        longest = runner.signature.limits[modality.axis][1]
        assert longest is not None, "a source has an end"
        sizes = longest, task.longest_text
        generation_proof.prove_sources(proof, targets, model, *sizes, real)
        return
    smallest = ({"batch": batch, modality.axis: 1} for batch in BATCHES)
    drawn = (modality.random_inputs(runner.signature, sizes, model, seed) for sizes in smallest)
    generation_proof.prove(proof, runner, model, drawn, real)


def sweep(signature: Signature, varying: str) -> Iterator[dict[str, int]]:
    """Sizes to try: every batch with every length, but for what is too large."""
    if varying not in signature.limits:
        yield from ({"batch": batch} for batch in BATCHES)
        return
    least, most = signature.limits[varying]
    within = [n for n in (least, *LENGTHS) if n >= least and (most is None or n <= most)]
    if least > max(LENGTHS):  # samples of a wave
        within += [least + 1, 3 * least + 7, 10 * least + 13]
    elif most is None or most >= 101:
        within.append(101)
    for length in dict.fromkeys(within):
        for batch in BATCHES:
            if batch == 1 or batch * length <= max(VOLUME, 40 * least):
                yield {"batch": batch, varying: length}
    if most is not None and most not in within:
        yield {"batch": 1, varying: most}


def real_batches(task: Task, rows: Rows) -> Iterator[Batch]:
    """Real samples: a few alone, the rest in batches of odd size."""
    chosen = rows[:REAL_ROWS]
    for i in range(min(4, len(chosen))):
        yield task.collate(chosen[i : i + 1])
    for i in range(4, len(chosen), 7):
        yield task.collate(chosen[i : i + 7])


def digest(task: Task, rows: Rows) -> str:
    """Return a digest of the real inputs, 16 hex digits."""
    found = hashlib.sha256()
    for batch in real_batches(task, rows):
        for name, array in sorted(arrays(batch).items()):
            found.update(name.encode() + array.tobytes())
    return found.hexdigest()[:16]


def arrays(batch: Batch) -> dict[str, np.ndarray]:
    """Return the inputs of a batch as numpy's arrays."""
    return {name: tensor.contiguous().numpy() for name, tensor in batch.inputs.items()}


def _compare(
    proof: Proof,
    runner: Runner,
    source: ReferenceModel,
    inputs: Mapping[str, np.ndarray],
    sizes: dict[str, int],
    what: str,
) -> None:
    numerics = runner.deployment.numerics
    same = parity.tolerance_of(numerics).multiple is not None
    kinds = {name: runner.signature.kind(name) for name in runner.signature.outputs}
    reference = source.exactly(inputs) if same else source(inputs)
    single = aligned(source(inputs), reference, kinds) if same else None
    size = in_words(sizes)
    found = _run(proof, runner, inputs, f"{what} input, {size}")
    if found is None:
        return
    found = aligned(found, reference, kinds)
    for name in runner.signature.outputs:
        if found[name].shape != reference[name].shape:
            proof.faults.append(
                f"{name}, {what} input, {size}: is {list(found[name].shape)}, and should be "
                f"{list(reference[name].shape)}"
            )
            continue
        own = single and single[name]
        one = parity.difference(name, reference[name], found[name], own, kind=kinds[name])
        if what == "random" and parity.tolerance_of(numerics).calibrated:
            if not math.isfinite(one.absolute):
                proof.faults.append(f"{name} is not finite (random input, {size})")
            continue
        proof.differences.append((one, sizes, what))


def _judge(proof: Proof, numerics: str) -> None:
    for one, sizes, what in proof.differences:
        if fault := parity.judge(one, numerics, proof.signal(one.output, what)):
            proof.faults.append(f"{fault} ({what} input, {in_words(sizes)})")
    if fault := parity.judge_all([one for one, _, _ in proof.differences], numerics):
        proof.faults.append(fault)


def in_words(sizes: Mapping[str, int]) -> str:
    """Return sizes in words: "batch 1, length 7"."""
    return ", ".join(f"{name} {size}" for name, size in sizes.items())


def _run(
    proof: Proof, runner: Runner, inputs: Mapping[str, np.ndarray], what: str
) -> dict[str, np.ndarray] | None:
    """The outputs; a fault, and None, where the deployment does not take the inputs.

    What has to be called before is called with other values: a graph that was captured with these
    and did not read new ones would look right.
    """
    try:
        for _ in range(runner.calls_before):
            runner({name: np.roll(array, 1, axis=-1) for name, array in inputs.items()})
        return runner(inputs)
    except Exception as error:  # each runtime has its own
        text = foreign(error).strip().splitlines() or [type(error).__name__]
        proof.faults.append(f"{what}: {text[0][:200]}")
        return None


def _arrange(proof: Proof, runner: Runner, source: ReferenceModel, task: Task, rows: Rows) -> None:
    """Compare each row alone with the same row among others that are longer, and add the faults to
    the proof."""
    together = arrays(task.collate(rows))
    kinds = {name: runner.signature.kind(name) for name in runner.signature.outputs}
    if len(next(iter(together.values()))) != len(rows):
        return  # a row in several windows: which is which would be guessing
    ours, theirs = _run(proof, runner, together, f"batch {len(rows)}"), source(together)
    for i, row in enumerate(rows):
        alone = arrays(task.collate([row]))
        mine, its = _run(proof, runner, alone, "batch 1"), source(alone)
        if ours is None or mine is None:
            return
        mine = aligned(mine, {name: x[i : i + 1] for name, x in ours.items()}, kinds)
        its = aligned(its, {name: x[i : i + 1] for name, x in theirs.items()}, kinds)
        for name in runner.signature.outputs:
            own = parity.sqnr(*_common(its[name][0], theirs[name][i]))
            apart = _common(mine[name][0], ours[name][i])
            proof.arrangements += 1
            numerics = runner.deployment.numerics
            if fault := parity.judge_arrangement(kinds[name], *apart, numerics, own):
                proof.faults.append(f"{name} of a row alone and among {len(rows)}: {fault}")
                return


def _common(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the region that two outputs for a row have in common: the padded one may be longer."""
    region = tuple(slice(min(a, b)) for a, b in zip(one.shape, other.shape, strict=True))
    return one[region], other[region]


def _past_the_longest(
    proof: Proof, runner: Runner, modality: "Modality", model: "nn.Module", seed: int
) -> None:
    for name, (_, most) in runner.signature.limits.items():
        if most is None:
            continue
        sizes = {each: max(least, 2) for each, (least, _) in runner.signature.limits.items()}
        sizes[name] = most + 1
        try:
            runner(modality.random_inputs(runner.signature, sizes, model, seed))
        except UserError:
            proof.refused.append(f"{name} {most + 1}")
        else:
            proof.faults.append(f"{name} {most + 1} is past the longest, and was taken")
