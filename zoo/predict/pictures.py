"""Pictures of predictions: one file an input in each folder that was asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.inputs import DrawsPredictions
from zoo.machine import output_file, places


class PredictionPictures:
    """Writes the pictures of predictions as they come.

    A picture is called as its input, with the ending .png; where inputs of several folders have one
    name, those that come later have a number behind it.
    """

    def __init__(self, asked: DrawsPredictions) -> None:
        """Look at the folders, before any work. Raises `UserError` for one that can't be written
        to."""
        self._asked = asked
        self._folders = dict(asked.folders())
        for name, folder in self._folders.items():
            places.check_folder(f"`{name}`", folder)
        self._taken: set[str] = set()

    def write(
        self, task: Any, item: Mapping[str, Any], prediction: Any, reading: Mapping[str, Any]
    ) -> dict[str, str]:
        """Write the pictures of a prediction of a task for an input, and return the path of each by
        the name of its flag; for the arguments see `DrawsPredictions.pictures`."""
        if not self._folders:
            return {}
        stem = self._free(Path(str(item["name"])).stem)
        found = {}
        drawn = self._asked.pictures(task, item, prediction, reading)
        for name, content in drawn.items():
            path = self._folders[name] / f"{stem}.png"
            with output_file.replacing(path, f"`{name}`") as file:
                file.write(content)
            found[name] = str(path)
        return found

    def _free(self, stem: str) -> str:
        """Return a name that no picture of this run has, the stem where it is one."""
        name, number = stem, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name.casefold())
        return name
