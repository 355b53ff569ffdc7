"""The recipes: each makes a quantized program of a checkpoint in a staged folder."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.quantization import on_gpu, onnx_int8, pt2e, sensitivity
from zoo.quantization.onnx_int8 import Feed
from zoo.runtimes import onnx, onnx_generation, torchao
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment

if TYPE_CHECKING:
    from zoo.deploy.export import ExportSource
    from zoo.model.network import Network

SENSITIVITY_BATCHES = 4


@dataclass(frozen=True)
class RecipeInputs:
    """The inputs of recipes: the exported fp32 program and the calibration data."""

    original: "ExportSource"
    exported: Artifact  # the fp32 ONNX program
    prepared: Path  # folder with the same as the quantizer takes it
    feeds: Sequence[Feed]  # calibration: batches of the training split
    ranges: Path  # file that keeps what calibration found
    rankings: dict[str, list[str]] = field(default_factory=dict)

    def ranking(self, numerics: str) -> list[str]:
        """Return the layers, those first that lose most by the numerics of a recipe; computed
        once, with ONNX Runtime's recipe for them."""
        if numerics not in self.rankings:
            feeds = self.feeds[:SENSITIVITY_BATCHES]
            quantize = partial(ONNX_BUILDS[numerics], self)
            self.rankings[numerics] = sensitivity.rank(quantize, self.prepared, feeds)
        return self.rankings[numerics]


Build = Callable[[RecipeInputs, Path, Sequence[str]], dict[str, Any]]
"""(material, staged folder, layers that stay in fp32) to what to record."""


@dataclass(frozen=True)
class Recipe:
    """One way to make a quantized program."""

    deployment: Deployment
    method: str  # as --method names it
    build: Build | None
    """None runs the checkpoint itself"""
    excludes: bool = True  # whether layers can stay in fp32, by their names in the ONNX program
    needs: str | None = None  # runtime whose packages it is made with, beside its own
    machines: tuple[str, ...] = ()  # as platform.machine() says it; none: all
    device: str = "cpu"


def _onnx_dynamic(material: RecipeInputs, target: Path, exclude: Sequence[str]) -> dict[str, Any]:
    onnx_int8.dynamic(material.prepared, target, exclude)
    return {}


def _onnx_static(material: RecipeInputs, target: Path, exclude: Sequence[str]) -> dict[str, Any]:
    onnx_int8.static(material.prepared, target, material.feeds, exclude, material.ranges)
    return _calibration(material)


def _onnx_weights(
    bits: int, material: RecipeInputs, target: Path, exclude: Sequence[str]
) -> dict[str, Any]:
    for file in onnx_generation.files_of(material.exported):
        onnx_int8.weight_only(material.prepared, target, bits, exclude, file)
    return {}


def _calibration(material: RecipeInputs) -> dict[str, Any]:
    return {"calibration_samples": sum(len(next(iter(feed.values()))) for feed in material.feeds)}


def _openvino_static(
    material: RecipeInputs, target: Path, exclude: Sequence[str]
) -> dict[str, Any]:
    """Build ONNX Runtime's QDQ program, for OpenVINO to read and run."""
    import tempfile

    import openvino

    from zoo.runtimes.openvino import FILE

    with tempfile.TemporaryDirectory() as folder:
        more = _onnx_static(material, Path(folder), exclude)
        model = openvino.Core().read_model(Path(folder) / onnx.FILE)
        openvino.save_model(model, target / FILE, compress_to_fp16=False)
        del model  # it maps the file
    return more


def _aoti_static(material: RecipeInputs, target: Path, exclude: Sequence[str]) -> dict[str, Any]:
    return _calibration(material) | pt2e.build(material.original, material.feeds, target)


ONNX_BUILDS: dict[str, Build] = {
    "int8-dynamic": _onnx_dynamic,
    "int8-static": _onnx_static,
    "int8-weight-only": partial(_onnx_weights, 8),
    "int4-weight-only": partial(_onnx_weights, 4),
}
"""What makes a program of ONNX Runtime, by its numerics."""

RECIPES = (
    *(
        # the method is the name without its bits
        Recipe(Deployment("onnx", numerics), numerics.partition("-")[2], build)
        for numerics, build in ONNX_BUILDS.items()
    ),
    Recipe(Deployment("openvino", "int8-static"), "static", _openvino_static),
    Recipe(
        Deployment("aoti", "int8-static"),
        "static",
        _aoti_static,
        excludes=False,
        needs="torchao",
        machines=("x86_64", "AMD64"),
    ),
    *(
        Recipe(Deployment("torchao", numerics), method, None, excludes=False, device=on_gpu.DEVICE)
        for numerics, method in (
            ("int8-dynamic", "dynamic"),
            ("fp8-dynamic", "dynamic"),
            ("int8-weight-only", "weight-only"),
            ("int4-weight-only", "weight-only"),
        )
    ),
)
"""Where two reach the same, the first stays: the order is that of what users have installed."""


UNFIT = {
    "dynamic": (
        "dynamic ruins convolutions, and makes a text that is written depend on others in its batch"
    ),
    "static": "static ruins this network, or is not made for an encoder and decoder",
    "weight-only": "is for networks that write texts",
}
"""Why a method is not tried on a network, by the method."""
NO_CACHE = "runs no model with a cache here"
"""Why a runtime is not tried on a network that writes texts."""


def fitting(
    network: "Network", method: str | None, device: str = "cpu"
) -> tuple[list[Recipe], list[tuple[Recipe, str]]]:
    """Return the recipes for a network and this machine, and those left out with the reason.

    Args:
        network: which says the methods that fit it.
        method: the only one wanted; of a network that writes texts it has to be one that fits, as
            what else it would write is not what it writes alone.
        device: "cpu" or "cuda".
    """
    fit, out = [], []
    for recipe in RECIPES:
        if method is not None and recipe.method != method:
            continue
        fits = recipe.device != "cpu" or recipe.method in network.quantization_methods
        if not fits and (method is None or network.has_stages):
            out.append((recipe, UNFIT[recipe.method]))
        elif reason := _stage_obstacle(network, recipe) or _obstacle(recipe, device):
            out.append((recipe, reason))
        else:
            fit.append(recipe)
    return fit, out


def _stage_obstacle(network: "Network", recipe: Recipe) -> str | None:
    """Return why a recipe can't make programs with a cache, where the network is exported as
    these."""
    from zoo.runtimes.known import RUNTIMES

    if not network.has_stages or RUNTIMES[recipe.deployment.runtime].writes:
        return None
    return NO_CACHE


def _obstacle(recipe: Recipe, device: str) -> str | None:
    """Return why a recipe can't be tried on a device of this machine; None if no reason is
    known."""
    from zoo.runtimes.known import RUNTIMES

    if recipe.device == "cpu" and device != "cpu":
        return "is tried with `device` cpu"
    begins_with = ("onnx",) if recipe.build else ()  # the fp32 program, which what is built reads
    runtimes = (*begins_with, recipe.deployment.runtime, *filter(None, [recipe.needs]))
    if missing := next(filter(None, (RUNTIMES[name].missing() for name in runtimes)), None):
        return missing
    if recipe.machines and platform.machine() not in recipe.machines:
        return f"is for processors of {recipe.machines[0]}, not {platform.machine()}"
    if recipe.device == on_gpu.DEVICE and (lacks := torchao.lacking(recipe.deployment.numerics)):
        return lacks
    return None if recipe.device == device else f"is tried with `device` {recipe.device}"
