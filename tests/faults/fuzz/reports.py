"""Files of measurements that a report or a comparison is made of."""

from tests.faults.fuzz import checkpoints
from tests.faults.fuzz.command import Command, Scene


def reports(scene: Scene) -> Command:
    """One or two lines of a file of results changed."""
    draw = scene.draw
    file = scene.copy("results.jsonl", draw.choice(("results.jsonl", "my [b]results.jsonl")))
    content, what = checkpoints.spoil_line(draw, file.read_bytes())
    if scene.chance(0.5):
        content, more = checkpoints.spoil_line(draw, content)
        what = f"{what}; {more}"
    file.write_bytes(content)
    if scene.chance(0.2):
        words = ("compare", "--results", str(scene.world / "results.jsonl"), str(file))
        return Command("bench", words, what, is_terminal=scene.chance(0.3))
    page = scene.out / "report.html"
    words = ("report", str(file), "--out", str(page))
    if scene.chance(0.4):
        words += ("--markdown", str(scene.out / "report.md"))
    if scene.chance(0.1):
        words += ("--pictures", str(scene.out / "pictures"))
    return Command("bench", words, what)
