"""A recipe that was tried: its program, its proof, what it loses, how fast it is."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.deploy import export
from zoo.deploy.export import Original, Samples, quiet
from zoo.deploy.proof import Proof
from zoo.evaluation.paired import Drop, drop
from zoo.machine import environment
from zoo.quantization import on_gpu
from zoo.quantization.recipes import Material, Recipe
from zoo.runtimes import artifacts, probe
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence

if TYPE_CHECKING:
    from zoo.evaluation.loop import Evaluation
    from zoo.measure import Comparison, Measured


@dataclass
class Candidate:
    """One recipe, and what was found of it."""

    recipe: Recipe
    excluded: tuple[str, ...] = ()  # layers that stayed in fp32
    artifact: Artifact | None = None
    proof: Proof | None = None
    drop: Drop | None = None  # on the validation split
    timed: "Comparison | None" = None
    seconds: "Measured | None" = None
    note: str = ""  # what speaks against it

    @property
    def deployment(self) -> Deployment:
        """That of its recipe."""
        return self.recipe.deployment

    def within(self, max_drop: float) -> bool:
        """Whether it passed its proof and loses no more than that on the validation split."""
        return self.drop is not None and not self.note and self.drop.value <= max_drop

    def speedup(self) -> float:
        """Over eager fp32; -inf where it was not timed."""
        return self.timed.speedup.value if self.timed else -math.inf

    def surely(self, min_speedup: float) -> bool:
        """Whether the whole interval of its speedup reaches that."""
        return self.timed is not None and self.timed.speedup.interval.low >= min_speedup

    def loses_less(self, other: "Candidate") -> bool:
        """Whether it is the better one of the same recipe: sound first, then by what it loses."""
        if self.drop is None or other.drop is None:
            return self.drop is not None
        return (bool(self.note), self.drop.value) < (bool(other.note), other.drop.value)


def attempt(
    original: Original,
    recipe: Recipe,
    material: Material | None,
    shop: Path,
    validation: Samples,
    source: "Evaluation",
    max_drop: float,
) -> Candidate:
    """A recipe with every layer in int8; where that loses too much, with the most sensitive layers
    in fp32: one, two, four, ... up to half of them.

    A recipe that does not fit the network is a result: `Candidate.note` says why.
    """
    best = _tried(original, recipe, material, shop, validation, source, ())
    if best.within(max_drop) or best.artifact is None or not recipe.excludes:
        return best
    assert material is not None
    try:
        with quiet():
            ranking = material.ranking(recipe.method)
    except (MemoryError, OSError, KeyboardInterrupt):
        raise
    except Exception as error:  # of the quantizer, about one layer
        best.note = best.note or f"layers could not be ranked: {export.obstacle(error)}"
        return best
    count = 1
    while count <= len(ranking) // 2:
        exclude = tuple(ranking[:count])
        found = _tried(original, recipe, material, shop, validation, source, exclude)
        if found.loses_less(best):
            best = found
        if best.within(max_drop):
            return best
        count *= 2
    return best


def _built(
    original: Original,
    recipe: Recipe,
    material: Material | None,
    staging: Path,
    exclude: Sequence[str],
) -> Artifact:
    """What a recipe makes: an artifact in the staged folder, or the checkpoint itself."""
    if recipe.build is None:
        return on_gpu.itself(original, recipe.deployment)
    assert material is not None  # there is some where any recipe builds
    more = recipe.build(material, staging, exclude)
    return artifacts.write_manifest(
        staging,
        recipe.deployment,
        probe.of(original.checkpoint, original.model, original.processor),
        evidence.subject_digest(original.checkpoint.folder),
        {
            "model": original.checkpoint.entry.name,
            "versions": environment.versions(),
            "fp32_layers": list(exclude),
            **more,
        },
    )


def _tried(
    original: Original,
    recipe: Recipe,
    material: Material | None,
    shop: Path,
    validation: Samples,
    source: "Evaluation",
    exclude: Sequence[str],
) -> Candidate:
    """A recipe with some layers in fp32, built, proven and measured."""
    made = Candidate(recipe, tuple(exclude))
    staging = Path(tempfile.mkdtemp(prefix=f"{recipe.deployment.folder}-", dir=shop))
    try:
        with quiet():
            made.artifact = _built(original, recipe, material, staging, exclude)
            runner = on_gpu.open_runner(made.artifact)
        made.proof = original.proven(runner, validation.rows())
        if not made.proof.passed:
            made.note = f"WRONG: {made.proof.faults[0]}"
        tally = original.measured(validation.features, runner).tally
        made.drop = drop(source.tally, tally, original.task.primary)
    except (MemoryError, OSError, KeyboardInterrupt):
        raise
    except Exception as error:  # whatever a quantizer or runtime raises, it does not fit
        made.note = made.note or export.obstacle(error)
        made.artifact = None if made.proof is None else made.artifact
    return made
