"""Cards, evidence and zoo.json that are read, rendered, checked, shown."""

from tests.faults.fuzz import checkpoints
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import rendered

FILES = ("README.md", "evidence.jsonl", "zoo.json", "config.json")


def cards(scene: Scene) -> Command:
    """A checkpoint whose records are damaged."""
    draw = scene.draw
    folder = scene.copy(draw.choice(("text", "vision")), "checkpoint", without=("state", "logs"))
    name = draw.choice(FILES)
    content, what = checkpoints.spoiled(draw, name, (folder / name).read_bytes())
    (folder / name).write_bytes(content)
    if scene.chance(0.5):
        checkpoints.agree(folder)
    uses = (
        ("tools.cards", str(folder)),
        ("tools.cards", str(folder), "--check"),
        ("zoo", "info", str(folder)),
        ("tools.hub", "push", str(folder), "user/x", "--dry_run", "--accept_license"),
    )
    program, *words = draw.choice(uses)
    is_terminal = program == "zoo" and scene.chance(0.5)
    what = f"{name}: {what}"
    return Command(program, tuple(words), what, writes=rendered(folder), is_terminal=is_terminal)
