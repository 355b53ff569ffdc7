"""The deployments that a decision looks at: each made, proven, and its metric measured.

Nothing is put in place: programs lie in a staged folder until one of them has won.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import UserError
from zoo import runtimes
from zoo.deploy import export
from zoo.deploy.export import Original, Samples, quiet
from zoo.deploy.proof import Proof
from zoo.evaluation.paired import Drop, drop
from zoo.machine import commands
from zoo.quantization import recipes
from zoo.quantization.candidate import attempt
from zoo.quantization.recipes import Material, Recipe
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES

if TYPE_CHECKING:
    from zoo.evaluation.loop import Evaluation
    from zoo.runtimes.runner import Runner

BASELINE = "eager"
USUAL = (
    BASELINE,
    "onnx",
    "openvino",
    "openvino+bf16",
    "onnx+int8-dynamic",
    "onnx+int8-static",
    "openvino+int8-static",
    "eager+bf16",
    "aoti",
    "aoti+bf16",
    "aoti+int8-static",
    "compile",
)
"""What is tried where nothing is asked, those first that take the least time to make."""


@dataclass
class Option:
    """One deployment, and what is known of it."""

    deployment: Deployment
    artifact: Artifact | None = None
    """None: it runs the checkpoint itself"""
    proof: Proof | None = None
    drop: Drop | None = None
    """on the validation split"""
    fault: str = ""
    """why it is out of question"""

    @property
    def name(self) -> str:
        """Its deployment, as it is written."""
        return str(self.deployment)

    def command(self, module: str, checkpoint: Path) -> str:
        """What makes it, for people; of what runs the checkpoint itself, what uses it."""
        if self.artifact is None:
            words = ("evaluate", checkpoint, "--deployment", self.deployment)
            return commands.python(module, *words)
        method = recipe_of(self.deployment)
        if method is None:
            return commands.python(module, "export", checkpoint, "--runtime", self.deployment)
        return commands.python(module, "quantize", checkpoint, "--method", method.method)


class Maker:
    """Makes options of one checkpoint, in a staged folder."""

    def __init__(
        self,
        original: Original,
        shop: Path,
        validation: Samples,
        data: str | None,
        max_drop: float,
        threads: int,
    ) -> None:
        self.original, self.shop, self.validation = original, shop, validation
        self.data, self.max_drop, self.threads = data, max_drop, threads
        self._material: Material | None = None

    def make(self, deployment: Deployment) -> Option:
        """Builds, proves, measures. What fails is a result: `Option.fault` says why."""
        made = Option(deployment)
        try:
            runtimes.must_be_available(deployment)
            recipe = recipe_of(deployment)
            if recipe is not None:
                return self._quantized(recipe)
            self._plain(made)
        except (MemoryError, OSError, KeyboardInterrupt):
            raise
        except UserError as error:
            made.fault = str(error)
        except Exception as error:  # whatever a runtime raises, it does not fit
            made.fault = export.obstacle(error)
        return made

    @cached_property
    def source(self) -> "Evaluation":
        """What eager fp32 reaches on the validation split, which all are compared with."""
        eager = self.runner(Option(Deployment(BASELINE)))
        return self.original.measured(self.validation.features, eager)

    def runner(self, option: Option) -> "Runner":
        """What runs it here."""
        if option.artifact is not None:
            return export.open_runner(option.artifact, self.threads)
        folder = self.original.checkpoint.folder
        return runtimes.load(folder, option.deployment, threads=self.threads)

    def _plain(self, made: Option) -> None:
        if RUNTIMES[made.deployment.runtime].artifact is not None:
            folder = Path(tempfile.mkdtemp(prefix=f"{made.deployment.folder}-", dir=self.shop))
            made.artifact = export.build(self.original, made.deployment, folder)
        original = self.original
        with quiet():
            runner = self.runner(made)
            made.proof = original.proven(runner, self.validation.rows())
        if not made.proof.passed:
            made.fault = f"WRONG: {made.proof.faults[0]}"
            return
        found = (
            self.source
            if made.name == BASELINE
            else original.measured(self.validation.features, runner)
        )
        made.drop = drop(self.source.tally, found.tally, original.task.primary)

    def _quantized(self, recipe: Recipe) -> Option:
        _, left_out = recipes.fitting(self.original.network, None)
        if (reason := dict(left_out).get(recipe)) is not None:
            return Option(recipe.deployment, fault=reason)
        if self._material is None:
            from zoo.quantization.quantize import prepare

            self._material = prepare(self.original, self.shop, self.data)
        found = attempt(
            self.original,
            recipe,
            self._material,
            self.shop,
            self.validation,
            self.source,
            self.max_drop,
        )
        return Option(found.deployment, found.artifact, found.proof, found.drop, found.note)


def recipe_of(deployment: Deployment) -> Recipe | None:
    """The recipe that makes a quantized deployment; None for what is only exported."""
    return next((one for one in recipes.RECIPES if one.deployment == deployment), None)


def asked(names: Sequence[str]) -> list[Deployment]:
    """The deployments to look at, eager first, which all are compared with.

    Raises `UserError` for what is no deployment.
    """
    if not names:
        return [Deployment.parse(name) for name in USUAL]
    found = [Deployment.parse(name) for name in (BASELINE, *names)]
    return list(dict.fromkeys(found))
