"""ONNX artifacts: their program, weights and export.json damaged, with sums that agree."""

import contextlib
import hashlib
import json
from pathlib import Path

from tests.faults.fuzz import checkpoints, programs
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import VISION, measured, rendered


def artifacts(scene: Scene) -> Command:
    """An artifact to predict with, to measure, to verify, to send."""
    checkpoint = scene.copy("vision", "checkpoint")
    folder = checkpoint / "artifacts" / "onnx"
    program = folder / "model.onnx"
    if scene.chance(0.4):
        content, what = programs.spoil(scene.draw, program)
        program.write_bytes(content)
    else:
        what = checkpoints.harm(scene.draw, folder)
    if scene.chance(0.85):
        agree(folder)
        what += ", its sums agree"
    if scene.chance(0.05):
        other = scene.draw.choice(("onnx+int8-static", "..", "x", "aoti", "pt2"))
        if not (folder.parent / other).exists():
            folder.rename(folder.parent / other)
            what += f", as {other}"
    image = str(scene.world / "images" / "test")
    uses = {
        "predict": (VISION.module, "predict", checkpoint, "--image", image, "--deployment", "onnx"),
        "evaluate": (VISION.module, "evaluate", checkpoint, "--deployment", "onnx"),
        "verify": ("zoo", "verify", checkpoint),
        "push": ("tools.hub", "push", checkpoint, "user/x", "--dry_run", "--accept_license"),
        "info": ("zoo", "info", checkpoint),
    }
    module, *words = uses[scene.draw.choice(("predict", "predict", *uses))]
    writes = (*measured(checkpoint), *rendered(checkpoint))
    return Command(module, tuple(map(str, words)), what, writes=writes)


def agree(folder: Path) -> None:
    """Gives export.json, where it can be read, the sums of the files as they are."""
    manifest = folder / "export.json"
    with contextlib.suppress(
        OSError, ValueError, RecursionError, AttributeError, KeyError, TypeError
    ):
        said = json.loads(manifest.read_bytes())
        for name in said["zoo"]["files"]:
            if (folder / name).is_file():
                total = hashlib.sha256((folder / name).read_bytes()).hexdigest()
                said["zoo"]["files"][name] = total
        manifest.write_text(json.dumps(said))
