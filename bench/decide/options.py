"""The deployments that a decision looks at, and how each is made."""

from collections.abc import Callable, Mapping, Sequence
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

USUAL: Mapping[str, tuple[str, ...]] = {
    "cpu": (
        BASELINE,
        "onnx",
        "openvino",
        "openvino+bf16",
        "onnx+int8-dynamic",
        "onnx+int8-static",
        "onnx+int8-weight-only",
        "onnx+int4-weight-only",
        "openvino+int8-static",
        "eager+bf16",
        "aoti",
        "aoti+bf16",
        "aoti+int8-static",
        "compile",
    ),
    "cuda": (
        BASELINE,
        "eager+tf32",
        "eager+bf16",
        "eager+fp16",
        "compile+bf16",
        "compile:reduce-overhead+bf16",
        "compile+fp16",
        "compile:reduce-overhead+fp16",
        "torchao+int8-dynamic",
        "torchao+fp8-dynamic",
        "torchao+int8-weight-only",
        "torchao+int4-weight-only",
        "onnx",
        "tensorrt+fp16",
        "compile",
        "compile:reduce-overhead",
    ),
}
"""What is tried where nothing is asked, by device: those first that take the least time to
make, or that mostly win. What a GPU or an installation has not is told in its row."""


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
            runtimes.must_be_available(deployment, builder.device)
            if original.network.has_stages and not RUNTIMES[deployment.runtime].writes:
                return Candidate(deployment, fault=recipes.NO_CACHE)
            if recipe is None:
                has_program = RUNTIMES[deployment.runtime].artifact is not None
                write = partial(export.build, original, deployment)
                return builder.make(deployment, write if has_program else None)
            _, left_out = recipes.fitting(original.network, None, builder.device)
            if (reason := dict(left_out).get(recipe)) is not None:
                return Candidate(deployment, fault=reason)
            made_of = material() if recipe.build else None
            return quantize.attempt(builder, recipe, made_of, max_drop)
        except (MemoryError, OSError):
            raise
        except Exception as error:  # of what all recipes begin with
            return Candidate(deployment, fault=fault_of(error))

    return make


def command(candidate: Candidate, module: str, checkpoint: Path, device: str = "cpu") -> str:
    """What makes a candidate, for people; of what runs the checkpoint itself, what uses it."""
    deployment = candidate.deployment
    if candidate.artifact is None:
        where = () if device == "cpu" else ("--device", device)
        words = ("evaluate", checkpoint, "--deployment", deployment, *where)
        return commands.python(module, *words)
    recipe = recipe_of(deployment)
    if recipe is None:
        return commands.python(module, "export", checkpoint, "--runtime", deployment)
    return commands.python(module, "quantize", checkpoint, "--method", recipe.method)


def recipe_of(deployment: Deployment) -> Recipe | None:
    """The recipe that makes a quantized deployment; None for what is only exported."""
    return next((one for one in recipes.RECIPES if one.deployment == deployment), None)


def asked(names: Sequence[str], device: str = "cpu") -> list[Deployment]:
    """The deployments to look at on a device, eager first, which all are compared with.

    Raises `UserError` for what is no deployment.
    """
    if not names:
        return [Deployment.parse(name) for name in USUAL[device.partition(":")[0]]]
    found = [Deployment.parse(name) for name in (BASELINE, *names)]
    return list(dict.fromkeys(found))
