"""Test data under as many other labels: an old head would fit, and mean something else."""

import csv
import shutil
from pathlib import Path


def relabelled(data: Path, folder: Path) -> Path:
    """The same rows under other labels: of a table, of folders by label, or other letters."""
    for file in sorted(path for path in data.rglob("*") if path.is_file()):
        place = folder / file.relative_to(data)
        if file.suffix == ".csv":
            rows = list(csv.reader(file.open(newline="")))
            place.parent.mkdir(parents=True, exist_ok=True)
            if file.name == "metadata.csv":
                changed = [[name, said.replace("a", "你")] for name, said in rows[1:]]
            else:
                changed = [[text, f"标签 {label}"] for text, label in rows[1:]]
            csv.writer(place.open("w", newline="", encoding="utf-8")).writerows([rows[0], *changed])
        else:
            if (data / "train" / "metadata.csv").is_file() is False:
                place = place.parent.parent / f"标签 {place.parent.name}" / place.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    return folder
