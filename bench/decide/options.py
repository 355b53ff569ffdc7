"""The deployments that a decision looks at, and how each is made."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from zoo import runtimes
from zoo.deploy import export
from zoo.deploy.candidate import BASELINE, Candidate, DeploymentBuilder, fault_of
from zoo.machine import commands
from zoo.quantization import quantize, recipes
from zoo.quantization.recipes import Recipe
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES

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


def maker(
    builder: DeploymentBuilder, data: str | None, max_drop: float
) -> Callable[[Deployment], Candidate]:
    """Return what builds, proves and measures a deployment, by its recipe where it has one.

    What does not fit is a result: `Candidate.fault` says why.
    """
    original = builder.original
    # what all recipes begin with is made when the first of them asks for it
    material = cache(lambda: quantize.prepare(original, builder.staging, data))

    def make(deployment: Deployment) -> Candidate:
        recipe = recipe_of(deployment)
        try:
            runtimes.must_be_available(deployment)
            if recipe is None:
                has_program = RUNTIMES[deployment.runtime].artifact is not None
                write = partial(export.build, original, deployment)
                return builder.make(deployment, write if has_program else None)
            _, left_out = recipes.fitting(original.network, None)
            if (reason := dict(left_out).get(recipe)) is not None:
                return Candidate(deployment, fault=reason)
            return quantize.attempt(builder, recipe, material(), max_drop)
        except (MemoryError, OSError):
            raise
        except Exception as error:  # of what all recipes begin with
            return Candidate(deployment, fault=fault_of(error))

    return make


def command(candidate: Candidate, module: str, checkpoint: Path) -> str:
    """Return the command that makes a candidate, for people; of a candidate that runs the
    checkpoint itself, the command that uses it."""
    deployment = candidate.deployment
    if candidate.artifact is None:
        return commands.python(module, "evaluate", checkpoint, "--deployment", deployment)
    recipe = recipe_of(deployment)
    if recipe is None:
        return commands.python(module, "export", checkpoint, "--runtime", deployment)
    return commands.python(module, "quantize", checkpoint, "--method", recipe.method)


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
