"""Runs to be resumed whose newest state, or every one, is damaged."""

import contextlib
import hashlib
import json
import shutil
from pathlib import Path

from tests.faults.fuzz import checkpoints
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import TEXT


def states(scene: Scene) -> Command:
    """A training of three steps that goes on after one or two."""
    draw = scene.draw
    run = scene.run
    shutil.copytree(scene.world / "text", run)
    found = sorted((run / "state").glob("step-*"))
    harmed = found if scene.chance(0.3) else found[-1:]
    said = []
    for state in harmed:
        if scene.chance(0.6):
            content, what = checkpoints.spoiled(
                draw, ".json", (state / "progress.json").read_bytes()
            )
            (state / "progress.json").write_bytes(content)
            said.append(f"{state.name}/progress.json: {what}")
        else:
            said.append(f"{state.name}/{checkpoints.harm(draw, state)}")
            if scene.chance(0.7):
                _agree(state)
    if scene.chance(0.15):
        said.append(_beside(scene, run / "state"))
    if scene.chance(0.15):
        said.append(checkpoints.harm(draw, run))
    words = TEXT.finetune(scene, "--resume", "--max_steps", 3)
    return Command(TEXT.module, words, "; ".join(said)[:300], run=run)


def _beside(scene: Scene, folder: Path) -> str:
    name = scene.draw.choice(("step-99999999", "step-x", "step-00000009", ".incoming-abc", "step-"))
    if scene.chance(0.5):
        (folder / name).mkdir()
        return f"an empty {name}"
    (folder / name).write_text("x")
    return f"a file {name}"


def _agree(state: Path) -> None:
    with contextlib.suppress(OSError, ValueError, RecursionError, TypeError, KeyError):
        said = json.loads((state / "progress.json").read_bytes())
        for name in said["files"]:
            said["files"][name] = hashlib.sha256((state / name).read_bytes()).hexdigest()
        (state / "progress.json").write_text(json.dumps(said))
